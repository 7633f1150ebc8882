"""Monitor: base of the callbacks that watch whether one value of the logs gets better."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from fastnn.callbacks.base import Callback
from fastnn.utils import number

MODES = ("auto", "min", "max")


class Monitor(Callback):
    """Knows the monitored key, whether small or large is better, and the best value so far.

    Parameters
    ----------
    monitor : str
        A key of the logs.
    mode : {"auto", "min", "max"}
        "auto" knows the direction of losses and of the metrics of fastnn.
    min_delta : float
        Changes of less than this are no improvement.

    Raises
    ------
    ValueError
        An argument is wrong; when training begins: "auto" cannot tell the direction.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        what = type(self).__name__
        if not isinstance(monitor, str):
            raise ValueError(f"{what}: monitor must be a key of the logs, got {monitor!r}")
        if mode not in MODES:
            raise ValueError(f"{what}: mode must be one of {', '.join(MODES)}, got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(number(f"{what}: min_delta", min_delta))
        self.best: float | None = None
        self._sign = 1.0  # times a value: small is better
        self._warned = False
        self._resumed = False  # the state was set from outside: keep it

    def set_state(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._resumed = True

    def on_train_begin(self, logs: Any = None) -> None:
        self._warned = False
        self._sign = -1.0 if self._direction() == "max" else 1.0
        if not self._resumed:
            self._reset()
        self._resumed = False

    def _reset(self) -> None:
        """Forget what an earlier fit left."""
        self.best = None

    def _direction(self) -> str:
        """Which values are better: "min" or "max"."""
        if self.mode != "auto":
            return self.mode
        key = self.monitor.removeprefix("val_")
        heads = self.model._heads
        found = "min" if key in heads.loss_keys else None
        metrics = [m for head in heads for m in (*head.metrics, *head.weighted_metrics)]
        for name, metric in zip(heads.metric_keys, metrics, strict=True):
            if name == key:
                found = getattr(metric, "direction", None)
        if found is None:
            known = ", ".join([*heads.loss_keys, *heads.metric_keys])
            raise ValueError(
                f"{type(self).__name__}: cannot tell whether small or large values of "
                f"{self.monitor!r} are better; set mode='min' or mode='max' (this model's own keys "
                f"are: {known}, and the same with val_)"
            )
        return found

    def _current(self, logs: Any, purpose: str) -> float | None:
        """The monitored value, or None: a warning says so, once in a fit."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if isinstance(value, numbers.Real):
            return float(value)
        if not self._warned:
            self._warned = True
            there = (
                f"is a {type(value).__name__}, not a number"
                if self.monitor in logs
                else f"is not among the logs: {', '.join(logs)}"
            )
            hint = "; validation_data is missing" if self._validation_missing(logs) else ""
            warnings.warn(
                f"{type(self).__name__} {purpose} by {self.monitor!r}, which {there}{hint}",
                stacklevel=2,
            )
        return None

    def _validation_missing(self, logs: dict[str, Any]) -> bool:
        """Whether the key would be there if the epoch had been validated."""
        plain = self.monitor.removeprefix("val_")
        return plain != self.monitor and plain in logs and self.monitor not in logs

    def _improves(self, value: float, reference: float | None) -> bool:
        """Whether a value is better than another one; NaN never is."""
        if math.isnan(value):
            return False
        if reference is None:
            return True
        return self._sign * value < self._sign * reference - self.min_delta
