"""Optimizers, under Keras' names and with its defaults.

An optimizer is two things: its settings, and `step`, which emits the op that updates one range of
parameters. The formulas are in `fastnn.ops.optimizers`; what all optimizers have in common (clipped
gradients, averages of the weights ...) is put around them by `engine.build`. `base.py` holds the
base class, `schedules.py` the rates that change while training.
"""

from __future__ import annotations

from typing import Any

from fastnn.optimizers import schedules
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.descent import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
)
from fastnn.optimizers.lbfgs import LBFGS
from fastnn.utils import resolve

_CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, LBFGS)
}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name ("adam"), a class or an object.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    return resolve("optimizer", identifier, Optimizer, _CLASSES)


__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "SGD",
    "get",
    "schedules",
]
