"""fastnn: a small, fast neural-network engine with Keras' vocabulary.

>>> from fastnn import Sequential, layers
>>> model = Sequential([layers.Dense(1, input_shape=(1,))])
>>> model.compile(optimizer="sgd", loss="mean_squared_error")
"""

from fastnn import (
    activations,
    callbacks,
    config,
    constraints,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
    saving,
    utils,
)
from fastnn.layers import Input
from fastnn.model import Model, Sequential
from fastnn.saving import ModelFileError, load_model

__version__ = config.VERSION

__all__ = [
    "Input",
    "Model",
    "ModelFileError",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "ops",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
]
