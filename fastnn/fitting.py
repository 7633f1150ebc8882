"""One call of `fit`: slices of training, and what happens between them.

`ArrayFit` carries on with a job over arrays: many batches, whole epochs in one call of the
executor. `StreamFit` takes batch after batch from a stream. Made and run by `training.py`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.backends import Executor, Job
from fastnn.callbacks import Callback, History, Progress, overrides
from fastnn.engine.trace import Sum, losses_among
from fastnn.heads import Heads
from fastnn.ops.random import permutation
from fastnn.streams import Batch, Stream

EPOCHS_AT_ONCE = 1024  # in one call of the executor
RATES_AT_ONCE = 4096  # entries of the table of a schedule

BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")

Prepared = tuple[list[np.ndarray], Executor, list[Sum]]  # a batch, and who trains on it


class Fit:
    """What all fits share: hooks, history, progress, validation, the end.

    Attributes
    ----------
    validate : callable, optional
        Returns losses and metrics on the validation data, or None if there is none left.
    is_validated : callable
        Whether validation follows an epoch, given its number from 1.
    """

    progress: Progress
    sums: list[Sum]
    validate: Callable[[], dict[str, Any] | None] | None = None

    def __init__(self, model: Any, heads: Heads, hooks: list[Callback], first_epoch: int) -> None:
        self.model, self.heads, self.hooks, self.first_epoch = model, heads, hooks, first_epoch
        self.is_validated: Callable[[int], bool] = lambda epoch: True
        self.by_batch = any(overrides(c, *BATCH_HOOKS) for c in hooks)
        self.stop_on_nan = any(c.stop_on_nan for c in hooks)
        self.history = model.history = History()
        self.logs: dict[str, Any] = {}  # of the last epoch
        self.warned = False

    def run(self) -> None:
        """Train until the end, or until the user stops it."""
        try:
            with interruptible():
                self.call("prepare", self)  # which can restore a state
                self.call("on_train_begin", {})
                self.all_epochs()
                self.take_averages()
                self.call("on_train_end", self.logs)
        finally:
            self.progress.close()

    def take_averages(self) -> None:
        """At the end weights are their moving averages, if the optimizer keeps any."""
        model, optimizer = self.model, self.model.optimizer
        if optimizer.use_ema and optimizer.iterations:
            trained = [v for v in model.trainable_variables if optimizer.factor_of(v)]
            model._executors.take_averages(trained)

    def all_epochs(self) -> None:
        """The epochs, with hooks and progress between."""
        raise NotImplementedError

    def finish(self, number: int, sums: np.ndarray) -> None:
        """Validate, note and show an epoch that has ended."""
        epoch = number + self.first_epoch
        self.logs = self.results(sums)
        if self.validate is not None and self.is_validated(epoch + 1):
            checked = self.validate()
            self.logs |= {f"val_{key}": value for key, value in (checked or {}).items()}
        try:
            self.call("on_epoch_end", epoch, self.logs)  # which can add to the logs
        finally:
            self.history.add(epoch, self.logs)
            self.progress.end_epoch(epoch, self.logs)

    def finish_quietly(self, epochs: range, sums: np.ndarray) -> None:
        """As `finish`, for several epochs that nobody looks at."""
        logs = self.results(sums)
        self.history.extend([epoch + self.first_epoch for epoch in epochs], logs)
        self.logs = {key: values[-1] for key, values in logs.items()}

    def stop_at_nan(self, batch: int, sums: np.ndarray) -> None:
        """The loss of this batch is NaN or infinite."""
        self.call("on_nan", batch, self.results(sums))
        self.model.stop_training = True

    def warn_of_the_end(self) -> None:
        """There are fewer batches than were asked for."""
        if not self.warned:
            self.warned = True
            warnings.warn(
                "fit: the data ran out before all steps of all epochs were done. Give at least "
                "steps_per_epoch * epochs batches, or ask for fewer",
                UserWarning,
                stacklevel=5,
            )

    def results(self, sums: np.ndarray) -> dict[str, Any]:
        """Losses and metrics of an epoch so far."""
        return self.heads.results(self.sums, sums)

    def call(self, hook: str, *args: Any) -> None:
        """Call a hook of each callback."""
        call(self.hooks, hook, *args)


class ArrayFit(Fit):
    """Epochs over arrays; `steps` batches each, if that is not a pass over all rows.

    Parameters
    ----------
    by_batches : bool
        Shuffle batches of neighbouring rows instead of rows.
    """

    def __init__(
        self,
        model: Any,
        heads: Heads,
        hooks: list[Callback],
        first_epoch: int,
        executor: Executor,
        sums: list[Sum],
        job: Job,
        by_batches: bool = False,
        wanted: int | None = None,
    ) -> None:
        super().__init__(model, heads, hooks, first_epoch)
        self.executor, self.sums, self.job = executor, sums, job
        self.by_batches, self.wanted = by_batches, wanted
        self.by_epoch = True  # something happens between two epochs
        job.stop_on_nan = self.stop_on_nan
        job.watched = losses_among(sums)
        job.objective = lambda values: heads.results(sums, values)["loss"]
        if self.by_batch:
            job.max_batches = 1

    def all_epochs(self) -> None:
        job = self.job
        self.by_epoch = self.validate is not None
        self.by_epoch |= any(overrides(c, *EPOCH_HOOKS) for c in self.hooks)
        if self.by_epoch:
            job.max_epochs = 1
        job.past_epochs = self.model._past_epochs
        restored = len(self.history.epoch)
        try:
            self.slices()
        except KeyboardInterrupt:
            # It can come between any two lines, after a slice that finished epochs: they are
            # noted as well, so that the history tells what the weights have seen.
            if self.validate is None:
                self.history.forget_unfinished()
                for number in range(len(self.history.epoch) - restored, job.epoch):
                    logs = self.results(job.sums_of(number))
                    self.history.add(number + self.first_epoch, logs)
            raise
        finally:
            self.note_passes()

    def note_passes(self) -> None:
        """The next order of the rows is a new one."""
        job = self.job
        self.model._past_epochs = job.past_epochs + job.passes + (job.batch > 0)

    def slices(self) -> None:
        """Train slice by slice."""
        job, executor = self.job, self.executor
        while job.epoch < job.epochs and not self.model.stop_training:
            epoch, step = job.epoch, job.step
            if self.by_batches and job.batch == 0:
                self.order_batches()
            if step == 0:
                self.call("on_epoch_begin", epoch + self.first_epoch, {})
            self.call("on_train_batch_begin", step, {})
            train(self.model.optimizer, executor, job)
            self.note_passes()
            if job.stopped_on_nan:
                self.stop_at_nan((job.step or job.steps) - 1, executor.accumulators)
            if self.by_batch:
                sums = job.sums_of(epoch) if job.epoch > epoch else executor.accumulators
                self.call("on_train_batch_end", step, self.results(sums))
            done = range(epoch, job.epoch)
            if self.by_epoch or self.progress.verbose or len(done) < 2:
                for number in done:
                    self.finish(number, job.sums_of(number))
            else:
                self.finish_quietly(done, job.sums[np.arange(epoch, job.epoch) % len(job.sums)])
            if self.wanted is not None and any(map(self.is_short, done)):
                self.warn_of_the_end()
            if job.step:
                self.progress.update(job.epoch + self.first_epoch, job.step)
        if job.step:  # stopped within an epoch: it ends here
            job.sums_of(job.epoch)[:] = executor.accumulators
            self.finish(job.epoch, job.sums_of(job.epoch))

    def is_short(self, epoch: int) -> bool:
        """Whether an epoch had fewer batches than were asked for, since the rows ended."""
        job = self.job
        assert self.wanted is not None
        in_a_pass = -(-job.batches // job.steps)
        last = (epoch + 1) % in_a_pass == 0
        return last and job.batches - (in_a_pass - 1) * job.steps < self.wanted

    def order_batches(self) -> None:
        """A new order of the batches; a last one that is shorter stays the last."""
        job = self.job
        job.max_epochs = 1
        seed = int(self.executor.control[0]["seed"])
        full = job.rows // job.batch_size
        order = permutation(seed, job.past_epochs + job.passes, full)
        rows = order[:, None] * job.batch_size + np.arange(job.batch_size)
        job.order[: rows.size] = rows.ravel()


@dataclass(eq=False)
class Place:
    """What a callback can ask of a job, for a stream: backups are made between its epochs only."""

    epochs: int
    batch: int = 0
    step: int = 0
    shuffle: bool = False


class StreamFit(Fit):
    """Epochs over a stream, `steps` batches each, or a pass.

    Parameters
    ----------
    prepare : callable
        Makes of a batch the feeds, and finds the executor that trains on them; it checks the data.
    """

    def __init__(
        self,
        model: Any,
        heads: Heads,
        hooks: list[Callback],
        first_epoch: int,
        stream: Stream,
        epochs: int,
        steps: int | None,
        prepare: Callable[[Batch], Prepared],
    ) -> None:
        super().__init__(model, heads, hooks, first_epoch)
        self.stream, self.steps, self.prepare = stream, steps, prepare
        self.job = Place(epochs)
        self.shown = 0.0  # when the progress was

    def all_epochs(self) -> None:
        epochs = self.job.epochs
        for number in range(epochs):
            if self.model.stop_training:
                break
            if number and self.steps is None:
                self.stream.begin()
            if self.stream.peek() is None and self.stream.again:
                self.stream.begin()  # with steps_per_epoch a pass goes on in the next epoch
            if self.stream.peek() is None:
                self.warn_of_the_end()
                break
            self.call("on_epoch_begin", number + self.first_epoch, {})
            sums, ended = self.epoch(number)
            self.finish(number, sums)
            self.stream.end_epoch()
            if ended and not self.stream.again:
                if number + 1 < epochs:
                    self.warn_of_the_end()
                break

    def epoch(self, number: int) -> tuple[np.ndarray, bool]:
        """The accumulators of one epoch, and whether the stream has ended within it."""
        totals = np.zeros(0)
        step = 0
        while step != self.steps:
            batch = self.stream.next()
            if batch is None:
                if self.steps is not None:
                    self.warn_of_the_end()
                return totals, True
            totals = self.batch(batch, step, totals)
            step += 1
            if time.monotonic() - self.shown > 0.1:
                self.shown = time.monotonic()
                self.progress.update(number + self.first_epoch, step)
            if self.model.stop_training:
                break
        return totals, False

    def batch(self, batch: Batch, step: int, totals: np.ndarray) -> np.ndarray:
        """Train on a batch; returns the accumulators of the epoch so far."""
        feeds, executor, self.sums = self.prepare(batch)
        if not totals.size:
            totals = np.zeros(executor.plan.accumulator_count)
        self.call("on_train_batch_begin", step, {})
        rows = len(feeds[0])
        job = Job(feeds, rows, rows, 1, False, np.zeros((1, len(totals))), fresh=False)
        job.stop_on_nan = self.stop_on_nan
        job.watched = losses_among(self.sums)
        with executor.lock:
            executor.accumulators[:] = totals
            train(self.model.optimizer, executor, job)
        totals = job.sums[0]
        if job.stopped_on_nan:
            self.stop_at_nan(step, totals)
        if self.by_batch:
            self.call("on_train_batch_end", step, self.results(totals))
        return totals


def train(optimizer: Any, executor: Executor, job: Job) -> None:
    """One slice, with the optimizer's rate or the table of its schedule."""
    left = min((job.epochs - job.epoch) * job.steps - job.step, job.max_batches, RATES_AT_ONCE)
    job.rates = optimizer.rates(*counters(executor), left)
    if job.rates is None:
        executor.control["rate"] = optimizer.learning_rate
    try:
        optimizer.train(executor, job)
    finally:
        optimizer.reached(*counters(executor))


def counters(executor: Executor) -> tuple[int, int]:
    """The updates and batches that are done."""
    iteration, step, *_ = executor.control[0].item()  # at once: each number of a record costs
    return iteration, step


def call(hooks: Sequence[Callback], hook: str, *args: Any) -> None:
    """Call a hook of each callback."""
    for callback in hooks:
        getattr(callback, hook)(*args)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGTERM is a KeyboardInterrupt like Ctrl-C, unless the program handles it itself."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt("SIGTERM")
