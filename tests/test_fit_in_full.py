"""The arguments of fit beyond data and batch size; partial_fit and the methods for one batch."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from api_tools import (
    CLOSE,
    LABELS,
    ONE_HOT,
    ROWS,
    WEIGHT,
    X,
    Y,
    assert_differ,
    assert_same,
    mlp,
    sgd,
    train,
    twins,
)

import fastnn.executors
from fastnn import Sequential, callbacks, optimizers, utils
from fastnn.layers import Dense, Dropout, Layer
from fastnn.ops.moving import reshape

# --- weights ---


def classifier(loss="sparse_categorical_crossentropy", units=3, activation="softmax"):
    utils.set_random_seed(3)
    return mlp(loss=loss, units=units, activation=activation)


CLASSES = {0: 3.0, 2: 0.5}
TABLE = np.array([3.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("loss", "y"),
    [("sparse_categorical_crossentropy", LABELS), ("sparse_categorical_crossentropy",
      LABELS[:, None]), ("categorical_crossentropy", ONE_HOT)],
)  # fmt: skip
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_class_weights_are_sample_weights(loss, y, weight, backend, dtype):
    a, b = classifier(loss), classifier(loss)
    rows = TABLE[LABELS] * (1 if weight is None else weight)
    wanted = a.fit(X, y, sample_weight=rows, epochs=3, verbose=0)
    history = b.fit(X, y, sample_weight=weight, class_weight=CLASSES, epochs=3, verbose=0)
    np.testing.assert_allclose(history.history["loss"], wanted.history["loss"], rtol=1e-6)
    for got, value in zip(b.get_weights(), a.get_weights(), strict=True):
        np.testing.assert_allclose(got, value, **CLOSE[dtype])


def test_class_weights_of_two_classes(backend):
    a, b = (classifier("binary_crossentropy", 1, "sigmoid") for _ in range(2))
    y = (LABELS > 0).astype(int)
    a.fit(X, y, sample_weight=np.where(y == 1, 4.0, 1.0), verbose=0)
    b.fit(X, y, class_weight={1: 4}, verbose=0)
    assert_same(a.get_weights(), b.get_weights())


def test_class_weights_are_not_for_validation(backend):
    a, b = classifier(), classifier()
    history = a.fit(X, LABELS, class_weight=CLASSES, validation_data=(X, LABELS), verbose=0)
    assert history.history["val_loss"] == pytest.approx([a.evaluate(X, LABELS)], rel=1e-6)
    assert a.train_on_batch(X, LABELS, class_weight=CLASSES) != b.train_on_batch(X, LABELS)


class Positions(Layer):
    """(rows, 2 * n) as (rows, 2, n)."""

    def call(self, inputs):
        return reshape(inputs, (None, 2, inputs.shape[1] // 2))


def sequences(units, loss):
    """4 features to 2 positions."""
    utils.set_random_seed(3)
    model = Sequential([Dense(2 * units, input_shape=(4,)), Positions()])
    model.compile("sgd", loss, weighted_metrics=["mae"] if loss == "mse" else None)
    return model


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (ROWS, 2), (ROWS, 3)])
def test_weights_per_row_or_position(shape, backend, dtype):
    rng = np.random.default_rng(1)
    weight = rng.uniform(0, 2, shape)
    y = rng.normal(size=(ROWS, 2, 3))
    if shape == (ROWS, 3):
        with pytest.raises(ValueError, match=r"or one per position: \(50, 2\)"):
            sequences(3, "mse").fit(X, y, sample_weight=weight)
        return
    model = sequences(3, "mse")
    w, b = (np.array(v, np.float64) for v in model.get_weights())
    logs = model.train_on_batch(X, y, sample_weight=weight, return_dict=True)
    error = (X @ w + b).reshape(ROWS, 2, 3) - y
    full = weight.reshape(*shape, *[1] * (3 - len(shape))) * np.ones_like(error)
    assert logs["loss"] == pytest.approx((full * error**2).mean(), rel=1e-5)
    assert logs["mae"] == pytest.approx((full * abs(error)).sum() / full.sum(), rel=1e-5)
    slope = (2 * full * error / error.size).reshape(ROWS, 6)
    np.testing.assert_allclose(model.get_weights()[0], w - 0.01 * X.T @ slope, **CLOSE[dtype])


def test_weights_per_position_of_labels(backend):
    rng = np.random.default_rng(1)
    weight, y = rng.uniform(0, 2, (ROWS, 2)), rng.integers(0, 3, (ROWS, 2))
    utils.set_random_seed(3)
    model = Sequential([Dense(6, input_shape=(4,)), Positions(), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    p = model.predict(X).astype(float)
    chosen = np.take_along_axis(p, y[..., None], axis=2)[..., 0]
    wanted = (-np.log(chosen) * weight).mean()
    assert model.evaluate(X, y, sample_weight=weight) == pytest.approx(wanted, rel=1e-5)


# --- epochs and validation ---


@pytest.mark.parametrize(
    ("freq", "epochs"), [(2, [2, 4]), ([1, 4], [1, 4]), ((3,), [3]), (np.array([2, 5]), [2, 5])]
)
def test_validation_freq(freq, epochs, backend):
    seen = []

    class Watch(callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(self.epoch)

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch + 1

    given = {"validation_data": (X, Y), "validation_freq": freq, "epochs": 5, "verbose": 0}
    history = mlp().fit(X, Y, callbacks=[Watch()], **given)
    assert seen == epochs
    assert len(history.history["val_loss"]) == len(epochs)


class Rows(callbacks.Callback):
    """What rows a batch had: a linear model of one weight per row, without any update of it."""

    def __init__(self):
        self.batches = []

    def on_train_batch_begin(self, batch, logs=None):
        self.before = self.model.get_weights()[0].copy()

    def on_train_batch_end(self, batch, logs=None):
        changed = (self.model.get_weights()[0] != self.before).any(axis=1)
        self.batches.append(tuple(np.flatnonzero(changed)))


def test_shuffle_by_batches(backend):
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(10,))])
    model.compile("sgd", "mse")
    watch = Rows()
    x = np.eye(10)
    model.fit(x, np.ones(10), batch_size=3, epochs=8, shuffle="batch", callbacks=[watch], verbose=0)
    epochs = [watch.batches[i : i + 4] for i in range(0, 32, 4)]
    full = [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    for epoch in epochs:
        assert sorted(epoch[:3]) == full
        assert epoch[3] == (9,)
    assert len({tuple(epoch) for epoch in epochs}) > 2


def test_batches_above_the_memory_limit_come_in_chunks(backend, dtype, monkeypatch):
    def model():
        utils.set_random_seed(9)
        made = Sequential(
            [Dense(64, "tanh", kernel_regularizer="l2", input_shape=(4,)), Dropout(0.3), Dense(2)]
        )
        made.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
        return made

    whole = model()
    wanted = whole.fit(X, Y, batch_size=ROWS, epochs=5, verbose=0)
    assert whole.plan.capacity == ROWS
    fixed = whole.plan.workspace.nbytes
    limit = fixed + (whole.plan.sizes["scratch"] - fixed) // 3
    monkeypatch.setattr(fastnn.executors, "SCRATCH_BYTES", limit)
    parts = model()
    history = parts.fit(X, Y, batch_size=ROWS, epochs=5, verbose=0)
    assert 5 < parts.plan.capacity < ROWS / 2
    assert parts.plan.sizes["scratch"] <= limit + 1000
    rtol = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(history.history["loss"], wanted.history["loss"], rtol=rtol)
    for got, value in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(got, value, rtol=100 * CLOSE[dtype]["rtol"], atol=2e-5)
    np.testing.assert_allclose(parts.predict(X, batch_size=ROWS), parts.predict(X), rtol=1e-6)
    assert parts.plan.capacity < ROWS


# --- more data as it comes ---


def test_partial_fit_goes_on_with_more_data(backend):
    a, b = twins("adam")
    parts = [slice(0, 20), slice(20, 50)]
    for rows in parts:
        assert b.partial_fit(X[rows], Y[rows], batch_size=10) is b
        a.fit(X[rows], Y[rows], batch_size=10, verbose=0)
    assert_same(a.get_weights(), b.get_weights())
    assert b.optimizer.iterations == 5
    assert b.history.epoch == [0]
    b.partial_fit(iter([(X, Y)]))
    assert b.optimizer.iterations == 6


def test_partial_fit_of_one_row(backend):
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(300):
        model.partial_fit([[1.0, 2.0]], [3.0], sample_weight=[1.0])
    assert model.predict([[1.0, 2.0]])[0, 0] == pytest.approx(3.0, abs=1e-3)


# --- one batch ---


def test_test_on_batch_is_evaluate(backend):
    model = mlp(metrics=["mae"])
    before = model.get_weights()
    given = {"sample_weight": WEIGHT, "return_dict": True}
    assert model.test_on_batch(X, Y, **given) == model.evaluate(X, Y, batch_size=ROWS, **given)
    assert model.test_on_batch(X, Y) == list(model.test_on_batch(X, Y, return_dict=True).values())
    assert_same(model.get_weights(), before)


def test_predict_on_batch_is_predict(backend):
    model = mlp()
    np.testing.assert_allclose(model.predict_on_batch(X), model.predict(X), rtol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X[:1]), model.predict(X[:1]), rtol=1e-6)


def test_lengths_of_batches_share_plans(backend):
    model = mlp()
    for rows in range(1, 50):
        model.train_on_batch(X[:rows], Y[:rows])
        model.test_on_batch(X[:rows], Y[:rows])
        model.predict_on_batch(X[:rows])
    assert len(model._executors._kept) <= 8
    assert model.optimizer.iterations == 49
    weights = mlp_start()
    for rows in range(1, 50):
        weights, _ = train(weights, X[:rows], Y[:rows], sgd(), rows, 1)
    for got, value in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-6)


def mlp_start():
    utils.set_random_seed(11)
    return mlp().get_weights()


# --- stopping ---


def test_a_callback_that_raises_leaves_the_last_whole_step(backend, capsys):
    class Boom(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if len(self.model.history.epoch) == 2:
                raise ArithmeticError("boom")

    a, b = twins("adam")
    with pytest.raises(ArithmeticError, match="boom"):
        a.fit(X, Y, batch_size=25, epochs=9, shuffle=False, callbacks=[Boom()], verbose=1)
    assert a.history.epoch == [0, 1]
    assert len(a.history.history["loss"]) == 2
    b.fit(X, Y, batch_size=25, epochs=2, shuffle=False, verbose=0)
    b.train_on_batch(X[:25], Y[:25])
    assert_same(a.get_weights(), b.get_weights())
    assert a.optimizer.iterations == 5
    before = a.get_weights()
    a.fit(X, Y, verbose=0)  # and it can go on
    assert_differ(before, a.get_weights())
    capsys.readouterr()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_training(number, backend):
    """fit returns at the end of its slice; the weights are those of the last whole step."""
    model = Sequential([Dense(16, "tanh", input_shape=(4,)), Dense(2)])
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    steps = model.optimizer.iterations
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    timer = threading.Timer(0.3, send)
    handler = signal.getsignal(signal.SIGTERM)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=10**9, batch_size=10, verbose=0)
    took = time.monotonic() - sent[0]
    timer.join()
    assert took < 1
    assert signal.getsignal(signal.SIGTERM) is handler
    done = model.optimizer.iterations - steps
    assert 5 * len(model.history.epoch) <= done
    assert np.isfinite(model.get_weights()[0]).all()
    model.fit(X, Y, verbose=0)
    assert model.optimizer.iterations == steps + done + 2


PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from fastnn import Sequential, layers, utils

rng = np.random.default_rng(0)
x, y = rng.normal(size=(500, 8)), rng.normal(size=(500, 2))

def made():
    utils.set_random_seed(1)
    model = Sequential([layers.Dense(16, "tanh", input_shape=(8,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    return model

for wait in rng.uniform(0, 0.25, int(sys.argv[1])):
    number = [signal.SIGINT, signal.SIGTERM][int(wait * 1000) % 2]
    model, sent = made(), []
    model.fit(x[:1], y[:1], verbose=0)
    start = model.optimizer.iterations

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    timer = threading.Timer(wait, send)
    try:
        timer.start()
        model.fit(x, y, batch_size=50, epochs=10**9, shuffle=False, verbose=0)
    except KeyboardInterrupt:
        assert time.monotonic() - sent[0] < 1, "late"
    timer.join()
    done = model.optimizer.iterations - start
    again = made()
    again.fit(x[:1], y[:1], verbose=0)
    if done // 10:
        again.fit(x, y, batch_size=50, epochs=done // 10, shuffle=False, verbose=0)
    for i in range(done % 10):
        again.train_on_batch(x[50 * i : 50 * i + 50], y[50 * i : 50 * i + 50])
    assert again.optimizer.iterations == start + done
    for a, b in zip(model.get_weights(), again.get_weights()):
        assert (a == b).all(), "not a whole step"
print("all stopped")
"""


def stopped(times):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(times)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "all stopped\n", "")


def test_signals_at_random_times():
    """After a signal the weights are those of so many whole steps, bit for bit."""
    stopped(8)


@pytest.mark.long
def test_fifty_signals_at_random_times():
    stopped(50)
