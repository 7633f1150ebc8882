"""Layers that act in training only: Dropout and its kin, noise; and ActivityRegularization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import ops, regularizers
from fastnn.layers.base import Layer
from fastnn.layers.core import OneInput
from fastnn.ops.contract import Graph
from fastnn.ops.tensor import Tensor
from fastnn.utils import number


def _seed(owner: str, seed: Any) -> int | None:
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if seed is not None and (not whole or seed < 0):
        raise ValueError(f"{owner}: seed must be an integer of 0 or more, got {seed!r}")
    return None if seed is None else int(seed)


def _ones(x: Tensor, shape: tuple[int | None, ...]) -> Tensor:
    """Ones of a shape whose axes are x's, or 1."""
    slices = [(0, 1) if n == 1 and i else None for i, n in enumerate(shape)]
    part = ops.slice_(x, slices) if any(slices) else x
    return ops.affine(ops.binary("greater", part, part), 1.0, 1.0)  # nothing is above itself


class _Masking(OneInput):
    """Base of the dropouts: a rate, a seed, and axes along which the mask is one."""

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.rate = number(f"{owner}: rate", rate, low=0, below=1)
        self.seed = _seed(owner, seed)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        if self.noise_shape is not None and (not self.noise_shape or self.noise_shape[0] == 1):
            raise ValueError(
                f"{owner}: noise_shape={noise_shape!r} is not supported; it begins with None, for "
                "the rows"
            )

    def noise_like(self, x: Tensor) -> tuple[int | None, ...] | None:
        """The shape of the mask; None where each number has its own."""
        if self.noise_shape is None:
            return None
        given = self.noise_shape
        shape = tuple(x.shape[i] if n is None else n for i, n in enumerate(given[: x.rank]))
        fits = len(given) == x.rank and all(
            n in (1, m) for n, m in zip(shape[1:], x.shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}): noise_shape {given} does not fit "
                f"inputs of shape {x.shape}; each entry is None, 1 or the axis' length"
            )
        return (None, *shape[1:])

    def mask(self, x: Tensor, shape: tuple[int | None, ...] | None) -> Tensor:
        """1 / (1 - rate) where a draw is kept, else 0."""
        made: Tensor = ops.dropout(
            _ones(x, x.shape if shape is None else shape),
            self.rate, Graph.current().stream(), self.seed,
        )  # fmt: skip
        return made


class Dropout(_Masking):
    """In training, drop each element with probability `rate` and scale the rest by 1/(1 - rate).

    Parameters
    ----------
    rate : float
        At least 0, below 1.
    noise_shape : tuple, optional
        Shape of the mask: None for the rows, then for each axis its length (or None), or 1 where
        all its elements are dropped together.
    seed : int, optional
        By default the model's seed decides.

    Raises
    ------
    ValueError
        `rate` is not in [0, 1); `noise_shape` does not fit the inputs.
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        shape = self.noise_like(inputs)
        if not training or self.rate == 0:
            return inputs
        if shape is not None:
            return ops.multiply(inputs, self.mask(inputs, shape))
        made: Tensor = ops.dropout(inputs, self.rate, Graph.current().stream(), self.seed)
        return made


class AlphaDropout(_Masking):
    """Dropout that keeps mean and variance after selu (Klambauer et al., NeurIPS 2017).

    Dropped elements become selu's lowest value, then all are scaled and shifted.

    Parameters
    ----------
    rate : float
        At least 0, below 1.
    noise_shape : tuple, optional
        As for `Dropout`.
    seed : int, optional

    Raises
    ------
    ValueError
        `rate` is not in [0, 1).
    """

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        shape = self.noise_like(inputs)
        if not training or self.rate == 0:
            return inputs
        lowest = -1.6732632423543772 * 1.0507009873554805
        a = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        b = -a * lowest * self.rate
        # a (x k + lowest (1 - k)) + b with k = 1 where kept; the mask is k / (1 - rate)
        mask = self.mask(inputs, shape)
        scaled = a * (1 - self.rate)
        kept = ops.multiply(inputs, ops.affine(mask, scaled))
        return ops.add(kept, ops.affine(mask, -scaled * lowest, a * lowest + b))


class GaussianNoise(OneInput):
    """In training, add normal noise of mean 0.

    Parameters
    ----------
    stddev : float
        From 0 to 1.
    seed : int, optional
        By default the model's seed decides.

    Raises
    ------
    ValueError
        `stddev` is not in [0, 1].
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = number("GaussianNoise: stddev", stddev, low=0)
        if self.stddev > 1:
            raise ValueError(f"GaussianNoise: stddev must be from 0 to 1, got {stddev!r}")
        self.seed = _seed("GaussianNoise", seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        made: Tensor = ops.noise(inputs, "add", self.stddev, Graph.current().stream(), self.seed)
        return made


class GaussianDropout(OneInput):
    """In training, multiply by normal noise around 1 (Srivastava et al., JMLR 15, 2014).

    Parameters
    ----------
    rate : float
        At least 0, below 1: the noise has variance rate / (1 - rate), as dropout has.
    seed : int, optional
        By default the model's seed decides.

    Raises
    ------
    ValueError
        `rate` is not in [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = number("GaussianDropout: rate", rate, low=0, below=1)
        self.seed = _seed("GaussianDropout", seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        stream = Graph.current().stream()
        made: Tensor = ops.noise(inputs, "multiply", stddev, stream, self.seed)
        return made


class ActivityRegularization(Layer):
    """Its input, unchanged, with the penalty `l1 * sum(|x|) + l2 * sum(x**2)` per row.

    Parameters
    ----------
    l1, l2 : float, default 0.0

    Raises
    ------
    ValueError
        A factor is negative or not finite.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = self.activity_regularizer.l1, self.activity_regularizer.l2

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer")
        return config

    def call(self, inputs: Tensor) -> Tensor:
        return inputs
