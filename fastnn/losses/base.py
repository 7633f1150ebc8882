"""The base classes of losses: your own ones, written with `call`, and the built-in ones.

In a model a loss emits ops that add `weight * loss` summed over rows to an accumulator; the mean
that users see divides by rows and values. On arrays it is one number. Called by `engine/trace.py`,
`heads.py` and users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import config, ops
from fastnn.ops.contract import emit
from fastnn.ops.eager import evaluate
from fastnn.ops.tensor import Shape, Tensor, at_rows, count
from fastnn.utils import Configurable, choose, describe, snake_case

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")


class Loss(Configurable):
    """Base class, of your own losses too: they define `call(self, y_true, y_pred)`.

    `call` is written with functions of `fastnn.ops` and returns one value per sample, or several;
    it runs on arrays, and is traced once for a model, where its gradient comes for free. y_true
    then has the shape that the data has.

    Parameters
    ----------
    name : str, optional
    reduction : str, default "sum_over_batch_size"
        "sum_over_batch_size" and "mean" divide the weighted sum by the number of values (of
        unmasked ones, where there is a mask), "mean_with_sample_weight" by the sum of the weights,
        "sum" by nothing. "none" is refused: a model needs one number.
    dtype : None
        Accepted for Keras' sake; a loss has the type of its model.

    Attributes
    ----------
    target : {"like", "labels", "any", "auto"}
        Whether y_true looks like the prediction, holds one class index per row, has a shape of its
        own, or decides which loss it is.
    bounded : bool
        Whether y_true holds probabilities, from 0 to 1.
    signed : bool
        Whether y_true holds two kinds of labels, -1 and 1 or 0 and 1.
    """

    target = "any"
    bounded = False
    signed = False
    ignore_class: int | None = None
    default_name = ""

    def __init__(
        self,
        name: str | None = None,
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        if dtype is not None:
            raise ValueError(f"{kind}: dtype={dtype!r} is not supported; leave it out")
        if reduction not in (*REDUCTIONS, "auto"):
            reason = ""
            if reduction in (None, "none"):
                reason = " (a model needs one number; the function of that name gives one a row)"
            raise ValueError(
                f"{kind}: reduction {reduction!r} is not supported{reason}; choose one of: "
                f"{', '.join(REDUCTIONS)}"
            )
        self.reduction = REDUCTIONS[0] if reduction == "auto" else reduction
        self.name = name or type(self).default_name or snake_case(kind)

    # What a model uses.

    def check(self, y_pred: Tensor) -> None:
        """Raise ValueError where this loss cannot follow such an output."""

    def emitted(
        self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, int]:
        """Emit the loss: its accumulator (sum of weight * loss, sum of weights), and its values.

        The second is how many values of a batch row the loss is a mean over; with the reduction
        "sum" only those that are a mean within one sample's value.
        """
        values = self._values(y_true, y_pred)
        each = 1 if self.reduction == "sum" else at_rows(count(values.shape), 1)
        return emit("weighted_sum", values, weight), each

    def _values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """What `call` makes of symbolic tensors, one value a row at least."""
        y_true = same_rank(y_true, y_pred)
        values = self.call(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise ValueError(
                f"loss {self.name!r} must return a tensor made of y_pred by functions of "
                f"fastnn.ops, got {type(values).__name__}"
            )
        if values.has_rows:
            return values
        if at_rows(count(values.shape), 1) != 1:
            raise ValueError(
                f"loss {self.name!r} must return values per row, shape (rows,) or (rows, ...), or "
                f"one number, got shape {values.shape}"
            )
        like = ops.reshape(ops.slice_(_as_matrix(y_pred), [None, (0, 1)]), (None,))
        return ops.broadcast_to(ops.reshape(values, (1,)), like)

    # What works on arrays.

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss per sample."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no call(self, y_true, y_pred), which returns the loss "
            "per sample"
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The loss of arrays, reduced to one number.

        Parameters
        ----------
        y_true, y_pred : array_like
            One row per sample.
        sample_weight : array_like (rows,), optional

        Returns
        -------
        float
        """
        values = self.values(y_true, y_pred)
        mask = self._unmasked(y_true, values)
        weight = np.ones(values.shape) if mask is None else mask.astype(float)
        if sample_weight is not None:
            given = np.asarray(sample_weight, float)
            if given.ndim == values.ndim + 1 and given.shape[-1] == 1:
                given = given[..., 0]
            weight = weight * given.reshape(given.shape + (1,) * (values.ndim - given.ndim))
        total = float(np.sum(values.astype(float) * weight))
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight":
            parts = float(weight.sum())
        else:
            parts = float(values.size if mask is None else mask.sum())
        return total / parts if parts else 0.0

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """The loss per sample of arrays."""
        y_true, y_pred = as_pair(y_true, y_pred)
        return evaluate(self._values, y_true, y_pred)

    def _unmasked(self, y_true: Any, values: np.ndarray) -> np.ndarray | None:
        if self.ignore_class is None:
            return None
        return (np.asarray(y_true) != self.ignore_class).reshape(values.shape)


def as_pair(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of one float type (that of y_pred); labels of one per row stay as they are."""
    y_pred = np.asarray(y_pred)
    if y_pred.dtype.kind != "f":
        y_pred = y_pred.astype(config.floatx())
    y_true = np.asarray(y_true)
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    return y_true.astype(y_pred.dtype), y_pred


def same_rank(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """y_true (rows,) as (rows, 1) beside such a prediction."""
    if y_true.rank == y_pred.rank - 1 and y_pred.shape[-1] == 1:
        return ops.reshape(y_true, (*y_true.shape, 1))
    return y_true


def _as_matrix(x: Tensor) -> Tensor:
    return ops.reshape(x, (None, at_rows(count(x.shape), 1)))


class FunctionLoss(Loss):
    """A loss written as a function of (y_true, y_pred) from `fastnn.ops`.

    Parameters
    ----------
    fn : callable
        Returns one value per sample, or several, or one number for all.
    reduction, name, dtype
        As in Loss; the name is by default the function's.
    **kwargs
        Passed to `fn`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        fn = config["fn"]
        return cls(**{**config, "fn": fn if callable(fn) else choose("function", fn, {})})

    def get_config(self) -> dict[str, Any]:
        return {"fn": describe(self.fn), "reduction": self.reduction, "name": self.name} | {
            key: describe(value) for key, value in self.kwargs.items()
        }


LossFunctionWrapper = FunctionLoss  # Keras' name


class BuiltIn(Loss):
    """The arguments of built-in losses in Keras' order."""

    target = "like"
    by_rows = False  # whether the accumulator counts each row of classes, not each weight

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        """Emit the loss; returns its accumulator."""
        raise NotImplementedError

    def values_of(self, shape: Shape) -> int:
        """Values that `sums` adds up for one row of `shape`; by default one for each element."""
        return at_rows(count(shape), 1)

    def emitted(
        self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, int]:
        shape = y_pred.shape[-1:] if self.reduction == "sum" else y_pred.shape
        return self.sums(y_true, y_pred, weight), self.values_of(shape)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_pred, Tensor) or isinstance(y_true, Tensor):
            raise TypeError(
                f"{snake_case(type(self).__name__)} works on arrays; in a loss of your own write "
                "the formula with functions of fastnn.ops"
            )
        return self.values(y_true, y_pred)

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        t, p = as_pair(y_true, y_pred)
        if t.shape != p.shape:
            raise ValueError(
                f"{self.name}: y_true has shape {t.shape}, but y_pred has {p.shape}; they must "
                "agree"
            )
        flat = p.reshape(-1, p.shape[-1] if p.ndim else 1)
        with np.errstate(all="ignore"):
            made = self.row_values(t.reshape(flat.shape), flat)
        return made.astype(p.dtype).reshape(p.shape[:-1])

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        """The loss of each row of two matrices."""
        raise NotImplementedError
