"""Metrics that are no losses, as ops: accuracies and the confusion matrix.

They fill accumulators like losses do (see losses.py), and have no gradient. Their public classes
are in `fastnn.metrics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.activations import rows_and_width
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


# --- what precision, recall, AUC, F scores and R2 are made of ------------------------------------


@register
class TopKAccuracy(MatrixSizes, Accumulating):
    """1 where fewer than k predictions of a row are larger than that of the target's class."""

    name = "top_k_accuracy"
    integers = (1,)

    def define(self, p: Any, t: Any, weight: Any, *, k: int) -> Any:
        flat = flat_matrix(p)
        label = t.reshape(-1) if t.dtype.kind in "iu" else t.reshape(flat.shape).argmax(-1)
        known = (label >= 0) & (label < flat.shape[1])
        aim = flat[np.arange(len(flat)), np.where(known, label, 0)]
        right = known & ~np.isnan(aim) & ((flat > aim[:, None]).sum(axis=-1) < k)
        return sums_of(right.astype(np.float64), weight)

    def constants(self, node: Node) -> tuple[float, ...]:
        return (float(node.attrs["k"]),)


@register
class TopKOnly(Op):
    """y = p where it is among the k largest of its row (the first of equal ones), else -1e10."""

    name = "top_k_only"
    inputs = ("p",)

    def define(self, p: Any, *, k: int) -> Any:
        flat = flat_matrix(p)
        best = np.argsort(-flat, axis=-1, kind="stable")[:, :k]
        y = np.full(flat.shape, -1e10, p.dtype)
        np.put_along_axis(y, best, np.take_along_axis(flat, best, -1), -1)
        return y.reshape(p.shape)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (*rows_and_width(node.outputs[0]), node.attrs["k"])


MAX_THRESHOLDS = 32  # that are not spread evenly


@register
class ThresholdCounts(Accumulating):
    """How many thresholds each prediction is above, for ones (first row) and zeros (second).

    `thresholds` is a tuple in rising order, or a number of them spread evenly from just below 0
    to just above 1. A cell adds up weight times target, or weight times (1 - target).
    """

    name = "threshold_counts"

    def infer(
        self, p: Tensor, t: Tensor, weight: Tensor | None, *, thresholds: tuple[float, ...] | int
    ) -> list[Spec]:
        number = thresholds if isinstance(thresholds, int) else len(thresholds)
        return [((2, number + 1), "float64")]

    def define(self, p: Any, t: Any, weight: Any, *, thresholds: Any) -> Any:
        real = p.dtype.type
        if isinstance(thresholds, int):
            cells = np.zeros((2, thresholds + 1))
            place = np.ceil(p * real(thresholds - 1))
            above = np.clip(np.nan_to_num(place), 1, thresholds - 1).astype(int)
        else:
            cells = np.zeros((2, len(thresholds) + 1))
            above = (p[..., None] > np.array(thresholds, p.dtype)).sum(-1)
        t = t.reshape(p.shape).astype(np.float64)
        each = np.ones(p.shape[:1]) if weight is None else weight.astype(np.float64)
        each = np.broadcast_to(each.reshape(each.shape + (1,) * (p.ndim - each.ndim)), p.shape)
        np.add.at(cells[0], above.reshape(-1), (each * t).reshape(-1))
        np.add.at(cells[1], above.reshape(-1), (each * (1 - t)).reshape(-1))
        return cells

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        thresholds = node.attrs["thresholds"]
        even = isinstance(thresholds, int)
        return (*super().sizes(node), thresholds if even else len(thresholds), int(even))

    def constants(self, node: Node) -> tuple[float, ...]:
        thresholds = node.attrs["thresholds"]
        return () if isinstance(thresholds, int) else tuple(thresholds)


@register
class ClassCounts(MatrixSizes, Accumulating):
    """Per class the sums of weight times: both, the decision, the target (three rows).

    The decision is 1 where p is above the threshold; without one (None) where p is the largest of
    its row, unless it is 0 (1e-9 at most).
    """

    name = "class_counts"

    def infer(
        self, p: Tensor, t: Tensor, weight: Tensor | None, *, threshold: float | None
    ) -> list[Spec]:
        return [((3, p.shape[-1]), "float64")]

    def define(self, p: Any, t: Any, weight: Any, *, threshold: float | None) -> Any:
        flat, real = flat_matrix(p), p.dtype.type
        if threshold is None:
            largest = flat.max(axis=-1, keepdims=True)
            chosen = (flat >= largest) & (np.abs(flat) > real(1e-9))
        else:
            chosen = flat > real(threshold)
        t = t.reshape(flat.shape).astype(np.float64)
        each = np.ones(len(flat)) if weight is None else spread(weight, len(flat))
        each = each.astype(np.float64)[:, None]
        return np.stack([(each * x).sum(axis=0) for x in (chosen * t, chosen, t)])

    def constants(self, node: Node) -> tuple[float, ...]:
        threshold = node.attrs["threshold"]
        return (float(threshold is None), 0.0 if threshold is None else threshold)


@register
class R2Sums(MatrixSizes, Accumulating):
    """Per output the sums of weight times: t, t^2, (t - p)^2, 1; and the rows (five rows)."""

    name = "r2_sums"

    def infer(self, p: Tensor, t: Tensor, weight: Tensor | None) -> list[Spec]:
        return [((5, p.shape[-1]), "float64")]

    def define(self, p: Any, t: Any, weight: Any) -> Any:
        flat = flat_matrix(p).astype(np.float64)
        t = t.reshape(flat.shape).astype(np.float64)
        each = np.ones(len(flat)) if weight is None else spread(weight, len(flat))
        each = each.astype(np.float64)[:, None]
        parts = (t, np.square(t), np.square(t - flat), np.ones(t.shape))
        rows = np.full(flat.shape[1], float(len(flat)))
        return np.stack([*((each * x).sum(axis=0) for x in parts), rows])
