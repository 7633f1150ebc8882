"""The only mutable globals: the float type and the seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

VERSION = "0.1.0.dev0"

FLOAT_TYPES = ("float32", "float64")

_floatx = "float32"
_seeds: Any = None  # a NumPy SeedSequence; None until a seed is set or drawn


def floatx() -> str:
    """The float type of new models, "float32" or "float64"."""
    return _floatx


def set_floatx(dtype: str) -> None:
    """Set the float type of models built from now on.

    Raises
    ------
    ValueError
        `dtype` is not "float32" or "float64".
    """
    global _floatx
    if dtype not in FLOAT_TYPES:
        raise ValueError(f"floatx {dtype!r} is unknown; choose one of: {', '.join(FLOAT_TYPES)}")
    _floatx = dtype


def set_random_seed(seed: int) -> None:
    """Make everything random from here on repeatable.

    Sets the seed of new weights, shuffling and dropout, and those of `random` and `numpy.random`,
    as Keras does.

    Raises
    ------
    ValueError
        `seed` is not an integer of 0 or more.
    """
    global _seeds
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be an integer of 0 or more, got {seed!r}")
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    _seeds = np.random.SeedSequence(int(seed))


def next_seed() -> int:
    """A seed for the next thing that needs one: 63 bits, a new one on each call."""
    global _seeds
    if _seeds is None:
        _seeds = np.random.SeedSequence()
    return int(_seeds.spawn(1)[0].generate_state(1, np.uint64)[0] >> 1)


def num_threads() -> int:
    """Threads that the native executor uses: 1 so far."""
    return 1
