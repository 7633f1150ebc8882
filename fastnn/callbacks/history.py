"""History: the values of each epoch, as `fit` returns them."""

from __future__ import annotations

from typing import Any

from fastnn.callbacks.base import Callback


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
