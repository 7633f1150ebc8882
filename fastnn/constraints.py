"""Constraints: what a weight must be after each update, under Keras' names and with its defaults.

A constraint is applied by the update steps of a plan, after the optimizer, to weights that are
trained. The formulas are in `fastnn.ops.optimizers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor
from fastnn.utils import Configurable, number, resolve


class Constraint(Configurable):
    """Base class.

    A subclass defines `__call__(w)`: what becomes of a weight, from `fastnn.ops`.
    """

    def __call__(self, w: Any) -> Any:
        """The weight as it must be: an array for an array, a tensor while a plan is made."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(w)")

    def emit(self, w: Tensor, between: int = 0) -> None:
        """Add the steps that change `w` in place to the open graph.

        With `between`, those for the batches between two updates, whose gradients are accumulated:
        built-in constraints hold there too, as in Keras; one's own after each update only.
        """
        if not between:
            emit("assign", w, self(w))


class _InPlace(Constraint):
    """One built-in op."""

    op = ""

    def attrs(self) -> dict[str, Any]:
        """The attributes of the op."""
        return {}

    def __call__(self, w: Any) -> Any:
        return ops.registry()[self.op].define(np.asarray(w), None, between=0, **self.attrs())

    def emit(self, w: Tensor, between: int = 0) -> None:
        emit(self.op, w, between=between, **self.attrs())


class NonNeg(_InPlace):
    """No weight below 0: negative ones become 0."""

    op = "clip"

    def attrs(self) -> dict[str, Any]:
        return {"low": 0.0, "high": np.inf}


class MinMaxNorm(_InPlace):
    """The norm of the weights into each unit is kept between two bounds.

    Parameters
    ----------
    min_value : float, default 0.0
    max_value : float, default 1.0
        At least `min_value`.
    rate : float, default 1.0
        From 0 to 1: how far a norm outside the bounds goes towards them in one update.
    axis : int or list of int, default 0
        The norm is taken along these axes, which must be neighbours: 0 for the kernel
        (inputs, units) of a Dense layer.

    Raises
    ------
    ValueError
        An argument is out of its range.
    """

    op = "limit_norm"

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = number("MinMaxNorm: min_value", min_value, low=0)
        self.max_value = number("MinMaxNorm: max_value", max_value, low=self.min_value)
        self.rate = number("MinMaxNorm: rate", rate, low=0)
        if self.rate > 1:
            raise ValueError(f"MinMaxNorm: rate must be a number from 0 to 1, got {rate!r}")
        self.axis = _axes("MinMaxNorm", axis)

    def attrs(self) -> dict[str, Any]:
        return _limits(self.axis, self.min_value, self.max_value, self.rate)


class MaxNorm(_InPlace):
    """The norm of the weights into each unit is at most `max_value` (Srivastava et al., 2014).

    Parameters
    ----------
    max_value : float, default 2
    axis : int or list of int, default 0
        As in `MinMaxNorm`.

    Raises
    ------
    ValueError
        An argument is out of its range.
    """

    op = "limit_norm"

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value = number("MaxNorm: max_value", max_value, low=0)
        self.axis = _axes("MaxNorm", axis)

    def attrs(self) -> dict[str, Any]:
        return _limits(self.axis, 0.0, self.max_value)


class UnitNorm(_InPlace):
    """The norm of the weights into each unit is 1.

    Parameters
    ----------
    axis : int or list of int, default 0
        As in `MinMaxNorm`.

    Raises
    ------
    ValueError
        `axis` is none.
    """

    op = "limit_norm"

    def __init__(self, axis: Any = 0) -> None:
        self.axis = _axes("UnitNorm", axis)

    def attrs(self) -> dict[str, Any]:
        return _limits(self.axis, 1.0, 1.0)


def _axes(owner: str, axis: Any) -> Any:
    """`axis` as an int, or a list of them."""
    several = isinstance(axis, (list, tuple))
    entries = list(axis) if several else [axis]
    integral = all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in entries)
    if not entries or not integral:
        raise ValueError(f"{owner}: axis must be an integer or a list of them, got {axis!r}")
    return [int(a) for a in entries] if several else int(axis)


def _limits(axis: Any, low: float, high: float, rate: float = 1.0) -> dict[str, Any]:
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    return {"axes": axes, "low": low, "high": high, "rate": rate}


_CLASSES: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm,
}  # fmt: skip


def get(identifier: Any) -> Constraint | None:
    """The constraint for a name ("max_norm", "MaxNorm"), a class, an object or None.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if identifier is None:
        return None
    return resolve("constraint", identifier, Constraint, _CLASSES)
