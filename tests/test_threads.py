"""Several threads in one model: the same bits for any number of them, and none left afterwards."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from api_tools import assert_same, builds, native_only

from fastnn import Sequential, config, executors, layers, utils

pytestmark = native_only

RNG = np.random.default_rng(3)
ROWS = 700  # three batches, the last one shorter
X = RNG.normal(size=(ROWS, 300)).astype(np.float32)
LABELS = RNG.integers(0, 10, ROWS)
COUNTS = [2, 3, 5]


@pytest.fixture(autouse=True)
def restored():
    yield
    config.set_num_threads(1)
    config._threads = None


@pytest.fixture
def always(monkeypatch):
    """Helpers are called however little there is to do."""
    native = pytest.importorskip("fastnn.backends.native")
    monkeypatch.setattr(native, "HELPERS_PAY", 0)


def wide(dtype="float32", activation="relu", **settings):
    """Large enough that steps are cut into parts."""
    config.set_floatx(dtype)
    try:
        utils.set_random_seed(5)
        model = Sequential(
            [
                layers.Dense(260, activation=activation, input_shape=(300,)),
                layers.Dropout(0.2),
                layers.Dense(520, activation="gelu"),
                layers.BatchNormalization(),
                layers.Dense(10, activation="softmax"),
            ]
        )
        settings = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"} | settings
        model.compile(metrics=["accuracy"], **settings)
    finally:
        config.set_floatx("float32")
    return model


def trained(count, *args, epochs=2, **settings):
    """Weights, history, evaluation and predictions with so many threads."""
    config.set_num_threads(count)
    model = wide(*args, **settings)
    history = model.fit(X, LABELS, batch_size=256, epochs=epochs, verbose=0).history
    return [
        *model.get_weights(),
        *history.values(),
        model.evaluate(X, LABELS, verbose=0),
        model.predict(X, verbose=0),
    ]


@pytest.mark.parametrize("isa", builds())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads(isa, dtype, always, monkeypatch):
    from fastnn.backends import native

    monkeypatch.setattr(native, "Default", native.executor_for(isa))
    alone = trained(1, dtype)
    for count in COUNTS:
        assert_same(alone, trained(count, dtype))


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adadelta", "nadam", "lion"])
def test_the_same_bits_with_each_optimizer(optimizer, always):
    assert_same(trained(1, optimizer=optimizer), trained(2, optimizer=optimizer))


@pytest.mark.parametrize("activation", ["tanh", "softmax", "mish"])
def test_the_same_bits_with_other_activations(activation, always):
    assert_same(trained(1, "float32", activation), trained(2, "float32", activation))


def test_the_same_bits_in_chunks(always, monkeypatch):
    """Each chunk of a batch is cut as well; their gradients add up."""
    monkeypatch.setattr(executors, "SCRATCH_BYTES", 1 << 20)

    def run(count):
        config.set_num_threads(count)
        utils.set_random_seed(5)
        model = Sequential(
            [
                layers.Dense(520, activation="relu", input_shape=(300,)),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(X, LABELS, batch_size=512, epochs=2, verbose=0)
        assert model.plan.capacity < 512
        return model.get_weights()

    assert_same(run(1), run(3))


def test_helpers_do_run_parts(always, monkeypatch):
    """Otherwise the tests above compare one thread with itself."""
    from fastnn.backends.native import executor

    ran = []
    program = executor.Program

    class Watched(program):
        def help(self):
            ran.append(threading.get_ident())
            return super().help()

    monkeypatch.setattr(executor, "Program", Watched)
    config.set_num_threads(3)
    model = wide()
    model.fit(X, LABELS, batch_size=256, epochs=1, verbose=0)
    assert len(ran) >= 2
    assert threading.get_ident() not in ran


def test_no_thread_is_left(always):
    before = threading.active_count()
    trained(4, epochs=1)
    assert threading.active_count() == before


def test_small_networks_call_no_helpers(monkeypatch):
    def refuse(self):
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    config.set_num_threads(4)
    model = Sequential([layers.Dense(8, input_shape=(4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = RNG.normal(size=(64, 4))
    model.fit(x, x[:, :1], epochs=50, verbose=0)
    model.predict(x, verbose=0)


def test_a_system_that_starts_no_threads(always, monkeypatch):
    alone = trained(1)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert_same(alone, trained(3))


def test_the_number_can_change_between_two_fits(always):
    def run(*counts):
        model = wide()
        for count in counts:
            config.set_num_threads(count)
            model.fit(X, LABELS, batch_size=256, epochs=1, verbose=0)
        return model.get_weights()

    assert_same(run(1, 1, 1), run(3, 1, 2))


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None])
def test_a_wrong_number(count):
    with pytest.raises(ValueError, match=r"number of threads must be an integer of 1 or more"):
        config.set_num_threads(count)


def asked(code, **variables):
    """What a new process prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


NUMBER = "from fastnn import config; print(config.num_threads())"


def test_the_environment_variable():
    assert asked(NUMBER, FASTNN_NUM_THREADS="3") == "3"
    assert asked(NUMBER, FASTNN_NUM_THREADS="") == str(config.cores())
    code = f"try:\n    {NUMBER}\nexcept ValueError as error:\n    print(error)"
    code = code.replace("; ", "\n    ")
    message = "FASTNN_NUM_THREADS must be an integer of 1 or more, got 'many'"
    assert asked(code, FASTNN_NUM_THREADS="many") == message


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity mask here")
def test_the_affinity_mask_counts():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + NUMBER
    assert asked(code, FASTNN_NUM_THREADS="") == "1"


TOPOLOGY = "/sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000"}, 1),
        ({"/sys/fs/cgroup/cpu.max": "300000 100000"}, 3),
        ({"/sys/fs/cgroup/cpu.max": "max 100000"}, 4),
        ({"/sys/fs/cgroup/cpu.max": "5000 100000"}, 1),
        ({}, 4),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            2,
        ),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}, 4),
        (
            {
                f"{TOPOLOGY}/cpu{i}/topology/thread_siblings_list": f"{i % 2},{i % 2 + 2}"
                for i in range(4)
            },
            2,
        ),
    ],
)
def test_cores_heed_cgroups_and_hyper_threads(files, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(config, "_read", lambda path: files.get(path, ""))
    assert config.cores() == expected
