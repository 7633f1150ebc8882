"""A batch above a plan's capacity comes in chunks: the same update, the same dropout masks.

The whole batch in one chunk is the standard; penalties, normalisers and counters must not notice.
"""

import numpy as np
import pytest
from api_tools import CLOSE

from fastnn import Sequential, backends, optimizers, utils
from fastnn.backends import Job
from fastnn.heads import Kind
from fastnn.layers import Dense, Dropout
from fastnn.ops.contract import registry

ROWS = 40
RNG = np.random.default_rng(3)
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, ROWS).astype(np.int32)
WEIGHT = RNG.uniform(0.2, 2, ROWS).astype(np.float32)


def network(dtype, every=1):
    utils.set_random_seed(2)
    model = Sequential(
        [
            Dense(16, "tanh", kernel_regularizer="l2", input_shape=(6,)),
            Dropout(0.4),
            Dense(12, "gelu"),
            Dense(3),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    adam = optimizers.Adam(0.01, gradient_accumulation_steps=every)
    model.compile(adam, loss, metrics=["accuracy"], backend="reference")
    return model


def machine(model, name, capacity):
    """An executor of its own for a model, with room for `capacity` rows."""
    made, _ = model._executor("train", capacity, (Kind(True),))
    assert made.plan.chunks
    executor = backends.get(name)(made.plan, model.store.block)
    executor.control["seed"] = 7
    executor.control["rate"] = 0.01
    return executor


def feeds(dtype):
    return [X.astype(dtype), LABELS, WEIGHT.astype(dtype)]


@pytest.mark.parametrize("capacity", [1, 7, 16, 39])
@pytest.mark.parametrize("name", backends.available())
def test_gradients_of_chunks_are_those_of_the_batch(name, capacity, dtype):
    model = network(dtype)
    whole, parts = machine(model, name, ROWS), machine(model, name, capacity)
    sums = whole.gradients(feeds(dtype))
    np.testing.assert_allclose(parts.gradients(feeds(dtype)), sums, **CLOSE[dtype])
    np.testing.assert_allclose(parts.gradient, whole.gradient, **CLOSE[dtype])
    assert np.abs(whole.gradient).max() > 0.01


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", backends.available())
def test_training_in_chunks_is_training(name, every, dtype):
    weights, results = [], []
    for capacity in (16, 5):
        model = network(dtype, every)
        executor = machine(model, name, capacity)
        job = Job(feeds(dtype), ROWS, 16, 6, True, np.zeros((6, executor.plan.accumulator_count)))
        job.seconds = 1e9
        executor.train(job)
        assert (job.epoch, executor.control[0]["step"]) == (6, 18)
        assert executor.control[0]["iteration"] == 18 // every
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
        results.append(job.sums)
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(weights[1], weights[0], atol=tolerance)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("name", backends.available())
def test_dropout_does_not_depend_on_the_chunks(name):
    """Input 1, weights 1: the bias gradient of a row tells its mask."""
    model = Sequential([Dropout(0.5, input_shape=(64,)), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", backend="reference")
    x, y = np.ones((9, 64), np.float32), np.zeros((9, 1), np.float32)
    found = []
    for capacity in (9, 4, 1):
        made, _ = model._executor("train", capacity, (Kind(),))
        executor = backends.get(name)(made.plan, model.store.block)
        executor.control["seed"] = 5
        executor.gradients([x, y])
        found.append(np.array(executor.gradient))
    # Sums of whole numbers and powers of two: exact in any order.
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)
    assert len(set(found[0][:64])) > 10


@pytest.mark.parametrize("name", backends.available())
def test_an_op_that_must_see_the_whole_batch_is_never_cut(name, monkeypatch):
    monkeypatch.setattr(registry()["dropout"], "whole_batch", True, raising=False)
    model = network("float32")
    made, _ = model._executor("train", 4, (Kind(),))
    assert not made.plan.chunks
    executor = backends.get(name)(made.plan, model.store.block)
    with pytest.raises(ValueError, match="9 rows in a batch, the plan has room for 4"):
        executor.gradients([X[:9], LABELS[:9]])
