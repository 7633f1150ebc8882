"""Accuracies, top-k and the confusion matrix. Called through `fastnn.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.metrics.base import Metric
from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor, at_rows, count
from fastnn.utils import number


def _needs_classes(metric: Metric, y_pred_shape: Any) -> None:
    if len(y_pred_shape) < 2 or y_pred_shape[-1] < 2:
        raise ValueError(
            f"metric {metric.name!r} needs at least 2 classes, but the output has shape "
            f"{y_pred_shape}; use binary_accuracy for one output"
        )


class BinaryAccuracy(Metric):
    """How often (prediction > threshold) is the target, 0 or 1.

    Parameters
    ----------
    name, dtype
        As in Metric.
    threshold : float, default 0.5
    """

    target = "like"
    direction = "max"

    def __init__(
        self, name: str | None = None, dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(name)
        self.threshold = number("BinaryAccuracy: threshold", threshold, low=0, below=1)
        if self.threshold == 0:
            raise ValueError(f"BinaryAccuracy: threshold must be above 0, got {threshold!r}")

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("binary_accuracy", y_pred, y_true, weight, threshold=self.threshold)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return super().value(sums, y_pred_shape) / at_rows(count(y_pred_shape), 1)


class CategoricalAccuracy(Metric):
    """How often the largest prediction is the class of a one-hot target."""

    target = "like"
    either = True
    direction = "max"

    def check(self, y_pred_shape: Any) -> None:
        _needs_classes(self, y_pred_shape)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("categorical_accuracy", y_pred, y_true, weight)


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """How often the largest prediction is the class that y_true names."""

    target = "labels"


class TopKCategoricalAccuracy(CategoricalAccuracy):
    """How often the class of a one-hot target is among the k largest predictions.

    Parameters
    ----------
    k : int, default 5
    name, dtype
        As in Metric.
    """

    default_name = "top_k_categorical_accuracy"

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or self.default_name)
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
            raise ValueError(f"{type(self).__name__}: k must be an integer of 1 or more, got {k!r}")
        self.k = int(k)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("top_k_accuracy", y_pred, y_true, weight, k=self.k)


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """How often the class that y_true names is among the k largest predictions.

    Parameters
    ----------
    k : int, default 5
    name, dtype
        As in Metric.
    """

    target = "labels"
    default_name = "sparse_top_k_categorical_accuracy"


class Accuracy(Metric):
    """The binary, categorical or sparse accuracy, whichever fits data and output.

    Binary for one output, sparse where y_true holds one class index per row, else categorical; so
    several yes-or-no outputs want "binary_accuracy", as in Keras.
    """

    target = "like"
    either = True
    direction = "max"

    def resolve(self, loss: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
        """The accuracy that fits, under this metric's name."""
        if y_pred_shape[-1] == 1:
            return BinaryAccuracy(self.name)
        fewer = y_true_shape is not None and (
            len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1
        )
        if fewer or (loss is not None and loss.target == "labels"):
            return SparseCategoricalAccuracy(self.name)
        return CategoricalAccuracy(self.name)


class ConfusionMatrix(Metric):
    """Counts of (true class, predicted class), an array (classes, classes).

    Parameters
    ----------
    name : str, optional
    sparse : bool, default True
        Whether y_true holds class indices; otherwise it is one-hot.
    """

    either = True

    def __init__(self, name: str | None = None, sparse: bool = True) -> None:
        super().__init__(name)
        self.sparse = bool(sparse)
        self.target = "labels" if sparse else "like"

    def check(self, y_pred_shape: Any) -> None:
        _needs_classes(self, y_pred_shape)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("confusion_matrix", y_pred, y_true, weight)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> np.ndarray:
        classes = y_pred_shape[-1]
        return sums.reshape(classes, classes).copy()
