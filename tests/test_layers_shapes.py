"""Layers that reshape and merge: numbers against NumPy and Keras, gradients, bad shapes.

Figures marked Keras are from Keras 3.15.1 on torch, float32.
"""

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, layers
from fastnn.layers import (
    Add,
    Average,
    Concatenate,
    Dense,
    Dot,
    Flatten,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    Permute,
    RepeatVector,
    Reshape,
    Subtract,
)

RNG = np.random.default_rng(1)
X = RNG.normal(size=(5, 3, 4)).astype(np.float32)
A, B, C = (RNG.normal(size=(5, 4)).astype(np.float32) for _ in range(3))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Flatten(), X.reshape(5, 12)),
        (Reshape((4, 3)), X.reshape(5, 4, 3)),
        (Reshape((-1, 2)), X.reshape(5, 6, 2)),
        (Reshape(12), X.reshape(5, 12)),
        (Permute((2, 1)), X.transpose(0, 2, 1)),
        (Identity(), X),
    ],
    ids=repr,
)
def test_reshaping(layer, expected):
    np.testing.assert_array_equal(layer(X), expected)
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(again(X), expected)
    assert layer.compute_output_shape((None, 3, 4)) == (None, *expected.shape[1:])


def test_repeat_vector():
    np.testing.assert_array_equal(RepeatVector(3)(A), np.repeat(A[:, None], 3, axis=1))
    np.testing.assert_array_equal(RepeatVector(1)(A), A[:, None])


def test_their_gradients_arrive(backend):
    model = Sequential([Dense(12, input_shape=(4,)), Reshape((3, 4)), Permute((2, 1)), Flatten(),
                        RepeatVector(2), Flatten(), Dense(1)])  # fmt: skip
    model.compile("adam", "mse", backend=backend)
    losses = model.fit(A, A[:, :1], epochs=400, verbose=0).history["loss"]
    assert losses[-1] < 1e-2 * losses[0]


MERGED = {
    "add": (Add, A + B + C),
    "multiply": (Multiply, A * B * C),
    "average": (Average, (A + B + C) / 3),
    "maximum": (Maximum, np.maximum(np.maximum(A, B), C)),
    "minimum": (Minimum, np.minimum(np.minimum(A, B), C)),
    "concatenate": (Concatenate, np.concatenate([A, B, C], axis=-1)),
}


@pytest.mark.parametrize("name", MERGED)
def test_merging(name):
    cls, expected = MERGED[name]
    np.testing.assert_allclose(cls()([A, B, C]), expected, rtol=1e-6)
    np.testing.assert_allclose(getattr(layers, name)([A, B, C]), expected, rtol=1e-6)


def test_subtract():
    np.testing.assert_array_equal(Subtract()([A, B]), A - B)
    np.testing.assert_array_equal(layers.subtract([A, B]), A - B)


def test_merging_broadcasts():
    np.testing.assert_array_equal(Add()([X, X[:, :1]]), X + X[:, :1])
    np.testing.assert_array_equal(Multiply()([X, A]), X * A[:, None])  # axes behind the rows
    np.testing.assert_array_equal(
        Concatenate(axis=1)([X, X[:, :1]]), np.concatenate([X, X[:, :1]], axis=1)
    )


def test_dot_is_that_of_keras():
    x = (np.arange(12).reshape(4, 3) ** 1.5 / 10).astype(np.float32)
    x3 = (np.arange(24).reshape(2, 3, 4) ** 1.5 / 10).astype(np.float32)
    half = x3[:, ::-1] * 0.5
    np.testing.assert_allclose(
        Dot(axes=1)([x, x]), [[0.09], [2.16], [10.710001], [30.600002]], rtol=1e-6
    )
    np.testing.assert_allclose(
        Dot(axes=(2, 2))([x3, half])[0],
        [[1.5300665, 0.7449182, 0.17999999], [8.116594, 3.74, 0.7449182],
         [17.86, 8.116594, 1.5300665]], rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        Dot(axes=(1, 1), normalize=True)([x3, half])[0],
        [[0.11111112, 0.15969656, 0.21624961, 0.26846617],
         [0.15969656, 0.2093567, 0.26618597, 0.31828558],
         [0.21624961, 0.26618594, 0.32261884, 0.3740306],
         [0.26846617, 0.31828558, 0.3740306, 0.42453915]], rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "a", "b", "formula"),
    [
        ((1, 2), (5, 3, 4), (5, 6, 3), "rki,rjk->rij"),
        ((2, 1), (5, 3, 4), (5, 4, 6), "rik,rkj->rij"),
        (-1, (5, 3, 4), (5, 6, 4), "rik,rjk->rij"),
        ((1, 1), (5, 3), (5, 3, 4), "rk,rkj->rj"),
        ((2, 1), (5, 4, 3), (5, 3), "rik,rk->ri"),
    ],
)
def test_dot_sums_over_any_axes(axes, a, b, formula):
    left, right = RNG.normal(size=a).astype("f"), RNG.normal(size=b).astype("f")
    expected = np.einsum(formula, left, right)
    np.testing.assert_allclose(layers.dot([left, right], axes), expected, rtol=1e-4, atol=1e-5)


def test_merging_trains(backend):
    x, y = Input((4,)), Input((4,))
    p, q = Dense(4, activation="tanh")(x), Dense(4, activation="tanh")(y)
    parts = [
        layers.add([p, q]), layers.subtract([p, q]), layers.multiply([p, q]),
        layers.average([p, q]), layers.maximum([p, q]), layers.minimum([p, q]),
        layers.dot([p, q], axes=1, normalize=True),
    ]  # fmt: skip
    model = Model([x, y], Dense(1)(layers.concatenate(parts)))
    model.compile("adam", "mse", backend=backend)
    losses = model.fit([A, B], A[:, :1] * B[:, :1], epochs=300, verbose=0).history["loss"]
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Reshape((5, 2))(X), ValueError, r"rows of shape \(3, 4\) have 12 numbers"),
        (lambda: Reshape((-1, -1)), ValueError, "only one entry can be -1"),
        (lambda: Reshape((0, 3)), ValueError, "integers of 1 or more"),
        (lambda: Reshape((2.5,)), ValueError, "integers of 1 or more"),
        (lambda: Permute((1, 3)), ValueError, "each axis from 1 to 2 once"),
        (lambda: Permute((1, 2))(A), ValueError, "rows of 2 axes"),
        (lambda: RepeatVector(0), ValueError, "n must be an integer of 1 or more"),
        (lambda: RepeatVector(2.0), TypeError, "n must be an integer"),
        (lambda: RepeatVector(2)(X), ValueError, "repeats vectors"),
        (lambda: Add()([A]), ValueError, "list of 2 or more tensors, got 1"),
        (lambda: Add()(A), ValueError, "list of 2 or more tensors, got 1"),
        (lambda: Subtract()([A, B, C]), ValueError, "takes 2 tensors, got 3"),
        (lambda: Add()([A, A[:, :3]]), ValueError, r"cannot merge shapes \(None, 4\), \(None, 3\)"),
        (lambda: Concatenate(axis=0), ValueError, "other than 0"),
        (lambda: Concatenate(axis=2)([A, B]), ValueError, "there is no axis 2"),
        (lambda: Concatenate()([X, A]), ValueError, "different numbers of axes"),
        (lambda: Concatenate(axis=1)([X, X[:, :, :2]]), ValueError, "differ beside axis 1"),
        (lambda: Dot(axes=0), ValueError, "other than 0"),
        (lambda: Dot(axes="x"), TypeError, "an integer or two"),
        (lambda: Dot(axes=(1, 2, 3)), ValueError, "two integers"),
        (lambda: Dot(axes=1)([A, B, C]), ValueError, "takes 2 tensors, got 3"),
        (lambda: Dot(axes=1)([A, A[:, :3]]), ValueError, "have 4 and 3 elements"),
        (lambda: Dot(axes=2)([A, B]), ValueError, "axis 2 is none of"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
