"""fastnn: a small, fast neural-network engine with Keras' vocabulary.

>>> from fastnn import Sequential, layers
>>> model = Sequential([layers.Dense(1, input_shape=(1,))])
>>> model.compile(optimizer="sgd", loss="mean_squared_error")
"""

from fastnn import (
    activations,
    callbacks,
    config,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
    utils,
)
from fastnn.layers import Input
from fastnn.model import Model, Sequential

__version__ = "0.1.0.dev0"

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "config",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "utils",
]
