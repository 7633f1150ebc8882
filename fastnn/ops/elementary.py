"""Elementary ops: what a user's own layer, loss or metric is traced into.

Few on purpose. Broadcasting, axes and slices are NumPy's; the rows of the batch stay the first
axis. Each op's gradient is made of the same ops, so they can be differentiated again. Layers call
the functions at the end of each block, which accept tensors and Python numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.tensor import Rows, Shape, Size, Tensor, at_rows, count, times

Grads = list["Tensor | None"]
MAX_RANK = 4  # of what kernels walk over with strides


# --- unary functions -----------------------------------------------------------------------------

UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "square": np.square,
    "absolute": np.absolute,
    "negative": np.negative,
    "sign": np.sign,
    "reciprocal": np.reciprocal,
}

_UNARY_GRADIENT: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "exp": lambda x, y, dy: multiply(dy, y),
    "log": lambda x, y, dy: divide(dy, x),
    "sqrt": lambda x, y, dy: divide(affine(dy, 0.5), y),
    "square": lambda x, y, dy: multiply(affine(dy, 2.0), x),
    "absolute": lambda x, y, dy: multiply(dy, unary("sign", x)),
    "negative": lambda x, y, dy: unary("negative", dy),
    "sign": lambda x, y, dy: affine(dy, 0.0),
    "reciprocal": lambda x, y, dy: unary("negative", multiply(dy, unary("square", y))),
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
    "greater": lambda a, b: np.greater(a, b).astype(a.dtype),
    "less": lambda a, b: np.less(a, b).astype(a.dtype),
    "equal": lambda a, b: np.equal(a, b).astype(a.dtype),
}


def _broadcast(a: Shape, b: Shape) -> Shape:
    """The NumPy broadcast of two shapes that may begin with rows."""
    stand_in = 1 << 40  # rows broadcast against 1 and against rows, and against nothing else
    shapes = [tuple(stand_in if n is None else n for n in shape) for shape in (a, b)]
    try:
        both = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"shapes {a} and {b} cannot be broadcast together") from None
    return tuple(None if n == stand_in else n for n in both)


def strides_for(shape: Shape, broadcast: bool = True) -> tuple[int, ...]:
    """Element strides of a contiguous `shape`, filled up to rank 4.

    With `broadcast` an axis of length 1 has stride 0, so that it can be walked over a longer one.
    """
    own = [1 if n is None else n for n in shape]
    strides = [
        0 if broadcast and shape[i] == 1 else math.prod(own[i + 1 :]) for i in range(len(shape))
    ]
    return (0,) * (MAX_RANK - len(shape)) + tuple(strides)


def dims(shape: Shape) -> tuple[Size, ...]:
    """`shape` filled up to rank 4 with leading ones."""
    if len(shape) > MAX_RANK:
        raise ValueError(f"shape {shape}: elementary ops take at most {MAX_RANK} axes")
    return (1,) * (MAX_RANK - len(shape)) + tuple(Rows(1) if n is None else n for n in shape)


@register
class Binary(Op):
    """y = f(a, b), elementwise with broadcasting, f one of `BINARY`."""

    name = "binary"
    tier = "elementary"
    inputs = ("a", "b")
    may_alias = {0: (0, 1)}

    def infer(self, a: Tensor, b: Tensor, **attrs: Any) -> list[Spec]:
        return [(_broadcast(a.shape, b.shape), "real")]

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
        return [(_broadcast(_broadcast(condition.shape, a.shape), b.shape), "real")]

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
        return max(k, n) * 64 + 4096

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


def sum_to(x: Tensor, shape: Shape) -> Tensor:
    """Sum x over the axes along which `shape` was broadcast to it."""
    if x.shape == shape:
        return x
    extra = x.rank - len(shape)
    axes = [i for i in range(x.rank) if i < extra or (shape[i - extra] == 1 and x.shape[i] != 1)]
    return reshape(reduce("sum", x, axes), shape)


# --- moving data ---------------------------------------------------------------------------------


@register
class Reshape(Op):
    """y = the same bytes under another shape; the rows stay the first axis."""

    name = "reshape"
    tier = "elementary"
    view = True

    def infer(self, x: Tensor, *, shape: Shape) -> list[Spec]:
        if count(x.shape) != count(shape):
            raise ValueError(f"reshape: {x!r} cannot become {shape}")
        return [(shape, x.dtype)]

    def define(self, x: Any, *, shape: Shape) -> Any:
        return x.reshape([-1 if n is None else n for n in shape])

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        return [reshape(grads[0], node.inputs[0].shape)]


def reshape(x: Tensor, shape: Sequence[int | None]) -> Tensor:
    """x under another shape; None first stands for the rows."""
    if x.shape == tuple(shape):
        return x
    return emit("reshape", x, shape=tuple(shape))


def reshape_like(x: Tensor, other: Tensor) -> Tensor:
    """x under the shape of `other`."""
    return reshape(x, other.shape)


def _walk(
    shape: Shape, y: Sequence[int], x: Sequence[int], y_offset: int = 0, x_offset: int = 0
) -> tuple[Size, ...]:
    """Sizes of the strided copy kernel: y[...] = x[...] walked over `shape`."""
    return (*dims(shape), *y, *x, y_offset, x_offset)


def _offset(slices: Any, shape: Shape, strides: Sequence[int]) -> int:
    """Elements before the first one of a slice, given shape and strides of the whole."""
    pad = MAX_RANK - len(shape)
    return sum(part[0] * strides[pad + i] for i, part in enumerate(slices) if part is not None)


def _index(slices: Any) -> tuple[slice, ...]:
    return tuple(slice(None) if part is None else slice(*part) for part in slices)


@register
class Copy(Op):
    """y = x, in memory of its own."""

    name = "copy"
    tier = "elementary"

    def define(self, x: Any) -> Any:
        return x

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        return [grads[0]]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        shape = node.outputs[0].shape
        strides = strides_for(shape)
        return _walk(shape, strides, strides)


def copy(x: Tensor) -> Tensor:
    """x in memory of its own."""
    return emit("copy", x)


@register
class Broadcast(Op):
    """y = x broadcast to the shape of `like`, whose values are not read."""

    name = "broadcast"
    kernel = "copy"
    tier = "elementary"
    inputs = ("x", "like")

    def infer(self, x: Tensor, like: Tensor) -> list[Spec]:
        if _broadcast(x.shape, like.shape) != like.shape:
            raise ValueError(f"cannot broadcast {x!r} to {like.shape}")
        return [(like.shape, x.dtype)]

    def define(self, x: Any, like: Any) -> Any:
        return np.broadcast_to(x, like.shape)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        return [sum_to(grads[0], node.inputs[0].shape), None]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        return _walk(y.shape, strides_for(y.shape), strides_for(x.shape))


def broadcast_to(x: Tensor, like: Tensor) -> Tensor:
    """x broadcast to the shape of `like`."""
    return x if x.shape == like.shape else emit("broadcast", x, like)


@register
class Transpose(Op):
    """y = x with its axes permuted; the rows stay first."""

    name = "transpose"
    kernel = "copy"
    tier = "elementary"

    def infer(self, x: Tensor, *, axes: Sequence[int]) -> list[Spec]:
        if x.has_rows and axes[0] != 0:
            raise ValueError(f"transpose: the rows of {x!r} must stay the first axis, got {axes}")
        return [(tuple(x.shape[i] for i in axes), x.dtype)]

    def define(self, x: Any, *, axes: Sequence[int]) -> Any:
        return x.transpose(axes)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        axes = node.attrs["axes"]
        return [transpose(grads[0], [axes.index(i) for i in range(len(axes))])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        strides = strides_for(x.shape)
        pad = MAX_RANK - x.rank
        moved = (*strides[:pad], *(strides[pad + i] for i in node.attrs["axes"]))
        return _walk(y.shape, strides_for(y.shape), moved)


def transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with its axes permuted; the rows stay first."""
    return emit("transpose", x, axes=tuple(axes))


@register
class Slice(Op):
    """y = x[start:stop, ...]; `slices` holds (start, stop) per axis, None for the whole axis."""

    name = "slice"
    kernel = "copy"
    tier = "elementary"

    def infer(self, x: Tensor, *, slices: Any) -> list[Spec]:
        shape = list(x.shape)
        for axis, part in enumerate(slices):
            if part is None:
                continue
            if shape[axis] is None or not 0 <= part[0] < part[1] <= shape[axis]:
                raise ValueError(f"slice: {part} is not within axis {axis} of {x!r}")
            shape[axis] = part[1] - part[0]
        return [(tuple(shape), x.dtype)]

    def define(self, x: Any, *, slices: Any) -> Any:
        return x[_index(slices)]

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        shape = node.inputs[0].shape
        return [emit("unslice", grads[0], slices=node.attrs["slices"], shape=shape)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        strides = strides_for(x.shape, broadcast=False)
        offset = _offset(node.attrs["slices"], x.shape, strides)
        return _walk(y.shape, strides_for(y.shape), strides, 0, offset)


def slice_(x: Tensor, slices: Sequence[tuple[int, int] | None]) -> Tensor:
    """x[start:stop, ...]: a (start, stop) per axis, or None for the whole axis."""
    parts = tuple(None if part is None else (int(part[0]), int(part[1])) for part in slices)
    return emit("slice", x, slices=parts)


@register
class Unslice(Op):
    """y = zeros of `shape` with x in the place of a slice: the gradient of a slice."""

    name = "unslice"
    tier = "elementary"

    def infer(self, x: Tensor, *, slices: Any, shape: Shape) -> list[Spec]:
        return [(shape, x.dtype)]

    def define(self, x: Any, *, slices: Any, shape: Shape) -> Any:
        y = np.zeros([len(x) if n is None else n for n in shape], x.dtype)
        y[_index(slices)] = x
        return y

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        return [slice_(grads[0], node.attrs["slices"])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        strides = strides_for(y.shape, broadcast=False)
        offset = _offset(node.attrs["slices"], y.shape, strides)
        return (*_walk(x.shape, strides, strides_for(x.shape), offset, 0), count(y.shape))


@register
class TakeRows(Op):
    """y = the first rows of a state, as many as the batch has (`like` is not read)."""

    name = "take_rows"
    kernel = "copy"
    tier = "elementary"
    inputs = ("state", "like")

    def infer(self, state: Tensor, like: Tensor) -> list[Spec]:
        return [((None, *state.shape[1:]), state.dtype)]

    def define(self, state: Any, like: Any) -> Any:
        return state[: len(like)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        shape = node.outputs[0].shape
        strides = strides_for(shape)
        return _walk(shape, strides, strides)


def take_rows(state: Tensor, like: Tensor) -> Tensor:
    """The first rows of a state variable, as many as `like` has."""
    return emit("take_rows", state, like)


@register
class Concatenate(Op):
    """y = the inputs side by side along `axis` (not the rows)."""

    name = "concatenate"
    tier = "elementary"
    inputs = ("*x",)

    def infer(self, *x: Tensor, axis: int) -> list[Spec]:
        first = x[0].shape
        for other in x:
            same = other.shape[:axis] + other.shape[axis + 1 :] == first[:axis] + first[axis + 1 :]
            if other.rank != len(first) or not same:
                raise ValueError(f"concatenate: {x[0]!r} and {other!r} differ beside axis {axis}")
        total = sum(t.shape[axis] for t in x)
        return [((*first[:axis], total, *first[axis + 1 :]), x[0].dtype)]

    def define(self, *x: Any, axis: int) -> Any:
        return np.concatenate(x, axis=axis)

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        axis, start, parts = node.attrs["axis"], 0, []
        dy = grads[0]
        assert dy is not None
        for x, wanted in zip(node.inputs, wants, strict=True):
            assert x is not None
            stop = start + (x.shape[axis] or 0)
            slices = [None if i != axis else (start, stop) for i in range(x.rank)]
            parts.append(slice_(dy, slices) if wanted else None)
            start = stop
        return parts

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        axis = node.attrs["axis"]
        outer = count(node.outputs[0].shape[:axis])
        widths = [at_rows(count(t.shape[axis:]), 1) for t in node.inputs if t is not None]
        return (outer, len(widths), *widths)


def concatenate(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """The tensors side by side along `axis`."""
    axis %= tensors[0].rank
    if axis == 0 and tensors[0].has_rows:
        raise ValueError("concatenate: the rows of a batch cannot be concatenated")
    return emit("concatenate", *tensors, axis=axis)


@register
class Gather(Op):
    """y[i] = table[ids[i]]."""

    name = "gather"
    kernel = "gather_rows"
    tier = "elementary"
    inputs = ("table", "ids")

    def infer(self, table: Tensor, ids: Tensor) -> list[Spec]:
        return [((*ids.shape, *table.shape[1:]), "real")]

    def define(self, table: Any, ids: Any) -> Any:
        return table[ids]

    def backward(self, node: Node, grads: Grads, wants: list[bool]) -> list[Any]:
        table, ids = node.inputs
        return [emit("scatter_add", grads[0], ids, shape=table.shape), None]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        table, ids = node.inputs
        assert table is not None and ids is not None
        return count(ids.shape), count(table.shape[1:])


def gather(table: Tensor, ids: Tensor) -> Tensor:
    """Rows of `table` by integer ids."""
    return emit("gather", table, ids)


@register
class ScatterAdd(Op):
    """y = zeros of `shape`, then y[ids[i]] += x[i]: the gradient of a gather."""

    name = "scatter_add"
    kernel = "scatter_add_rows"
    tier = "elementary"
    inputs = ("x", "ids")

    def infer(self, x: Tensor, ids: Tensor, *, shape: Shape) -> list[Spec]:
        return [(shape, "real")]

    def define(self, x: Any, ids: Any, *, shape: Shape) -> Any:
        y = np.zeros(shape, x.dtype)
        np.add.at(y, ids, x)
        return y

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        ids, y = node.inputs[1], node.outputs[0]
        assert ids is not None
        return count(ids.shape), count(y.shape[1:]), count(y.shape[:1])


# --- writing states ------------------------------------------------------------------------------


@register
class Assign(Op):
    """state = x: a layer's state takes a new value (recurrent state, moving statistics)."""

    name = "assign"
    tier = "elementary"
    inputs = ("state", "x")
    outputs = ("state",)
    same = {0: 0}
    effect = True

    def define(self, state: Any, x: Any) -> Any:
        y = state.copy()
        y[: len(x)] = x
        return y

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.inputs[1].shape),)


def assign(state: Tensor, x: Tensor) -> None:
    """Write x into a state variable when the plan runs."""
    if x.shape[1:] != state.shape[1:] or (x.shape[0] != state.shape[0] and x.has_rows is False):
        raise ValueError(f"assign: {x!r} does not fit the state {state!r}")
    emit("assign", state, x)
