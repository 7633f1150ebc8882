"""Batch and layer normalization as fused ops, with their gradients.

Batch normalization (Ioffe and Szegedy, ICML 2015) brings each channel of a batch to mean 0 and
variance 1, layer normalization (Ba, Kiros and Hinton, arXiv 1607.06450) each row; both then scale
by gamma and shift by beta. Means and variances are taken in two passes over float64 sums.

Letters: `c` = channels, `width` = numbers of a row that are normalised together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.elementary import affine, multiply, reduce, subtract, unary
from fastnn.ops.moving import reshape
from fastnn.ops.tensor import Size, Tensor, at_rows, count

Grads = list["Tensor | None"]


def _others(x: Any, axis: int) -> tuple[int, ...]:
    """All axes but one."""
    return tuple(i for i in range(x.ndim) if i != axis)


def _along(v: Any, x: Any, axis: int) -> Any:
    """A number per channel, in the rank of x."""
    return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _blocks(x: Tensor, axis: int) -> tuple[Size, int, int]:
    """(numbers before a channel's axis, channels, numbers after it)."""
    return count(x.shape[:axis]), x.shape[axis] or 1, at_rows(count(x.shape[axis + 1 :]), 1)


class _BatchOp(Op):
    whole_batch = True  # means of a part of the batch are not means of the batch

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x = node.outputs[0]
        return _blocks(x, node.attrs["axis"])

    def workspace(self, node: Node) -> int:
        return 4 * _blocks(node.outputs[0], node.attrs["axis"])[1]  # two float64 per channel


@register
class BatchNorm(_BatchOp):
    """y = (x - mean) / sqrt(variance + epsilon) gamma + beta, with the batch's mean and variance.

    The moving statistics become momentum * moving + (1 - momentum) * those of the batch (its
    biased variance, as in Keras). `mean` and `rstd` = 1 / sqrt(variance + epsilon) are kept for
    the gradient.
    """

    name = "batch_norm"
    inputs = ("x", "gamma?", "beta?", "moving_mean", "moving_variance")
    outputs = ("y", "mean", "rstd", "moving_mean", "moving_variance")
    same = {3: 3, 4: 4}
    effect = True

    def infer(self, x: Tensor, *rest: Tensor | None, axis: int, **attrs: Any) -> list[Spec]:
        channel = ((x.shape[axis],), "real")
        return [(x.shape, "real"), channel, channel, channel, channel]

    def define(
        self, x: Any, gamma: Any, beta: Any, moving_mean: Any, moving_variance: Any,
        *, axis: int, epsilon: float, momentum: float,
    ) -> Any:  # fmt: skip
        mean = x.mean(axis=_others(x, axis), dtype=np.float64)
        centred = x - _along(mean, x, axis)
        variance = np.square(centred).mean(axis=_others(x, axis))
        rstd = 1 / np.sqrt(variance + epsilon)
        y = centred * _along(rstd, x, axis)
        if gamma is not None:
            y = y * _along(gamma, x, axis)
        if beta is not None:
            y = y + _along(beta, x, axis)
        return (
            y.astype(x.dtype),
            mean.astype(x.dtype),
            rstd.astype(x.dtype),
            (momentum * moving_mean + (1 - momentum) * mean).astype(x.dtype),
            (momentum * moving_variance + (1 - momentum) * variance).astype(x.dtype),
        )

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        x, gamma, beta = node.inputs[:3]
        _, mean, rstd = node.outputs[:3]
        axis = node.attrs["axis"]
        dx, dgamma, dbeta = emit("batch_norm_backward", grads[0], x, mean, rstd, gamma, axis=axis)
        return [dx, dgamma if gamma is not None else None, dbeta, None, None]

    def constants(self, node: Node) -> tuple[float, ...]:
        return node.attrs["epsilon"], node.attrs["momentum"]


@register
class BatchNormBackward(_BatchOp):
    """dbeta = sum(dy), dgamma = sum(dy n), dx = gamma rstd (dy - mean(dy) - n mean(dy n)).

    n is x normalised, (x - mean) rstd; sums and means are those of a channel.
    """

    name = "batch_norm_backward"
    inputs = ("dy", "x", "mean", "rstd", "gamma?")
    outputs = ("dx", "dgamma", "dbeta")
    may_alias = {0: (0,)}

    def infer(self, dy: Tensor, x: Tensor, mean: Tensor, *rest: Any, axis: int) -> list[Spec]:
        return [(x.shape, "real"), (mean.shape, "real"), (mean.shape, "real")]

    def define(self, dy: Any, x: Any, mean: Any, rstd: Any, gamma: Any, *, axis: int) -> Any:
        mean, rstd = (_along(v.astype(np.float64), x, axis) for v in (mean, rstd))
        normal = (x - mean) * rstd
        axes = _others(x, axis)
        dbeta = dy.sum(axis=axes, dtype=np.float64)
        dgamma = (dy * normal).sum(axis=axes)
        number = max(x.size // x.shape[axis], 1)
        dx = dy - _along(dbeta / number, x, axis) - normal * _along(dgamma / number, x, axis)
        dx = dx * (rstd if gamma is None else rstd * _along(gamma, x, axis))
        return dx.astype(x.dtype), dgamma.astype(x.dtype), dbeta.astype(x.dtype)


@register
class BatchNormInference(Op):
    """y = (x - mean) / sqrt(variance + epsilon) gamma + beta, with given mean and variance."""

    name = "batch_norm_inference"
    inputs = ("x", "gamma?", "beta?", "mean", "variance")
    may_alias = {0: (0,)}

    def define(
        self, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any,
        *, axis: int, epsilon: float,
    ) -> Any:  # fmt: skip
        factor = 1 / np.sqrt(variance + x.dtype.type(epsilon))
        if gamma is not None:
            factor = factor * gamma
        y = (x - _along(mean, x, axis)) * _along(factor, x, axis)
        return y if beta is None else y + _along(beta, x, axis)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        x, gamma, beta, mean, variance = node.inputs
        dy = grads[0]
        assert x is not None and dy is not None and mean is not None and variance is not None
        axis = node.attrs["axis"]
        column = (mean.shape[0], *(1 for _ in x.shape[axis + 1 :]))
        rstd = unary("reciprocal", unary("sqrt", affine(variance, 1.0, node.attrs["epsilon"])))
        factor = rstd if gamma is None else multiply(rstd, gamma)
        axes = [i for i in range(x.rank) if i != axis]
        dgamma = None
        if gamma is not None and wants[1]:
            normal = multiply(subtract(x, reshape(mean, column)), reshape(rstd, column))
            dgamma = reduce("sum", multiply(dy, normal), axes)
        return [
            multiply(dy, reshape(factor, column)) if wants[0] else None,
            dgamma,
            reduce("sum", dy, axes) if beta is not None and wants[2] else None,
            None,
            None,
        ]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return _blocks(node.outputs[0], node.attrs["axis"])

    def workspace(self, node: Node) -> int:
        return 2 * _blocks(node.outputs[0], node.attrs["axis"])[1]  # factor and shift

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["epsilon"],)


def _widths(x: Tensor, axes: int) -> tuple[Size, int]:
    """(rows, numbers of a row), where a row is made of the last `axes` axes."""
    lead = x.rank - axes
    return count(x.shape[:lead]), at_rows(count(x.shape[lead:]), 1)


@register
class LayerNorm(Op):
    """y = (x - mean) / sqrt(variance + epsilon) gamma + beta over the last `axes` axes."""

    name = "layer_norm"
    inputs = ("x", "gamma?", "beta?")
    outputs = ("y", "mean", "rstd")

    def infer(self, x: Tensor, gamma: Any, beta: Any, *, axes: int, epsilon: float) -> list[Spec]:
        lead = (x.shape[: x.rank - axes], "real")
        return [(x.shape, "real"), lead, lead]

    def define(self, x: Any, gamma: Any, beta: Any, *, axes: int, epsilon: float) -> Any:
        last = tuple(range(x.ndim - axes, x.ndim))
        mean = x.mean(axis=last, keepdims=True, dtype=np.float64)
        centred = x - mean
        rstd = 1 / np.sqrt(np.square(centred).mean(axis=last, keepdims=True) + epsilon)
        y = centred * rstd
        if gamma is not None:
            y = y * gamma
        if beta is not None:
            y = y + beta
        lead = x.shape[: x.ndim - axes]
        return tuple(v.astype(x.dtype) for v in (y, mean.reshape(lead), rstd.reshape(lead)))

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        x, gamma, beta = node.inputs
        _, mean, rstd = node.outputs
        axes = node.attrs["axes"]
        dx, dgamma, dbeta = emit("layer_norm_backward", grads[0], x, mean, rstd, gamma, axes=axes)
        return [dx, dgamma if gamma is not None else None, dbeta if beta is not None else None]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return _widths(node.outputs[0], node.attrs["axes"])

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["epsilon"],)


@register
class LayerNormBackward(Op):
    """With g = dy gamma and n = (x - mean) rstd: dx = rstd (g - mean(g) - n mean(g n)).

    dgamma and dbeta are the sums of dy n and of dy over all rows.
    """

    name = "layer_norm_backward"
    inputs = ("dy", "x", "mean", "rstd", "gamma?")
    outputs = ("dx", "dgamma", "dbeta")
    may_alias = {0: (0,)}

    def infer(self, dy: Tensor, x: Tensor, *rest: Any, axes: int) -> list[Spec]:
        inner = (x.shape[x.rank - axes :], "real")
        return [(x.shape, "real"), inner, inner]

    def define(self, dy: Any, x: Any, mean: Any, rstd: Any, gamma: Any, *, axes: int) -> Any:
        width = math.prod(x.shape[x.ndim - axes :])
        flat, g = x.reshape(-1, width), dy.reshape(-1, width)
        mean, rstd = (v.reshape(-1, 1).astype(np.float64) for v in (mean, rstd))
        normal = (flat - mean) * rstd
        dgamma, dbeta = (g * normal).sum(axis=0), g.sum(axis=0, dtype=np.float64)
        if gamma is not None:
            g = g * gamma.reshape(-1)
        inner = g.mean(axis=1, keepdims=True, dtype=np.float64)
        inner = inner + normal * (g * normal).mean(axis=1, keepdims=True)
        shape = x.shape[x.ndim - axes :]
        made = ((rstd * (g - inner)).reshape(x.shape), dgamma.reshape(shape), dbeta.reshape(shape))
        return tuple(v.astype(x.dtype) for v in made)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return _widths(node.outputs[0], node.attrs["axes"])

    def workspace(self, node: Node) -> int:
        # float64 sums of dgamma and dbeta
        return 4 * _widths(node.outputs[0], node.attrs["axes"])[1]


def batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, variance: Tensor,
    axis: int, epsilon: float, momentum: float | None = None,
) -> Tensor:  # fmt: skip
    """x normalised per channel: with the batch's statistics where a momentum updates the moving
    ones, otherwise with the given mean and variance."""
    given = (x, gamma, beta, mean, variance)
    if momentum is None:
        made: Tensor = emit("batch_norm_inference", *given, axis=axis, epsilon=epsilon)
        return made
    y: Tensor = emit("batch_norm", *given, axis=axis, epsilon=epsilon, momentum=momentum)[0]
    return y


def layer_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, axes: int, epsilon: float
) -> Tensor:
    """x normalised over its last `axes` axes."""
    y: Tensor = emit("layer_norm", x, gamma, beta, axes=axes, epsilon=epsilon)[0]
    return y
