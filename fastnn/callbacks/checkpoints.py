"""Callbacks that write model files while a model trains."""

from __future__ import annotations

import contextlib
import errno
import numbers
import os
import warnings
from typing import Any

from fastnn.callbacks.base import Callback, writing
from fastnn.callbacks.monitor import Monitor
from fastnn.data import whole
from fastnn.ops.random import permutation
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


class BackupAndRestore(Callback):
    """Back up the training, so that a `fit` that was interrupted goes on when it is run again.

    The backup holds everything: weights, the optimizer's and the callbacks' state, random numbers
    and history. The second `fit`, with the same model, data and arguments in a new process or not,
    ends byte for byte as the first would have. After training the backup is removed.

    It is called after all other callbacks, whatever its place in the list.

    Parameters
    ----------
    backup_dir : path
        A folder of its own.
    save_freq : "epoch" or int, default "epoch"
        Or the number of batches from one backup to the next; training then comes back to Python
        after each batch.
    double_checkpoint : bool, default False
        Keep the backup before the last one too; it is used if the last one cannot be read.
    delete_checkpoint : bool, default True
        Remove the backup when training has ended.

    Raises
    ------
    ValueError
        An argument is out of its range.
    ModelFileError
        When training begins: the backup is damaged, or of another model or other callbacks.
    OSError
        The folder cannot be written: before training if that can be known.
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("BackupAndRestore: backup_dir must be the path of a folder, got ''")
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        if save_freq != "epoch":
            self._every = whole(save_freq, "BackupAndRestore: save_freq, if it is not 'epoch',")
            self.on_train_batch_end = self._batch_ended  # type: ignore[method-assign]
        self._latest = os.path.join(self.backup_dir, "latest.fastnn")
        self._previous = os.path.join(self.backup_dir, "previous.fastnn")
        self._run: Any = None
        self._epoch = 0
        self._batches = 0  # since the last backup
        self._sums: Any = None  # of the epoch that is running

    def get_state(self) -> dict[str, Any]:
        sums = self._run.executor.accumulators if self._run.job.step else None
        return {"_batches": self._batches, "_sums": sums}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches, self._sums = state["_batches"], state["_sums"]

    def prepare(self, run: Any) -> None:
        self._run = run
        run.hooks = [*(c for c in run.hooks if c is not self), self]
        self._batches, self._epoch = 0, run.first_epoch
        with writing("BackupAndRestore: backup_dir", self.backup_dir):
            os.makedirs(self.backup_dir, exist_ok=True)
            if not os.access(self.backup_dir, os.W_OK):
                raise PermissionError(errno.EACCES, "the folder is not writable")
        progress = self._restored()
        if progress is not None:
            self._go_on(run, progress["epoch"], progress["batch"])

    def _restored(self) -> dict[str, Any] | None:
        """Put back the last backup that can be read; where it was, or None without one."""
        from fastnn import saving  # which knows the callbacks

        found = [path for path in (self._latest, self._previous) if os.path.exists(path)]
        for path in found:
            try:
                progress: dict[str, Any] = saving.restore_state(self.model, path, self._stateful())
                return progress
            except saving.ModelFileError as error:
                if path == found[-1]:
                    raise
                warnings.warn(f"the last backup is not used: {error}", stacklevel=2)
        return None

    def _stateful(self) -> list[Callback]:
        """The callbacks that have something to remember."""
        return [c for c in self._run.hooks if type(c).get_state is not Callback.get_state]

    def _go_on(self, run: Any, epoch: int, batch: int) -> None:
        """Make the run continue at a batch of an epoch."""
        job = run.job
        job.epochs -= epoch - run.first_epoch
        run.first_epoch = self._epoch = epoch
        if batch:  # in the middle of a pass over the rows: it goes on in the same order
            job.batch = batch
            self.model._past_epochs -= 1
            if job.shuffle:
                seed = int(run.executor.control[0]["seed"])
                job.order[:] = permutation(seed, self.model._past_epochs, job.rows)
        if job.step:  # in the middle of an epoch: so do its losses and metrics
            run.executor.accumulators[:] = self._sums

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        due = self.save_freq == "epoch" or self._batches >= self._every
        if due and self._run.job.step == 0:
            self._save(epoch + 1, logs)

    def _batch_ended(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        if self._batches >= self._every and self._run.job.step:  # else when the epoch has ended
            self._save(self._epoch, None)

    def _save(self, epoch: int, logs: Any) -> None:
        """Write what it takes to go on with this epoch."""
        from fastnn import saving

        self._batches = 0
        with writing("BackupAndRestore: backup_dir", self.backup_dir):
            if self.double_checkpoint and os.path.exists(self._latest):
                os.replace(self._latest, self._previous)
            batch = self._run.job.batch
            saving.save_state(self.model, self._latest, self._stateful(), epoch, batch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._run = None
        if self.delete_checkpoint:
            for path in (self._latest, self._previous):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            with contextlib.suppress(OSError):  # something else lies there
                os.rmdir(self.backup_dir)
