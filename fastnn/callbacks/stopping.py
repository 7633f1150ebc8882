"""Callbacks that end training: when nothing gets better any more, or when the loss is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback
from fastnn.callbacks.monitor import Monitor
from fastnn.data import whole
from fastnn.utils import number


class EarlyStopping(Monitor):
    """Stop when the monitored value has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A key of the logs.
    min_delta : float, default 0
        Changes of less than this are no improvement.
    patience : int, default 0
        Epochs without improvement after which to stop.
    verbose : {0, 1}, default 0
        1 says when it stops.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large is better; "auto" knows losses and fastnn's metrics.
    baseline : float, optional
        Stop also if this value is not reached within `patience` epochs.
    restore_best_weights : bool, default False
        End with the weights of the best epoch, also when training was not stopped.
    start_from_epoch : int, default 0
        Do not watch earlier epochs.

    Attributes
    ----------
    stopped_epoch, best_epoch : int
    best : float or None

    Raises
    ------
    ValueError
        An argument is out of its range; when training begins: "auto" cannot tell the direction.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = whole(patience, "EarlyStopping: patience", least=0)
        self.verbose = verbose
        self.baseline = None if baseline is None else number("EarlyStopping: baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = whole(start_from_epoch, "EarlyStopping: start_from_epoch", least=0)
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def get_state(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("best", "wait", "stopped_epoch", "best_epoch", "best_weights")
        }

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = self._current(logs, "stops")
        if current is None or epoch < self.start_from_epoch:
            return
        improved = self._improves(current, self.best)
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if improved:
            self.best = current
            self.best_epoch = epoch
            if self.baseline is None or self._improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            for variable, value in zip(self.model.variables, self.best_weights, strict=True):
                variable.assign(value)


class TerminateOnNaN(Callback):
    """Stop within the step that makes the loss NaN or infinite.

    Training does not come back to Python for it: the executor looks at the loss itself.

    Parameters
    ----------
    raise_error : bool, default False
        Raise RuntimeError instead of ending `fit` in the usual way.
    """

    stop_on_nan = True

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_nan(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if self.raise_error:
            raise RuntimeError(
                f"TerminateOnNaN: the loss was {loss} at batch {batch}; try a smaller learning "
                "rate or clipnorm=1.0"
            )
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
