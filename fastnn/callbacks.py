"""Callbacks: hooks of training, the history, and the progress bar.

A user's `Callback` with batch hooks makes training come back to Python after each batch, one with
epoch hooks after each epoch; with neither, many epochs run in one native call.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from typing import Any


class Callback:
    """Base class: override the hooks you need.

    Attributes
    ----------
    model : Model
        Set before training begins.
    params : dict
        "epochs", "steps", "batch_size", "verbose".
    """

    model: Any = None
    params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Called before training begins."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training begins."""
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before each epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After each epoch; `logs` holds losses and metrics, `val_...` included."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch; calls `on_batch_begin`, its other name."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch; `logs` holds the means of this epoch so far. Calls `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Before the validation that ends an epoch."""

    def on_test_end(self, logs: Any = None) -> None:
        """After that validation; `logs` holds its losses and metrics, without `val_`."""


def overrides(callback: Callback, *hooks: str) -> bool:
    """Whether the callback defines one of these hooks itself."""
    return any(getattr(type(callback), h) is not getattr(Callback, h) for h in hooks)


class History(Callback):
    """What `fit` returns.

    Attributes
    ----------
    history : dict of lists
        One value per epoch for "loss", each metric and their "val_" forms.
    epoch : list of int
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.add(epoch, logs or {})

    def add(self, epoch: int, logs: dict[str, Any]) -> None:
        """Note the values of one epoch."""
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)
        self.epoch.append(epoch)

    def forget_unfinished(self) -> None:
        """Drop the values of an epoch that `add` was interrupted at."""
        for values in self.history.values():
            del values[len(self.epoch) :]


class Progress:
    """What `verbose` shows: 1 a bar per epoch, 2 a line per epoch, 0 nothing.

    At most ten bars a second are shown: of epochs shorter than that some are left out, never the
    last one.
    """

    def __init__(self, verbose: int, epochs: int, steps: int) -> None:
        self.verbose = verbose
        self.epochs = epochs
        self.steps = steps
        self.bar: Any = None
        self.started = time.monotonic()
        self.shown = -math.inf  # when the last bar was finished
        self.ended: tuple[int, str] | None = None  # an epoch that is not shown yet

    def update(self, epoch: int, batch: int) -> None:
        """Show how far an epoch has come."""
        if self.verbose != 1:
            return
        if self.bar is None:
            self.bar = _bar_class()(
                total=self.steps,
                desc=f"Epoch {epoch + 1}/{self.epochs}",
                file=sys.stdout,
                unit="batch",
                leave=True,
                dynamic_ncols=True,
            )
        self.bar.n = batch
        self.bar.refresh()

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Show an epoch's values."""
        if self.verbose == 0:
            return
        values = " - ".join(f"{k}: {v:.4f}" for k, v in logs.items() if isinstance(v, float))
        if self.verbose == 1:
            self.ended = epoch, values
            if self.bar is not None or time.monotonic() - self.shown >= 0.1:
                self._show()
        else:
            took = time.monotonic() - self.started
            print(f"Epoch {epoch + 1}/{self.epochs} - {took:.1f}s - {values}", flush=True)
        self.started = time.monotonic()

    def _show(self) -> None:
        """Finish the bar of the epoch that has ended."""
        if self.ended is not None:
            epoch, values = self.ended
            self.ended = None
            self.update(epoch, self.steps)
            self.bar.set_postfix_str(values)
            self.close()
            self.shown = time.monotonic()

    def close(self) -> None:
        """Show what is not shown yet, and leave the bar as it is."""
        self._show()
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@functools.cache
def _bar_class() -> Any:
    """tqdm's bar without the thread that would watch over it: nothing outlives `fit`."""
    from tqdm import tqdm

    return type("Bar", (tqdm,), {"monitor_interval": 0})
