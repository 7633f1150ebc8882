"""Initializers: the first values of weights.

Called as `initializer(shape, dtype)` by `Layer.add_weight`; `get` turns names into objects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import config
from fastnn.utils import Configurable, choose, number, resolve

Shape = tuple[int, ...]


class Initializer(Configurable):
    """Base class: `__call__(shape, dtype)` returns an array."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        raise NotImplementedError


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return np.ones(shape, dtype)


class Constant(Initializer):
    """All `value`; `value` can also be an array of the weight's shape.

    Parameters
    ----------
    value : float or array_like, default 0.0
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        value = np.asarray(self.value, dtype)
        if value.shape not in ((), tuple(shape)):
            raise ValueError(f"Constant: value has shape {value.shape}, the weight has {shape}")
        return np.array(np.broadcast_to(value, shape))


class _Random(Initializer):
    """Base of the random ones: a `seed` of its own, or the next of `utils.set_random_seed`.

    With a seed every call gives the same values, as in Keras.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(config.next_seed() if self.seed is None else self.seed)


def _fans(shape: Shape) -> tuple[float, float]:
    """Inputs and outputs of a kernel; leading axes (of a convolution) multiply both."""
    if len(shape) < 2:
        n = float(shape[0]) if shape else 1.0
        return n, n
    field = math.prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


class VarianceScaling(_Random):
    """Variance `scale / n`, n = fan in, fan out or their mean (He et al., ICCV 2015).

    Parameters
    ----------
    scale : float, default 1.0
    mode : {"fan_in", "fan_out", "fan_avg"}, default "fan_in"
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        Truncated at two standard deviations and scaled to keep the variance.
    seed : int, optional
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if number("VarianceScaling: scale", scale, low=0) == 0:
            raise ValueError(f"VarianceScaling: scale must be above 0, got {scale!r}")
        fans = {"fan_in": 0, "fan_out": 0, "fan_avg": 0}
        choose("mode", mode, fans)
        kinds = {"truncated_normal": 0, "untruncated_normal": 0, "uniform": 0}
        choose("distribution", distribution, kinds)
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        fan_in, fan_out = _fans(tuple(shape))
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        generator = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape).astype(dtype)
        if self.distribution == "untruncated_normal":
            return generator.normal(0, math.sqrt(variance), shape).astype(dtype)
        # 0.8796... is the standard deviation of a normal truncated at 2
        return (_truncated(generator, shape) * (math.sqrt(variance) / 0.87962566103423978)).astype(
            dtype
        )


def _truncated(generator: np.random.Generator, shape: Shape) -> np.ndarray:
    """Standard normal values; those beyond 2 are drawn again."""
    values = generator.standard_normal(shape)
    beyond = np.abs(values) > 2
    while beyond.any():
        values[beyond] = generator.standard_normal(int(beyond.sum()))
        beyond = np.abs(values) > 2
    return values


class GlorotUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, AISTATS 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio, AISTATS 2010)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform in +-sqrt(6 / fan_in) (He et al., ICCV 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in (He et al., ICCV 2015)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


_CLASSES: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
}


def get(identifier: Any) -> Initializer:
    """The initializer for a name ("glorot_uniform"), an object, or a function of (shape, dtype).

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    return resolve("initializer", identifier, Initializer, _CLASSES)
