"""Losses: what `compile(loss=...)` accepts, and the same formulas as functions on arrays.

`MeanSquaredError()(y_true, y_pred)` is one number, `mean_squared_error(y_true, y_pred)` one per
row. `base.py` holds the base class, also of your own losses.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.losses.base import FunctionLoss, Loss, LossFunctionWrapper
from fastnn.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    Crossentropy,
    SparseCategoricalCrossentropy,
)
from fastnn.losses.elementwise import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SquaredHinge,
)
from fastnn.utils import custom_objects, describe, resolve, snake_case


def _function(cls: type[Loss]) -> Callable[..., np.ndarray]:
    """The loss as a function of two arrays: one value per row, not reduced."""
    settings = [
        p.replace(kind=p.POSITIONAL_OR_KEYWORD)
        for p in inspect.signature(cls).parameters.values()
        if p.name not in ("reduction", "name", "dtype")
    ]
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    pair = [inspect.Parameter(name, either) for name in ("y_true", "y_pred")]
    signature = inspect.Signature([*pair, *settings])

    def function(*args: Any, **kwargs: Any) -> np.ndarray:
        given = signature.bind(*args, **kwargs).arguments
        y_true, y_pred = given.pop("y_true"), given.pop("y_pred")
        return cls(**given).call(y_true, y_pred)

    function.__name__ = function.__qualname__ = snake_case(cls.__name__)
    about = (cls.__doc__ or "").rstrip()
    function.__doc__ = f"{about}\n\n    Returns one value per row of y_pred.\n    "
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


binary_crossentropy = _function(BinaryCrossentropy)
binary_focal_crossentropy = _function(BinaryFocalCrossentropy)
categorical_crossentropy = _function(CategoricalCrossentropy)
categorical_focal_crossentropy = _function(CategoricalFocalCrossentropy)
categorical_hinge = _function(CategoricalHinge)
cosine_similarity = _function(CosineSimilarity)
hinge = _function(Hinge)
huber = _function(Huber)
kl_divergence = _function(KLDivergence)
log_cosh = _function(LogCosh)
mean_absolute_error = _function(MeanAbsoluteError)
mean_absolute_percentage_error = _function(MeanAbsolutePercentageError)
mean_squared_error = _function(MeanSquaredError)
mean_squared_logarithmic_error = _function(MeanSquaredLogarithmicError)
poisson = _function(Poisson)
root_mean_squared_error = _function(RootMeanSquaredError)
sparse_categorical_crossentropy = _function(SparseCategoricalCrossentropy)
squared_hinge = _function(SquaredHinge)

_BUILT_IN: list[type[Loss]] = [
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Crossentropy,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
]
_SHORT: dict[str, type[Loss]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "rmse": RootMeanSquaredError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}
_CLASSES: dict[str, type[Loss]] = {
    **{snake_case(cls.__name__): cls for cls in _BUILT_IN},
    **_SHORT,
    **{name.upper(): cls for name, cls in _SHORT.items()},
    "ce": Crossentropy,
}
_OTHERS = {"FunctionLoss": FunctionLoss, "LossFunctionWrapper": FunctionLoss}
_FUNCTIONS = {
    globals()[snake_case(cls.__name__)]: cls for cls in _BUILT_IN if cls is not Crossentropy
}


def get(identifier: Any) -> Loss:
    """The loss for a name, a class, an object, a description, or a function of your own.

    Parameters
    ----------
    identifier : str, Loss, type, dict or callable
        "mse"; MeanSquaredError; {"class_name": ..., "config": ...}; or a function of
        (y_true, y_pred) that returns one value per sample, made by functions of `fastnn.ops`.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if isinstance(identifier, str) and identifier in custom_objects():
        identifier = custom_objects()[identifier]
    if isinstance(identifier, dict) and identifier.get("class_name") in _OTHERS:
        return FunctionLoss.from_config(identifier["config"])
    if inspect.isfunction(identifier) or inspect.ismethod(identifier):
        cls = _FUNCTIONS.get(identifier)
        return FunctionLoss(identifier) if cls is None else cls()
    own = callable(identifier) and not isinstance(identifier, (Loss, type))
    if own and not inspect.isbuiltin(identifier):
        return FunctionLoss(identifier, name=snake_case(type(identifier).__name__))
    return resolve("loss", identifier, Loss, _CLASSES)


def serialize(loss: Any) -> Any:
    """A loss as what JSON can hold; `deserialize` makes it again."""
    return describe(loss)


def deserialize(config: Any, custom_objects: Any = None) -> Loss:
    """The loss of what `serialize` returned.

    Parameters
    ----------
    config : dict or str
    custom_objects : dict, optional
        Names of your own classes and functions.
    """
    from fastnn.utils import custom_object_scope

    with custom_object_scope(custom_objects or {}):
        return get(config)


__all__ = [
    *(cls.__name__ for cls in _BUILT_IN if cls is not Crossentropy),
    *(function.__name__ for function in _FUNCTIONS),
    "Loss",
    "LossFunctionWrapper",
    "deserialize",
    "get",
    "serialize",
]
