"""Metrics: what `compile(metrics=[...])` accepts, and what counts arrays without a model.

A metric is an op that adds to a small float64 accumulator while batches run, and a `value` that is
made of it at the end of an epoch. `base.py` holds the base class, also of your own metrics.
"""

from __future__ import annotations

import inspect
from typing import Any

from fastnn import losses, utils
from fastnn.metrics.accuracies import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    ConfusionMatrix,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from fastnn.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from fastnn.metrics.counts import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from fastnn.metrics.means import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from fastnn.utils import custom_objects, describe, resolve, snake_case

_BUILT_IN: list[type[Metric]] = [
    AUC,
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConfusionMatrix,
    CosineSimilarity,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    Precision,
    R2Score,
    Recall,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
    TrueNegatives,
    TruePositives,
]
_SHORT: dict[str, type[Metric]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
}
_CLASSES: dict[str, type[Metric]] = {
    **{snake_case(cls.__name__): cls for cls in _BUILT_IN},
    **_SHORT,
    **{name.upper(): cls for name, cls in _SHORT.items()},
    "acc": Accuracy,
    "f1_score": F1Score,
    "fbeta_score": FBetaScore,
    "r2_score": R2Score,
    "log_cosh": LogCoshError,
}


def get(identifier: Any) -> Metric:
    """The metric for a name, a class, an object, a description, or a function of your own.

    Parameters
    ----------
    identifier : str, Metric, type, dict or callable
        "accuracy", which is kept as the metric's key; Precision; {"class_name": ..., "config":
        ...}; or a function of (y_true, y_pred) that returns values per sample, made by functions
        of `fastnn.ops`.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if isinstance(identifier, str) and identifier in custom_objects():
        identifier = custom_objects()[identifier]
    if isinstance(identifier, str) and identifier in _CLASSES:
        return _CLASSES[identifier](name=identifier)
    if isinstance(identifier, dict) and identifier.get("class_name") == "MeanMetricWrapper":
        made: Metric = MeanMetricWrapper.from_config(identifier["config"])
        return made
    if isinstance(identifier, losses.Loss):
        raise ValueError(
            f"{type(identifier).__name__} is a loss; give the metric of that name, from "
            "fastnn.metrics"
        )
    own = callable(identifier) and not isinstance(identifier, (Metric, type))
    if own and not inspect.isbuiltin(identifier):
        name = getattr(identifier, "__name__", snake_case(type(identifier).__name__))
        if getattr(losses, name, None) is identifier and name in _CLASSES:
            return _CLASSES[name](name=name)
        return MeanMetricWrapper(identifier, name)
    return resolve("metric", identifier, Metric, _CLASSES)


def serialize(metric: Any) -> Any:
    """A metric as what JSON can hold; `deserialize` makes it again."""
    return describe(metric)


def deserialize(config: Any, custom_objects: Any = None) -> Metric:
    """The metric of what `serialize` returned.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict, optional
        Names of your own classes and functions.
    """
    with utils.custom_object_scope(custom_objects or {}):
        return get(config)


__all__ = [
    *(cls.__name__ for cls in _BUILT_IN),
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "Sum",
    "deserialize",
    "get",
    "serialize",
]
