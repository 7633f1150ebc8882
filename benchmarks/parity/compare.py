"""The largest difference between two sets of figures."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def entries(figures: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Each list of numbers in the figures, as an array, with its place."""
    if isinstance(figures, dict):
        for key, value in sorted(figures.items()):  # Keras reports its keys in another order
            yield from entries(value, f"{path}/{key}" if path else key)
    elif isinstance(figures, list) and any(isinstance(v, list) for v in figures):
        for i, value in enumerate(figures):
            yield from entries(value, f"{path}[{i}]")
    else:
        yield path, np.asarray(figures, np.float64)


def pairs(got: Any, want: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Both sides of each list of numbers.

    Raises
    ------
    AssertionError
        The figures have other names or shapes.
    """
    ours, theirs = dict(entries(got)), dict(entries(want))
    more, less = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    assert not more and not less, f"figures that Keras has not: {more}, that it has: {less}"
    for path, value in ours.items():
        shapes = value.shape, theirs[path].shape
        assert shapes[0] == shapes[1], f"{path} has shape {shapes[0]}, in Keras {shapes[1]}"
        yield path, value, theirs[path]


def largest_difference(got: Any, want: Any) -> tuple[float, str]:
    """The largest |got - want| / max(1, |want|), and its place."""
    worst, where = 0.0, "all equal"
    for path, a, b in pairs(got, want):
        with np.errstate(invalid="ignore"):
            off = np.where(a == b, 0, np.abs(a - b) / np.maximum(1, np.abs(b)))
        if off.size and not off.max() <= worst:
            worst, where = float(off.max()), path
    return worst, where
