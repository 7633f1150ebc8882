"""Activations as layers with arguments of their own: ReLU, LeakyReLU, ELU, PReLU, Softmax.

Each calls the function of the same kind in `fastnn.activations`; PReLU learns its slopes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import constraints, initializers, ops, regularizers
from fastnn.layers.core import OneInput
from fastnn.ops.tensor import Tensor
from fastnn.utils import as_list, number


class ReLU(OneInput):
    """x above the threshold, up to `max_value`; `negative_slope * (x - threshold)` below.

    Parameters
    ----------
    max_value : float, optional
        None is no limit.
    negative_slope : float, default 0.0
    threshold : float, default 0.0
    **kwargs
        `name`, `input_shape`.

    Raises
    ------
    ValueError
        One of them is negative.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else number("ReLU: max_value", max_value, low=0)
        self.negative_slope = number("ReLU: negative_slope", negative_slope, low=0)
        self.threshold = number("ReLU: threshold", threshold, low=0)

    def call(self, inputs: Tensor) -> Any:
        return ops.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(OneInput):
    """x above 0, `negative_slope * x` below (Maas et al., ICML 2013).

    Parameters
    ----------
    negative_slope : float, default 0.3
        At least 0. The function `activations.leaky_relu` has another default, 0.2, as in Keras.

    Raises
    ------
    ValueError
        `negative_slope` is negative.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = number("LeakyReLU: negative_slope", negative_slope, low=0)

    def call(self, inputs: Tensor) -> Any:
        return ops.leaky_relu(inputs, self.negative_slope)


class ELU(OneInput):
    """x above 0, `alpha * (exp(x) - 1)` below (Clevert et al., arXiv 1511.07289).

    Parameters
    ----------
    alpha : float, default 1.0
        At least 0.

    Raises
    ------
    ValueError
        `alpha` is negative.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = number("ELU: alpha", alpha, low=0)

    def call(self, inputs: Tensor) -> Any:
        return ops.elu(inputs, self.alpha)


class PReLU(OneInput):
    """x above 0, `alpha * x` below, with a learned alpha (He et al., arXiv 1502.01852).

    Parameters
    ----------
    alpha_initializer : default "zeros"
    alpha_regularizer : str or Regularizer, optional
    alpha_constraint : str or Constraint, optional
    shared_axes : int or list of int, optional
        Axes of the input (the rows are axis 0) along which all share one alpha.

    Attributes
    ----------
    alpha : Variable
        Of the shape of a row, 1 along the shared axes.

    Raises
    ------
    ValueError
        A shared axis is none of the input's axes beside the rows.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = None if shared_axes is None else as_list(shared_axes)
        self.alpha: Any = None

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or []:
            whole = isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)
            if not whole or not 1 <= axis <= len(shape):
                raise ValueError(
                    f"layer {self.name!r} (PReLU): shared_axes must be axes from 1 to {len(shape)} "
                    f"of the input shape {tuple(input_shape)}, got {self.shared_axes!r}"
                )
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            tuple(shape),
            self.alpha_initializer,
            name="alpha",
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, inputs: Tensor) -> Any:
        return ops.relu(inputs) + self.alpha * ops.minimum(inputs, 0)


class Softmax(OneInput):
    """exp(x) / sum(exp(x)) (Bridle, 1990).

    Parameters
    ----------
    axis : int, default -1
        What is summed over; not the rows.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise ValueError(f"Softmax: axis must be a whole number, got {axis!r}")
        self.axis = int(axis)

    def call(self, inputs: Tensor) -> Any:
        return ops.softmax(inputs, self.axis)
