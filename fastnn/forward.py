"""Passes without training: evaluate and predict, over arrays or a stream, with their hooks.

Called by `training.py`. Without batch hooks all rows run in one call of the executor.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.backends import Executor
from fastnn.callbacks import Callback, overrides
from fastnn.engine.trace import Sum
from fastnn.fitting import Prepared, call
from fastnn.heads import Heads
from fastnn.ops.tensor import concrete
from fastnn.streams import Batch, Stream
from fastnn.utils import unlist

TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
PREDICT_BATCH_HOOKS = ("on_predict_batch_begin", "on_predict_batch_end")


def evaluate_arrays(
    heads: Heads,
    executor: Executor,
    sums: list[Sum],
    feeds: list[np.ndarray],
    batch_size: int,
    hooks: Sequence[Callback],
) -> dict[str, Any]:
    """Losses and metrics over all rows."""
    rows = len(feeds[0])
    call(hooks, "on_test_begin", {})
    if any(overrides(c, *TEST_BATCH_HOOKS) for c in hooks):
        totals = np.zeros(executor.plan.accumulator_count)
        for number, start in enumerate(range(0, rows, batch_size)):
            batch = [a[start : start + batch_size] for a in feeds]
            call(hooks, "on_test_batch_begin", number, {})
            totals += executor.evaluate(batch, len(batch[0]))
            call(hooks, "on_test_batch_end", number, heads.results(sums, totals))
    else:
        totals = executor.evaluate(feeds, rows)
    logs = heads.results(sums, totals)
    call(hooks, "on_test_end", logs)
    return logs


def evaluate_stream(
    heads: Heads,
    stream: Stream,
    steps: int | None,
    prepare: Callable[[Batch], Prepared],
    hooks: Sequence[Callback],
) -> dict[str, Any] | None:
    """Losses and metrics over the next `steps` batches, or a pass; None if there is no batch."""
    totals, logs = np.zeros(0), None
    for number, batch in enumerate(_batches(stream, steps, "evaluate")):
        feeds, executor, sums = prepare(batch)
        if number == 0:
            call(hooks, "on_test_begin", {})
            totals = np.zeros(executor.plan.accumulator_count)
        call(hooks, "on_test_batch_begin", number, {})
        totals += executor.evaluate(feeds, len(feeds[0]))
        if any(overrides(c, *TEST_BATCH_HOOKS) for c in hooks):
            call(hooks, "on_test_batch_end", number, heads.results(sums, totals))
    if totals.size:
        logs = heads.results(sums, totals)
        call(hooks, "on_test_end", logs)
    return logs


def predict_arrays(
    executor: Executor, feeds: list[np.ndarray], batch_size: int, hooks: Sequence[Callback]
) -> Any:
    """The outputs for each row."""
    rows = len(feeds[0])
    outputs = [np.empty(concrete(b.shape, rows), b.dtype) for b in executor.plan.outputs]
    call(hooks, "on_predict_begin", {})
    if any(overrides(c, *PREDICT_BATCH_HOOKS) for c in hooks):
        for number, start in enumerate(range(0, rows, batch_size)):
            batch, made = ([a[start : start + batch_size] for a in s] for s in (feeds, outputs))
            call(hooks, "on_predict_batch_begin", number, {})
            executor.predict(batch, len(batch[0]), made)
            call(hooks, "on_predict_batch_end", number, {"outputs": unlist(made)})
    else:
        executor.predict(feeds, rows, outputs)
    call(hooks, "on_predict_end", {})
    return unlist(outputs)


def predict_stream(
    stream: Stream,
    steps: int | None,
    prepare: Callable[[Batch], tuple[list[np.ndarray], Executor]],
    hooks: Sequence[Callback],
) -> Any:
    """The outputs of the next `steps` batches, or a pass, one after the other."""
    parts: list[list[np.ndarray]] = []
    call(hooks, "on_predict_begin", {})
    for number, batch in enumerate(_batches(stream, steps, "predict")):
        feeds, executor = prepare(batch)
        rows = len(feeds[0])
        made = [np.empty(concrete(b.shape, rows), b.dtype) for b in executor.plan.outputs]
        call(hooks, "on_predict_batch_begin", number, {})
        executor.predict(feeds, rows, made)
        call(hooks, "on_predict_batch_end", number, {"outputs": unlist(made)})
        parts.append(made)
    if not parts:
        raise ValueError(f"predict: {stream.what} yielded no batch")
    call(hooks, "on_predict_end", {})
    return unlist(np.concatenate(made) for made in zip(*parts, strict=True))


def _batches(stream: Stream, steps: int | None, what: str) -> Iterator[Batch]:
    for done in itertools.count():
        if done == steps:
            return
        batch = stream.next()
        if batch is None and steps is None:
            return
        if batch is None:
            warnings.warn(
                f"{what}: {stream.what} ran out after {done} batches of {steps}",
                UserWarning,
                stacklevel=5,
            )
            return
        yield batch
