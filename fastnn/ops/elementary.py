"""Elementary ops: what a user's own layer, loss or metric is traced into.

Few on purpose. Broadcasting, axes and slices are NumPy's; the rows of the batch stay the first
axis. Each op's gradient is made of other ops, most of them elementary too. Layers call the
functions at the end of each block, which accept tensors and Python numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.ops.activations import erf
from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.moving import (
    MAX_RANK,
    Grads,
    broadcast_shape,
    broadcast_to,
    dims,
    reshape,
    reshape_like,
    strides_for,
    sum_to,
)
from fastnn.ops.tensor import Rows, Size, Tensor, at_rows, count, times

# --- unary functions -----------------------------------------------------------------------------

UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "erf": erf,
    "sin": np.sin,
    "cos": np.cos,
    "sqrt": np.sqrt,
    "square": np.square,
    "absolute": np.absolute,
    "negative": np.negative,
    "sign": np.sign,
    "reciprocal": np.reciprocal,
    "floor": np.floor,
    "round": np.round,  # halves to the even number
}

_UNARY_GRADIENT: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor | None]] = {
    "exp": lambda x, y, dy: multiply(dy, y),
    "expm1": lambda x, y, dy: multiply(dy, affine(y, 1.0, 1.0)),
    "log": lambda x, y, dy: divide(dy, x),
    "log1p": lambda x, y, dy: divide(dy, affine(x, 1.0, 1.0)),
    "erf": lambda x, y, dy: multiply(
        affine(dy, 2 / math.sqrt(math.pi)), unary("exp", unary("negative", unary("square", x)))
    ),
    "sin": lambda x, y, dy: multiply(dy, unary("cos", x)),
    "cos": lambda x, y, dy: unary("negative", multiply(dy, unary("sin", x))),
    "sqrt": lambda x, y, dy: divide(affine(dy, 0.5), y),
    "square": lambda x, y, dy: multiply(affine(dy, 2.0), x),
    "absolute": lambda x, y, dy: multiply(dy, unary("sign", x)),
    "negative": lambda x, y, dy: unary("negative", dy),
    "reciprocal": lambda x, y, dy: unary("negative", multiply(dy, unary("square", y))),
    "sign": lambda x, y, dy: None,  # flat, as the two below
    "floor": lambda x, y, dy: None,
    "round": lambda x, y, dy: None,
}


@register
class Unary(Op):
    """y = f(x), elementwise, f one of `UNARY`."""

    name = "unary"
    tier = "elementary"
    may_alias = {0: (0,)}

    def define(self, x: Any, *, function: str) -> Any:
        with np.errstate(all="ignore"):
            return UNARY[function](x)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        rule = _UNARY_GRADIENT[node.attrs["function"]]
        return [rule(node.inputs[0], node.outputs[0], grads[0])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["function"]


def unary(function: str, x: Tensor) -> Tensor:
    """The elementwise function called `function` ("exp", "log", ...)."""
    return emit("unary", x, function=function, name=function)


@register
class Affine(Op):
    """y = factor x + offset, with two constants."""

    name = "affine"
    tier = "elementary"
    may_alias = {0: (0,)}

    def define(self, x: Any, *, factor: float, offset: float) -> Any:
        return x * x.dtype.type(factor) + x.dtype.type(offset)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        return [affine(grads[0], node.attrs["factor"])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return node.attrs["factor"], node.attrs["offset"]


def affine(x: Tensor, factor: float = 1.0, offset: float = 0.0) -> Tensor:
    """factor x + offset."""
    return emit("affine", x, factor=float(factor), offset=float(offset))


# --- binary functions ----------------------------------------------------------------------------

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "greater": lambda a, b: np.greater(a, b).astype(a.dtype),
    "greater_equal": lambda a, b: np.greater_equal(a, b).astype(a.dtype),
    "less": lambda a, b: np.less(a, b).astype(a.dtype),
    "less_equal": lambda a, b: np.less_equal(a, b).astype(a.dtype),
    "equal": lambda a, b: np.equal(a, b).astype(a.dtype),
    "not_equal": lambda a, b: np.not_equal(a, b).astype(a.dtype),
}


@register
class Binary(Op):
    """y = f(a, b), elementwise with broadcasting, f one of `BINARY`."""

    name = "binary"
    tier = "elementary"
    inputs = ("a", "b")
    may_alias = {0: (0, 1)}

    def infer(self, a: Tensor, b: Tensor, **attrs: Any) -> list[Spec]:
        return [(broadcast_shape(a.shape, b.shape), "real")]

    def define(self, a: Any, b: Any, *, function: str) -> Any:
        with np.errstate(all="ignore"):
            return BINARY[function](a, b)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        a, b = node.inputs
        y, dy = node.outputs[0], grads[0]
        assert a is not None and b is not None and dy is not None
        function = node.attrs["function"]
        da: Tensor | None = None
        db: Tensor | None = None
        if function in ("add", "subtract"):
            da = dy
            db = dy if function == "add" or not wants[1] else unary("negative", dy)
        elif function == "multiply":
            da = multiply(dy, b) if wants[0] else None
            db = multiply(dy, a) if wants[1] else None
        elif function == "divide":
            da = divide(dy, b) if wants[0] else None
            db = unary("negative", divide(multiply(dy, y), b)) if wants[1] else None
        elif function in ("maximum", "minimum"):
            # Where both are equal the gradient goes to a.
            other = "less" if function == "maximum" else "greater"
            taken = affine(binary(other, a, b), -1.0, 1.0)
            da = multiply(dy, taken) if wants[0] else None
            db = multiply(dy, affine(taken, -1.0, 1.0)) if wants[1] else None
        elif function == "power":
            if wants[0]:
                da = multiply(dy, multiply(b, binary("power", a, affine(b, 1.0, -1.0))))
            if wants[1]:  # 0 to the power of b stays 0, and a negative a has no power beside b
                zeros = binary("greater", a, a)
                logarithm = where(binary("greater", a, zeros), unary("log", a), zeros)
                db = multiply(multiply(dy, y), logarithm)
        else:
            return [None, None]
        return [
            sum_to(da, a.shape) if da is not None and wants[0] else None,
            sum_to(db, b.shape) if db is not None and wants[1] else None,
        ]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        y = node.outputs[0].shape
        a, b = node.inputs
        assert a is not None and b is not None
        return (node.attrs["function"], *dims(y), *strides_for(a.shape), *strides_for(b.shape))


def binary(function: str, a: Tensor, b: Tensor) -> Tensor:
    """The elementwise function of two tensors called `function` ("add", "maximum", ...)."""
    return emit("binary", a, b, function=function, name=function)


@register
class BinaryNumber(Op):
    """y = f(x, value), or f(value, x) with `first`: a function of `BINARY` and a constant."""

    name = "binary_number"
    tier = "elementary"
    may_alias = {0: (0,)}

    def define(self, x: Any, *, function: str, value: float, first: bool) -> Any:
        number = np.full((), value, x.dtype)
        with np.errstate(all="ignore"):
            return BINARY[function](*((number, x) if first else (x, number)))

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        x, y, dy = node.inputs[0], node.outputs[0], grads[0]
        assert x is not None and dy is not None
        function, value, first = (node.attrs[k] for k in ("function", "value", "first"))
        dx: Tensor | None = None
        if function == "add":
            dx = dy
        elif function == "subtract":
            dx = unary("negative", dy) if first else dy
        elif function == "multiply":
            dx = affine(dy, value)
        elif function == "divide":
            dx = binary_number("divide", dy, value)
            if first:
                dx = unary("negative", divide(multiply(dy, y), x))
        elif function in ("maximum", "minimum"):
            # Where both are equal the gradient goes to the first of them.
            chosen = ("greater" if first else "greater_equal", "less" if first else "less_equal")
            dx = multiply(dy, binary_number(chosen[function == "minimum"], x, value))
        elif function == "power":
            if first:
                dx = affine(multiply(dy, y), math.log(value) if value > 0 else 0.0)
            elif value:
                dx = affine(multiply(dy, binary_number("power", x, value - 1)), value)
        return [dx]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return node.attrs["function"], count(node.outputs[0].shape), int(node.attrs["first"])

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["value"],)


def binary_number(function: str, x: Tensor, value: float, first: bool = False) -> Tensor:
    """The function of x and a number, or of the number and x."""
    attrs = {"function": function, "value": float(value), "first": first}
    return emit("binary_number", x, name=function, **attrs)


def add(a: Tensor, b: Tensor | float) -> Tensor:
    """a + b."""
    return binary("add", a, b) if isinstance(b, Tensor) else affine(a, 1.0, b)


def subtract(a: Tensor, b: Tensor | float) -> Tensor:
    """a - b."""
    return binary("subtract", a, b) if isinstance(b, Tensor) else affine(a, 1.0, -b)


def multiply(a: Tensor, b: Tensor | float) -> Tensor:
    """a * b."""
    return binary("multiply", a, b) if isinstance(b, Tensor) else affine(a, b)


def divide(a: Tensor, b: Tensor | float) -> Tensor:
    """a / b."""
    return binary("divide", a, b) if isinstance(b, Tensor) else affine(a, 1.0 / b)


@register
class Where(Op):
    """y = a where condition is not 0, else b."""

    name = "where"
    tier = "elementary"
    inputs = ("condition", "a", "b")

    def infer(self, condition: Tensor, a: Tensor, b: Tensor, **attrs: Any) -> list[Spec]:
        return [(broadcast_shape(broadcast_shape(condition.shape, a.shape), b.shape), "real")]

    def define(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition != 0, a, b)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        condition, a, b = node.inputs
        dy = grads[0]
        assert condition is not None and a is not None and b is not None and dy is not None
        nothing = affine(dy, 0.0)
        return [
            None,
            sum_to(where(condition, dy, nothing), a.shape) if wants[1] else None,
            sum_to(where(condition, nothing, dy), b.shape) if wants[2] else None,
        ]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        y = node.outputs[0].shape
        strides = [s for t in node.inputs for s in strides_for(t.shape)]
        return (*dims(y), *strides)


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where condition is not 0, else b."""
    return emit("where", condition, a, b)


# --- products ------------------------------------------------------------------------------------


def product_workspace(k: int, n: int) -> int:
    """Reals that a product may use to pack panels of its (k, n) matrix, and rows of the other.

    A panel has 64 columns and 400 rows at most, as many as linear.pxi packs at once. Of the other
    matrix as many numbers are packed as 384 such rows have, and of 768 rows at most, but only where
    there are at least 128 columns: n of them and any depth, or k of them and the depth n.
    """
    longest = max(k, n)
    if longest < 128:
        return 64 * longest + 4096
    return 64 * 400 + 4096 + (384 * 400 if n >= 128 else min(384 * 400, 768 * n))


@register
class Matmul(Op):
    """y = a @ b over the last axis of a; `transpose_*` transposes that matrix first.

    Leading axes of `a` are rows of the matrix; with `transpose_a` also those of `b` are.
    """

    name = "matmul"
    tier = "elementary"
    inputs = ("a", "b")

    def infer(self, a: Tensor, b: Tensor, **attrs: Any) -> list[Spec]:
        m, k, n = self._mkn(a, b, **attrs)
        if attrs["transpose_a"]:
            return [((m, n), "real")]
        return [((*a.shape[:-1], n), "real")]

    @staticmethod
    def _mkn(a: Tensor, b: Tensor, transpose_a: bool, transpose_b: bool) -> tuple[Size, Size, int]:
        rows_a, width_a = count(a.shape[:-1]), a.shape[-1]
        rows_b, width_b = count(b.shape[:-1]), b.shape[-1]
        assert width_a is not None and width_b is not None
        m, k = (width_a, rows_a) if transpose_a else (rows_a, width_a)
        k_b, n = (width_b, rows_b) if transpose_b else (rows_b, width_b)
        if a.rank < 2 or b.rank < 2 or k != k_b or isinstance(n, Rows):
            raise ValueError(f"matmul: cannot multiply {a!r} by {b!r}")
        return m, k, n

    def define(self, a: Any, b: Any, *, transpose_a: bool, transpose_b: bool) -> Any:
        left, right = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
        y = (left.T if transpose_a else left) @ (right.T if transpose_b else right)
        return y if transpose_a else y.reshape(*a.shape[:-1], -1)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        a, b = node.inputs
        dy = grads[0]
        ta, tb = node.attrs["transpose_a"], node.attrs["transpose_b"]
        assert a is not None and b is not None and dy is not None
        da = db = None
        if wants[0]:
            da = matmul(b, dy, tb, True) if ta else matmul(dy, b, False, not tb)
        if wants[1]:
            db = matmul(dy, a, True, ta) if tb else matmul(a, dy, not ta, False)
        return [
            None if da is None else reshape_like(da, a),
            None if db is None else reshape_like(db, b),
        ]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        a, b = node.inputs
        assert a is not None and b is not None
        return (*self._mkn(a, b, **node.attrs), *(int(t) for t in node.attrs.values()))

    def workspace(self, node: Node) -> int:
        _, k, n = (at_rows(s, 1) for s in self.sizes(node)[:3] if not isinstance(s, str))
        return product_workspace(k, n)

    def flops(self, node: Node) -> Size:
        m, k, n = self._mkn(node.inputs[0], node.inputs[1], **node.attrs)
        return times(k, 2 * n * at_rows(m, 1)) if isinstance(k, Rows) else times(m, 2 * n * k)


def matmul(a: Tensor, b: Tensor, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """a @ b."""
    return emit("matmul", a, b, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b))


# --- reductions ----------------------------------------------------------------------------------

REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "max": np.max}


@register
class Reduce(Op):
    """y = sum, mean or max of x over `axes`."""

    name = "reduce"
    tier = "elementary"

    def infer(self, x: Tensor, *, function: str, axes: Sequence[int], keepdims: bool) -> list[Spec]:
        if len(set(axes)) != len(axes) or not all(0 <= axis < x.rank for axis in axes):
            raise ValueError(f"reduce: {tuple(axes)} are no axes of {x!r}")
        kept = tuple(
            1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes
        )
        return [(kept, "real")]

    def define(self, x: Any, *, function: str, axes: Sequence[int], keepdims: bool) -> Any:
        return REDUCTIONS[function](x, axis=tuple(axes), keepdims=keepdims)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        x, y, dy = node.inputs[0], node.outputs[0], grads[0]
        assert x is not None and dy is not None
        axes, function = node.attrs["axes"], node.attrs["function"]
        kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        dy = reshape(dy, kept)
        if function == "sum":
            return [broadcast_to(dy, x)]
        if function == "max":  # equal maxima share the gradient
            largest = binary("equal", x, reshape(y, kept))
            share = divide(largest, reduce("sum", largest, axes, keepdims=True))
            return [multiply(share, dy)]
        # 1 / (number of elements) may count rows: the mean of ones over the sum of ones.
        ones = affine(x, 0.0, 1.0)
        return [multiply(divide(ones, reduce("sum", ones, axes, keepdims=True)), dy)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x = node.inputs[0]
        assert x is not None
        axes = node.attrs["axes"]
        strides = strides_for(x.shape)[MAX_RANK - x.rank :]
        kept = [i for i in range(x.rank) if i not in axes]

        def part(chosen: Sequence[int]) -> tuple[Size, ...]:
            shape = tuple(x.shape[i] for i in chosen)
            pad = (0,) * (MAX_RANK - len(shape))
            return (*dims(shape), *pad, *(strides[i] for i in chosen))

        return (node.attrs["function"], *part(kept), *part(sorted(axes)))


def reduce(
    function: str, x: Tensor, axes: Sequence[int] | int | None = None, keepdims: bool = False
) -> Tensor:
    """The "sum", "mean" or "max" of x over `axes` (all of them by default)."""
    if axes is None:
        axes = range(x.rank)
    elif isinstance(axes, int):
        axes = (axes,)
    chosen = tuple(sorted(a % x.rank for a in axes))
    return emit("reduce", x, function=function, axes=chosen, keepdims=keepdims, name=function)
