"""Every hook of Keras, of fit with its validation, of evaluate and predict; and the NaN flag."""

import numpy as np
import pytest
from api_tools import WEIGHT, X, Y, mlp

from fastnn import Sequential, backends, callbacks, optimizers
from fastnn.backends import Job
from fastnn.heads import Kind
from fastnn.layers import Dense

HOOKS = [
    f"on_{kind}{part}"
    for kind in ("train", "test", "predict")
    for part in ("_begin", "_end", "_batch_begin", "_batch_end")
]


class Note(callbacks.Callback):
    """Notes every call: (hook without "on_", number if there is one)."""

    def __init__(self):
        self.calls = []
        self.logs = []


def _noting(hook):
    def method(self, *args):
        self.calls.append((hook.removeprefix("on_"), *args[:-1]))
        self.logs.append(args[-1])

    return method


for _hook in [*HOOKS, "on_epoch_begin", "on_epoch_end"]:
    setattr(Note, _hook, _noting(_hook))


def between(kind, batches):
    pairs = [(f"{kind}_batch_begin", n) for n in range(batches)]
    ends = [(f"{kind}_batch_end", n) for n in range(batches)]
    inner = [call for pair in zip(pairs, ends, strict=True) for call in pair]
    return [(f"{kind}_begin",), *inner, (f"{kind}_end",)]


def test_the_hooks_of_validation(backend):
    note = Note()
    model = mlp()
    model.fit(X, Y, batch_size=25, validation_data=(X[:30], Y[:30]), validation_batch_size=20,
              callbacks=[note], verbose=0)  # fmt: skip
    train = between("train", 2)
    assert note.calls == [
        train[0], ("epoch_begin", 0), *train[1:-1], *between("test", 2), ("epoch_end", 0), train[-1]
    ]  # fmt: skip


def test_the_hooks_of_evaluate(backend):
    note = Note()
    model = mlp(metrics=["mae"])
    given = {"sample_weight": WEIGHT, "return_dict": True, "batch_size": 20}
    seen = model.evaluate(X, Y, callbacks=[note], **given)
    assert note.calls == between("test", 3)
    assert note.model is model
    assert note.logs[-1] == seen == note.logs[-2]
    assert seen == pytest.approx(model.evaluate(X, Y, **given), rel=1e-6)
    first = model.evaluate(X[:20], Y[:20], sample_weight=WEIGHT[:20], return_dict=True)
    assert note.logs[2] == pytest.approx(first, rel=1e-6)


def test_the_hooks_of_predict(backend):
    note = Note()
    model = mlp()
    made = model.predict(X, batch_size=20, callbacks=note)
    assert note.calls == between("predict", 3)
    outputs = [logs["outputs"] for logs in note.logs if "outputs" in logs]
    np.testing.assert_array_equal(np.concatenate(outputs), made)
    np.testing.assert_allclose(made, model.predict(X), rtol=1e-6)


# --- NaN ---


class StopOnNaN(callbacks.Callback):
    stop_on_nan = True

    def __init__(self):
        self.seen = []

    def on_nan(self, batch, logs=None):
        self.seen.append((batch, logs["loss"]))


def diverging():
    """Each update multiplies the error by some 1e18: infinite after a few batches."""
    return mlp(optimizers.SGD(1e18))


def test_training_stops_within_the_step_that_gives_nan(backend):
    model, watch = diverging(), StopOnNaN()
    history = model.fit(X, Y, batch_size=10, epochs=50, callbacks=watch, verbose=0)
    assert len(watch.seen) == 1
    batch, loss = watch.seen[0]
    assert not np.isfinite(loss)
    assert model.optimizer.iterations == 5 * history.epoch[-1] + batch + 1 < 50
    assert not np.isfinite(history.history["loss"][-1])
    assert np.isfinite(history.history["loss"][:-1]).all()


def test_without_it_training_goes_on(backend):
    model = diverging()
    history = model.fit(X, Y, batch_size=10, epochs=5, verbose=0)
    assert len(history.epoch) == 5
    assert not np.isfinite(history.history["loss"][-1])


@pytest.mark.parametrize("name", backends.available())
def test_rates_are_those_of_the_next_call(name):
    """SGD on a weight whose gradient is 1: the weight is minus the sum of the rates."""

    model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(1,))])
    model.compile("sgd", "mae", backend="reference")
    made, _ = model._executor("train", 1, (Kind(),))
    executor = backends.get(name)(made.plan, model.store.block)
    ones = np.ones((6, 1), np.float32)
    job = Job([ones, ones * -1e6], 6, 1, 2, False, np.zeros((2, executor.plan.accumulator_count)))
    job.seconds = 1e9
    total = 0.0
    for rates in ([1.0, 2.0, 4.0], [8.0], [16.0, 32.0, 64.0, 128.0], [256.0] * 9):
        job.rates = np.array(rates)
        left = 12 - job.epoch * 6 - job.batch
        executor.train(job)
        done = min(len(rates), left)
        assert job.epoch * 6 + job.batch == 12 - left + done
        total += sum(rates[:done])
        assert model.get_weights()[0][0, 0] == -total
    assert (job.epoch, job.batch) == (2, 0)


def test_iterations_are_the_updates_done(backend):
    model = mlp(optimizers.Adam(gradient_accumulation_steps=2))
    assert model.optimizer.iterations == 0
    model.fit(X, Y, batch_size=10, epochs=3, verbose=0)  # 15 batches
    assert model.optimizer.iterations == 7
    model.train_on_batch(X[:10], Y[:10])
    assert model.optimizer.iterations == 8
