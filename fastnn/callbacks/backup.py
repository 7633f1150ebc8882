"""BackupAndRestore: a training that was interrupted goes on where it was.

`saving.save_state` writes what there is to know. Here is when, and how `fit` begins in the middle.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from typing import Any

from fastnn.callbacks.base import Callback, writing
from fastnn.data import whole
from fastnn.ops.random import permutation


class BackupAndRestore(Callback):
    """Back up the training, so that a `fit` that was interrupted goes on when it is run again.

    The backup holds everything: weights, the optimizer's and the callbacks' state, random numbers
    and history. The second `fit`, with the same model, data and arguments in a new process or not,
    ends byte for byte as the first would have. After training the backup is removed.

    It is called after all other callbacks, whatever its place in the list. A stream of data is
    backed up between epochs only, and begins a new pass then.

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
        self._batch = 0  # of the running pass over the rows, to go on with
        self._sums: Any = None  # of the epoch that is running

    def get_state(self) -> dict[str, Any]:
        sums = self._run.executor.accumulators if self._run.job.step else None
        return {"_batches": self._batches, "_batch": self._run.job.batch, "_sums": sums}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches, self._sums = state["_batches"], state["_sums"]
        self._batch = state["_batch"]

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
            self._go_on(run, progress["epoch"])

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

    def _go_on(self, run: Any, epoch: int) -> None:
        """Make the run continue with an epoch, perhaps in the middle of it."""
        job = run.job
        job.epochs -= epoch - run.first_epoch
        run.first_epoch = self._epoch = epoch
        if hasattr(run, "stream"):
            run.stream.begin()  # the order of its batches follows from the state
        if self._batch:  # in the middle of a pass over the rows: it goes on in the same order
            job.batch = self._batch
            self.model._past_epochs -= 1
            job.past_epochs = self.model._past_epochs
            if run.by_batches:
                run.order_batches()
            elif job.shuffle:
                seed = int(run.executor.control[0]["seed"])
                job.order[:] = permutation(seed, job.past_epochs, job.rows)
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
            step = self._run.job.step
            saving.save_state(self.model, self._latest, self._stateful(), epoch, step, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._run = None
        if self.delete_checkpoint:
            for path in (self._latest, self._previous):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            with contextlib.suppress(OSError):  # something else lies there
                os.rmdir(self.backup_dir)
