"""Keras' `utils`, and small helpers that several files of fastnn share."""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from fastnn.config import set_random_seed
from fastnn.preparing import (
    normalize,
    pad_sequences,
    split_dataset,
    timeseries_dataset_from_array,
    to_categorical,
)

__all__ = [
    "custom_object_scope",
    "normalize",
    "pad_sequences",
    "set_random_seed",
    "split_dataset",
    "timeseries_dataset_from_array",
    "to_categorical",
]

T = TypeVar("T")

# --- objects that are described by the arguments that make them ----------------------------------


class Configurable:
    """What can be written down as its constructor's arguments, and made again from them.

    A subclass keeps each argument as an attribute of the same name; what is kept otherwise it adds
    in a `get_config` of its own.
    """

    _undescribed: tuple[str, ...] = ()  # arguments that are attributes but follow from others

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what JSON can hold; `from_config` takes them."""
        return {
            name: describe(getattr(self, name))
            for name in arguments(type(self))
            if name not in self._undescribed and hasattr(self, name)
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new object from what `get_config` returned."""
        return cls(**config)


def arguments(cls: type) -> list[str]:
    """Names of the arguments that `cls(...)` takes; **kwargs are those of the next base class."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if base is object or "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        rest = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names |= {p.name: None for p in parameters if p not in rest}
        if not rest:
            break
    return list(names)


def describe(value: Any) -> Any:
    """`value` as what JSON can hold: an object as its class name and config, a function by name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if isinstance(value, dict):
        return {str(key): describe(v) for key, v in value.items()}
    if isinstance(value, Configurable):
        _note(type(value))
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if callable(value) and hasattr(value, "__name__"):
        _note(value)
        return value.__name__
    raise TypeError(
        f"{value!r} cannot be written down; define get_config() in the class that holds it"
    )


_local = threading.local()


@contextlib.contextmanager
def own_objects() -> Iterator[dict[str, Any]]:
    """Inside the `with`, `describe` notes each class and function that is not fastnn's, by name."""
    outer = getattr(_local, "own", None)
    _local.own = {}
    try:
        yield _local.own
    finally:
        _local.own = outer


def _note(thing: Any) -> None:
    own = getattr(_local, "own", None)
    if own is None or str(thing.__module__).partition(".")[0] == "fastnn":
        return
    if own.setdefault(thing.__name__, thing) is not thing:
        raise ValueError(
            f"two different classes or functions are called {thing.__name__!r}; rename one of them"
        )


@contextlib.contextmanager
def custom_object_scope(objects: Mapping[str, Any]) -> Iterator[None]:
    """Inside the `with`, names of your own classes and functions are known.

    Parameters
    ----------
    objects : dict
        Name to class or function.
    """
    outer = custom_objects()
    _local.objects = {**outer, **objects}
    try:
        yield
    finally:
        _local.objects = outer


def custom_objects() -> dict[str, Any]:
    """The names of the open scopes."""
    found: dict[str, Any] = getattr(_local, "objects", {})
    return found


# --- looking things up by name -------------------------------------------------------------------


def choose(kind: str, name: Any, choices: Mapping[str, T]) -> T:
    """The entry of `choices` called `name`; an error that lists the choices otherwise."""
    if isinstance(name, str) and name in custom_objects():
        found: T = custom_objects()[name]
        return found
    if isinstance(name, str) and name in choices:
        return choices[name]
    raise ValueError(f"unknown {kind} {name!r}; choose one of: {', '.join(sorted(choices))}")


def resolve(kind: str, identifier: Any, base: type[T], names: Mapping[str, type[T]]) -> T:
    """The object for an object of type `base`, a class, a name or a description.

    A name can be that of a class; a description is what `describe` makes of an object.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    classes = {**names, **{cls.__name__: cls for cls in names.values()}}
    if isinstance(identifier, dict) and set(identifier) == {"class_name", "config"}:
        cls: Any = choose(kind, identifier["class_name"], classes)
        made: T = cls.from_config(identifier["config"])
        return made
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
