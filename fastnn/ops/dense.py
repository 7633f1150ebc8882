"""The fused ops of dense layers: product, bias and activation in one, and their gradients.

Letters: `rows` = rows of the matrix x (batch rows, times time steps if there are any), `k` =
inputs, `n` = outputs. x is (..., k), w is (k, n), b is (n,), y is (..., n).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.ops.activations import ACTIVATIONS, parameters_of, rows_and_width
from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.elementary import product_workspace, reduce
from fastnn.ops.tensor import Size, Tensor, times


def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x @ w + b over the last axis of x."""
    return emit("linear", x, w, b, activation="linear")


def _product_sizes(x: Tensor, w: Tensor, activation: str) -> tuple[Size | str, ...]:
    rows, _ = rows_and_width(x)
    k, n = w.shape
    assert k is not None and n is not None
    return rows, k, n, activation


def _product_flops(x: Tensor, w: Tensor) -> Size:
    rows, k, n, _ = _product_sizes(x, w, "")
    assert not isinstance(rows, str) and isinstance(k, int) and isinstance(n, int)
    return times(rows, 2 * k * n)


def _matrix(x: Any) -> Any:
    """x as a matrix: all axes but the last one merged."""
    return x.reshape(-1, x.shape[-1])


@register
class Linear(Op):
    """y = f(x @ w + b)."""

    name = "linear"
    parts = "rows"
    inputs = ("x", "w", "b?")

    def infer(self, x: Tensor, w: Tensor, b: Tensor | None, **attrs: Any) -> list[Spec]:
        if x.rank < 2 or w.rank != 2 or x.shape[-1] != w.shape[0]:
            raise ValueError(f"linear: cannot multiply {x!r} by {w!r}")
        return [((*x.shape[:-1], w.shape[1]), "real")]

    def define(
        self, x: Any, w: Any, b: Any, *, activation: str, parameters: Sequence[float] = ()
    ) -> Any:
        y = x @ w
        if b is not None:
            y = y + b
        return ACTIVATIONS[activation].y(y, parameters)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        x, w, b = node.inputs
        dy = grads[0]
        dw: Any = None
        db: Any = None
        if wants[1] and b is not None:
            dw, db = emit("linear_dw", x, dy)
        elif wants[1]:
            dw = emit("matmul", x, dy, transpose_a=True, transpose_b=False)
        elif b is not None and wants[2]:
            db = reduce("sum", dy, range(dy.rank - 1))
        dx = emit("linear_dx", dy, w, None, activation="linear") if wants[0] else None
        return [dx, dw, db]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, w = node.inputs[:2]
        assert x is not None and w is not None
        return _product_sizes(x, w, node.attrs["activation"])

    def constants(self, node: Node) -> tuple[float, ...]:
        return parameters_of(node)

    def workspace(self, node: Node) -> int:
        _, k, n = self.sizes(node)[:3]
        assert isinstance(k, int) and isinstance(n, int)
        return product_workspace(k, n)

    def flops(self, node: Node) -> Size:
        x, w = node.inputs[:2]
        assert x is not None and w is not None
        return _product_flops(x, w)


@register
class LinearDx(Op):
    """dx = (dy @ w.T) f'(saved): the activation below can be part of it (see engine.fuse)."""

    name = "linear_dx"
    parts = "rows"
    inputs = ("dy", "w", "saved?")
    outputs = ("dx",)

    def infer(self, dy: Tensor, w: Tensor, saved: Tensor | None, **attrs: Any) -> list[Spec]:
        return [((*dy.shape[:-1], w.shape[0]), "real")]

    def define(
        self, dy: Any, w: Any, saved: Any, *, activation: str, parameters: Sequence[float] = ()
    ) -> Any:
        dx = dy @ w.T
        return dx if saved is None else ACTIVATIONS[activation].back(dx, saved, parameters)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        dy, w = node.inputs[:2]
        assert dy is not None and w is not None
        return _product_sizes(dy, w, node.attrs["activation"])

    constants = Linear.constants
    workspace = Linear.workspace
    flops = Linear.flops


@register
class LinearDw(Op):
    """dw = x.T @ dy and db = the sums of dy over the rows."""

    name = "linear_dw"
    parts = "columns"
    inputs = ("x", "dy")
    outputs = ("dw", "db")

    def infer(self, x: Tensor, dy: Tensor, **attrs: Any) -> list[Spec]:
        n = dy.shape[-1]
        return [((x.shape[-1], n), "real"), ((n,), "real")]

    def define(self, x: Any, dy: Any) -> Any:
        x, dy = _matrix(x), _matrix(dy)
        return x.T @ dy, dy.sum(axis=0)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        """rows, k, n, and the numbers from row to row of x."""
        x, dw = node.inputs[0], node.outputs[0]
        assert x is not None
        rows, k, n, _ = _product_sizes(x, dw, "")
        return rows, k, n, k

    workspace = Linear.workspace

    def flops(self, node: Node) -> Size:
        x = node.inputs[0]
        assert x is not None
        return _product_flops(x, node.outputs[0])
