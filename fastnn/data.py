"""The door: what users pass as x, y and sample_weight becomes arrays that a plan can gather.

Every check on data happens here, before anything is trained, and its message names the argument,
what was received, what was expected and what to do. Called by `training.py` and `heads.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.arrays import array_of
from fastnn.losses import Loss
from fastnn.ops.tensor import Shape
from fastnn.utils import as_list, number

BLOCK = 1 << 18  # values that are checked at once
SMALL = 1 << 12  # values for which one look at each costs less than to prepare for a sum
CONVERTED_AT_ONCE = 1 << 20  # bytes up to which an array is converted before training


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


def blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) of an array, part by part: what is computed of a part stays small."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def _not_finite(array: np.ndarray, dtype: Any = None) -> tuple[int, Any] | None:
    """How many values are NaN or infinite (as `dtype`), and the index of the first; or None."""
    if array.dtype.kind != "f":
        return None
    if dtype is None and array.size <= SMALL and np.isfinite(array).all():
        return None
    total, first = 0, None
    with np.errstate(over="ignore", invalid="ignore"):
        for start, block in blocks(array):
            if dtype is not None:
                block = block.astype(dtype)
            # One fast pass; an overflow of the sum is looked at below.
            if block.dtype.itemsize > 2 and np.isfinite(block.sum()):
                continue
            bad = ~np.isfinite(block)
            if first is None and bad.any():
                row, *rest = (int(i) for i in np.argwhere(bad)[0])
                first = (start + row, *rest) if rest else start + row
            total += int(bad.sum())
    return None if first is None else (total, first)


def _first_block(array: np.ndarray, bad: Callable[[np.ndarray], np.ndarray]) -> int | None:
    """The first row with a value that is `bad`; None if there is none."""
    for start, block in blocks(array):
        found = bad(block)
        if found.any():
            return start + int(np.argmax(found.reshape(len(found), -1).any(axis=1)))
    return None


def fits(array: np.ndarray, dtype: str, what: str) -> np.ndarray:
    """A finite array that can be gathered as `dtype`; an error if a value is too large for it.

    Batches are converted while training, so there is no copy in that type of a large array. A small
    one is converted here, once.
    """
    wanted = np.dtype(dtype)
    if array.dtype.kind == wanted.kind == "f" and array.dtype.itemsize > wanted.itemsize:
        found = _not_finite(array, dtype)
        if found:
            raise ValueError(
                f"{what} has values too large for {dtype}, the first at index {found[1]}; scale "
                "the data, or use config.set_floatx('float64')"
            )
    if array.size * wanted.itemsize <= CONVERTED_AT_ONCE:
        return np.ascontiguousarray(array, dtype)
    if array.ndim > 5:
        return np.ascontiguousarray(array)
    return array


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
    if dtype == "int32" and _first_block(array, _no_int32) is not None:
        raise ValueError(f"{what} must hold whole numbers below 2**31 for an int32 input")
    return fits(array, dtype, what)


def _no_int32(block: np.ndarray) -> np.ndarray:
    return _no_integer(block) | (block >= 2**31) | (block < -(2**31))


def _no_integer(block: np.ndarray) -> np.ndarray:
    return np.floor(block) != block if block.dtype.kind == "f" else np.zeros(block.shape, bool)


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
    row = _first_block(array, _no_integer)
    if row is not None:
        raise ValueError(
            f"{what} must hold whole class indices for loss {loss!r}, but row {row} has "
            f"{array[row]}; use a regression loss such as 'mse' for real targets"
        )
    def is_outside(block: np.ndarray) -> np.ndarray:
        outside = (block < 0) | (block >= classes)
        return outside if ignored is None else outside & (block != ignored)

    row = _first_block(array, is_outside)
    if row is not None:
        raise ValueError(
            f"{what} has labels from {int(array.min())} to {int(array.max())}, but the output "
            f"has {classes} classes (0 to {classes - 1}); the first label outside is in row "
            f"{row}"
        )
    return fits(array, "int32", what)


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
        row = _first_block(array, lambda block: ~np.isin(block, (-1, 0, 1)))
        kinds = [any((block == label).any() for _, block in blocks(array)) for label in (-1, 0)]
        if row is not None or all(kinds):
            raise ValueError(
                f"{what} has values from {array.min()} to {array.max()}, but loss {loss.name!r} "
                "expects two kinds of labels: -1 and 1, or 0 and 1"
            )
    return fits(array, dtype, what)


def own_targets(array: np.ndarray, y_pred: Shape, dtype: str, what: str) -> np.ndarray:
    """Targets for a loss of the user's own: any shape, finite, of the plan's type."""
    if array.ndim == len(y_pred) - 1 and y_pred[-1] == 1:
        array = array[..., None]
    check_finite(array, what)
    return fits(array, dtype, what)


def weights(array: np.ndarray, y_pred: Shape, rows: int, dtype: str, what: str) -> np.ndarray:
    """Sample weights: finite numbers of 0 or more, one per row, or one per position of a row."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    positions = (rows, *y_pred[1:-1])[: array.ndim]
    if array.shape != positions:
        expected = f"one weight per row: ({rows},)"
        if len(y_pred) > 2:
            expected += f", or one per position: {(rows, *y_pred[1:-1])}"
        raise ValueError(f"{what} has shape {array.shape}, expected {expected}")
    check_finite(array, what)
    if array.min() < 0:
        row = _first_block(array, lambda block: block < 0)
        raise ValueError(f"{what} must be 0 or more, but row {row} has {array[row]}")
    return fits(array, dtype, what)


def class_weights(given: Any, y: np.ndarray, y_pred: Shape) -> np.ndarray:
    """A weight per row: that of its class in the dictionary `given`, or 1.

    Parameters
    ----------
    given : dict
        Class index to weight.
    y : ndarray
        Checked targets: class indices, one-hot rows, or one probability per row.
    y_pred : tuple
        Shape of the output.
    """
    if not isinstance(given, dict) or not given:
        raise ValueError(
            f"class_weight must be a dictionary of class index to weight, got {given!r}"
        )
    if len(y_pred) != 2:
        raise ValueError(
            f"class_weight: the output has shape {y_pred}, expected one class per row; use "
            "sample_weight for sequences"
        )
    assert y_pred[1] is not None
    classes = max(y_pred[1], 2)
    table = np.ones(classes)
    for label, weight in given.items():
        whole_label = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
        if not whole_label or not 0 <= label < classes:
            raise ValueError(
                f"class_weight has key {label!r}, expected class indices from 0 to {classes - 1}"
            )
        table[label] = number(f"class_weight[{label}]", weight, low=0)
    made = np.empty(len(y), np.float64)
    for start, block in blocks(y):
        if block.ndim == 2 and block.shape[1] > 1:
            chosen = block.argmax(axis=1)
        else:
            chosen = np.rint(block.reshape(len(block))).astype(np.int64)
        known = (chosen >= 0) & (chosen < classes)
        if not known.all() and y_pred[1] == 1:
            raise ValueError(
                f"class_weight: y has values from {block.min()} to {block.max()}, expected class "
                f"indices from 0 to {classes - 1}"
            )
        weight = np.where(known, table[np.where(known, chosen, 0)], 1)  # 1 for an ignored class
        made[start : start + len(block)] = weight
    return made


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
