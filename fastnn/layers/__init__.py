"""Layers, under Keras' names."""

from typing import Any

from fastnn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from fastnn.layers.base import Layer
from fastnn.layers.core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Rescaling
from fastnn.utils import resolve

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Softmax",
]

_CLASSES: dict[str, type[Layer]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Layer)
}


def get(identifier: Any) -> Layer:
    """The layer for a description, {"class_name", "config"}, or an object.

    Raises
    ------
    ValueError
        The class is unknown; the message lists the choices.
    """
    return resolve("layer", identifier, Layer, _CLASSES)
