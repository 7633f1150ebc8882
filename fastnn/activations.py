"""Activations: what `Dense(activation=...)` accepts.

Each is a function of a NumPy array, or of a symbolic tensor inside a layer's `call`. The formulas
are in `fastnn.ops.activations`; this module lists them. `get` turns a name into a function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.ops.apply import FUNCTIONS
from fastnn.utils import choose

Function = Callable[..., Any]

# Names that Keras has beside those of the functions.
_ALIASES = {"swish": "silu"}

globals().update(FUNCTIONS)
globals().update({alias: FUNCTIONS[name] for alias, name in _ALIASES.items()})
__all__ = [*FUNCTIONS, *_ALIASES, "get", "serialize"]  # noqa: PLE0604


def get(identifier: str | Function | None) -> Function:
    """The activation function for a name, a function or None (linear).

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if identifier is None:
        return FUNCTIONS["linear"]
    if callable(identifier):
        return identifier
    return choose(
        "activation", identifier, FUNCTIONS | {a: FUNCTIONS[n] for a, n in _ALIASES.items()}
    )


def serialize(function: Function) -> str:
    """The name of an activation function."""
    return function.__name__
