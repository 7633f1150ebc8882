"""Metrics: what `compile(metrics=[...])` accepts.

A metric is an op that adds to a small float64 accumulator while batches run, and `result`, which
makes a number (or an array) of it at the end of an epoch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import losses
from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor, at_rows, count
from fastnn.utils import Configurable, number, resolve, snake_case


class Metric(Configurable):
    """Base class.

    Parameters
    ----------
    name : str, optional
        The key in `History.history`.

    Attributes
    ----------
    target : {"like", "labels"}
        Whether y_true looks like the prediction, or holds one class index per row.
    direction : {"max", "min", None}
        Which values are better, for callbacks that monitor the metric.
    """

    target = "like"
    either = False  # whether its op reads class indices as well as one-hot rows
    ignore_class: int | None = None
    bounded = False
    signed = False
    direction: str | None = None

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def resolve(self, loss: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
        """The metric for a loss (or None) and such data; itself, unless it stands for several."""
        return self

    def check(self, y_pred_shape: Any) -> None:
        """Raise ValueError where this metric cannot follow such an output."""

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        """Emit the op; returns its accumulator."""
        raise NotImplementedError

    def result(self, sums: np.ndarray, y_pred_shape: Any) -> Any:
        """The metric's value, from its accumulator and the shape of the prediction."""
        raise NotImplementedError


class _Mean(Metric):
    """Mean over rows: sum of weight * value over sum of weights."""

    def result(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return float(sums[0] / sums[1]) if sums[1] else 0.0


class CategoricalAccuracy(_Mean):
    """How often the largest prediction is the class of a one-hot target."""

    either = True
    direction = "max"

    def check(self, y_pred_shape: Any) -> None:
        _needs_classes(self, y_pred_shape)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("categorical_accuracy", y_pred, y_true, weight)


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """How often the largest prediction is the class that y_true names."""

    target = "labels"


class _ElementMean(_Mean):
    """Mean over rows and the elements of a row."""

    def result(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return super().result(sums, y_pred_shape) / at_rows(count(y_pred_shape), 1)


class BinaryAccuracy(_ElementMean):
    """How often (prediction > threshold) is the target, 0 or 1.

    Parameters
    ----------
    name : str, optional
    threshold : float, default 0.5
    """

    direction = "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = number("BinaryAccuracy: threshold", threshold, low=0, below=1)
        if self.threshold == 0:
            raise ValueError(f"BinaryAccuracy: threshold must be above 0, got {threshold!r}")

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("binary_accuracy", y_pred, y_true, weight, threshold=self.threshold)


class MeanSquaredError(_ElementMean):
    """mean((y_pred - y_true)^2)."""

    direction = "min"

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return losses.MeanSquaredError().sums(y_true, y_pred, weight)


class MeanAbsoluteError(_ElementMean):
    """mean(|y_pred - y_true|)."""

    direction = "min"

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return losses.MeanAbsoluteError().sums(y_true, y_pred, weight)


class Accuracy(Metric):
    """The binary, categorical or sparse accuracy, whichever fits loss and output shape."""

    def resolve(self, loss: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
        """The accuracy that fits, under this metric's name."""
        if loss is not None and loss.target == "labels":
            return SparseCategoricalAccuracy(self.name)
        if y_pred_shape[-1] == 1 or isinstance(loss, losses.BinaryCrossentropy):
            return BinaryAccuracy(self.name)
        return CategoricalAccuracy(self.name)


class ConfusionMatrix(Metric):
    """Counts of (true class, predicted class), an array (classes, classes).

    Parameters
    ----------
    name : str, optional
    sparse : bool, default True
        Whether y_true holds class indices; otherwise it is one-hot.
    """

    def __init__(self, name: str | None = None, sparse: bool = True) -> None:
        super().__init__(name)
        self.sparse = bool(sparse)
        self.target = "labels" if sparse else "like"
        self.either = True

    def check(self, y_pred_shape: Any) -> None:
        _needs_classes(self, y_pred_shape)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("confusion_matrix", y_pred, y_true, weight)

    def result(self, sums: np.ndarray, y_pred_shape: Any) -> np.ndarray:
        classes = y_pred_shape[-1]
        return sums.reshape(classes, classes).copy()


def _needs_classes(metric: Metric, y_pred_shape: Any) -> None:
    if len(y_pred_shape) < 2 or y_pred_shape[-1] < 2:
        raise ValueError(
            f"metric {metric.name!r} needs at least 2 classes, but the output has shape "
            f"{y_pred_shape}; use binary_accuracy for one output"
        )


_CLASSES: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "confusion_matrix": ConfusionMatrix,
}


def get(identifier: Any) -> Metric:
    """The metric for a name ("accuracy"), a class or an object. A name is kept as its key.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if isinstance(identifier, str) and identifier in _CLASSES:
        return _CLASSES[identifier](name=identifier)
    return resolve("metric", identifier, Metric, _CLASSES)
