"""The reference executor: each step is its op's NumPy definition. Slow, readable, and it trains.

It is the living specification: the native executor must follow it within the tolerances of the
tests, and `fit` runs on it where no compiled kernels are installed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.backends.base import Executor, Job
from fastnn.engine.plan import Step
from fastnn.ops.contract import Op
from fastnn.ops.random import permutation


class ReferenceExecutor(Executor):
    """Runs a plan step by step in NumPy."""

    name = "reference"

    @classmethod
    def has(cls, op: Op) -> bool:
        return True  # whatever has a definition

    def gradients(
        self,
        feeds: Sequence[np.ndarray],
        *,
        group: int = 0,
        first_row: int = 0,
        batch_rows: int | None = None,
    ) -> np.ndarray:
        with self.lock:
            rows = len(feeds[0]) if feeds else self.plan.capacity
            self.check(feeds, rows, rows)
            self.accumulators[:] = 0
            self._batch(feeds, np.arange(rows), batch_rows or rows, first_row, group)
            return self.accumulators.copy()

    def update(self, *, group: int = 0) -> None:
        with self.lock:
            self._run(group, self.plan.groups[group].updates, 0)
            self.control[group]["iteration"] += 1

    def train(self, job: Job) -> None:
        self.check(job.feeds, job.rows, min(job.batch_size, job.rows))
        deadline = time.monotonic() + job.seconds
        batches = epochs = 0
        most = job.max_batches if job.rates is None else min(job.max_batches, len(job.rates))
        with self.lock:
            while job.epoch < job.epochs and epochs < job.max_epochs and batches < most:
                self._begin(job)
                if job.rates is not None:
                    self.control["rate"] = job.rates[batches]
                self._train_batch(job)
                job.batch += 1
                batches += 1
                job.stopped_on_nan = job.stop_on_nan and not np.isfinite(
                    self.accumulators[list(job.watched)]
                ).all()
                ended = job.batch == job.batches
                if ended or job.step == 0:
                    job.sums_of(job.epoch)[:] = self.accumulators
                    job.epoch += 1
                    epochs += 1
                if ended:
                    job.batch = 0
                    job.passes += 1
                if job.stopped_on_nan or time.monotonic() > deadline:
                    return

    def _begin(self, job: Job) -> None:
        """Of an epoch, or of a pass over the rows."""
        if job.step == 0 and job.fresh:
            self.accumulators[:] = 0
        if job.batch == 0 and job.shuffle:
            seed = int(self.control[0]["seed"])
            job.order[:] = permutation(seed, job.past_epochs + job.passes, job.rows)

    def _train_batch(self, job: Job) -> None:
        start = job.batch * job.batch_size
        index = job.order[start : start + job.batch_size]
        for number, group in enumerate(self.plan.groups):
            self._batch(job.feeds, index, len(index), 0, number)
            step = int(self.control[number]["step"]) + 1
            self.control[number]["step"] = step
            if group.updates and step % group.every == 0:
                self._run(number, group.updates, 0)
                self.control[number]["iteration"] += 1

    def _batch(
        self, feeds: Sequence[np.ndarray], index: Any, batch_rows: int, first_row: int, group: int
    ) -> None:
        """The rows `index` of one batch, in chunks of at most `capacity`."""
        record = self.control[group]
        record["batch_rows"] = batch_rows
        for start in range(0, len(index), self.plan.capacity):
            chunk = index[start : start + self.plan.capacity]
            record["first_row"] = first_row + start
            if group == 0 or len(chunk) < len(index):
                self._gather(feeds, chunk)
            self._run(group, self.plan.groups[group].steps, len(chunk), again=start > 0)
        self._run(group, self.plan.groups[group].batch_steps, 0)

    def evaluate(self, feeds: Sequence[np.ndarray], rows: int) -> np.ndarray:
        self.check(feeds, rows)
        with self.lock:
            self.accumulators[:] = 0
            for start in range(0, rows, self.plan.capacity):
                self._forward(feeds, start, min(start + self.plan.capacity, rows))
            return self.accumulators.copy()

    def predict(
        self, feeds: Sequence[np.ndarray], rows: int, outputs: Sequence[np.ndarray]
    ) -> None:
        self.check(feeds, rows)
        with self.lock:
            for start in range(0, rows, self.plan.capacity):
                stop = min(start + self.plan.capacity, rows)
                self._forward(feeds, start, stop)
                for target, buffer in zip(outputs, self.plan.outputs, strict=True):
                    target[start:stop] = self.view(buffer, stop - start)

    def _forward(self, feeds: Sequence[np.ndarray], start: int, stop: int) -> None:
        self._gather(feeds, slice(start, stop))
        for number, group in enumerate(self.plan.groups):
            self._run(number, group.steps, stop - start)

    def _gather(self, feeds: Sequence[np.ndarray], index: Any) -> None:
        for data, buffer in zip(feeds, self.plan.feeds, strict=True):
            chosen = data[index]
            self.view(buffer, len(chosen))[...] = chosen

    def _run(self, group: int, steps: Sequence[Step], rows: int, again: bool = False) -> None:
        """Run steps; `again` for the second and later chunks of a batch."""
        with np.errstate(all="ignore"):  # like any kernel it says nothing of overflow and NaN
            self._run_steps(group, steps, rows, again)

    def _run_steps(self, group: int, steps: Sequence[Step], rows: int, again: bool) -> None:
        for step in steps:
            if again and step.once:
                continue
            inputs = [None if b is None else self.view(b, rows) for b in step.inputs]
            if step.op.control:
                inputs.append(self.control[group])
            made = step.op.define(*inputs, **step.attrs)
            if len(step.outputs) == 1:
                made = (made,)
            for i, (buffer, value) in enumerate(zip(step.outputs, made, strict=True)):
                if buffer is None:
                    continue
                target = self.view(buffer, rows)
                add = step.add[i] or (again and i in step.gradients)
                target[...] = target + value if add else value
