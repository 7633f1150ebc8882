"""Metrics that are the mean of a loss, its root, and the coefficient of determination.

Called through `fastnn.metrics`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnn import losses, ops
from fastnn.metrics.base import Metric, OfLoss
from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor
from fastnn.utils import number


class MeanSquaredError(OfLoss):
    """mean((y_pred - y_true)^2)."""

    def loss(self) -> Any:
        return losses.MeanSquaredError()


class RootMeanSquaredError(MeanSquaredError):
    """sqrt(mean((y_pred - y_true)^2)), the root of the mean over all rows."""

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return float(np.sqrt(super().value(sums, y_pred_shape)))


class MeanAbsoluteError(OfLoss):
    """mean(|y_pred - y_true|)."""

    def loss(self) -> Any:
        return losses.MeanAbsoluteError()


class MeanAbsolutePercentageError(OfLoss):
    """100 mean(|y_true - y_pred| / max(|y_true|, 1e-7))."""

    def loss(self) -> Any:
        return losses.MeanAbsolutePercentageError()


class MeanSquaredLogarithmicError(OfLoss):
    """mean((log(y_pred + 1) - log(y_true + 1))^2)."""

    def loss(self) -> Any:
        return losses.MeanSquaredLogarithmicError()


class LogCoshError(OfLoss):
    """mean(log(cosh(y_pred - y_true)))."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or "logcosh")

    def loss(self) -> Any:
        return losses.LogCosh()


class Hinge(OfLoss):
    """mean(max(1 - y_true y_pred, 0)); a label 0 is taken as -1."""

    def loss(self) -> Any:
        return losses.Hinge()


class SquaredHinge(OfLoss):
    """mean(max(1 - y_true y_pred, 0)^2); a label 0 is taken as -1."""

    def loss(self) -> Any:
        return losses.SquaredHinge()


class CategoricalHinge(OfLoss):
    """max(max((1 - y_true) y_pred) - sum(y_true y_pred) + 1, 0), mean over rows."""

    def loss(self) -> Any:
        return losses.CategoricalHinge()


class KLDivergence(OfLoss):
    """sum(y_true log(y_true / y_pred)), mean over rows."""

    def loss(self) -> Any:
        return losses.KLDivergence()


class Poisson(OfLoss):
    """mean(y_pred - y_true log(y_pred + 1e-7))."""

    def loss(self) -> Any:
        return losses.Poisson()


class CosineSimilarity(OfLoss):
    """(y_true y_pred) / (|y_true| |y_pred|), mean over rows: 1 where they point the same way.

    Parameters
    ----------
    name, dtype
        As in Metric.
    axis : int, default -1
        Other values are not supported.
    """

    direction = "max"

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name)
        self.axis = axis
        self.loss()

    def loss(self) -> Any:
        return losses.CosineSimilarity(self.axis)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return -super().value(sums, y_pred_shape)


class BinaryCrossentropy(OfLoss):
    """mean(-t log p - (1 - t) log(1 - p)).

    Parameters
    ----------
    name, dtype
        As in Metric.
    from_logits : bool, default False
    label_smoothing : float, default 0
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing
        self.loss()

    def loss(self) -> Any:
        return losses.BinaryCrossentropy(self.from_logits, self.label_smoothing, name=self.name)


class CategoricalCrossentropy(OfLoss):
    """-sum(t log p) over the last axis, mean over rows.

    Parameters
    ----------
    name, dtype
        As in Metric.
    from_logits : bool, default False
    label_smoothing : float, default 0
    axis : int, default -1
        Other values are not supported.
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis
        self.loss()

    def loss(self) -> Any:
        made = losses.CategoricalCrossentropy
        return made(self.from_logits, self.label_smoothing, self.axis, name=self.name)


class SparseCategoricalCrossentropy(OfLoss):
    """-log p[label], mean over rows; y_true holds class indices.

    Parameters
    ----------
    name, dtype
        As in Metric.
    from_logits : bool, default False
    ignore_class : int, optional
        Rows (or positions) with this label count nothing.
    axis : int, default -1
        Other values are not supported.
    """

    target = "labels"

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
        self.loss()

    def loss(self) -> Any:
        made = losses.SparseCategoricalCrossentropy
        return made(self.from_logits, self.ignore_class, axis=self.axis, name=self.name)

    def resolve(self, loss: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
        ignored = getattr(loss, "ignore_class", None)
        if ignored is not None and ignored != self.ignore_class:
            raise ValueError(
                f"metric {self.name!r} has ignore_class={self.ignore_class!r}, but the loss has "
                f"{ignored!r}; give both the same"
            )
        return self

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        if self.ignore_class is not None and y_true.dtype == "int32":
            mask, y_true = emit("keep_labels", y_true, ignored=self.ignore_class)
            if weight is not None and weight.rank < mask.rank:
                weight = ops.reshape(weight, (*weight.shape, *(1,) * (mask.rank - weight.rank)))
            weight = mask if weight is None else ops.multiply(mask, weight)
        return super().sums(y_true, y_pred, weight)


class R2Score(Metric):
    """1 - sum((y_true - y_pred)^2) / sum((y_true - mean(y_true))^2): 1 is perfect, 0 is the mean.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        How several outputs make one number; None gives one each.
    num_regressors : int, default 0
        Above 0 the adjusted R2 for so many inputs.
    name, dtype
        As in Metric.
    """

    target = "like"
    direction = "max"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or "r2_score")
        choices = ("uniform_average", "variance_weighted_average", None)
        if class_aggregation not in choices:
            raise ValueError(
                f"R2Score: class_aggregation must be one of {choices}, got {class_aggregation!r}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = int(number("R2Score: num_regressors", num_regressors, low=0))

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("r2_sums", y_pred, y_true, weight)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> Any:
        total, squares, errors, weights, rows = sums.reshape(5, -1)
        with np.errstate(all="ignore"):
            spread = squares - total * total / weights
            scores = 1 - errors / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation is not None:
            scores = (spread * scores).sum() / spread.sum()
        count = float(rows.sum())  # numbers, as Keras counts them
        if self.num_regressors and self.num_regressors >= count - 1:
            warnings.warn(
                f"R2Score: {self.num_regressors} regressors need more than "
                f"{self.num_regressors + 1} values, there are {count:g}; R2 is not adjusted",
                stacklevel=2,
            )
        elif self.num_regressors:
            scores = 1 - (1 - scores) * (count - 1) / (count - self.num_regressors - 1)
        return float(scores) if np.ndim(scores) == 0 else scores
