"""Initializers: the first values of weights.

Called as `initializer(shape, dtype)` by `Layer.add_weight`; `get` turns names into objects.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import config
from fastnn.utils import Configurable, choose, describe, number, resolve

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


class Identity(Initializer):
    """The identity matrix times `gain`.

    Parameters
    ----------
    gain : float, default 1.0

    Raises
    ------
    ValueError
        Called for anything but a matrix.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("Identity: gain", gain)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, the weight has shape {tuple(shape)}")
        return np.eye(*shape, dtype=dtype) * np.dtype(dtype).type(self.gain)


class _Random(Initializer):
    """Base of the random ones: a `seed` of its own, or the next of `utils.set_random_seed`.

    With a seed every call gives the same values, as in Keras.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0
        ):
            raise ValueError(
                f"{type(self).__name__}: seed must be an integer of 0 or more, got {seed!r}"
            )
        self.seed = None if seed is None else int(seed)

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(config.next_seed() if self.seed is None else self.seed)


class RandomNormal(_Random):
    """Normal values.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
    seed : int, optional
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        name = type(self).__name__
        self.mean = number(f"{name}: mean", mean)
        self.stddev = number(f"{name}: stddev", stddev, low=0)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return self._generator().normal(self.mean, self.stddev, shape).astype(dtype)


class TruncatedNormal(RandomNormal):
    """Normal values, those beyond two standard deviations from the mean drawn again.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        Of the normal distribution before it is truncated.
    seed : int, optional
    """

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        values = _truncated(self._generator(), shape)
        return np.asarray(self.mean + self.stddev * values).astype(dtype)


class RandomUniform(_Random):
    """Uniform values from `minval` to `maxval`.

    Parameters
    ----------
    minval : float, default -0.05
    maxval : float, default 0.05
    seed : int, optional

    Raises
    ------
    ValueError
        A limit is not finite, or `maxval` is below `minval`.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = number("RandomUniform: minval", minval)
        self.maxval = number("RandomUniform: maxval", maxval, low=self.minval)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        return self._generator().uniform(self.minval, self.maxval, shape).astype(dtype)


class Orthogonal(_Random):
    """A matrix with orthogonal rows or columns, whichever are fewer, each of length `gain`.

    From the QR decomposition of normal values (Saxe, McClelland and Ganguli, ICLR 2014). All axes
    of the weight but the last one make the rows of the matrix.

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional

    Raises
    ------
    ValueError
        Called for a weight of fewer than two axes.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = number("Orthogonal: gain", gain)

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a weight of two or more axes, it has shape {tuple(shape)}"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = self._generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q *= np.where(np.diag(r) < 0, -1, 1)  # QR's own choice of signs would not be uniform
        q = q if rows >= columns else q.T
        return (self.gain * q).reshape(shape).astype(dtype)


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


class LecunUniform(VarianceScaling):
    """Uniform in +-sqrt(3 / fan_in) (LeCun et al., "Efficient BackProp", 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in (LeCun et al., "Efficient BackProp", 1998)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


_CLASSES: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "zero": Zeros,
    "ones": Ones,
    "one": Ones,
    "constant": Constant,
    "identity": Identity,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
}


def serialize(initializer: Any) -> Any:
    """The description of an initializer, which `get` accepts."""
    return describe(initializer)


def get(identifier: Any) -> Any:
    """The initializer for a name ("glorot_uniform"), an object, or a function of (shape, dtype).

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    return resolve("initializer", identifier, Initializer, _CLASSES)
