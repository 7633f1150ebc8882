"""Losses that are means over elements, and those of whole rows; the formulas are in `fastnn.ops`.

Called through `fastnn.losses`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.losses.base import BuiltIn
from fastnn.ops.contract import emit
from fastnn.ops.loss_formulas import LOSSES, ROW_LOSSES
from fastnn.ops.tensor import Shape, Tensor, at_rows, count
from fastnn.utils import number


class Elementwise(BuiltIn):
    """mean(f(p, t)) over the last axis, f one of the elementwise formulas."""

    function = ""

    def parameters(self) -> tuple[float, ...]:
        """The numbers of the formula."""
        return ()

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit(
            "elementwise_loss",
            y_pred,
            y_true,
            weight,
            function=self.function,
            parameters=self.parameters(),
        )

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        return LOSSES[self.function].formula(p, t, *self.parameters()).mean(axis=-1)


class MeanSquaredError(Elementwise):
    """mean((y_pred - y_true)^2)."""

    function = "squared_error"


class MeanAbsoluteError(Elementwise):
    """mean(|y_pred - y_true|)."""

    function = "absolute_error"


class MeanAbsolutePercentageError(Elementwise):
    """100 mean(|y_true - y_pred| / max(|y_true|, 1e-7))."""

    function = "percentage_error"


class MeanSquaredLogarithmicError(Elementwise):
    """mean((log(y_pred + 1) - log(y_true + 1))^2), both at least 1e-7."""

    function = "squared_logarithmic_error"


class Huber(Elementwise):
    """mean of e^2 / 2 where |e| = |y_pred - y_true| <= delta, else delta |e| - delta^2 / 2.

    Parameters
    ----------
    delta : float, default 1.0
        Where the square becomes a straight line (Huber, 1964).
    """

    function = "huber"
    default_name = "huber_loss"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = number("Huber: delta", delta, low=0)

    def parameters(self) -> tuple[float, ...]:
        return (self.delta,)


class LogCosh(Elementwise):
    """mean(log(cosh(y_pred - y_true)))."""

    function = "log_cosh"


class Poisson(Elementwise):
    """mean(y_pred - y_true log(y_pred + 1e-7))."""

    function = "poisson"


class Hinge(Elementwise):
    """mean(max(1 - y_true y_pred, 0)); y_true holds -1 and 1, or 0 and 1.

    A label 0 is taken as -1, whatever else is in its batch; data with all three is refused.
    """

    function = "hinge"
    signed = True


class SquaredHinge(Hinge):
    """mean(max(1 - y_true y_pred, 0)^2); labels as for Hinge."""

    function = "squared_hinge"


class KLDivergence(Elementwise):
    """sum(y_true log(y_true / y_pred)) over the last axis, both within [1e-7, 1]."""

    function = "kl_divergence"
    bounded = True

    def values_of(self, shape: Shape) -> int:
        return at_rows(count(shape[:-1] or (1,)), 1)

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        return super().row_values(t, p) * p.shape[-1]


class OfRows(BuiltIn):
    """A loss of whole rows."""

    function = ""
    by_rows = True

    def values_of(self, shape: Shape) -> int:
        return at_rows(count(shape[:-1] or (1,)), 1)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("row_loss", y_pred, y_true, weight, function=self.function)

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        return ROW_LOSSES[self.function].formula(p, t)


class RootMeanSquaredError(OfRows):
    """sqrt(mean((y_pred - y_true)^2)) over the last axis, mean over rows; Keras has no such loss.

    With one output it is the mean absolute error. The metric of this name takes the root last.
    """

    function = "root_squared_error"


class CategoricalHinge(OfRows):
    """max(max((1 - y_true) y_pred) - sum(y_true y_pred) + 1, 0) over the last axis."""

    function = "categorical_hinge"


def last_axis(loss: str, axis: Any) -> int:
    """-1, the only axis that is supported."""
    if axis != -1:
        raise ValueError(
            f"{loss}: axis={axis!r} is not supported, classes are on the last one; leave it out"
        )
    return -1


class CosineSimilarity(OfRows):
    """-(y_true y_pred) / (|y_true| |y_pred|) over the last axis: -1 where they point the same way.

    Parameters
    ----------
    axis : int, default -1
        Other values are not supported.
    """

    function = "cosine_similarity"

    def __init__(
        self,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = last_axis("CosineSimilarity", axis)
