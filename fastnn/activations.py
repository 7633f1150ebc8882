"""Activations: what `Dense(activation=...)` accepts.

Each is a function of a NumPy array, or of a symbolic tensor inside a layer's `call`. The formulas
are in `fastnn.ops.activations`; this module lists them. `get` turns a name into a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.ops.activations import ACTIVATIONS, apply_activation
from fastnn.ops.contract import registry
from fastnn.ops.tensor import Tensor
from fastnn.utils import choose

Function = Callable[[Any], Any]

_NAMES = (*ACTIVATIONS, "softmax")


def _make(name: str) -> Function:
    def function(x: Any) -> Any:
        if isinstance(x, Tensor):
            return apply_activation(name, x)
        array = np.asarray(x)
        if array.dtype.kind != "f":
            array = array.astype(np.float64)
        if name == "softmax":
            return registry()["softmax"].define(array)
        return ACTIVATIONS[name].formula(array)

    function.__name__ = function.__qualname__ = name
    described = registry()["softmax"] if name == "softmax" else ACTIVATIONS[name].formula
    function.__doc__ = described.__doc__
    return function


_FUNCTIONS: dict[str, Function] = {name: _make(name) for name in _NAMES if name != "gelu_tanh"}


def _gelu(x: Any, approximate: bool = False) -> Any:
    """x Phi(x), or its tanh approximation (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return _make("gelu_tanh")(x) if approximate else _make("gelu")(x)


_gelu.__name__ = _gelu.__qualname__ = "gelu"
_FUNCTIONS["gelu"] = _gelu
_FUNCTIONS["gelu_tanh"] = _make("gelu_tanh")

globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS, "get", "serialize"]  # noqa: PLE0604


def get(identifier: str | Function | None) -> Function:
    """The activation function for a name, a function or None (linear).

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if identifier is None:
        return _FUNCTIONS["linear"]
    if callable(identifier):
        return identifier
    return choose("activation", identifier, _FUNCTIONS)


def serialize(function: Function) -> str:
    """The name of an activation function."""
    return function.__name__
