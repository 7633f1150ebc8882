"""Dropout and noise: their statistics, that they repeat, and that they act in training only."""

import math

import numpy as np
import pytest

from fastnn import Sequential, layers, utils
from fastnn.layers import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from fastnn.ops.random import normals

X = np.ones((300, 40), np.float32)
LAYERS = [Dropout(0.3), AlphaDropout(0.3), GaussianNoise(0.5), GaussianDropout(0.3)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_only_in_training(layer):
    np.testing.assert_array_equal(layer(X), X)
    noisy = layer(X, training=True)
    assert not np.array_equal(noisy, X)
    assert not np.array_equal(layer(X, training=True), noisy)  # each call draws anew


def check_moments(values, mean, variance):
    """Within five standard errors; the fourth moment of all of these is at most 4 variance^2."""
    n = values.size
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / n)
    assert abs(values.var() - variance) < 5 * variance * math.sqrt(4 / n)


def test_statistics():
    check_moments(GaussianNoise(0.5)(X, training=True) - 1, 0, 0.25)
    check_moments(GaussianDropout(0.3)(X, training=True), 1, 0.3 / 0.7)
    check_moments(Dropout(0.3)(X, training=True), 1, 0.3 / 0.7)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 400)).astype(np.float32)
    check_moments(AlphaDropout(0.3)(x, training=True), 0, 1)


def test_alpha_dropout_has_two_values_for_one():
    alpha = 1.6732632423543772 * 1.0507009873554805
    a = (0.7 * (1 + 0.3 * alpha**2)) ** -0.5
    b = a * alpha * 0.3
    y = AlphaDropout(0.3)(X, training=True)
    kept = np.isclose(y, a + b, rtol=1e-5)
    np.testing.assert_allclose(y[~kept], -a * alpha + b, rtol=1e-5)
    assert abs(kept.mean() - 0.7) < 5 * math.sqrt(0.21 / X.size)


def test_normal_draws():
    z = normals(seed=3, stream=1, step=2, rows=500, width=203)
    assert z.shape == (500, 203)
    n = z.size
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 5 * math.sqrt(variance / n)
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 5 / math.sqrt(500)
    assert abs((np.abs(z) < 1).mean() - math.erf(math.sqrt(0.5))) < 5 * math.sqrt(0.22 / n)
    # A row's draws depend on its place in the batch alone.
    np.testing.assert_array_equal(normals(3, 1, 2, 10, 203, first_row=7), z[7:17])
    np.testing.assert_array_equal(normals(3, 1, 2, 500, 5), z[:, :5])
    assert not np.array_equal(normals(4, 1, 2, 500, 203), z)


@pytest.mark.parametrize("shape", [(None, 1), (None, 40), (None, None)])
def test_noise_shape(shape):
    y = Dropout(0.5, noise_shape=shape)(X, training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    together = (y == y[:, :1]).all()
    assert together == (shape[1] == 1)
    assert 0.3 < (y[:, 0] > 0).mean() < 0.7


def test_noise_shape_of_time_steps():
    x = np.ones((20, 7, 9), np.float32)
    y = Dropout(0.5, noise_shape=(None, 1, 9))(x, training=True)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_seed_repeats(layer):
    def run(**settings):
        utils.set_random_seed(settings.pop("of_model", 1))
        again = type(layer).from_config({**layer.get_config(), **settings})
        return again(X, training=True)

    np.testing.assert_array_equal(run(seed=7), run(seed=7, of_model=2))
    np.testing.assert_array_equal(run(), run())
    assert not np.array_equal(run(), run(of_model=2))
    assert not np.array_equal(run(seed=7), run(seed=8))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_both_executors_train_alike(layer):
    weights = []
    for backend in ("reference", "native"):
        utils.set_random_seed(4)
        model = Sequential(
            [layers.Dense(8, activation="tanh", input_shape=(5,)),
             type(layer).from_config(layer.get_config()), layers.Dense(1)]
        )  # fmt: skip
        try:
            model.compile("sgd", "mse", backend=backend)
            rng = np.random.default_rng(0)
            model.fit(rng.normal(size=(40, 5)), rng.normal(size=(40, 1)), epochs=3, verbose=0)
        except (ImportError, ValueError) as error:
            pytest.skip(f"no native executor: {error}")
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianNoise(-0.1), "GaussianNoise: stddev"),
        (lambda: GaussianNoise(1.5), "stddev must be from 0 to 1, got 1.5"),
        (lambda: GaussianNoise(0.1, seed=1.5), "GaussianNoise: seed must be an integer"),
        (lambda: GaussianDropout(1.0), "GaussianDropout: rate"),
        (lambda: AlphaDropout("a"), "AlphaDropout: rate"),
        (lambda: Dropout(0.1, noise_shape=(1, 40)), "begins with None"),
        (lambda: Dropout(0.1, noise_shape=(None, 3))(X), "noise_shape .* does not fit"),
        (lambda: Dropout(0.1, noise_shape=(None, 1, 1))(X), "noise_shape .* does not fit"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
