"""Layers that give each row another shape: Flatten, Reshape, Permute, RepeatVector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.layers.base import Layer
from fastnn.layers.core import positive_integer, refuse
from fastnn.ops.tensor import Tensor, at_rows, count


class _OneTensor(Layer):
    """Base of layers that move the numbers of one tensor, of whatever type."""

    def check_inputs(self, tensors: list[Tensor]) -> None:
        if len(tensors) != 1:
            raise TypeError(
                f"layer {self.name!r} ({type(self).__name__}) takes one tensor, got {len(tensors)}"
            )


class Flatten(_OneTensor):
    """Each row as one vector.

    Parameters
    ----------
    data_format : None
        Not supported.
    """

    def __init__(self, data_format: None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        refuse("Flatten", data_format=data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.reshape(inputs, (None, at_rows(count(inputs.shape), 1)))


class Reshape(_OneTensor):
    """Each row under another shape.

    Parameters
    ----------
    target_shape : tuple of int
        Without the rows; one entry can be -1, which stands for what is left.

    Raises
    ------
    ValueError
        An entry is no positive integer, two are -1, or the numbers of a row do not fit.
    """

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = tuple(target_shape) if isinstance(target_shape, (tuple, list)) else (target_shape,)
        for n in shape:
            whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool)
            if not whole or n == 0 or n < -1:
                raise ValueError(
                    f"Reshape: target_shape must be made of integers of 1 or more, one of them "
                    f"can be -1, got {target_shape!r}"
                )
        if shape.count(-1) > 1:
            raise ValueError(f"Reshape: only one entry can be -1, got {target_shape!r}")
        self.target_shape = tuple(int(n) for n in shape)

    def call(self, inputs: Tensor) -> Tensor:
        numbers = at_rows(count(inputs.shape), 1)
        known = math.prod(n for n in self.target_shape if n != -1)
        shape = tuple(numbers // known if n == -1 else n for n in self.target_shape)
        if math.prod(shape) != numbers:
            raise ValueError(
                f"layer {self.name!r} (Reshape): rows of shape {inputs.shape[1:]} have {numbers} "
                f"numbers, which do not fit {self.target_shape}"
            )
        return ops.reshape(inputs, (None, *shape))


class Permute(_OneTensor):
    """The axes of each row in another order.

    Parameters
    ----------
    dims : tuple of int
        The axes from 1 on (0 are the rows) in their new order: (2, 1) exchanges two axes.

    Raises
    ------
    ValueError
        `dims` is not a permutation of 1 to the number of axes.
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: dims must hold each axis from 1 to {len(self.dims)} once, got {dims!r}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.rank != len(self.dims) + 1:
            raise ValueError(
                f"layer {self.name!r} (Permute): dims {self.dims} are for rows of "
                f"{len(self.dims)} axes, got input shape {inputs.shape}"
            )
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(_OneTensor):
    """Each row n times: (rows, features) becomes (rows, n, features).

    Parameters
    ----------
    n : int

    Raises
    ------
    TypeError
        `n` is no integer.
    ValueError
        `n` is below 1, or the rows are no vectors.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
            raise TypeError(f"RepeatVector: n must be an integer, got {n!r}")
        self.n = positive_integer("RepeatVector", "n", n)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.rank != 2:
            raise ValueError(
                f"layer {self.name!r} (RepeatVector) repeats vectors, got input shape "
                f"{inputs.shape}"
            )
        one = ops.reshape(inputs, (None, 1, inputs.shape[1]))
        return ops.concatenate([one] * self.n, axis=1) if self.n > 1 else one
