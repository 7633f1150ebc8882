"""The door: what users pass as x, y and sample_weight becomes arrays that a plan can gather.

Every check on data happens here, before anything is trained, and its message names the argument,
what was received, what was expected and what to do. Called by `training.py` and `heads.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.losses import Loss
from fastnn.ops.tensor import Shape
from fastnn.utils import as_list, number


def array_of(value: Any, what: str) -> np.ndarray:
    """`value` as a numeric array with rows.

    Raises
    ------
    ValueError
        It is no array of numbers, or has no rows.
    """
    if value is None:
        raise ValueError(f"{what} is missing")
    if np.ma.is_masked(value):
        raise ValueError(f"{what} is a masked array; fill it (x.filled(...)) or drop its rows")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{what} cannot be made into one array: its rows differ in shape; cut or pad them "
            "to one shape"
        ) from None
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
    return array


def check_finite(array: np.ndarray, what: str) -> None:
    """Refuse NaN and infinity, naming how many there are and where the first one is."""
    found = _not_finite(array)
    if found:
        count, first = found
        are = "value that is" if count == 1 else "values that are"
        raise ValueError(
            f"{what} has {count} {are} NaN or infinite, the first at index {first}; "
            "remove or replace them"
        )


def _not_finite(array: np.ndarray) -> tuple[int, Any] | None:
    """How many values are NaN or infinite, and the index of the first; None if none is."""
    if array.dtype.kind != "f":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # one fast pass; overflow of the sum is looked at below
            return None
    bad = ~np.isfinite(array)
    if not bad.any():
        return None
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return int(bad.sum()), first[0] if len(first) == 1 else first


def _converted(array: np.ndarray, dtype: str, what: str) -> np.ndarray:
    """A finite array as a contiguous one of the plan's type; itself if it is one."""
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array, dtype)
    if array.dtype.kind == "f" and array.dtype.itemsize > made.dtype.itemsize:
        found = _not_finite(made)
        if found:
            raise ValueError(
                f"{what} has values too large for {dtype}, the first at index {found[1]}; scale "
                "the data, or use config.set_floatx('float64')"
            )
    return made


def as_inputs(x: Any, names: Sequence[str], what: str = "x") -> list[np.ndarray]:
    """One array per input of a model: from an array, or a list or dictionary for several inputs."""
    if isinstance(x, dict):
        missing = [n for n in names if n not in x]
        unknown = [n for n in x if n not in names]
        if missing or unknown:
            raise ValueError(
                f"{what}: the dictionary has keys {sorted(x)}, expected {sorted(names)}"
            )
        return [array_of(x[n], f"{what}[{n!r}]") for n in names]
    if len(names) == 1:
        return [array_of(alone(x), what)]
    if not isinstance(x, (list, tuple)) or len(x) != len(names):
        got = f"{len(x)} arrays" if isinstance(x, (list, tuple)) else type(x).__name__
        raise ValueError(f"{what}: this model expects a list of {len(names)} arrays, got {got}")
    return [array_of(a, f"{what}[{i}]") for i, a in enumerate(x)]


def alone(value: Any, rows: int = 0) -> Any:
    """The array in a list of one array, Keras' way to give one input; anything else as it is.

    A list of one vector is one row of data, unless the vector has the length `rows` above 1.
    """
    if isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], np.ndarray):
        array = value[0]
        if array.ndim > 1 or (array.ndim == 1 and len(array) == rows > 1):
            return array
    return value


def features(array: np.ndarray, shape: Shape, dtype: str, what: str) -> np.ndarray:
    """Data for an input of `shape`: checked, contiguous, of the plan's type."""
    if array.ndim == 1 and shape == (None, 1):
        array = array[:, None]
    if array.ndim != len(shape):
        raise ValueError(
            f"{what} has {array.ndim} dimensions (shape {array.shape}), the model expects "
            f"{len(shape)}: {_expected(shape)}{_hint(array, shape)}"
        )
    if array.shape[1:] != shape[1:]:
        unit = "features" if array.ndim == 2 else "values"
        raise ValueError(
            f"{what} has rows of {_row(array.shape)} {unit}, the model expects {_row(shape)} "
            f"{unit}: {_expected(shape)}"
        )
    check_finite(array, what)
    if dtype == "int32" and ((np.floor(array) != array) | (abs(array) >= 2**31)).any():
        raise ValueError(f"{what} must hold whole numbers below 2**31 for an int32 input")
    return _converted(array, dtype, what)


def _row(shape: Sequence[Any]) -> str:
    return " x ".join(str(n) for n in shape[1:]) or "1"


def _expected(shape: Shape) -> str:
    entries = ", ".join("rows" if n is None else str(n) for n in shape)
    return f"shape ({entries},)" if len(shape) == 1 else f"shape ({entries})"


def _hint(array: np.ndarray, shape: Shape) -> str:
    if array.shape == shape[1:]:
        return "; this looks like a single row: pass x[None]"
    if array.ndim > 2 and len(shape) == 2 and math.prod(array.shape[1:]) == shape[1]:
        return "; flatten it with x.reshape(len(x), -1), or begin the model with Flatten()"
    return ""


def labels(
    array: np.ndarray, y_pred: Shape, what: str, loss: str, ignored: int | None = None
) -> np.ndarray:
    """Class indices for an output: integral, in range (but for the ignored one), as int32."""
    positions = y_pred[:-1]
    classes = y_pred[-1]
    assert classes is not None
    if array.ndim == len(positions) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape[1:] != positions[1:]:
        hint = ""
        if array.ndim == len(y_pred):
            hint = "; one-hot targets go with loss 'categorical_crossentropy'"
        raise ValueError(
            f"{what} has shape {array.shape}, but loss {loss!r} expects one class index per row: "
            f"{_expected(positions)}{hint}"
        )
    check_finite(array, what)
    if array.dtype.kind == "f" and (np.floor(array) != array).any():
        row = _first_row(np.floor(array) != array)
        raise ValueError(
            f"{what} must hold whole class indices for loss {loss!r}, but row {row} has "
            f"{array[row]}; use a regression loss such as 'mse' for real targets"
        )
    outside = (array < 0) | (array >= classes)
    if ignored is not None:
        outside &= array != ignored
    if outside.any():
        raise ValueError(
            f"{what} has labels from {int(array.min())} to {int(array.max())}, but the output "
            f"has {classes} classes (0 to {classes - 1}); the first label outside is in row "
            f"{_first_row(outside)}"
        )
    return np.ascontiguousarray(array, np.int32)


def _first_row(bad: np.ndarray) -> int:
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))


def targets(array: np.ndarray, y_pred: Shape, dtype: str, what: str, loss: Loss) -> np.ndarray:
    """Targets that look like the prediction: same shape, finite, of the plan's type."""
    if array.ndim == len(y_pred) - 1 and y_pred[-1] == 1:
        array = array[..., None]
    if array.shape[1:] != y_pred[1:]:
        hint = ""
        if array.shape[1:] in (y_pred[1:-1], (*y_pred[1:-1], 1)) and loss.bounded:
            hint = "; class indices go with loss 'sparse_categorical_crossentropy'"
        raise ValueError(
            f"{what} has shape {array.shape}, but loss {loss.name!r} expects the shape of the "
            f"output: {_expected(y_pred)}{hint}"
        )
    check_finite(array, what)
    if loss.bounded and (array.min() < 0 or array.max() > 1):
        raise ValueError(
            f"{what} has values from {array.min()} to {array.max()}, but loss {loss.name!r} "
            "expects probabilities from 0 to 1"
        )
    if loss.signed:
        kinds = [bool((array == label).any()) for label in (-1, 0, 1)]
        if not np.isin(array, (-1, 0, 1)).all() or (kinds[0] and kinds[1]):
            raise ValueError(
                f"{what} has values from {array.min()} to {array.max()}, but loss {loss.name!r} "
                "expects two kinds of labels: -1 and 1, or 0 and 1"
            )
    return _converted(array, dtype, what)


def own_targets(array: np.ndarray, y_pred: Shape, dtype: str, what: str) -> np.ndarray:
    """Targets for a loss of the user's own: any shape, finite, of the plan's type."""
    if array.ndim == len(y_pred) - 1 and y_pred[-1] == 1:
        array = array[..., None]
    check_finite(array, what)
    return _converted(array, dtype, what)


def weights(array: np.ndarray, rows: int, dtype: str, what: str) -> np.ndarray:
    """Sample weights: one finite number of 0 or more per row."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (rows,):
        raise ValueError(f"{what} has shape {array.shape}, expected one weight per row: ({rows},)")
    check_finite(array, what)
    if array.min() < 0:
        row = int(np.argmax(array < 0))
        raise ValueError(f"{what} must be 0 or more, but row {row} has {array[row]}")
    return _converted(array, dtype, what)


def same_length(arrays: Sequence[tuple[str, np.ndarray]]) -> int:
    """The common number of rows; an error that names who differs."""
    first_name, first = arrays[0]
    for name, array in arrays[1:]:
        if len(array) != len(first):
            raise ValueError(
                f"{first_name} has {len(first)} rows, but {name} has {len(array)}; they must agree"
            )
    return len(first)


def whole(value: Any, name: str, least: int = 1) -> int:
    """A whole number of at least `least`."""
    ok = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not ok or value < least:
        raise ValueError(f"{name} must be an integer of {least} or more, got {value!r}")
    return int(value)


def per_output(value: Any, names: Sequence[str], what: str) -> list[Any]:
    """An argument of `compile` or `fit` for each output: a dictionary, a list, or None."""
    if value is None:
        return [None] * len(names)
    if isinstance(value, dict):
        unknown = [key for key in value if key not in names]
        if unknown:
            raise ValueError(
                f"{what}: unknown output {unknown[0]!r}; the outputs are: {', '.join(names)}"
            )
        return [value.get(name) for name in names]
    values = as_list(value)
    if len(values) != len(names):
        got = f"a list of {len(values)}" if isinstance(value, (list, tuple)) else "one entry"
        raise ValueError(
            f"{what}: got {got}, expected a list of {len(names)} or a dictionary, for the outputs: "
            f"{', '.join(names)}"
        )
    return values


def split_last(
    arrays: Sequence[np.ndarray], fraction: Any
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The rows to train on, and the last `fraction` of them (an empty list for 0)."""
    fraction = number("validation_split", fraction, low=0, below=1)
    if fraction == 0:
        return list(arrays), []
    rows = len(arrays[0])
    kept = int(rows * (1 - fraction))
    if kept in (0, rows):
        raise ValueError(
            f"validation_split={fraction!r} of {rows} rows leaves {kept} to train on and "
            f"{rows - kept} to validate on; both must be at least 1"
        )
    return [a[:kept] for a in arrays], [a[kept:] for a in arrays]
