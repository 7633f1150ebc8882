"""Layers that make one tensor of several: Add, Concatenate, Dot and the like.

Each has a function of the same name: `add([a, b])` is `Add()([a, b])`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.layers.base import Layer
from fastnn.ops.tensor import Tensor
from fastnn.regularizers import unit_norm
from fastnn.utils import as_list


class _Merge(Layer):
    """Base: a list of two or more tensors of real numbers."""

    least = 2

    def check_inputs(self, tensors: list[Tensor]) -> None:
        name = f"layer {self.name!r} ({type(self).__name__})"
        if len(tensors) < self.least:
            raise ValueError(
                f"{name} takes a list of {self.least} or more tensors, got {len(tensors)}"
            )
        for tensor in tensors:
            if tensor.dtype != "real":
                raise ValueError(f"{name} needs real numbers, got {tensor.dtype}")

    def call(self, *inputs: Any) -> Tensor:
        flat = [t for given in inputs for t in as_list(given)]
        try:
            return self.merge(self.aligned(flat))
        except ValueError as error:
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}) cannot merge shapes "
                f"{', '.join(str(t.shape) for t in flat)}: {error}"
            ) from None

    def aligned(self, tensors: list[Tensor]) -> list[Tensor]:
        """All in the rank of the largest: axes of 1 are put behind the rows, as in Keras."""
        rank = max(t.rank for t in tensors)
        return [
            ops.reshape(t, (t.shape[0], *(1,) * (rank - t.rank), *t.shape[1:])) for t in tensors
        ]

    def merge(self, tensors: list[Tensor]) -> Tensor:
        """The one tensor."""
        raise NotImplementedError

    def pairwise(self, function: str, tensors: Sequence[Tensor]) -> Tensor:
        """f(f(a, b), c) ..."""
        made = tensors[0]
        for other in tensors[1:]:
            made = ops.binary(function, made, other)
        return made


class Add(_Merge):
    """The sum of the inputs, with broadcasting."""

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return self.pairwise("add", tensors)


class Subtract(_Merge):
    """The first of two inputs less the second.

    Raises
    ------
    ValueError
        There are not exactly two inputs.
    """

    def check_inputs(self, tensors: list[Tensor]) -> None:
        super().check_inputs(tensors)
        if len(tensors) != 2:
            raise ValueError(f"layer {self.name!r} (Subtract) takes 2 tensors, got {len(tensors)}")

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return self.pairwise("subtract", tensors)


class Multiply(_Merge):
    """The product of the inputs, element by element, with broadcasting."""

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return self.pairwise("multiply", tensors)


class Average(_Merge):
    """The mean of the inputs, with broadcasting."""

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return ops.affine(self.pairwise("add", tensors), 1 / len(tensors))


class Maximum(_Merge):
    """The largest of the inputs, element by element, with broadcasting."""

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return self.pairwise("maximum", tensors)


class Minimum(_Merge):
    """The smallest of the inputs, element by element, with broadcasting."""

    def merge(self, tensors: list[Tensor]) -> Tensor:
        return self.pairwise("minimum", tensors)


class Concatenate(_Merge):
    """The inputs side by side.

    Parameters
    ----------
    axis : int, default -1
        Not 0, the rows.

    Raises
    ------
    ValueError
        `axis` is 0 or out of range, or shapes differ beside it.
    """

    least = 1

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ValueError(f"Concatenate: axis must be an integer other than 0, got {axis!r}")
        self.axis = axis

    def aligned(self, tensors: list[Tensor]) -> list[Tensor]:
        return tensors

    def merge(self, tensors: list[Tensor]) -> Tensor:
        rank = tensors[0].rank
        if not -rank < self.axis < rank:
            raise ValueError(f"there is no axis {self.axis}")
        if any(t.rank != rank for t in tensors):
            raise ValueError("they have different numbers of axes")
        return ops.concatenate(tensors, self.axis)


class Dot(_Merge):
    """Products of two inputs, summed over one axis of each.

    Parameters
    ----------
    axes : int or (int, int)
        The axis of both, or of each. Not 0, the rows.
    normalize : bool, default False
        Divide both by their norm along the axis first: the cosine.

    Raises
    ------
    ValueError
        There are not exactly two inputs, `axes` names no axes, or their lengths differ.
    """

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else axes
        if not isinstance(pair, (list, tuple)) or not all(isinstance(a, int) for a in pair):
            raise TypeError(f"Dot: axes must be an integer or two of them, got {axes!r}")
        if len(pair) != 2 or 0 in pair:
            raise ValueError(f"Dot: axes must be two integers other than 0, got {axes!r}")
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = bool(normalize)

    def check_inputs(self, tensors: list[Tensor]) -> None:
        super().check_inputs(tensors)
        if len(tensors) != 2:
            raise ValueError(f"layer {self.name!r} (Dot) takes 2 tensors, got {len(tensors)}")

    def aligned(self, tensors: list[Tensor]) -> list[Tensor]:
        return tensors

    def merge(self, tensors: list[Tensor]) -> Tensor:
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        found = []
        for tensor, axis in zip(tensors, pair, strict=True):
            if not -tensor.rank < axis < tensor.rank or not 2 <= tensor.rank <= 3:
                raise ValueError(f"axis {axis} is none of {tensor.shape}, of two or three axes")
            axis %= tensor.rank
            if self.normalize:
                tensor = unit_norm(tensor, [axis], 1e-7)
            if tensor.rank == 3 and axis == 1:
                tensor = ops.transpose(tensor, (0, 2, 1))
            found.append(tensor)
        a, b = found  # (rows, i, k) and (rows, j, k), without i or j where that has two axes
        k = a.shape[-1]
        if b.shape[-1] != k:
            raise ValueError(f"the axes to sum over have {k} and {b.shape[-1]} elements")
        left = ops.reshape(a, (None, a.shape[1] if a.rank == 3 else 1, 1, k))
        right = ops.reshape(b, (None, 1, b.shape[1] if b.rank == 3 else 1, k))
        made = ops.reduce("sum", ops.multiply(left, right), 3)  # (rows, i, j)
        kept = [t.shape[1] for t in (a, b) if t.rank == 3]
        return ops.reshape(made, (None, *(kept or [1])))


def add(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Add`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Subtract`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Multiply`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Average`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Maximum`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Functional form of `Minimum`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Functional form of `Concatenate`."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """Functional form of `Dot`."""
    return Dot(axes, **kwargs)(inputs)
