"""Hardly any data, and data at its extremes: a right result or a clear error, not a silent NaN."""

import math

import numpy as np
import pytest

from fastnn import Sequential, layers
from fastnn.callbacks import TerminateOnNaN

X = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
LABELS = np.arange(10) % 3
METRICS = ["accuracy", "precision", "recall", "f1_score", "auc"]


def network(units=3, activation="softmax", normalization=None):
    model = Sequential([layers.Input((4,)), layers.Dense(8, "relu")])
    if normalization is not None:
        model.add(normalization)
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(units, activation))
    return model


def finite(history):
    return all(np.isfinite(value).all() for values in history.values() for value in values)


@pytest.mark.parametrize("make", [layers.BatchNormalization, layers.LayerNormalization])
@pytest.mark.parametrize("rows", [1, 2])
def test_one_row(backend, make, rows):
    """The variance of one row is 0."""
    model = network(1, "sigmoid", make())
    model.compile("adam", "binary_crossentropy", metrics=METRICS)
    fit = model.fit(X[:rows], [[1.0]] * rows, batch_size=8, epochs=3, verbose=0)
    assert finite(fit.history)
    assert np.isfinite(model.predict(X[:rows])).all()


def test_a_batch_above_the_number_of_rows(backend):
    made = []
    for size in (10, 1000, 10**9):
        model = network()
        model.set_weights([np.full(w.shape, 0.1) for w in model.get_weights()])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model._executors.seed = 5
        made.append(model.fit(X, LABELS, batch_size=size, epochs=2, shuffle=False, verbose=0))
    assert made[0].history == made[1].history == made[2].history


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_only(backend, label):
    model = network(1, "sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=METRICS)
    y = np.full((10, 1), label)
    fit = model.fit(X, y, epochs=2, validation_data=(X, y), verbose=0)
    assert finite(fit.history)


def test_constant_targets_have_no_nan_in_r2(backend):
    model = network(1, None)
    model.compile("adam", "mse", metrics=["r2_score"])
    assert finite(model.fit(X, np.ones(10), epochs=2, verbose=0).history)


def test_no_rows_at_all(backend):
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=r"x is empty .* at least one row"):
            call(X[:0], LABELS[:0])
    with pytest.raises(ValueError, match=r"x is empty .* at least one row"):
        model.predict(X[:0])
    with pytest.raises(ValueError, match="no batch"):
        model.fit(iter(()), verbose=0)


def test_weights_that_are_all_zero(backend):
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    before = model.get_weights()
    fit = model.fit(X, LABELS, sample_weight=np.zeros(10), verbose=0)
    assert finite(fit.history)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_grown_to_infinity_stop_the_training_and_are_named(backend):
    """What the data cannot cause, the weights can: a softmax of -inf alone is NaN, and shown."""
    model = Sequential([layers.Dense(3, "softmax", input_shape=(4,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.layers[0].kernel.value[...] = -np.inf
    x = np.abs(X) + 1
    assert np.isnan(model.predict(x)).all()
    fit = model.fit(x, LABELS, epochs=5, callbacks=[TerminateOnNaN()], verbose=0)
    assert len(fit.history["loss"]) == 1
    assert math.isnan(fit.history["loss"][0])
    assert model.optimizer.iterations == 1
