"""What users pass as data, as one NumPy array of numbers; nothing is copied that need not be.

Lists, arrays of any numeric type, pandas and polars frames, tensors of other libraries. Called by
`data.py`, whose checks come after. No library but NumPy is imported here: objects of others are
known by what they can do.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np


def array_of(value: Any, what: str) -> np.ndarray:
    """`value` as a numeric array with rows.

    Raises
    ------
    ValueError
        It is no array of numbers, or has no rows.
    """
    if value is None:
        raise ValueError(f"{what} is missing")
    if type(value) is np.ndarray and value.ndim and len(value) and _is_plain(value.dtype):
        return value
    if np.ma.is_masked(value):
        raise ValueError(f"{what} is a masked array; fill it (x.filled(...)) or drop its rows")
    if isinstance(value, (set, frozenset)):
        raise ValueError(f"{what} is a {type(value).__name__}, which has no order; pass a list")
    library = type(value).__module__.partition(".")[0]
    if library in ("pandas", "polars") and hasattr(value, "to_numpy"):
        array = _of_frame(value, what, library)
    else:
        array = _of_array(value, what)
    if array.dtype.kind == "O" and array.ndim == 0:
        raise ValueError(
            f"{what} is a {type(value).__name__}, expected an array of numbers with one row per "
            "sample"
        )
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{what} has dtype {array.dtype}, expected numbers; "
            "convert it with np.asarray(..., float)"
        )
    if array.ndim == 0:
        raise ValueError(f"{what} is a single number; pass an array with one row per sample")
    if len(array) == 0:
        raise ValueError(f"{what} is empty (shape {array.shape}); at least one row is needed")
    if not _is_plain(array.dtype):
        array = array.astype(np.float64)  # long double: no kernel reads it
    return array


def _is_plain(dtype: np.dtype) -> bool:
    """Whether it is of numbers that kernels read."""
    return dtype.kind in "fiub" and dtype.itemsize <= 8


def _of_array(value: Any, what: str) -> np.ndarray:
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of PyTorch
        value = value.detach()
        device = getattr(getattr(value, "device", None), "type", "cpu")
        if device != "cpu":
            raise ValueError(f"{what} is a tensor on device {device!r}; move it with .cpu()")
    elif not isinstance(value, np.ndarray) and not hasattr(value, "__array__"):
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{what} cannot be made into one array: its rows differ in shape; cut or pad them "
            "to one shape"
        ) from None
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"{what} is a {type(value).__name__} that NumPy cannot read ({error}); convert it to "
            "an array of floats"
        ) from None


def _of_frame(value: Any, what: str, library: str) -> np.ndarray:
    """A frame or series of pandas or polars; an error names its column."""
    one = not hasattr(value, "columns")
    if one:
        columns = [(value.name, value)]
    elif library == "pandas":
        columns = [(name, value.iloc[:, i]) for i, name in enumerate(value.columns)]
    else:
        columns = list(zip(value.columns, value.get_columns(), strict=True))
    if not columns:
        raise ValueError(f"{what} is a frame without columns")
    read = _pandas_column if library == "pandas" else _polars_column
    parts = [read(column, _label(what, name, one)) for name, column in columns]
    if one:
        return parts[0]
    if len({p.dtype for p in parts}) == 1 and library == "pandas":
        # A frame of one type lies in one piece of memory: no copy.
        with contextlib.suppress(TypeError, ValueError):
            whole = value.to_numpy()
            if whole.dtype == parts[0].dtype:
                return whole
    made = np.empty((len(value), len(parts)), np.result_type(*parts))
    for i, part in enumerate(parts):
        made[:, i] = part
    return made


def _label(what: str, name: Any, one: bool) -> str:
    return what if one and name in (None, "") else f"{what}, column {name!r},"


def _pandas_column(column: Any, what: str) -> np.ndarray:
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)  # Int64 and its like have one
    if getattr(dtype, "kind", "O") not in "fiub" or str(column.dtype) == "category":
        raise ValueError(
            f"{what} has dtype {column.dtype}, expected numbers; encode it (one-hot, or as codes) "
            "or drop it"
        )
    missing = column.isna()
    if missing.any():
        raise ValueError(_missing(what, int(missing.sum()), int(np.argmax(missing.to_numpy()))))
    return np.asarray(column.to_numpy(dtype=dtype))


def _polars_column(column: Any, what: str) -> np.ndarray:
    if not column.dtype.is_numeric() and str(column.dtype) != "Boolean":
        raise ValueError(
            f"{what} has dtype {column.dtype}, expected numbers; encode it (one-hot, or as codes) "
            "or drop it"
        )
    if column.null_count():
        raise ValueError(
            _missing(what, column.null_count(), int(np.argmax(column.is_null().to_numpy())))
        )
    made = np.asarray(column.to_numpy())
    if made.dtype.kind == "f" and np.isnan(made).any():
        bad = np.isnan(made)
        raise ValueError(_missing(what, int(bad.sum()), int(np.argmax(bad))))
    return made


def _missing(what: str, count: int, row: int) -> str:
    values = "1 missing value" if count == 1 else f"{count} missing values"
    return f"{what} has {values} (null or NaN), the first in row {row}; fill or drop them"
