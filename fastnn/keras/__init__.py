"""Keras' vocabulary as a package: a program written for Keras changes its import lines only.

>>> from fastnn import keras
>>> from fastnn.keras.layers import Dense
>>> from fastnn.keras.models import Sequential

Every name here is the same object as in fastnn itself.
"""

import sys

from fastnn import (
    Input,
    Model,
    Sequential,
    activations,
    callbacks,
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
from fastnn import model as models

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
]

# `from fastnn.keras.layers import Dense` finds the module itself, not a copy of its list.
for _name in __all__:
    if isinstance(globals()[_name], type(sys)):
        sys.modules[f"{__name__}.{_name}"] = globals()[_name]
sys.modules[f"{__name__}.optimizers.schedules"] = optimizers.schedules
# Keras' old place for `pad_sequences` and `timeseries_dataset_from_array`.
sys.modules[f"{__name__}.preprocessing"] = utils
sys.modules[f"{__name__}.preprocessing.sequence"] = utils
