"""Losses and penalties as ops (metrics that are no losses: metrics.py).

A loss adds two float64 numbers to its accumulator: the sum over rows of `weight * loss` and the
sum of the weights; with no weights every row weighs 1. A row's loss is the SUM over its elements.
Its gradient is multiplied by `scale`, which the op `loss_scale` writes once per batch:
loss weight / (rows of the whole batch x elements of a row), Keras' "sum_over_batch_size".

The formulas of elementwise losses and of losses of rows are in loss_formulas.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.activations import rows_and_width
from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.loss_formulas import LOSSES, PARAMETERS, ROW_LOSSES, clipped, inside
from fastnn.ops.tensor import Size, Tensor, at_rows, count

# --- what every loss op shares -------------------------------------------------------------------


def sums_of(loss: Any, weight: Any) -> Any:
    """The accumulator of a loss: (sum of weight * loss, sum of weights), loss is (rows,)."""
    loss = loss.astype(np.float64)
    if weight is None:
        return np.array([loss.sum(), loss.size])
    weight = spread(weight, loss.size).astype(np.float64)
    return np.array([(weight * loss).sum(), weight.sum()])


def spread(weight: Any, rows: int) -> Any:
    """One weight per row of a matrix, from one per batch row or per position."""
    return np.repeat(weight.reshape(-1), rows // max(weight.size, 1))


def _per_row(weight: Any, scale: Any, rows: int, dtype: Any) -> Any:
    """What each row's derivative is multiplied by, (rows, 1) or a scalar."""
    if weight is None:
        return dtype.type(scale[0])
    return spread(weight, rows)[:, None] * dtype.type(scale[0])


class Accumulating(Op):
    """Base of losses and metrics: (p, t, weight) -> an accumulator."""

    inputs = ("p", "t", "weight?")
    outputs = ("sums",)
    storages = {0: "accumulator"}

    def infer(self, p: Tensor, t: Tensor, weight: Tensor | None, **attrs: Any) -> list[Spec]:
        return [((2,), "float64")]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        p, t, weight = node.inputs[:3]
        assert p is not None
        function = node.attrs.get("function")
        rows, width = _weighed_rows(p, weight)
        return (rows, width) if function is None else (rows, width, function)


def only_predictions(node: Node, wants: list[bool]) -> None:
    """Refuse a gradient of a target or a weight: there is none, and 0 would be wrong in silence."""
    for name, tensor, wanted in zip(node.op.inputs[1:], node.inputs[1:], wants[1:], strict=True):
        if wanted:
            what = "target" if name == "t" else "weight"
            raise ValueError(
                f"the {what} {tensor!r} of {node.op.name} depends on trained parameters, but a "
                f"loss has no gradient of its {what}; write the loss as a function of "
                "(y_true, y_pred) from fastnn.ops, or stop the gradient there"
            )


class LossOp(Accumulating):
    """Base of the losses; `gradient` names the op that gives dp."""

    gradient = ""

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        p, t, weight = node.inputs
        only_predictions(node, wants)
        dp = emit(self.gradient, p, t, weight, grads[0], **node.attrs)
        return [dp, None, None]


class LossGradient(Op):
    """Base of their gradients: (p, t, weight, scale) -> dp."""

    inputs = ("p", "t", "weight?", "scale")
    outputs = ("dp",)
    may_alias = {0: (0,)}
    sizes = Accumulating.sizes


def _weighed_rows(p: Tensor, weight: Tensor | None) -> tuple[Size, int]:
    """Rows (one weight each) and elements per row of a prediction."""
    lead = 1 if weight is None else weight.rank
    return count(p.shape[:lead]), at_rows(count(p.shape[lead:]), 1)


class _Parameters(Op):
    """The parameters of an elementwise loss travel as constants."""

    def constants(self, node: Node) -> tuple[float, ...]:
        given = tuple(node.attrs.get("parameters", ()))
        return (*given, *(0.0,) * (PARAMETERS - len(given)))


@register
class ElementwiseLossOp(_Parameters, LossOp):
    """Sum over the elements of a row of f(p, t, *parameters), f one of `LOSSES`."""

    name = "elementwise_loss"
    gradient = "elementwise_loss_backward"

    def define(self, p: Any, t: Any, weight: Any, *, function: str, parameters: Any = ()) -> Any:
        lead = p.shape[:1] if weight is None else weight.shape
        loss = LOSSES[function].formula(p, t.reshape(p.shape), *parameters).astype(np.float64)
        return sums_of(loss.reshape(*lead, -1).sum(axis=-1).reshape(-1), weight)


@register
class ElementwiseLossBackward(_Parameters, LossGradient):
    """dp = f'(p, t, *parameters) weight scale."""

    name = "elementwise_loss_backward"

    def define(
        self, p: Any, t: Any, weight: Any, scale: Any, *, function: str, parameters: Any = ()
    ) -> Any:
        slope = LOSSES[function].derivative(p, t.reshape(p.shape), *parameters)
        rows = p.shape[0] if weight is None else weight.size
        factor = _per_row(weight, scale, rows, p.dtype)
        return (slope.reshape(rows, -1) * factor).reshape(p.shape).astype(p.dtype)


# --- cross-entropies over the last axis ----------------------------------------------------------
#
# `sparse`: t holds class indices (int32, one per row); otherwise a distribution per row. The rows
# are those of p as a matrix; a weight is one per batch row or one per row of that matrix.


def _target(t: Any, p: Any) -> Any:
    """t as a (rows, classes) matrix of p's type."""
    if t.dtype.kind in "iu":
        hot = np.zeros(p.shape, p.dtype)
        hot[np.arange(len(p)), t.reshape(-1)] = 1
        return hot
    return t.reshape(p.shape)


def flat_matrix(p: Any) -> Any:
    """p with all axes but the last one merged."""
    return p.reshape(-1, p.shape[-1])


class MatrixSizes(Op):
    """The sizes of ops that look at p as a matrix of rows and classes."""

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        p, t, weight = node.inputs[:3]
        assert p is not None and t is not None
        lead = p.rank - 1 if weight is None else weight.rank
        rows_per_weight = at_rows(count(p.shape[lead:-1]), 1)
        sizes = (*rows_and_width(p), int(t.dtype == "int32"), rows_per_weight)
        function = node.attrs.get("function")
        return sizes if function is None else (*sizes, function)


def softmax_crossentropy_rows(z: Any, t: Any) -> Any:
    """sum_c t_c (log(sum(exp(z))) - z_c) per row, z shifted by its largest element."""
    shifted = z - z.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    target = _target(t, z)
    return np.where(target == 0, 0, target * (np.log(total) - shifted)).sum(axis=-1)


def crossentropy_rows(p: Any, t: Any) -> Any:
    """-sum_c t_c log(p_c) per row, p divided by its sum and clipped."""
    q = clipped(p / p.sum(axis=-1, keepdims=True))
    return -(_target(t, p) * np.log(q)).sum(axis=-1)


@register
class SoftmaxCrossentropy(MatrixSizes, LossOp):
    """Cross-entropy of softmax(z) and the target, from the logits; also gives p = softmax(z).

    sum_c t_c (log(sum(exp(z))) - z_c) with z shifted by its largest element.
    """

    name = "softmax_crossentropy"
    integers = (1,)
    inputs = ("z", "t", "weight?")
    outputs = ("sums", "softmax")
    may_alias = {1: (0,)}

    def infer(self, z: Tensor, t: Tensor, weight: Tensor | None) -> list[Spec]:
        return [((2,), "float64"), (z.shape, "real")]

    def define(self, z: Any, t: Any, weight: Any) -> Any:
        flat = flat_matrix(z)
        shifted = flat - flat.max(axis=-1, keepdims=True)
        e = np.exp(shifted)
        total = e.sum(axis=-1, keepdims=True)
        loss = softmax_crossentropy_rows(flat, t)
        return sums_of(loss, weight), (e / total).reshape(z.shape)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        scale, dp = grads
        only_predictions(node, wants)
        dz = None
        if scale is not None:
            dz = emit("softmax_crossentropy_backward", node.outputs[1], *node.inputs[1:3], scale)
        assert dp is None, "the probabilities of a fused cross-entropy have no other gradient"
        return [dz, None, None]


@register
class SoftmaxCrossentropyBackward(MatrixSizes, LossGradient):
    """dz = (p sum(t) - t) weight scale; sum(t) is 1 for a distribution."""

    name = "softmax_crossentropy_backward"
    integers = (1,)

    def define(self, p: Any, t: Any, weight: Any, scale: Any) -> Any:
        flat = flat_matrix(p)
        target = _target(t, flat)
        slope = flat * target.sum(axis=-1, keepdims=True) - target
        return (slope * _per_row(weight, scale, len(flat), p.dtype)).reshape(p.shape)


@register
class Crossentropy(MatrixSizes, LossOp):
    """Cross-entropy of probabilities p (divided by their sum, clipped) and the target."""

    name = "crossentropy"
    integers = (1,)
    gradient = "crossentropy_backward"

    def define(self, p: Any, t: Any, weight: Any) -> Any:
        return sums_of(crossentropy_rows(flat_matrix(p), t), weight)


@register
class CrossentropyBackward(MatrixSizes, LossGradient):
    """With q = p / sum(p), dq = -t / q where q is not clipped: dp = (dq - sum(dq q)) / sum(p)."""

    name = "crossentropy_backward"
    integers = (1,)

    def define(self, p: Any, t: Any, weight: Any, scale: Any) -> Any:
        flat = flat_matrix(p)
        total = flat.sum(axis=-1, keepdims=True)
        q = flat / total
        dq = np.where(inside(q), -_target(t, flat) / clipped(q), 0).astype(p.dtype)
        slope = (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
        return (
            (slope * _per_row(weight, scale, len(flat), p.dtype)).reshape(p.shape).astype(p.dtype)
        )


# --- losses of whole rows ------------------------------------------------------------------------


@register
class RowLoss(MatrixSizes, LossOp):
    """Sum of f(p, t) over the rows of p as a matrix, f one of `ROW_LOSSES`."""

    name = "row_loss"
    gradient = "row_loss_backward"

    def define(self, p: Any, t: Any, weight: Any, *, function: str) -> Any:
        flat = flat_matrix(p)
        return sums_of(ROW_LOSSES[function].formula(flat, t.reshape(flat.shape)), weight)


@register
class RowLossBackward(MatrixSizes, LossGradient):
    """dp = f'(p, t) weight scale."""

    name = "row_loss_backward"

    def define(self, p: Any, t: Any, weight: Any, scale: Any, *, function: str) -> Any:
        flat = flat_matrix(p)
        slope = ROW_LOSSES[function].derivative(flat, t.reshape(flat.shape))
        made = slope * _per_row(weight, scale, len(flat), p.dtype)
        return made.reshape(p.shape).astype(p.dtype)


@register
class WeightedSum(LossOp):
    """The loss that a user computed: sum of weight * (sum of a row's values)."""

    name = "weighted_sum"
    tier = "elementary"
    inputs = ("values", "weight?")

    def infer(self, values: Tensor, weight: Tensor | None) -> list[Spec]:
        return [((2,), "float64")]

    def define(self, values: Any, weight: Any) -> Any:
        lead = values.shape[:1] if weight is None else weight.shape
        return sums_of(values.astype(np.float64).reshape(*lead, -1).sum(-1).reshape(-1), weight)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        values, weight = node.inputs
        only_predictions(node, wants)
        return [emit("weighted_sum_backward", values, weight, grads[0]), None]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        values, weight = node.inputs[:2]
        assert values is not None
        return _weighed_rows(values, weight)


@register
class WeightedSumBackward(Op):
    """Every element's gradient is weight scale; the values themselves are not read."""

    name = "weighted_sum_backward"
    tier = "elementary"
    inputs = ("values", "weight?", "scale")
    outputs = ("dvalues",)
    may_alias = {0: (0,)}

    def define(self, values: Any, weight: Any, scale: Any) -> Any:
        rows = int(np.prod(values.shape[:1])) if weight is None else weight.size
        ones = np.ones((rows, values.size // max(rows, 1)), values.dtype)
        return (ones * _per_row(weight, scale, rows, values.dtype)).reshape(values.shape)

    sizes = WeightedSum.sizes


# --- normaliser, counts and penalties ------------------------------------------------------------


@register
class BatchWeights(Op):
    """Weights that turn the mean over rows into another reduction of each batch.

    y = weight * rows, so that the mean is a sum ("sum"), or y = weight * rows / sum(weight), so
    that it is a weighted mean ("mean"). x only tells how many rows there are.
    """

    name = "batch_weights"
    whole_batch = True
    integers = (0,)
    inputs = ("x", "weight?")
    outputs = ("weights",)
    whole_batch = True

    def infer(self, x: Tensor, weight: Tensor | None, *, function: str) -> list[Spec]:
        return [(x.shape[:1] if weight is None else weight.shape, "real")]

    def define(self, x: Any, weight: Any, *, function: str) -> Any:
        weight = np.ones(len(x)) if weight is None else weight
        total = float(np.sum(weight, dtype=float)) if function == "mean" else 1.0
        return weight * weight.dtype.type(len(x) / total if total else 0.0)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        y = node.outputs[0].shape
        return count(y), count(y[:1]), int(node.attrs["function"] == "mean")


@register
class KeepLabels(Op):
    """A mask of the labels that are not to be ignored, and the labels with 0 for the ignored."""

    name = "keep_labels"
    integers = (0,)
    inputs = ("t",)
    outputs = ("mask", "labels")

    def infer(self, t: Tensor, *, ignored: int) -> list[Spec]:
        return [(t.shape, "real"), (t.shape, t.dtype)]

    def define(self, t: Any, *, ignored: int) -> Any:
        kept = t != ignored
        return kept.astype(np.float64), np.where(kept, t, 0).astype(t.dtype)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["ignored"]


@register
class LossScale(Op):
    """scale = loss weight / (rows or unmasked rows of the whole batch x elements of a row)."""

    name = "loss_scale"
    inputs = ("mask?",)
    outputs = ("scale",)
    storages = {0: "control"}
    control = True
    effect = True

    def infer(self, mask: Tensor | None, *, factor: float) -> list[Spec]:
        return [((1,), "float64")]

    def define(self, mask: Any, control: Any, *, factor: float) -> Any:
        rows = float(control["batch_rows"]) if mask is None else float(np.sum(mask, dtype=float))
        return np.array([factor / max(rows, 1.0)])

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        mask = node.inputs[0]
        return (0 if mask is None else count(mask.shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["factor"],)


@register
class Count(Op):
    """Adds the rows (or the unmasked rows) of the batch to an accumulator."""

    name = "count"
    integers = (0,)
    inputs = ("x", "mask?")
    outputs = ("rows",)
    storages = {0: "accumulator"}

    def infer(self, x: Tensor, mask: Tensor | None) -> list[Spec]:
        return [((1,), "float64")]

    def define(self, x: Any, mask: Any) -> Any:
        return np.array([float(len(x)) if mask is None else np.sum(mask, dtype=float)])

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, mask = node.inputs
        assert x is not None
        return count(x.shape[:1]) if mask is None else count(mask.shape), int(mask is not None)
