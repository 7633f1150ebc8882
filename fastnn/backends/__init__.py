"""Executors, chosen when a model first needs one; importing fastnn chooses none.

`reference` (NumPy) is always there; `native` (Cython) where it was compiled, and then it is the
default. FASTNN_BACKEND or `compile(backend=...)` overrides.
"""

from __future__ import annotations

import os
import warnings

from fastnn.backends.base import Executor, Job

NAMES = ("native", "reference")

_warned = False


def get(name: str | None = None) -> type[Executor]:
    """The executor class called `name`, or the default.

    Parameters
    ----------
    name : {"native", "reference"}, optional
        By default FASTNN_BACKEND, else native where it was compiled, else reference.

    Raises
    ------
    ValueError
        The name (or that in FASTNN_ISA) is unknown; the message lists the choices.
    RuntimeError
        That executor was asked for but cannot be loaded.
    """
    global _warned
    wanted = name or os.environ.get("FASTNN_BACKEND") or None
    if wanted is not None and wanted not in NAMES:
        raise ValueError(f"unknown backend {wanted!r}; choose one of: {', '.join(NAMES)}")
    if wanted != "reference":
        try:
            from fastnn.backends.native import Default

            return Default
        except ImportError as error:
            if wanted == "native":
                raise RuntimeError(
                    f"the native executor is not available ({error}); install a C compiler and "
                    "reinstall fastnn, or use backend='reference'"
                ) from error
            if not _warned:
                _warned = True
                warnings.warn(
                    f"fastnn runs on its slow reference executor: no compiled kernels ({error})",
                    RuntimeWarning,
                    stacklevel=3,
                )
    from fastnn.backends.reference import ReferenceExecutor

    return ReferenceExecutor


def available() -> list[str]:
    """Names of the executors that can run here, the default first."""
    names = ["reference"]
    try:
        from fastnn.backends import native  # noqa: F401
    except ImportError:
        return names
    return ["native", *names]


__all__ = ["NAMES", "Executor", "Job", "available", "get"]
