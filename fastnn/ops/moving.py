"""Ops that move data: views, copies along strides, slices, concatenation, gathers, states.

They are elementary ops too (see elementary.py, which imports this file). Kernels walk over at most
four axes with strides; the helpers at the top write shapes down in that form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.ops.contract import ALL_INPUTS, Graph, Node, Op, Spec, emit, register
from fastnn.ops.tensor import Rows, Shape, Size, Tensor, at_rows, count

Grads = list["Tensor | None"]
MAX_RANK = 4  # of what kernels walk over with strides


def broadcast_shape(a: Shape, b: Shape) -> Shape:
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
class Reshape(Op):
    """y = the same bytes under another shape; the rows stay the first axis."""

    name = "reshape"
    integers = (0,)
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
    integers = (0,)
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
    integers = (0, 1)
    kernel = "copy"
    tier = "elementary"
    inputs = ("x", "like")

    def infer(self, x: Tensor, like: Tensor) -> list[Spec]:
        if broadcast_shape(x.shape, like.shape) != like.shape:
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


def sum_to(x: Tensor, shape: Shape) -> Tensor:
    """Sum x over the axes along which `shape` was broadcast to it."""
    if x.shape == shape:
        return x
    extra = x.rank - len(shape)
    axes = [i for i in range(x.rank) if i < extra or (shape[i - extra] == 1 and x.shape[i] != 1)]
    summed = emit("reduce", x, function="sum", axes=tuple(axes), keepdims=False, name="sum")
    return reshape(summed, shape)


def broadcast_to(x: Tensor, like: Tensor) -> Tensor:
    """x broadcast to the shape of `like`."""
    return x if x.shape == like.shape else emit("broadcast", x, like)


@register
class Transpose(Op):
    """y = x with its axes permuted; the rows stay first."""

    name = "transpose"
    integers = (0,)
    kernel = "copy"
    tier = "elementary"

    def infer(self, x: Tensor, *, axes: Sequence[int]) -> list[Spec]:
        if sorted(axes) != list(range(x.rank)):
            raise ValueError(f"transpose: axes {tuple(axes)} are not those of {x!r} in some order")
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
    integers = (0,)
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
    integers = (0,)
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
    integers = (0, 1)
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
    integers = ALL_INPUTS
    tier = "elementary"
    inputs = ("*x",)

    def infer(self, *x: Tensor, axis: int) -> list[Spec]:
        first = x[0].shape
        if not 0 <= axis < len(first):
            raise ValueError(f"concatenate: {x[0]!r} has no axis {axis}")
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
    integers = (1,)
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
    integers = (1,)
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
    integers = (0, 1)
    tier = "elementary"
    inputs = ("state", "x")
    outputs = ("state",)
    same = {0: 0}
    effect = True

    def define(self, state: Any, x: Any) -> Any:
        if x.ndim == 0:
            return x.copy()
        y = state.copy()
        y[: len(x)] = x
        return y

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.inputs[1].shape),)


def assign(state: Tensor, x: Tensor) -> None:
    """Write x into a state variable when the plan runs.

    What read the state before goes on with the old value, its gradient too: it reads a copy.
    """
    beginning = state.shape[1:] == x.shape[1:] and x.has_rows and state.rank > 0
    if x.shape != state.shape and not beginning:
        raise ValueError(f"assign: {x!r} does not fit the state {state!r}")
    if state.storage != "state":
        raise ValueError(f"assign: {state!r} is trained; make it with add_weight(trainable=False)")
    graph = Graph.current()
    readers = [node for node in graph.nodes if state in node.inputs]
    if x is state or readers:
        old = copy(state)
        made = graph.nodes.pop()
        graph.nodes.insert(graph.nodes.index(readers[0]) if readers else len(graph.nodes), made)
        for node in readers:
            node.inputs = [old if t is state else t for t in node.inputs]
        x = old if x is state else x
    emit("assign", state, x)
