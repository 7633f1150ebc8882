"""Metrics that are no losses, as ops: accuracies and the confusion matrix.

They fill accumulators like losses do (see losses.py), and have no gradient. Their public classes
are in `fastnn.metrics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, register
from fastnn.ops.losses import Accumulating, MatrixSizes, flat_matrix, spread, sums_of
from fastnn.ops.tensor import Size, Tensor, count


@register
class CategoricalAccuracy(MatrixSizes, Accumulating):
    """1 where the largest prediction is at the target's class (the first of equal ones)."""

    name = "categorical_accuracy"
    integers = (1,)

    def define(self, p: Any, t: Any, weight: Any) -> Any:
        flat = flat_matrix(p)
        label = t.reshape(-1) if t.dtype.kind in "iu" else t.reshape(flat.shape).argmax(-1)
        return sums_of((flat.argmax(axis=-1) == label).astype(np.float64), weight)


@register
class BinaryAccuracy(Accumulating):
    """Per element, 1 where (p > threshold) equals the target; a row's value is the sum."""

    name = "binary_accuracy"

    def define(self, p: Any, t: Any, weight: Any, *, threshold: float) -> Any:
        lead = p.shape[:1] if weight is None else weight.shape
        right = (p > p.dtype.type(threshold)) == t.reshape(p.shape)
        return sums_of(right.reshape(*lead, -1).sum(-1).reshape(-1).astype(np.float64), weight)

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["threshold"],)


@register
class ConfusionMatrix(MatrixSizes, Accumulating):
    """Adds each row's weight to the cell (true class, predicted class), if there is one."""

    name = "confusion_matrix"
    integers = (1,)

    def infer(self, p: Tensor, t: Tensor, weight: Tensor | None) -> list[Spec]:
        width = p.shape[-1]
        return [((width, width), "float64")]

    def define(self, p: Any, t: Any, weight: Any) -> Any:
        flat = flat_matrix(p)
        label = t.reshape(-1) if t.dtype.kind in "iu" else t.reshape(flat.shape).argmax(-1)
        cells = np.zeros((flat.shape[1], flat.shape[1]))
        weights = np.ones(len(flat)) if weight is None else spread(weight, len(flat))
        known = (label >= 0) & (label < flat.shape[1])
        np.add.at(cells, (label[known], flat.argmax(axis=-1)[known]), weights[known])
        return cells


# --- labels in another form ----------------------------------------------------------------------


@register
class OneHot(Op):
    """y = 1 at the class that t names, else 0; a label that is no class gives zeros."""

    name = "one_hot"
    integers = (0,)
    inputs = ("t",)

    def infer(self, t: Tensor, *, classes: int) -> list[Spec]:
        return [((*t.shape, classes), "real")]

    def define(self, t: Any, *, classes: int) -> Any:
        return (t[..., None] == np.arange(classes)).astype(np.float64)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        assert node.inputs[0] is not None
        return count(node.inputs[0].shape), node.attrs["classes"]


@register
class RealLabels(Op):
    """Whole labels as real numbers."""

    name = "real_labels"
    integers = (0,)
    inputs = ("t",)

    def infer(self, t: Tensor) -> list[Spec]:
        return [(t.shape, "real")]

    def define(self, t: Any) -> Any:
        return t.astype(np.float64)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)


@register
class WholeLabels(Op):
    """Labels that were fed as real numbers, as whole ones (rounded towards 0)."""

    name = "whole_labels"
    inputs = ("t",)

    def infer(self, t: Tensor) -> list[Spec]:
        return [(t.shape, "int32")]

    def define(self, t: Any) -> Any:
        return np.trunc(t).astype(np.int32)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)
