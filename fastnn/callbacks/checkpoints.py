"""ModelCheckpoint: model files written while a model trains."""

from __future__ import annotations

import errno
import numbers
import os
from typing import Any

from fastnn.callbacks.base import writing
from fastnn.callbacks.monitor import Monitor
from fastnn.data import whole
from fastnn.utils import number


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, every epoch or every few batches.

    Parameters
    ----------
    filepath : path
        Ends in ".fastnn", or in ".weights.fastnn" with `save_weights_only`. Can hold "{epoch}",
        which counts from 1, "{batch}", and keys of the logs with a format: "{val_loss:.2f}".
    monitor : str, default "val_loss"
        A key of the logs, for `save_best_only`.
    verbose : {0, 1}, default 0
        1 says when it saves.
    save_best_only : bool, default False
        Save only where the monitored value is better than ever before.
    save_weights_only : bool, default False
        `model.save_weights` instead of `model.save`.
    mode : {"auto", "min", "max"}, default "auto"
        Whether small or large is better; "auto" knows losses and fastnn's metrics.
    save_freq : "epoch" or int, default "epoch"
        Or the number of batches from one file to the next; training then comes back to Python
        after each batch.
    initial_value_threshold : float, optional
        Only what is better than this is saved by `save_best_only`.

    Raises
    ------
    ValueError
        An argument is out of its range; when training begins: "auto" cannot tell the direction;
        when a file is written: the logs have no such key.
    OSError
        The file cannot be written: before training if its folder is not writable.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        if initial_value_threshold is not None:
            self.best = number("ModelCheckpoint: initial_value_threshold", initial_value_threshold)
        ending = ".weights.fastnn" if save_weights_only else ".fastnn"
        if not self.filepath.endswith(ending):
            raise ValueError(
                f"ModelCheckpoint: filepath must end in {ending!r} for save_weights_only="
                f"{save_weights_only}, got {self.filepath!r}"
            )
        if save_freq != "epoch":
            self._every = whole(save_freq, "ModelCheckpoint: save_freq, if it is not 'epoch',")
            self.on_train_batch_end = self._batch_ended  # type: ignore[method-assign]
        self._batches = 0  # since the last file
        self._epoch = 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "_batches": self._batches}

    def _reset(self) -> None:
        """The best value stays: the file of an earlier fit is still there."""

    def _direction(self) -> str:
        return super()._direction() if self.save_best_only else "min"

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        folder = os.path.dirname(self.filepath) or "."
        if "{" not in folder:
            with writing("ModelCheckpoint: filepath", self.filepath):
                os.makedirs(folder, exist_ok=True)
                if not os.access(folder, os.W_OK):
                    raise PermissionError(errno.EACCES, "the folder is not writable")
                if os.path.isdir(self.filepath):
                    raise IsADirectoryError(errno.EISDIR, "it is a folder")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _batch_ended(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self._batches >= self._every:
            self._batches = 0
            self._save(self._epoch, batch, logs or {})

    def _save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        """Save unless an older one was better."""
        path = self._path(epoch, batch, logs)
        because = ""
        current = self._current(logs, "finds the best model") if self.save_best_only else None
        if current is not None:
            before = "None" if self.best is None else f"{self.best:.5f}"
            if not self._improves(current, self.best):
                if self.verbose:
                    print(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {before}")
                return
            because = f"{self.monitor} improved from {before} to {current:.5f}, "
            self.best = current
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: {because}saving model to {path}")
        folder = os.path.dirname(path)
        with writing("ModelCheckpoint: filepath", path):
            if folder:
                os.makedirs(folder, exist_ok=True)
            if self.save_weights_only:
                self.model.save_weights(path, overwrite=True)
            else:
                self.model.save(path, overwrite=True)

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        known: dict[str, Any] = {k: v for k, v in logs.items() if isinstance(v, numbers.Real)}
        known["epoch"] = epoch + 1
        if batch is not None:
            known["batch"] = batch + 1
        try:
            return self.filepath.format(**known)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {self.filepath!r} cannot be filled in "
                f"({type(error).__name__}: {error}); what there is: {', '.join(known)}"
            ) from error
