"""The only mutable globals: the float type, the seed and the number of threads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

VERSION = "0.1.0.dev0"

FLOAT_TYPES = ("float32", "float64")

_floatx = "float32"
_threads: int | None = None  # None until it is set or asked for
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
    import random  # not above: it takes as long as three modules of fastnn

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
    """Threads that the native executor uses at most.

    As `set_num_threads` or the environment variable FASTNN_NUM_THREADS says; by default one for
    each core that this process may use.

    Raises
    ------
    ValueError
        FASTNN_NUM_THREADS is no integer of 1 or more.
    """
    global _threads
    if _threads is None:
        given = os.environ.get("FASTNN_NUM_THREADS", "")
        if given and not (given.isdecimal() and int(given) >= 1):
            raise ValueError(f"FASTNN_NUM_THREADS must be an integer of 1 or more, got {given!r}")
        _threads = int(given) if given else cores()
    return _threads


def set_num_threads(count: int) -> None:
    """Set the threads that the native executor uses at most; results do not depend on it.

    Raises
    ------
    ValueError
        `count` is not an integer of 1 or more.
    """
    global _threads
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"the number of threads must be an integer of 1 or more, got {count!r}")
    _threads = int(count)


def cores() -> int:
    """Cores that this process may use: by its affinity mask, and by its cgroup's share of time.

    Two hyper-threads of a core count as one.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    siblings = set()
    for processor in usable:
        path = f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"
        siblings.add(_read(path) or processor)
    count = len(siblings)
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:  # cgroups of version 1
        quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period):
        count = min(count, max(1, int(quota) // int(period)))
    return max(count, 1)


def _read(path: str) -> str:
    """The text of a small file of the system, or "" if there is none."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
