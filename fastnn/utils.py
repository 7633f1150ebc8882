"""Keras' `utils`, and small helpers that several files of fastnn share."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from fastnn.config import set_random_seed

__all__ = ["set_random_seed"]

T = TypeVar("T")


def choose(kind: str, name: Any, choices: Mapping[str, T]) -> T:
    """The entry of `choices` called `name`; an error that lists the choices otherwise."""
    if isinstance(name, str) and name in choices:
        return choices[name]
    raise ValueError(f"unknown {kind} {name!r}; choose one of: {', '.join(sorted(choices))}")


def resolve(kind: str, identifier: Any, base: type[T], names: Mapping[str, type[T]]) -> T:
    """The object for an object of type `base`, a class, or a name (that of a class included)."""
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    classes = {cls.__name__: cls for cls in names.values()}
    if isinstance(identifier, str) and identifier in classes:
        return classes[identifier]()
    return choose(kind, identifier, names)()


def number(what: str, value: Any, low: float = -math.inf, below: float = math.inf) -> float:
    """`value` as a float, at least `low` and below `below`; `what` begins the message.

    Raises
    ------
    ValueError
        It is no finite real number (text and bool are none), or out of range.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if real and low <= value < below and math.isfinite(value):
        return float(value)
    if below < math.inf:
        limits = f"a number from {low:g} to below {below:g}"
    else:
        limits = "a finite number" + (f" of {low:g} or more" if low > -math.inf else "")
    raise ValueError(f"{what} must be {limits}, got {value!r}")


def snake_case(name: str) -> str:
    """`MyLayer` as `my_layer`: the default names of layers and metrics."""
    out = ""
    for i, letter in enumerate(name):
        starts = letter.isupper() and i > 0
        if starts and (not name[i - 1].isupper() or name[i + 1 : i + 2].islower()):
            out += "_"
        out += letter.lower()
    return out


def as_list(value: Any) -> list[Any]:
    """A list or tuple as a list, None as an empty one, anything else as a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def unlist(values: Iterable[Any]) -> Any:
    """The only element of a list of one; otherwise the list."""
    values = list(values)
    return values[0] if len(values) == 1 else values
