"""Several threads and several processes: what they compute is what one alone does.

Threads that predict with one model run side by side; a process can be forked, spawned or served by
a fork server after fastnn was imported, and after it has trained. Long runs take no more memory.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from api_tools import assert_same, native_only

from fastnn import Sequential, utils
from fastnn.layers import BatchNormalization, Dense, Dropout

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 20)).astype(np.float32)
LABELS = RNG.integers(0, 3, 64)
THREADS = 8


def classifier(units=32):
    utils.set_random_seed(2)
    model = Sequential(
        [
            Dense(units, "relu", input_shape=(20,)),
            BatchNormalization(),
            Dropout(0.2),
            Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_threads(count, work):
    """Run work(number) in so many threads at once; returns what went wrong."""
    problems = []
    start = threading.Barrier(count)

    def guarded(number):
        start.wait()
        try:
            work(number)
        except BaseException as error:  # a thread's exception would only be printed
            problems.append(repr(error))

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


CALLS = {
    "predict": lambda model, x: model.predict(x, verbose=0),
    "predict in batches": lambda model, x: model.predict(x, batch_size=2),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
    "a call": lambda model, x: model(x),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_predictions_in_threads_have_the_bits_of_serial_ones(call, times, backend, impatient):
    if backend == "reference":
        times //= 20
    model = classifier()
    rows = [X[i : i + 1 + i % 3] for i in range(60)]
    serial = [CALLS[call](model, x) for x in rows]
    model = same_as(model)  # its plans are made by the threads

    def work(number):
        for i in range(times):
            i = (i + 7 * number) % len(rows)
            assert CALLS[call](model, rows[i]).tobytes() == serial[i].tobytes(), f"rows {i}"

    assert in_threads(THREADS, work) == []


def same_as(model):
    other = classifier()
    other.set_weights(model.get_weights())
    return other


def test_evaluations_in_threads_have_the_bits_of_serial_ones(backend, impatient):
    model = classifier()
    serial = [model.evaluate(X[:n], LABELS[:n]) for n in range(1, 40)]

    def work(number):
        for n in range(1, 40):
            assert model.evaluate(X[:n], LABELS[:n]) == serial[n - 1]

    assert in_threads(THREADS, work) == []


def test_models_train_beside_others_that_predict(backend, impatient):
    alone = classifier()
    alone.fit(X, LABELS, epochs=30, verbose=0)
    other = classifier(16)
    serial = other.predict(X)
    model, done = classifier(), threading.Event()

    def work(number):
        if number == 0:
            model.fit(X, LABELS, epochs=30, verbose=0)
            done.set()
        while not done.is_set():
            assert other.predict(X).tobytes() == serial.tobytes()

    assert in_threads(4, work) == []
    assert_same(alone.get_weights(), model.get_weights())


def test_a_model_predicts_while_it_trains(backend, impatient):
    """Each prediction is of some of the weights that the training went through, mixed."""
    model, done = classifier(), threading.Event()

    def work(number):
        if number == 0:
            for _ in range(20):
                model.fit(X, LABELS, epochs=2, verbose=0)
                model.compile("sgd", "sparse_categorical_crossentropy")
            done.set()
        while not done.is_set():
            for x in (X[:1], X):
                made = model.predict(x)
                np.testing.assert_allclose(made.sum(axis=1), 1, rtol=1e-5)

    assert in_threads(4, work) == []


@native_only
@pytest.mark.parametrize("mode", ["predict", "evaluate"])
def test_a_long_call_does_not_keep_another_one_waiting(mode, impatient):
    model = classifier(512)
    many, labels = np.tile(X, (2500, 1)), np.tile(LABELS, 2500)

    def call(rows):
        if mode == "predict":
            model.predict(many[:rows])
        else:
            model.evaluate(many[:rows], labels[:rows])

    call(256)  # both use its plan
    counts = []
    for _ in range(20):  # on a busy machine a thread may not get its turn
        running = threading.Event()

        def long_one(running=running):
            running.set()
            call(len(many))
            running.clear()

        thread = threading.Thread(target=long_one)
        thread.start()
        running.wait()
        count = 0
        while running.is_set():
            call(64)
            count += 1
        thread.join()
        counts.append(count)
        if count > 200:  # some, at least, before the long call begins and after it ends
            return
    pytest.fail(f"another thread predicted {counts} times meanwhile")


# --- processes -----------------------------------------------------------------------------------

PROGRAM = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from fastnn import Sequential, layers, utils

X = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
Y = X[:, :2]
model = None

def trained(model):
    if model is None:
        utils.set_random_seed(1)
        model = Sequential([layers.Dense(16, "relu", input_shape=(20,)), layers.Dense(2)])
        model.compile("adam", "mse")
    model.fit(X, Y, epochs=3, verbose=0)
    return model

def work(given):
    "In the child: with a model that it was given, or (forked) has, or makes."
    mine = trained(given or model)
    return mine.predict(X[:1]).tobytes(), mine.predict(X).tobytes(), time.process_time()

if __name__ == "__main__":
    method, after_fit = sys.argv[1], sys.argv[2] == "after fit"
    model = trained(None) if after_fit else None
    if after_fit:
        model.predict(X[:1]), model.predict(X)
    given = None if method == "fork" else model
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        futures = [pool.submit(work, given) for _ in range(2)]
        made = [future.result(timeout=100) for future in futures]
    here = work(model)
    for *predictions, seconds in made:
        assert predictions == list(here[:2]), "the child computed something else"
        assert seconds < 10, seconds
    print("the same")
"""


def run(program, *args):
    """What a program prints, in a process of its own."""
    command = [sys.executable, program, *args]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=paths)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


@pytest.mark.parametrize("when", ["after import", "after fit"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_predicts_and_fits(method, when, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert run(program, method, when) == "the same\n"


def test_two_processes_with_one_seed_train_to_the_same_bits(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import hashlib, numpy as np\n"
        "from fastnn import Sequential, layers, utils\n"
        "utils.set_random_seed(5)\n"
        "x = np.random.rand(300, 40)\n"
        "model = Sequential([layers.Dense(64, 'tanh', input_shape=(40,)), layers.Dropout(0.3),\n"
        "                    layers.Dense(40)])\n"
        "model.compile('adam', 'mse')\n"
        "history = model.fit(x, x, epochs=3, verbose=0).history\n"
        "print(history)\n"
        "print(hashlib.sha256(b''.join(w.tobytes() for w in model.get_weights())).hexdigest())\n"
    )
    assert run(program) == run(program)


# --- memory --------------------------------------------------------------------------------------


def resident():
    """Bytes of this process that are in memory."""
    import resource

    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
@pytest.mark.parametrize("kind", ["steps in fit", "steps one by one", "predictions", "batches"])
def test_100_000_calls_take_no_more_memory_than_a_few(kind):
    model = classifier()
    many, labels = np.resize(X, (5000, 20)), np.resize(LABELS, 5000)

    def calls(count):
        if kind == "steps in fit":
            model.fit(many, labels, batch_size=1, epochs=count // 5000, verbose=0)
        for i in range(count if kind != "steps in fit" else 0):
            if kind == "steps one by one":
                model.train_on_batch(X[:16], LABELS[:16])
            elif kind == "predictions":
                model.predict(X[i % 64 : i % 64 + 1], verbose=0)
            else:
                model.predict(X[: 1 + i % 64], batch_size=32)
        return resident()

    calls(5_000)
    before = calls(5_000)
    assert calls(100_000) - before < 2**20
