"""ReLU, LeakyReLU, ELU, PReLU, Softmax: as Keras defines them, trained, described, made again."""

import math

import numpy as np
import pytest

from fastnn import Sequential, backends, layers
from fastnn.layers import ELU, LeakyReLU, PReLU, ReLU, Softmax

RNG = np.random.default_rng(4)
X = RNG.normal(0, 3, (5, 4)).astype(np.float32)
IMAGES = RNG.normal(size=(3, 2, 4, 5)).astype(np.float32)


def np_softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


FORMS = {
    "relu": (lambda **k: ReLU(**k), X, lambda x: np.maximum(x, 0)),
    "relu up to 2": (lambda **k: ReLU(2, **k), X, lambda x: np.clip(x, 0, 2)),
    "relu of all kinds": (
        lambda **k: ReLU(max_value=2.5, negative_slope=0.1, threshold=0.5, **k), X,
        lambda x: np.where(x > 0.5, np.minimum(x, 2.5), 0.1 * (x - 0.5)),
    ),
    "leaky": (lambda **k: LeakyReLU(**k), X, lambda x: np.where(x < 0, 0.3 * x, x)),
    "leaky 0.05": (lambda **k: LeakyReLU(0.05, **k), X, lambda x: np.where(x < 0, 0.05 * x, x)),
    "elu": (lambda **k: ELU(**k), X, lambda x: np.where(x < 0, np.expm1(x), x)),
    "elu 2": (lambda **k: ELU(alpha=2, **k), X, lambda x: np.where(x < 0, 2 * np.expm1(x), x)),
    "prelu": (lambda **k: PReLU(**k), X, lambda x: np.maximum(x, 0)),
    "prelu of ones": (
        lambda **k: PReLU("ones", **k), X, lambda x: x,
    ),
    "softmax": (lambda **k: Softmax(**k), X, lambda x: np_softmax(x, -1)),
    "softmax 1": (lambda **k: Softmax(axis=1, **k), IMAGES, lambda x: np_softmax(x, 1)),
    "softmax -2": (lambda **k: Softmax(axis=-2, **k), IMAGES, lambda x: np_softmax(x, -2)),
}  # fmt: skip


@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize("form", FORMS)
def test_numbers(form, backend):
    make, x, formula = FORMS[form]
    layer = make(input_shape=x.shape[1:])
    model = Sequential([layer])
    model.compile("sgd", "mse", backend=backend)
    expected = formula(x.astype(np.float64))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    model = Sequential([again])
    model.compile("sgd", "mse", backend=backend)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize(
    ("shared", "shape"), [(None, (2, 4, 5)), ([1, 2], (1, 1, 5)), (3, (2, 4, 1))]
)
def test_prelu_learns_its_slopes(shared, shape, backend):
    """alpha's gradient is x where x is negative, summed over the rows and the shared axes."""
    layer = PReLU(shared_axes=shared, input_shape=IMAGES.shape[1:])
    model = Sequential([layer])
    model.compile("sgd", "mse", backend=backend)
    assert layer.alpha.shape == shape
    assert (layer.alpha.value == 0).all()
    target = RNG.normal(size=IMAGES.shape).astype(np.float32)
    model.fit(IMAGES, target, batch_size=3, verbose=0)
    error = np.maximum(IMAGES, 0) - target
    slope = (2 * error / IMAGES.size * np.minimum(IMAGES, 0)).sum(0)
    for axis, n in enumerate(shape):
        if n == 1:
            slope = slope.sum(axis, keepdims=True)
    np.testing.assert_allclose(layer.alpha.value, -0.01 * slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("backend", backends.available())
def test_prelu_with_a_constraint(backend):
    layer = PReLU("ones", alpha_constraint="non_neg", input_shape=(1,))
    model = Sequential([layer])
    model.compile("sgd", "mse", backend=backend)
    model.fit([[-30.0]], [[300.0]], verbose=0)  # its gradient takes alpha far below 0
    assert layer.alpha.value == 0


def test_prelu_figures_of_keras():
    """keras.layers.PReLU of Keras 3.15.1 with alpha 0.1, 0.2, 0.3 on -2, -1, 4."""
    layer = PReLU(input_shape=(3,))
    model = Sequential([layer])
    layer.set_weights([[0.1, 0.2, 0.3]])
    made = model.predict([[-2.0, -1.0, 4.0]], verbose=0)
    np.testing.assert_allclose(made, [[-0.2, -0.2, 4.0]], rtol=1e-6)


def test_defaults_are_those_of_keras():
    assert LeakyReLU().negative_slope == 0.3
    assert ELU().alpha == 1.0
    assert Softmax().axis == -1
    relu = ReLU()
    assert (relu.max_value, relu.negative_slope, relu.threshold) == (None, 0.0, 0.0)
    assert PReLU(shared_axes=1).shared_axes == [1]
    for name in ("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"):
        described = {"class_name": name, "config": {}}
        assert type(layers.get(described)).__name__ == name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReLU(max_value=-1), "ReLU: max_value must be a finite number of 0 or more, got"),
        (lambda: ReLU(negative_slope=None), "ReLU: negative_slope must be a finite number of 0"),
        (lambda: ReLU(threshold=-0.5), "ReLU: threshold must be a finite number of 0 or more"),
        (lambda: LeakyReLU(-0.3), "LeakyReLU: negative_slope must be a finite number of 0 or more"),
        (lambda: ELU(math.nan), "ELU: alpha must be a finite number of 0 or more, got nan"),
        (lambda: Softmax(axis=1.5), "Softmax: axis must be a whole number, got 1.5"),
        (lambda: PReLU(shared_axes=[3]).build((None, 2, 4)),
         r"shared_axes must be axes from 1 to 2 of the input shape \(None, 2, 4\), got \[3\]"),
        (lambda: Sequential([Softmax(axis=3, input_shape=(2, 4))]),
         r"softmax: axis 3 is no axis of shape \(None, 2, 4\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()
