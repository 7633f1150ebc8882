"""Regularizers: numbers against NumPy, in loss and gradient, on weights and on outputs."""

import json

import numpy as np
import pytest

from fastnn import Sequential, layers, ops, regularizers
from fastnn.layers import ActivityRegularization, Dense

RNG = np.random.default_rng(3)
X = RNG.normal(size=(22, 4))
Y = RNG.normal(size=(22, 3))
W = RNG.normal(size=(4, 3))


def square_sum(w):
    return ops.affine(ops.reduce("sum", ops.unary("square", w)), 0.3)


class Cubes(regularizers.Regularizer):
    """0.1 * sum |w|^3, written with ops."""

    def __call__(self, w):
        cubes = ops.multiply(ops.unary("absolute", w), ops.unary("square", w))
        return ops.affine(ops.reduce("sum", cubes), 0.1)


def cosines(w, rows):
    unit = w / np.linalg.norm(w, axis=1 if rows else 0, keepdims=True)
    product = np.abs(unit @ unit.T if rows else unit.T @ unit)
    n = len(product)
    return (product.sum() - np.trace(product)) / 2 / (n * (n - 1) / 2)


CASES = {
    "l1": ("l1", lambda w: 0.01 * np.abs(w).sum()),
    "l2": ("l2", lambda w: 0.01 * np.square(w).sum()),
    "l1_l2": ("l1_l2", lambda w: 0.01 * np.abs(w).sum() + 0.01 * np.square(w).sum()),
    "L1L2": (regularizers.L1L2(0.2, 0.1), lambda w: (0.2 * np.abs(w) + 0.1 * w**2).sum()),
    "rows": (regularizers.OrthogonalRegularizer(0.5), lambda w: 0.5 * cosines(w, True)),
    "columns": (
        regularizers.OrthogonalRegularizer(0.5, "columns"), lambda w: 0.5 * cosines(w, False),
    ),
    "function": (square_sum, lambda w: 0.3 * np.square(w).sum()),
    "class": (Cubes(), lambda w: 0.1 * (np.abs(w) ** 3).sum()),
}  # fmt: skip


def dense(backend, **settings):
    model = Sequential([Dense(3, use_bias=False, dtype="float64", input_shape=(4,), **settings)])
    model.compile("sgd", "mse", backend=backend)
    model.set_weights([W])
    return model


def slope(function, w):
    """Central differences."""
    made = np.zeros_like(w)
    for at in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[at] = 1e-6
        made[at] = (function(w + step) - function(w - step)) / 2e-6
    return made


@pytest.mark.parametrize("name", CASES)
def test_weight_penalty_in_loss_and_gradient(name, backend):
    regularizer, expected = CASES[name]
    model = dense(backend, kernel_regularizer=regularizer)
    error = np.square(X @ W - Y).mean()
    np.testing.assert_allclose(model.evaluate(X, Y), error + expected(W), rtol=1e-12)
    model.fit(X, Y, batch_size=22, epochs=1, verbose=0)
    gradient = X.T @ (2 * (X @ W - Y)) / Y.size + slope(expected, W)
    np.testing.assert_allclose(model.get_weights()[0], W - 0.01 * gradient, atol=1e-9)


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2", "L1L2", "function"])
def test_activity_penalty_is_divided_by_the_rows(name, backend):
    regularizer, expected = CASES[name]
    model = dense(backend, activity_regularizer=regularizer)
    error = np.square(X @ W - Y).mean()
    np.testing.assert_allclose(model.evaluate(X, Y), error + expected(X @ W) / 22, rtol=1e-12)
    model.fit(X, Y, batch_size=22, epochs=1, verbose=0)

    def loss(w):
        return np.square(X @ w - Y).mean() + expected(X @ w) / 22

    np.testing.assert_allclose(model.get_weights()[0], W - 0.01 * slope(loss, W), atol=1e-8)


def test_activity_penalty_of_an_epoch_is_the_mean_over_its_rows(backend):
    model = dense(backend, activity_regularizer="l2")
    model.optimizer.learning_rate = 0.0
    history = model.fit(X, Y, batch_size=8, epochs=1, verbose=0)  # 8, 8 and 6 rows
    expected = np.square(X @ W - Y).mean() + 0.01 * np.square(X @ W).sum() / 22
    np.testing.assert_allclose(history.history["loss"], [expected], rtol=1e-12)
    np.testing.assert_allclose(model.predict(X), X @ W, rtol=1e-12)  # no penalty, no trace of it


# Keras 3.15.1 on torch, float32: Dense(3, use_bias=False, kernel 0.1 * arange(12)) on
# x = arange(20).reshape(5, 4) / 10, y = 0, loss mse, with the regularizer on kernel or output:
# model.evaluate(x, y).
KERAS = {
    ("kernel", "l1"): 6.762799263000488,
    ("activity", "l1"): 6.763998985290527,
    ("activity", "l2"): 6.897703647613525,
}


@pytest.mark.parametrize(("where", "name"), KERAS)
def test_figures_of_keras(where, name, backend):
    x = np.arange(20).reshape(5, 4) / 10
    model = Sequential(
        [Dense(3, use_bias=False, input_shape=(4,), **{f"{where}_regularizer": name})]
    )
    model.compile("sgd", "mse", backend=backend)
    model.set_weights([0.1 * np.arange(12).reshape(4, 3)])
    assert model.evaluate(x, np.zeros((5, 3))) == pytest.approx(KERAS[where, name], rel=1e-6)


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2", "L1L2", "rows", "columns"])
def test_called_on_an_array(name):
    regularizer, expected = CASES[name]
    assert regularizers.get(regularizer)(W) == pytest.approx(expected(W), rel=1e-12)


def test_the_layer_activity_regularization(backend):
    model = Sequential([Dense(3, use_bias=False, dtype="float64", input_shape=(4,)),
                        ActivityRegularization(0.2, 0.1, dtype="float64")])  # fmt: skip
    model.compile("sgd", "mse", backend=backend)
    model.set_weights([W])
    expected = CASES["L1L2"][1](X @ W) / 22 + np.square(X @ W - Y).mean()
    np.testing.assert_allclose(model.evaluate(X, Y), expected, rtol=1e-12)
    config = model.layers[1].get_config()
    assert (config["l1"], config["l2"]) == (0.2, 0.1)
    assert ActivityRegularization.from_config(config).activity_regularizer.l1 == 0.2


def test_described_and_made_again():
    for made in (regularizers.L1(0.3), regularizers.L1L2(0.1, 0.2),
                 regularizers.OrthogonalRegularizer(0.1, "columns")):  # fmt: skip
        again = regularizers.get(json.loads(json.dumps(regularizers.serialize(made))))
        assert type(again) is type(made)
        assert again.get_config() == made.get_config()
    layer = Dense(2, activity_regularizer=regularizers.L1(0.3))
    again = Dense.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.activity_regularizer.l1 == 0.3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: regularizers.L1(-1), ValueError, "L1: l1 .* got -1"),
        (lambda: regularizers.L1L2(l2=np.nan), ValueError, "L1L2: l2 .* got nan"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), ValueError, "unknown mode 'row'"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones(3)), ValueError, "matrices"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones((1, 3))), ValueError, "got 1"),
        (
            lambda: dense("reference", kernel_regularizer=lambda w: w).evaluate(X, Y),
            ValueError, "must return one number",
        ),
        (
            lambda: dense("reference", kernel_regularizer=lambda w: 3.0).evaluate(X, Y),
            TypeError, "tensor made with fastnn.ops, got float",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_frozen_layer_has_no_penalty(backend):
    model = dense(backend, kernel_regularizer="l2")
    with_it = model.evaluate(X, Y)
    model.layers[0].trainable = False
    without = model.evaluate(X, Y)
    assert with_it - without == pytest.approx(0.01 * np.square(W).sum(), rel=1e-9)
    assert layers.Dense(2).activity_regularizer is None
