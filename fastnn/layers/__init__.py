"""Layers, under Keras' names."""

from fastnn.layers.base import Layer
from fastnn.layers.core import Activation, Dense, Dropout, Flatten, Input, InputLayer, Rescaling

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "Rescaling"]
