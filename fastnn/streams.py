"""Streams: data that comes batch by batch. Generators, iterators, objects with batches by number.

A stream yields x, (x, y) or (x, y, sample_weight) for each batch; with several inputs or outputs
these are lists, tuples or dictionaries. Called by `training.py` and `fitting.py`.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Batch = tuple[Any, Any, Any]  # x, y, sample_weight


def is_stream(x: Any) -> bool:
    """Whether `x` yields batches, rather than being data itself."""
    plain = (str, bytes, np.ndarray, collections.abc.Sequence, collections.abc.Mapping, set)
    if x is None or isinstance(x, plain):
        return False
    if any(hasattr(x, name) for name in ("__array__", "to_numpy", "__array_interface__")):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__") or _by_number(x)


def _by_number(x: Any) -> bool:
    return hasattr(x, "__len__") and hasattr(x, "__getitem__")


class Stream:
    """Passes over a stream of batches.

    Parameters
    ----------
    given
        An iterator (one pass only), an iterable (a pass each time), or an object with `__len__` and
        `__getitem__` that gives batch number i, like `keras.utils.PyDataset`.
    what : str
        Its name in messages.
    order : callable, optional
        Gives for n the order in which a pass takes n batches that have numbers.
    """

    def __init__(
        self, given: Any, what: str, order: Callable[[int], np.ndarray] | None = None
    ) -> None:
        self.given, self.what = given, what
        self.numbered = _by_number(given)
        self.again = self.numbered or not hasattr(given, "__next__")  # whether a pass can follow
        self.order = order or np.arange
        self.number = 0  # of the next batch of the pass, from 0
        self.ranks: Any = None  # of the outputs' weights, the same for all batches
        self._pass: Iterator[Any] | None = None
        self._ahead: list[Batch] = []

    @property
    def batches(self) -> int | None:
        """Batches of a pass; None where the object does not know."""
        count = getattr(self.given, "num_batches", None) if self.numbered else None
        if count is None and hasattr(self.given, "__len__"):
            try:
                count = len(self.given)
            except TypeError:  # a DataLoader over a stream
                return None
        return None if count is None else int(count)

    def begin(self) -> None:
        """Begin a new pass; an iterator goes on with its only one."""
        if self.again:
            self._pass = None
            self._ahead.clear()
        if self._pass is None:
            self.number = 0
            self._pass = self._numbered() if self.numbered else iter(self.given)

    def _numbered(self) -> Iterator[Any]:
        for i in self.order(self.batches or 0):
            yield self.given[int(i)]

    def peek(self) -> Batch | None:
        """The next batch, which stays the next one; None at the end of the pass."""
        if not self._ahead:
            batch = self.next()
            if batch is None:
                return None
            self._ahead.append(batch)
            self.number -= 1
        return self._ahead[0]

    def next(self) -> Batch | None:
        """The next batch; None at the end of the pass."""
        if self._ahead:
            self.number += 1
            return self._ahead.pop()
        if self._pass is None:
            self.begin()
        assert self._pass is not None
        try:
            batch = next(self._pass)
        except StopIteration:
            return None
        self.number += 1
        return _unpacked(batch, self.what)

    def end_epoch(self) -> None:
        """Tell the object that an epoch has ended, as Keras does."""
        if hasattr(self.given, "on_epoch_end"):
            self.given.on_epoch_end()

    def named(self, error: object) -> str:
        """An error's message, with the number of the batch that it is about."""
        return f"batch {self.number - 1} of {self.what}: {error}"


def _unpacked(batch: Any, what: str) -> Batch:
    if isinstance(batch, (tuple, list)):
        if not 1 <= len(batch) <= 3:
            raise ValueError(
                f"{what} yielded a {type(batch).__name__} of {len(batch)}; expected x, (x, y) or "
                "(x, y, sample_weight)"
            )
        x, y, weight = (*batch, None, None)[:3]
        return x, y, weight
    return batch, None, None
