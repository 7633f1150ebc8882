"""Penalties: what regularizers add to the loss and to its gradient.

A penalty on a weight is an amount per batch, however many rows that has; one on a layer's output
is the sum over the batch divided by its rows. Both accumulate [penalty * rows, rows], so that an
epoch's value is the mean over its rows. Emitted by `regularizers.py`, which the tracing calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.tensor import Size, Tensor, count


class _Penalty(Op):
    """Base of both: `x` tells the rows of a penalty per batch; without it w has them."""

    integers = (1,)
    outputs = ("sums",)
    storages = {0: "accumulator"}

    def infer(self, w: Tensor, x: Tensor | None, **attrs: Any) -> list[Spec]:
        return [((2,), "float64")]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        w, x = node.inputs
        assert w is not None
        return count(w.shape), count((w if x is None else x).shape[:1])


class _Gradient(Op):
    """Base of the gradients: a batch that comes in parts has the penalty of a weight once."""

    integers = (1,)
    control = True

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x = node.inputs[-1]
        return count(node.outputs[0].shape), 1 if x is None else count(x.shape[:1])


def _share(x: Any, control: Any) -> float:
    """The part of the batch's penalty whose gradient these rows contribute."""
    return (1 if x is None else len(x)) / max(int(control["batch_rows"]), 1)


@register
class L1L2Penalty(_Penalty):
    """Adds l1 * sum(|w|) + l2 * sum(w^2), times the rows of x if there is an x, and the rows."""

    name = "l1_l2_penalty"
    inputs = ("w", "x?")

    def define(self, w: Any, x: Any, *, l1: float, l2: float) -> Any:
        total = l1 * np.sum(np.abs(w), dtype=np.float64)
        total += l2 * np.sum(np.square(w, dtype=np.float64))
        return np.array([total, len(w)] if x is None else [total * len(x), len(x)], np.float64)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        return [emit("l1_l2_gradient", *node.inputs, **node.attrs), None]

    def constants(self, node: Node) -> tuple[float, ...]:
        return node.attrs["l1"], node.attrs["l2"]


@register
class L1L2Gradient(_Gradient):
    """dw = l1 sign(w) + 2 l2 w, times the share of these rows."""

    name = "l1_l2_gradient"
    inputs = ("w", "x?")
    outputs = ("dw",)

    def infer(self, w: Tensor, x: Tensor | None, **attrs: Any) -> list[Spec]:
        return [(w.shape, "real")]

    def define(self, w: Any, x: Any, control: Any, *, l1: float, l2: float) -> Any:
        share = _share(x, control)
        return w.dtype.type(l1 * share) * np.sign(w) + w.dtype.type(2 * l2 * share) * w

    constants = L1L2Penalty.constants


@register
class ValuePenalty(_Penalty):
    """Adds a number that other ops computed, times the rows of x, and the rows.

    With `mean` it is the sum over a batch, of which the mean over the rows is meant.
    """

    name = "value_penalty"
    inputs = ("value", "x")

    def define(self, value: Any, x: Any, *, mean: bool) -> Any:
        return np.array([float(value) * (1 if mean else len(x)), len(x)], np.float64)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        x = None if node.attrs["mean"] else node.inputs[1]
        return [emit("value_penalty_gradient", x), None]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x = node.inputs[1]
        assert x is not None
        return count(x.shape[:1]), int(node.attrs["mean"])


@register
class ValuePenaltyGradient(_Gradient):
    """dvalue = the share of these rows."""

    name = "value_penalty_gradient"
    integers = (0,)
    inputs = ("x?",)
    outputs = ("dvalue",)

    def infer(self, x: Tensor | None) -> list[Spec]:
        return [((), "real")]

    def define(self, x: Any, control: Any) -> Any:
        return np.array(_share(x, control))
