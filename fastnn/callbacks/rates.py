"""Callbacks that change the learning rate between epochs.

A schedule of the optimizer's own (`fastnn.optimizers.schedules`) costs nothing: these two make
training come back to Python after each epoch.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback
from fastnn.callbacks.monitor import Monitor
from fastnn.data import whole
from fastnn.utils import number


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when the monitored value no longer improves.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the logs.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        Epochs without improvement after which to reduce.
    verbose : {0, 1}, default 0
        1 says when it reduces.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large is better; "auto" knows losses and fastnn's metrics.
    min_delta : float, default 1e-4
        Changes of less than this are no improvement.
    cooldown : int, default 0
        Epochs to wait after a reduction before watching again.
    min_lr : float, default 0.0
        The rate is not reduced below this.

    Raises
    ------
    ValueError
        An argument is out of its range; when training begins: "auto" cannot tell the direction, or
        the optimizer has a schedule of its own.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = number("ReduceLROnPlateau: factor", factor, low=0, below=1)
        self.patience = whole(patience, "ReduceLROnPlateau: patience", least=0)
        self.verbose = verbose
        self.cooldown = whole(cooldown, "ReduceLROnPlateau: cooldown", least=0)
        self.min_lr = number("ReduceLROnPlateau: min_lr", min_lr, low=0)
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self.wait = 0
        self.cooldown_counter = 0

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "wait", "cooldown_counter")}

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        _require_settable_rate(self)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = float(optimizer.learning_rate)
        current = self._current(logs, "reduces the learning rate")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            old = float(optimizer.learning_rate)
            if self.wait >= self.patience and old > self.min_lr:
                optimizer.learning_rate = max(old * self.factor, self.min_lr)
                if self.verbose:
                    print(
                        f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                        f"{optimizer.learning_rate}."
                    )
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether a reduction was less than `cooldown` epochs ago."""
        return self.cooldown_counter > 0


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Parameters
    ----------
    schedule : callable
        `schedule(epoch, rate)`, or `schedule(epoch)`, returns the new rate; epochs count from 0.
    verbose : {0, 1}, default 0
        1 prints each rate.

    Raises
    ------
    ValueError
        During training: the schedule returned something that is no rate. When it begins: the
        optimizer has a schedule of its own.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                "LearningRateScheduler: schedule must be a function (epoch, rate) -> rate, got "
                f"{schedule!r}"
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Any = None) -> None:
        _require_settable_rate(self)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        given = (float(optimizer.learning_rate),) if self._takes_rate else ()
        rate = self.schedule(epoch, *given)
        array = np.asarray(rate)
        if array.ndim > 0 or array.dtype.kind not in "iuf":
            raise ValueError(
                f"LearningRateScheduler: the schedule must return a float, got {rate!r} for epoch "
                f"{epoch}"
            )
        if not math.isfinite(array) or array < 0:
            raise ValueError(
                f"LearningRateScheduler: the schedule returned {rate!r} for epoch {epoch}; a "
                "learning rate is finite and not negative"
            )
        optimizer.learning_rate = float(array)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{optimizer.learning_rate}."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether it can be called with (epoch, rate)."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # built in, without a signature
        pass
    return True


def _require_settable_rate(callback: Callback) -> None:
    """Two cannot both set the rate."""
    own = getattr(callback.model.optimizer, "schedule", None)
    if own is not None:
        raise ValueError(
            f"{type(callback).__name__}: the optimizer already has a schedule, "
            f"{type(own).__name__}; give it a number as learning_rate, or leave this callback out"
        )
