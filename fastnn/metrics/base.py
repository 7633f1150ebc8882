"""The base classes of metrics: sums that an op adds to while batches run, and what is made of them.

Called by `engine/trace.py`, `heads.py`, and by users who need a metric without a model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.losses.base import FunctionLoss, as_pair
from fastnn.ops.contract import emit
from fastnn.ops.eager import evaluate
from fastnn.ops.tensor import Tensor, at_rows, count
from fastnn.utils import Configurable, choose, describe, snake_case


class Metric(Configurable):
    """Base class, of your own metrics too: they define `call(self, y_true, y_pred)`.

    `call` returns one value per sample, or several, made by functions of `fastnn.ops`; the metric
    is their mean. For anything else define `sums` and `value`.

    Parameters
    ----------
    name : str, optional
        The key in `History.history`.
    dtype
        Accepted, without effect: a metric adds up in float64.

    Attributes
    ----------
    target : {"like", "labels", "any"}
        Whether y_true looks like the prediction, holds one class index per row, or is taken as the
        data has it.
    either : bool
        Whether class indices are read as well as one-hot rows.
    direction : {"max", "min", None}
        Which values are better, for callbacks that monitor the metric.
    """

    target = "any"
    either = False
    ignore_class: int | None = None
    bounded = False
    signed = False
    direction: str | None = None
    _sums: np.ndarray | None = None  # of arrays that were taken in without a model
    _seen: Any = None  # the metric that read them, and the shape of what one weight stands for

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    # What a model uses.

    def resolve(self, loss: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
        """The metric for a loss (or None) and such data; itself, unless it stands for several."""
        return self

    def check(self, y_pred_shape: Any) -> None:
        """Raise ValueError where this metric cannot follow such an output."""

    def read(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """y_true in the form that this metric reads: rows like the output, or class indices."""
        if y_true.dtype == "int32":
            if self.target == "like" and not self.either:
                return emit("one_hot", y_true, classes=y_pred.shape[-1])
            return emit("real_labels", y_true) if self.target == "any" else y_true
        if y_true.shape == y_pred.shape or self.target == "any":
            return y_true
        size = at_rows(count(y_true.shape), 1)
        if size == at_rows(count(y_pred.shape), 1):
            return ops.reshape(y_true, y_pred.shape)
        labels = self.target == "labels" or self.either
        if labels and size == at_rows(count(y_pred.shape[:-1]), 1):
            return emit("whole_labels", ops.reshape(y_true, y_pred.shape[:-1]))
        raise ValueError(
            f"metric {self.name!r} cannot compare y_true of shape {y_true.shape} with the output, "
            f"which has shape {y_pred.shape}; write the metric as a function of (y_true, y_pred)"
        )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        """Emit the op; returns its accumulator. By default for the mean of what `call` returns."""
        values = _values_of(self.call, self.name, y_true, y_pred)
        lead = 1 if weight is None else weight.rank
        if values.rank > lead:
            values = ops.reduce("mean", values, range(lead, values.rank))
        return emit("weighted_sum", values, weight)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> Any:
        """The metric's value, from its accumulator and the shape of the prediction."""
        return float(sums[0] / sums[1]) if sums[1] else 0.0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values per sample."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no call(self, y_true, y_pred), which returns values "
            "per sample made by functions of fastnn.ops; update_state cannot run inside a plan"
        )

    # What works without a model.

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in arrays.

        Parameters
        ----------
        y_true, y_pred : array_like
            One row per sample.
        sample_weight : array_like, optional
            One weight per row, or per leading axes of y_pred.
        """
        p = as_pair(0, y_pred)[1]
        p = p[:, None] if p.ndim == 1 else p
        t = np.asarray(y_true)
        if t.ndim == p.ndim and t.shape[-1] == 1 < p.shape[-1]:
            t = t[..., 0]
        if t.ndim == p.ndim - 1 and p.shape[-1] > 1:
            t = t.astype(np.int32 if self.target != "any" else p.dtype)
        else:
            t = as_pair(t, p)[0]
        if len(t) != len(p):
            raise ValueError(f"{self.name}: y_true has {len(t)} rows, but y_pred has {len(p)}")
        weight = None
        if sample_weight is not None:
            weight = np.asarray(sample_weight, p.dtype)
            weight = np.broadcast_to(weight, p.shape[:1]) if weight.ndim == 0 else weight
            if weight.ndim > 1 and weight.shape[-1] == 1:
                weight = weight[..., 0]
        shape = (None, *p.shape[1:])
        chosen = self.resolve(None, t.shape, shape)
        chosen.check(shape)

        def sums(t: Tensor, p: Tensor, w: Tensor | None) -> Tensor:
            return chosen.sums(chosen.read(t, p), p, w)

        made = np.asarray(evaluate(sums, t, p, weight), np.float64)
        self._sums = made if self._sums is None else self._sums + made
        rest = 1 if weight is None else weight.ndim
        self._seen = chosen, (None, *p.shape[rest:])

    def result(self) -> Any:
        """The metric of all arrays since the last `reset_state`; 0 before the first."""
        if self._sums is None:
            return 0.0
        chosen, shape = self._seen
        return chosen.value(self._sums.reshape(-1), shape)

    def reset_state(self) -> None:
        """Forget all arrays."""
        self._sums = self._seen = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take in arrays; returns the result so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


def _values_of(function: Callable[..., Any], name: str, y_true: Tensor, y_pred: Tensor) -> Tensor:
    return FunctionLoss(function, name=name)._values(y_true, y_pred)


class MeanMetricWrapper(Metric):
    """The mean of a function of (y_true, y_pred) from `fastnn.ops`.

    Parameters
    ----------
    fn : callable
        Returns one value per sample, or several.
    name : str, optional
        By default the function's.
    dtype
        Accepted, without effect.
    **kwargs
        Passed to `fn`.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None))
        self.fn = fn
        self.kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        fn = config["fn"]
        return cls(**{**config, "fn": fn if callable(fn) else choose("function", fn, {})})

    def get_config(self) -> dict[str, Any]:
        return {"fn": describe(self.fn), "name": self.name} | {
            key: describe(value) for key, value in self.kwargs.items()
        }


class OfLoss(Metric):
    """The mean of a loss: subclasses make it in `loss`."""

    target = "like"
    direction = "min"

    def loss(self) -> Any:
        """The loss whose mean this is."""
        raise NotImplementedError

    def check(self, y_pred_shape: Any) -> None:
        self.loss().check(Tensor(y_pred_shape, name=self.name))

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return self.loss().sums(y_true, y_pred, weight)

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        loss = self.loss()
        each = 1 if loss.by_rows else loss.values_of(y_pred_shape)
        return super().value(sums, y_pred_shape) / each


class Mean(Metric):
    """The weighted mean of numbers, outside of a model: `update_state(values)`.

    Parameters
    ----------
    name : str, default "mean"
    dtype
        Accepted, without effect.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take in numbers and their weights (1 by default)."""
        array = np.asarray(values, np.float64)
        weight = np.broadcast_to(1.0 if sample_weight is None else sample_weight, array.shape)
        made = np.array([(array * weight).sum(), weight.sum()])
        self._sums = made if self._sums is None else self._sums + made

    def result(self) -> float:
        """The mean so far; 0 before the first number."""
        return 0.0 if self._sums is None else self.value(self._sums, ())

    def __call__(self, values: Any, sample_weight: Any = None) -> float:  # type: ignore[override]
        """Take in numbers; returns the result so far."""
        self.update_state(values, sample_weight)
        return self.result()


class Sum(Mean):
    """The weighted sum of numbers, outside of a model: `update_state(values)`.

    Parameters
    ----------
    name : str, default "sum"
    dtype
        Accepted, without effect.
    """

    def value(self, sums: np.ndarray, y_pred_shape: Any) -> float:
        return float(sums[0])
