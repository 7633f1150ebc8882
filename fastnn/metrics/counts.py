"""Metrics of true and false positives: precision, recall, AUC, F scores.

Their accumulator counts, for ones and zeros, how many thresholds a prediction is above; what lies
beyond each threshold follows from that. Called through `fastnn.metrics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn.metrics.base import Metric
from fastnn.ops.contract import emit
from fastnn.ops.metrics import MAX_THRESHOLDS
from fastnn.ops.tensor import Tensor
from fastnn.utils import as_list, number

EPSILON = 1e-7


def _ratio(a: Any, b: Any) -> Any:
    """a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


class _Counts:
    """True and false positives and negatives at each threshold, from their accumulator."""

    def __init__(self, sums: np.ndarray) -> None:
        ones, zeros = sums.reshape(2, -1)
        self.tp, self.fp = (np.cumsum(x[::-1])[::-1][1:] for x in (ones, zeros))
        self.fn, self.tn = ones.sum() - self.tp, zeros.sum() - self.fp
        self.precision = _ratio(self.tp, self.tp + self.fp)
        self.recall = _ratio(self.tp, self.tp + self.fn)


class _AtThresholds(Metric):
    """A number for each threshold that predictions are compared with."""

    target = "like"

    def __init__(
        self, thresholds: Any = None, name: str | None = None, default: float = 0.5
    ) -> None:
        super().__init__(name)
        kind = type(self).__name__
        self.thresholds = thresholds
        given = as_list(default if thresholds is None else thresholds)
        if thresholds is None and default < 0:
            self._levels = [default]
        else:
            self._levels = [number(f"{kind}: thresholds", level, low=0) for level in given]
        if any(level > 1 for level in self._levels):
            raise ValueError(f"{kind}: thresholds must lie from 0 to 1, got {thresholds!r}")
        if not 1 <= len(given) <= MAX_THRESHOLDS:
            raise ValueError(
                f"{kind}: from 1 to {MAX_THRESHOLDS} thresholds are possible, got {len(given)}; "
                "AUC has as many as you like"
            )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        levels = tuple(sorted(self._levels))
        return emit("threshold_counts", y_pred, y_true, weight, thresholds=levels)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> Any:
        order = np.searchsorted(sorted(self._levels), self._levels)
        values = self.of(_Counts(sums))[order]
        return float(values[0]) if len(values) == 1 else values

    def of(self, counts: _Counts) -> np.ndarray:
        """The metric at each threshold."""
        raise NotImplementedError


class TruePositives(_AtThresholds):
    """Weight of the ones that are predicted above the threshold.

    Parameters
    ----------
    thresholds : float or list of float, default 0.5
    name, dtype
        As in Metric.
    """

    direction = "max"

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name)

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.tp


class TrueNegatives(TruePositives):
    """Weight of the zeros that are not predicted above the threshold; as TruePositives."""

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.tn


class FalsePositives(TruePositives):
    """Weight of the zeros that are predicted above the threshold; as TruePositives."""

    direction = "min"

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.fp


class FalseNegatives(FalsePositives):
    """Weight of the ones that are not predicted above the threshold; as TruePositives."""

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.fn


class Precision(_AtThresholds):
    """Of what is predicted above the threshold, the part that is right.

    Parameters
    ----------
    thresholds : float or list of float, default 0.5
        With `top_k`, by default none.
    top_k : int, optional
        Only the k largest predictions of a row count as predicted.
    class_id : int, optional
        Look at this column only.
    name, dtype
        As in Metric.
    """

    direction = "max"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name, 0.5 if top_k is None else -1e10)
        for what, value, least in (("top_k", top_k, 1), ("class_id", class_id, 0)):
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if value is not None and (not whole or value < least):
                raise ValueError(
                    f"{type(self).__name__}: {what} must be an integer of {least} or more, got "
                    f"{value!r}"
                )
        self.top_k, self.class_id = top_k, class_id

    def check(self, y_pred_shape: Any) -> None:
        if self.class_id is not None and self.class_id >= y_pred_shape[-1]:
            raise ValueError(
                f"metric {self.name!r} looks at class_id={self.class_id}, but the output has "
                f"{y_pred_shape[-1]} columns"
            )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        if self.top_k is not None:
            y_pred = emit("top_k_only", y_pred, k=int(self.top_k))
        if self.class_id is not None:
            column = [None] * (y_pred.rank - 1) + [(self.class_id, self.class_id + 1)]
            y_pred, y_true = ops.slice_(y_pred, column), ops.slice_(y_true, column)
        return super().sums(y_true, y_pred, weight)

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.precision


class Recall(Precision):
    """Of the ones, the part that is predicted above the threshold; as Precision."""

    def of(self, counts: _Counts) -> np.ndarray:
        return counts.recall


class AUC(Metric):
    """Area under the curve of true over false positives (ROC), or of precision over recall (PR).

    A sum over `num_thresholds` thresholds, spread evenly; predictions lie from 0 to 1. The PR curve
    is interpolated as by Davis and Goadrich (2006).

    Parameters
    ----------
    num_thresholds : int, default 200
    curve : {"ROC", "PR"}
    summation_method : {"interpolation", "minoring", "majoring"}
    name, dtype
        As in Metric.
    thresholds : list of float, optional
        Thresholds of your own between 0 and 1, at most 30.
    multi_label, num_labels, label_weights
        Not supported: all columns count as one.
    from_logits : bool, default False
        Whether predictions are made probabilities by sigmoid first.
    """

    target = "like"
    direction = "max"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name or "auc")
        for what, value, plain in (
            ("multi_label", multi_label, False),
            ("num_labels", num_labels, None),
            ("label_weights", label_weights, None),
        ):
            if value != plain:
                raise ValueError(f"AUC: {what}={value!r} is not supported; leave it out")
        for what, value, choices in (
            ("curve", curve, ("ROC", "PR")),
            ("summation_method", summation_method, ("interpolation", "minoring", "majoring")),
        ):
            if value not in choices:
                raise ValueError(
                    f"AUC: {what} must be one of: {', '.join(choices)}; got {value!r}"
                )
        self.curve, self.summation_method = curve, summation_method
        self.from_logits = bool(from_logits)
        self.num_thresholds, self.thresholds = num_thresholds, thresholds
        self._levels: Any = None
        if thresholds is not None:
            inner = sorted(number("AUC: thresholds", level, low=0) for level in thresholds)
            if len(inner) > MAX_THRESHOLDS - 2 or (inner and inner[-1] > 1):
                raise ValueError(
                    f"AUC: thresholds must be at most {MAX_THRESHOLDS - 2} numbers from 0 to 1, "
                    f"got {thresholds!r}"
                )
            self._levels = (-EPSILON, *inner, 1 + EPSILON)
            self.num_thresholds = len(self._levels)
        whole = isinstance(num_thresholds, (int, np.integer)) and num_thresholds > 1
        if thresholds is None and not whole:
            raise ValueError(f"AUC: num_thresholds must be 2 or more, got {num_thresholds!r}")

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        if self.from_logits:
            y_pred = ops.apply_activation("sigmoid", y_pred)
        levels = self._levels or int(self.num_thresholds)
        return emit("threshold_counts", y_pred, y_true, weight, thresholds=levels)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        counts = _Counts(sums)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated(counts)
        x, y = counts.recall, counts.precision
        if self.curve == "ROC":
            x, y = _ratio(counts.fp, counts.fp + counts.tn), counts.recall
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return float(((x[:-1] - x[1:]) * heights).sum())

    def _interpolated(self, counts: _Counts) -> float:
        """Between two thresholds tp is a straight line in tp + fp: tp = slope (tp + fp) + start."""
        tp, positive = counts.tp, counts.tp + counts.fp
        change = tp[:-1] - tp[1:]
        slope = _ratio(change, np.maximum(positive[:-1] - positive[1:], 0))
        start = tp[1:] - slope * positive[1:]
        both = (positive[:-1] > 0) & (positive[1:] > 0)
        growth = np.where(both, _ratio(positive[:-1], positive[1:]), 1.0)
        parts = slope * (change + start * np.log(growth))
        return float(_ratio(parts, tp[1:] + counts.fn[1:]).sum())


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), per class or averaged.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        None gives an array with one number per class; "micro" counts all classes together, "macro"
        is the mean over classes, "weighted" heeds how often each is the target.
    beta : float, default 1.0
        How much more recall counts than precision.
    threshold : float, optional
        Above it a class is predicted; by default the largest of a row is.
    name, dtype
        As in Metric.
    """

    target = "like"
    direction = "max"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        super().__init__(name or ("f1_score" if kind == "F1Score" else "fbeta_score"))
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"{kind}: average must be None, 'micro', 'macro' or 'weighted', got {average!r}"
            )
        self.average = average
        self.beta = number(f"{kind}: beta", beta)
        if self.beta <= 0:
            raise ValueError(f"{kind}: beta must be above 0, got {beta!r}")
        if threshold is not None and not 0 < number(f"{kind}: threshold", threshold) <= 1:
            raise ValueError(f"{kind}: threshold must be above 0 and at most 1, got {threshold!r}")
        self.threshold = threshold

    def check(self, y_pred_shape: Any) -> None:
        if len(y_pred_shape) != 2:
            raise ValueError(
                f"metric {self.name!r} needs outputs of shape (rows, classes), but the output has "
                f"shape {y_pred_shape}"
            )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("class_counts", y_pred, y_true, weight, threshold=self.threshold)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> Any:
        true, predicted, wanted = sums.reshape(3, -1)
        weights = wanted / (wanted.sum() + EPSILON)
        if self.average == "micro":
            true, predicted, wanted = true.sum(), predicted.sum(), wanted.sum()
        precision, recall = true / (predicted + EPSILON), true / (wanted + EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average is None:
            return score
        return float((score * weights).sum() if self.average == "weighted" else score.mean())


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), per class or averaged.

    Parameters
    ----------
    average, threshold, name, dtype
        As in FBetaScore.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name)
