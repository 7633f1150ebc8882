"""Getting data ready: Keras' helpers to encode labels, scale, split, and to cut or pad sequences.

Users find them in `fastnn.utils`, where Keras has them; nothing in fastnn calls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class indices as one-hot rows.

    Parameters
    ----------
    x : array_like of int, any shape
        From 0 to num_classes - 1. A last axis of length 1 is dropped.
    num_classes : int, optional
        By default the largest index and one.

    Returns
    -------
    ndarray (shape of x, num_classes) of float64

    Raises
    ------
    ValueError
        An index is no whole number or out of range.
    """
    given = np.asarray(x)
    if given.size == 0 or given.dtype.kind not in "fiub" or (given != np.floor(given)).any():
        raise ValueError(f"to_categorical: x must hold whole class indices, got {x!r:.60}")
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = int(labels.max()) + 1 if num_classes is None else num_classes
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"to_categorical: x has indices from {labels.min()} to {labels.max()}, expected 0 to "
            f"{classes - 1}"
        )
    return (labels[..., None] == np.arange(classes)).astype(np.float64)


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x divided by its norm along an axis; where that is 0, x stays.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
    order : int, default 2
        Of the norm: 1 sums absolute values, 2 is Euclid's.
    """
    array = np.asarray(x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array: padded, or cut, to one length.

    Parameters
    ----------
    sequences : list of sequences
        Of numbers, or of rows of one shape.
    maxlen : int, optional
        By default the length of the longest.
    dtype : default "int32"
    padding, truncating : {"pre", "post"}, default "pre"
        At which end values are added, or dropped.
    value : float, default 0.0
        What is added.

    Returns
    -------
    ndarray (sequences, maxlen, ...)
    """
    for name, place in (("padding", padding), ("truncating", truncating)):
        if place not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {name} must be 'pre' or 'post', got {place!r}")
    if not hasattr(sequences, "__len__") or any(not hasattr(s, "__len__") for s in sequences):
        raise ValueError("pad_sequences: sequences must be a list of sequences")
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and value != int(value):
        raise ValueError(f"pad_sequences: value={value!r} does not fit dtype {wanted}")
    arrays = [np.asarray(s) for s in sequences]
    length = max((len(a) for a in arrays), default=0) if maxlen is None else maxlen
    inner = next((a.shape[1:] for a in arrays if len(a)), ())
    made = np.full((len(arrays), length, *inner), value, wanted)
    for i, array in enumerate(arrays):
        if not len(array) or not length:
            continue
        if array.shape[1:] != inner:
            raise ValueError(
                f"pad_sequences: sequence {i} has rows of shape {array.shape[1:]}, those before "
                f"have {inner}"
            )
        kept = array[-length:] if truncating == "pre" else array[:length]
        if padding == "pre":
            made[i, length - len(kept) :] = kept
        else:
            made[i, : len(kept)] = kept
    return made


def split_dataset(
    dataset: Any,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Data in two parts, for example to train and to test on.

    Parameters
    ----------
    dataset : array_like, or a tuple or list of them with equal lengths
    left_size, right_size : float or int, optional
        A fraction of the rows, or their number; the other part is the rest.
    shuffle : bool, default False
    seed : int, optional

    Returns
    -------
    left, right
        Like `dataset`: an array each, or a tuple of arrays.
    """
    several = isinstance(dataset, (tuple, list)) and all(hasattr(a, "__len__") for a in dataset)
    arrays = [np.asarray(a) for a in dataset] if several else [np.asarray(dataset)]
    rows = len(arrays[0]) if arrays else 0
    if rows < 2 or any(len(a) != rows for a in arrays):
        raise ValueError(
            f"split_dataset: the arrays have {[len(a) for a in arrays]} rows; expected the same "
            "number, at least 2"
        )
    left, right = (_rows(size, rows) for size in (left_size, right_size))
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size or right_size")
    left = rows - right if left is None and right is not None else left
    right = rows - left if right is None and left is not None else right
    assert left is not None and right is not None
    if left < 1 or right < 1 or left + right > rows:
        raise ValueError(
            f"split_dataset: left_size={left_size!r} and right_size={right_size!r} make parts of "
            f"{left} and {right} of {rows} rows; both must be at least 1"
        )
    order = np.arange(rows)
    if shuffle:
        np.random.default_rng(seed).shuffle(order)
    parts = [tuple(a[i] for a in arrays) for i in (order[:left], order[rows - right :])]
    if shuffle is False:  # views, no copies
        parts = [tuple(a[:left] for a in arrays), tuple(a[left : left + right] for a in arrays)]
    return (parts[0], parts[1]) if several else (parts[0][0], parts[1][0])


def _rows(size: float | int | None, rows: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, (bool, str)):
        raise ValueError(f"split_dataset: a size must be a fraction or a number, got {size!r}")
    return round(size * rows) if isinstance(size, float) else int(size)


class Windows:
    """Batches of windows over a time series: `len(windows)` of them, `windows[i]` is one.

    Made by `timeseries_dataset_from_array`; `fit`, `evaluate` and `predict` take it as x.
    """

    def __init__(
        self, data: np.ndarray, targets: np.ndarray | None, starts: np.ndarray,
        steps: np.ndarray, batch_size: int,
    ) -> None:  # fmt: skip
        self.data, self.targets, self.starts = data, targets, starts
        self.steps, self.batch_size = steps, batch_size

    def __len__(self) -> int:
        return -(-len(self.starts) // self.batch_size)

    def __getitem__(self, i: int) -> Any:
        if not -len(self) <= i < len(self):
            raise IndexError(f"batch {i} of {len(self)}")
        first = (i % len(self)) * self.batch_size
        starts = self.starts[first : first + self.batch_size]
        windows = self.data[starts[:, None] + self.steps]
        return windows if self.targets is None else (windows, self.targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Windows:
    """Windows over a time series, batch by batch; no window is copied before it is asked for.

    Parameters
    ----------
    data : array_like (times, ...)
    targets : array_like (times, ...) or None
        `targets[i]` belongs to the window that begins at time i.
    sequence_length : int
        Entries of a window.
    sequence_stride : int, default 1
        Times between the beginnings of two windows.
    sampling_rate : int, default 1
        Times between two entries of a window.
    batch_size : int, default 128
    shuffle : bool, default False
        An order of the windows that is drawn once.
    seed : int, optional
    start_index, end_index : int, optional
        Only times from start_index to before end_index are used.

    Returns
    -------
    Windows
        Batch i, of `len(...)`, is a window array or (windows, targets).
    """
    series = np.asarray(data)
    times = len(series)
    first = 0 if start_index is None else start_index
    end = times if end_index is None else end_index
    if not 0 <= first < end <= times:
        raise ValueError(
            f"timeseries_dataset_from_array: start_index={start_index!r} and "
            f"end_index={end_index!r} do not lie in data of {times} times"
        )
    size = times if batch_size is None else batch_size
    for name, value in (
        ("sequence_length", sequence_length), ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate), ("batch_size", size),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(
                f"timeseries_dataset_from_array: {name} must be an integer of 1 or more, got "
                f"{value!r}"
            )
    goals = None if targets is None else np.asarray(targets)
    count = end - first - (sequence_length - 1) * sampling_rate
    if goals is not None:
        count = min(count, len(goals) - first)
    if count < 1:
        raise ValueError(
            f"timeseries_dataset_from_array: no window of {sequence_length} entries, "
            f"{sampling_rate} apart, fits into {end - first} times with their targets"
        )
    starts = first + np.arange(0, count, sequence_stride)
    if shuffle:
        np.random.default_rng(seed).shuffle(starts)
    steps = np.arange(sequence_length) * sampling_rate
    return Windows(series, goals, starts, steps, size)
