"""Callbacks: hooks of training, the history, and the progress bar.

A user's `Callback` with batch hooks makes training come back to Python after each batch, one with
epoch hooks after each epoch; with neither, many epochs run in one native call.
"""

from __future__ import annotations

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
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before each epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After each epoch; `logs` holds losses and metrics, `val_...` included."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch; `logs` holds the means of this epoch so far."""


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

    def add(self, epoch: int, logs: dict[str, Any]) -> None:
        """Note the values of one epoch."""
        self.epoch.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)


class Progress:
    """What `verbose` shows: 1 a bar per epoch, 2 a line per epoch, 0 nothing.

    The bar is redrawn at most ten times a second, so short epochs share a redraw.
    """

    def __init__(self, verbose: int, epochs: int, steps: int) -> None:
        self.verbose = verbose
        self.epochs = epochs
        self.steps = steps
        self.bar: Any = None
        self.started = time.monotonic()

    def update(self, epoch: int, batch: int) -> None:
        """Show how far an epoch has come."""
        if self.verbose != 1:
            return
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(
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
            self.update(epoch, self.steps)
            self.bar.set_postfix_str(values)
            self.close()
        else:
            took = time.monotonic() - self.started
            print(f"Epoch {epoch + 1}/{self.epochs} - {took:.1f}s - {values}", flush=True)
        self.started = time.monotonic()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
