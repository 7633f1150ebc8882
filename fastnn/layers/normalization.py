"""Layers that shift and scale: Rescaling, Normalization, and those of batches, rows and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastnn import constraints, initializers, ops, regularizers
from fastnn.layers.core import OneInput, refuse
from fastnn.ops.tensor import Tensor
from fastnn.regularizers import unit_norm
from fastnn.utils import number

ROWS_AT_ONCE = 65_536  # of `adapt`: a memory-mapped array is never wholly in memory


class Rescaling(OneInput):
    """`inputs * scale + offset`, for example 1/255 for images.

    Parameters
    ----------
    scale : float
    offset : float, default 0.0
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = number("Rescaling: scale", scale)
        self.offset = number("Rescaling: offset", offset)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.affine(inputs, self.scale, self.offset)


class _Normalizing(OneInput):
    """Base of BatchNormalization and LayerNormalization: gamma and beta."""

    def __init__(
        self, epsilon: float, center: bool, scale: bool, beta_initializer: Any,
        gamma_initializer: Any, beta_regularizer: Any, gamma_regularizer: Any,
        beta_constraint: Any, gamma_constraint: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.epsilon = number(f"{type(self).__name__}: epsilon", epsilon, low=0)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Any = None
        self.beta: Any = None

    def add_gamma_and_beta(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, name="gamma", regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )  # fmt: skip
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, name="beta", regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )  # fmt: skip

    def axis_of(self, axis: Any, shape: Any) -> int:
        """One of the axes behind the rows, counted from the front."""
        rank = len(shape)
        if not -rank <= axis < rank or axis % rank == 0:
            raise ValueError(
                f"layer {self.name!r} ({type(self).__name__}): axis {axis} is none of the input "
                f"shape {tuple(shape)}, rows excepted"
            )
        return int(axis % rank)


class BatchNormalization(_Normalizing):
    """Brings each channel of a batch to mean 0 and variance 1, then scales and shifts it.

    In training the batch's own mean and (biased) variance are used and the moving ones follow;
    otherwise, and where `trainable` is False, the moving ones are used (Ioffe and Szegedy, ICML
    2015). A batch of one row without further axes is normalised to beta, as in Keras.

    Parameters
    ----------
    axis : int, default -1
        That of the channels; not 0, the rows.
    momentum : float, default 0.99
        moving = momentum * moving + (1 - momentum) * batch
    epsilon : float, default 0.001
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta to add, a gamma to multiply by.
    beta_initializer, gamma_initializer : default "zeros", "ones"
    moving_mean_initializer, moving_variance_initializer : default "zeros", "ones"
    beta_regularizer, gamma_regularizer : optional
    beta_constraint, gamma_constraint : optional
    renorm, renorm_clipping, renorm_momentum, synchronized
        Not supported.

    Attributes
    ----------
    gamma, beta, moving_mean, moving_variance : Variable (channels,)

    Raises
    ------
    ValueError
        A number is out of range, or the input has no such axis.
    """

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 0.001, center: bool = True,
        scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: None = None,
        renorm_momentum: float = 0.99, synchronized: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise ValueError(f"BatchNormalization: axis must be an integer, got {axis!r}")
        self.axis = int(axis)
        self.momentum = number("BatchNormalization: momentum", momentum, low=0)
        if self.momentum > 1:
            raise ValueError(f"BatchNormalization: momentum must be at most 1, got {momentum!r}")
        if renorm or synchronized:
            raise ValueError(
                "BatchNormalization: batch renormalization and statistics over several machines "
                "(renorm, synchronized) are not supported; leave them out"
            )
        refuse("BatchNormalization", renorm_clipping=renorm_clipping)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.moving_mean: Any = None
        self.moving_variance: Any = None

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[self.axis_of(self.axis, input_shape)],)
        self.add_gamma_and_beta(shape)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, name="moving_mean", trainable=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        axis = self.axis_of(self.axis, inputs.shape)
        channels = self.moving_mean.shape[0]
        if inputs.shape[axis] != channels:
            raise ValueError(
                f"layer {self.name!r} (BatchNormalization) was built for {channels} channels, got "
                f"{inputs.shape[axis]} (input shape {inputs.shape})"
            )
        follows = training and self.trainable
        return ops.batch_norm(
            inputs, self.gamma, self.beta, self.moving_mean, self.moving_variance, axis,
            self.epsilon, self.momentum if follows else None,
        )  # fmt: skip


class LayerNormalization(_Normalizing):
    """Brings each row to mean 0 and variance 1 over its last axes, then scales and shifts it.

    Ba, Kiros and Hinton, arXiv 1607.06450.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        The last axis, or the last few.
    epsilon : float, default 0.001
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta to add, a gamma to multiply by.
    beta_initializer, gamma_initializer : default "zeros", "ones"
    beta_regularizer, gamma_regularizer : optional
    beta_constraint, gamma_constraint : optional

    Attributes
    ----------
    gamma, beta : Variable, of the shape of the last axes

    Raises
    ------
    ValueError
        A number is out of range, or `axis` is not the last axes of the input.
    """

    def __init__(
        self, axis: Any = -1, epsilon: float = 0.001, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
        beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        listed = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if not listed or not all(isinstance(a, (int, np.integer)) for a in listed):
            raise TypeError(
                f"LayerNormalization: axis must be an integer or several, got {axis!r}"
            )
        self.axis = listed if isinstance(axis, (list, tuple)) else int(axis)

    def _count(self, shape: Any) -> int:
        """How many of the last axes are normalised together."""
        listed = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        axes = sorted(self.axis_of(a, shape) for a in listed)
        if axes != list(range(len(shape) - len(axes), len(shape))):
            raise ValueError(
                f"layer {self.name!r} (LayerNormalization): axis must be the last axis, or the "
                f"last few, got {self.axis} for inputs of shape {tuple(shape)}; use Permute before"
            )
        return len(axes)

    def build(self, input_shape: Any) -> None:
        self.add_gamma_and_beta(tuple(input_shape[len(input_shape) - self._count(input_shape) :]))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.layer_norm(
            inputs, self.gamma, self.beta, self._count(inputs.shape), self.epsilon
        )


class UnitNormalization(OneInput):
    """Divides each vector by its Euclidean norm (which counts as 1e-12 at least).

    Parameters
    ----------
    axis : int or tuple of int, default -1
        Over which the norm is taken.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        listed = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
        if not all(isinstance(a, (int, np.integer)) for a in listed):
            raise TypeError(f"UnitNormalization: axis must be an integer or several, got {axis!r}")
        self.axis = listed if isinstance(axis, (list, tuple)) else int(axis)

    def call(self, inputs: Tensor) -> Tensor:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        for axis in axes:
            if not -inputs.rank < axis < inputs.rank or axis == 0:
                raise ValueError(
                    f"layer {self.name!r} (UnitNormalization): axis {axis} is none of the input "
                    f"shape {inputs.shape}, rows excepted"
                )
        return unit_norm(inputs, axes, 1e-12)


class Normalization(OneInput):
    """Brings features to mean 0 and variance 1, by statistics of the data: (x - mean) / sd.

    Call `adapt(data)` first, or give mean and variance. A deviation counts as 1e-7 at least.

    Parameters
    ----------
    axis : int, tuple of int or None, default -1
        The axes whose elements have statistics of their own; None: one mean for all numbers.
    mean, variance : float or array_like, optional
        Both or none.
    invert : bool, default False
        Do the opposite: x * sd + mean.

    Raises
    ------
    ValueError
        One of `mean` and `variance` alone is given, their shapes differ or do not fit the inputs.
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"Normalization: give both mean and variance or none, got mean={mean!r}, "
                f"variance={variance!r}"
            )
        if np.shape(mean) != np.shape(variance):
            raise ValueError(
                f"Normalization: mean has shape {np.shape(mean)}, variance {np.shape(variance)}"
            )
        self.axis = None if axis is None else axis
        self.mean, self.variance, self.invert = mean, variance, bool(invert)
        self.adapt_mean: Any = None
        self.adapt_variance: Any = None

    def _kept(self, shape: Any) -> list[int]:
        """The axes with statistics of their own."""
        if self.axis is None:
            return []
        listed = self.axis if isinstance(self.axis, (list, tuple)) else [self.axis]
        rank = len(shape)
        for axis in listed:
            whole = isinstance(axis, (int, np.integer))
            if not whole or not -rank <= axis < rank or axis % rank == 0:
                raise ValueError(
                    f"layer {self.name!r} (Normalization): axis {axis!r} is none of the input "
                    f"shape {tuple(shape)}, rows excepted"
                )
        return sorted(axis % rank for axis in listed)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[i] for i in self._kept(input_shape))
        first: list[Any] = ["zeros", "ones"]
        if self.mean is not None:
            for i, (name, value) in enumerate((("mean", self.mean), ("variance", self.variance))):
                try:
                    first[i] = initializers.Constant(np.broadcast_to(np.asarray(value), shape))
                except ValueError:
                    raise ValueError(
                        f"layer {self.name!r} (Normalization): {name} has shape "
                        f"{np.shape(value)}, expected {shape}"
                    ) from None
        self.adapt_mean = self.add_weight(shape, first[0], name="mean", trainable=False)
        self.adapt_variance = self.add_weight(shape, first[1], name="variance", trainable=False)
        if self.mean is None:  # Keras' third weight, without use
            self.add_weight((), "zeros", name="count", trainable=False, dtype="int32")

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data.

        Parameters
        ----------
        data : array_like, a frame, or an iterable of batches
            Rows of features. Arrays are read in parts, so that a memory-mapped one can be larger
            than memory; batches may be (x, y), of which x is taken.

        Raises
        ------
        ValueError
            There are no rows, a value is NaN or infinite, the layer has mean and variance already,
            or the shape is not the one that the layer was built for.
        """
        if self.mean is not None:
            raise ValueError(
                f"layer {self.name!r} (Normalization) was given mean and variance; make one "
                "without them to adapt it"
            )
        total: Any = 0
        mean: Any = 0.0
        squares: Any = 0.0  # of the differences from the mean (Chan, Golub and LeVeque, 1979)
        for batch in _batches(data):
            self.ensure_built((None, *batch.shape[1:]))
            kept = self._kept(batch.shape)
            if tuple(batch.shape[i] for i in kept) != self.adapt_mean.shape:
                raise ValueError(
                    f"layer {self.name!r} (Normalization) is for features of shape "
                    f"{self.adapt_mean.shape}, adapt got data of shape {batch.shape}"
                )
            if not np.isfinite(batch).all():
                raise ValueError("adapt: data has values that are NaN or infinite")
            others = tuple(i for i in range(batch.ndim) if i not in kept)
            count = batch.size // max(self.adapt_mean.value.size, 1)
            here = batch.mean(axis=others)
            at = np.expand_dims(here, [i for i in others]) if others else here
            delta = here - mean
            squares = squares + np.square(batch - at).sum(axis=others)
            squares = squares + delta**2 * (total * count / (total + count))
            total += count
            mean = mean + delta * (count / total)
        if not total:
            raise ValueError("adapt: data has no rows")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / total)

    def call(self, inputs: Tensor) -> Tensor:
        kept = self._kept(inputs.shape)
        column = tuple(n if i in kept else 1 for i, n in enumerate(inputs.shape) if i)
        deviation = ops.unary("sqrt", self.adapt_variance)
        # Nothing is greater than itself: a zero, whatever the number.
        least = ops.affine(ops.binary("greater", deviation, deviation), 1.0, 1e-7)
        deviation = ops.reshape(ops.binary("maximum", deviation, least), column)
        mean = ops.reshape(self.adapt_mean, column)
        if self.invert:
            return ops.add(ops.multiply(inputs, deviation), mean)
        return ops.divide(ops.subtract(inputs, mean), deviation)


def _batches(data: Any) -> Iterator[np.ndarray]:
    """Rows of float64 from an array, a frame, or batches."""
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if isinstance(data, (list, tuple)) and not any(hasattr(row, "shape") for row in data):
        data = np.asarray(data)
    if hasattr(data, "__array__") and hasattr(data, "shape"):
        array = data if isinstance(data, np.ndarray) else np.asarray(data)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"adapt: data has dtype {array.dtype}, expected numbers")
        if array.ndim == 0:
            raise ValueError(f"adapt: data must have rows, got {data!r}")
        for start in range(0, len(array), ROWS_AT_ONCE):
            yield np.asarray(array[start : start + ROWS_AT_ONCE], np.float64)
        return
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        whole = data
        data = (whole[i] for i in range(len(whole)))
    if not isinstance(data, Iterable):
        raise TypeError(
            f"adapt: data must be an array or an iterable of batches, got {type(data).__name__}"
        )
    for batch in data:
        yield from _batches(np.asarray(batch[0] if isinstance(batch, tuple) else batch))
