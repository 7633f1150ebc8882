"""A native call is native: no Python runs between two batches, nothing is allocated, no GIL held.

With the slice limit lifted, a call of 10,000 batches is compared with one of 10.
"""

import sys
import threading
import tracemalloc

import numpy as np
import pytest

from fastnn import Sequential, losses, utils
from fastnn.backends import Job
from fastnn.heads import Kind
from fastnn.layers import Dense, Dropout

pytest.importorskip(
    "fastnn.backends.native", reason="the native executor is not compiled", exc_type=ImportError
)

FOREVER = 1e9  # seconds
X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
LABELS = np.arange(200, dtype=np.int32) % 3


def executor(backend="native", optimizer="adam", mode="train", capacity=1):
    """Of a network with everything in it: shuffling, dropout, a penalty, metrics."""
    utils.set_random_seed(1)
    model = Sequential(
        [
            Dense(16, "tanh", kernel_regularizer="l2", input_shape=(8,)),
            Dropout(0.3),
            Dense(16, "gelu"),
            Dense(3),
        ]
    )
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], backend=backend)
    return model._executor(mode, capacity, () if mode == "predict" else (Kind(),))[0]


def job(made, rows, epochs):
    """Batches of one row, `rows * epochs` of them."""
    count = made.plan.accumulator_count
    return Job(
        [X[:rows], LABELS[:rows]], rows, batch_size=1, epochs=epochs, shuffle=True,
        sums=np.zeros((epochs, count)), seconds=FOREVER,
    )  # fmt: skip


# Both have more rows than 5 and no number above 256, so that Python makes the same objects of them.
SHORT, LONG = (10, 1), (200, 50)


def profile_events(call):
    """How often the interpreter called, was called, or returned."""
    events = [0]

    def count(frame, event, arg):
        events[0] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(before)
    return events[0]


def allocated(call):
    """(bytes kept, bytes at the peak) of a call."""
    tracemalloc.start()
    try:
        start, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return end - start, peak - start


def measured(measure, made, rows, epochs):
    work = job(made, rows, epochs)
    assert work.rows * work.epochs == rows * epochs
    result = measure(lambda: made.train(work))
    assert (work.epoch, work.batch) == (epochs, 0)  # all of it ran in one call
    assert work.sums[-1].any()
    return result


@pytest.mark.parametrize("measure", [profile_events, allocated])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_ten_thousand_batches_cost_python_what_ten_do(optimizer, measure):
    made = executor(optimizer=optimizer)
    made.train(job(made, *SHORT))  # what is made once is made
    assert measured(measure, made, *LONG) == measured(measure, made, *SHORT)


def test_the_measure_sees_python_where_there_is_some():
    made = executor("reference")
    made.train(job(made, *SHORT))
    few = measured(profile_events, made, 10, 1)
    assert measured(profile_events, made, 10, 3) > 2 * few


@pytest.mark.parametrize("mode", ["evaluate", "predict"])
def test_evaluate_and_predict_of_ten_thousand_batches(mode):
    made = executor(mode=mode)
    few, many = (np.tile(X, (n, 1))[: n * 200] for n in (1, 50))

    def call(x):
        labels = np.resize(LABELS, len(x))
        outputs = [np.empty((len(x), 3), np.float32)]
        if mode == "predict":
            return lambda: made.predict([x], len(x), outputs)
        return lambda: made.evaluate([x, labels], len(x))

    call(few)()
    assert profile_events(call(many)) == profile_events(call(few))


@pytest.fixture
def no_turns():
    """Threads take turns only where one gives the interpreter away of its own accord."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def counted_meanwhile(call, attempts):
    """How far another thread counts while `call` runs; it is tried again if that was too short."""
    running, counted = [False], [0]
    start = threading.Event()

    def count():
        start.wait()
        while running[0] and counted[0] < 1000:
            counted[0] += 1

    for _ in range(attempts):
        thread = threading.Thread(target=count)
        thread.start()
        running[0] = True
        start.set()
        call()
        running[0] = False
        thread.join()
        start.clear()
        if counted[0]:
            break
    return counted[0]


@pytest.mark.parametrize("mode", ["train", "evaluate", "predict"])
def test_another_thread_goes_on_meanwhile(mode, no_turns):
    made = executor(mode=mode, capacity=200)
    x, labels = np.tile(X, (100, 1)), np.tile(LABELS, 100)
    outputs = [np.empty((len(x), 3), np.float32)]

    def train():
        sums = np.zeros((5, made.plan.accumulator_count))
        made.train(Job([x, labels], len(x), 200, 5, True, sums, seconds=FOREVER))

    calls = {
        "train": train,
        "evaluate": lambda: made.evaluate([x, labels], len(x)),
        "predict": lambda: made.predict([x], len(x), outputs),
    }
    assert counted_meanwhile(calls[mode], attempts=100) == 1000


def test_that_thread_cannot_go_on_where_python_runs(no_turns):
    def busy():
        for _ in range(100_000):
            pass

    assert counted_meanwhile(busy, attempts=3) == 0
