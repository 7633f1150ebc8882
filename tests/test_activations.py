"""Activations: their numbers against Keras' own and against exact ones, arguments, and layers."""

import json
import math
import pathlib

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, activations, backends, config
from fastnn.layers import Activation, Dense
from fastnn.ops import ACTIVATIONS
from fastnn.ops.activations import activation

KERAS = json.loads((pathlib.Path(__file__).parent / "data" / "keras_activations.json").read_text())
FIGURES = [(f["name"], f["arguments"], f["y"]) for f in KERAS["figures"]]
ROWS = [(f["name"], f["axis"], f["y"]) for f in KERAS["rows"]]
BACKENDS = backends.available()


def applied(function, x, backend, dtype="float64"):
    """What a model of this activation alone predicts."""
    x = np.asarray(x, dtype)
    before = config.floatx()
    config.set_floatx(dtype)
    try:
        model = Sequential([Activation(function, input_shape=x.shape[1:])])
        model.compile("sgd", "mse", backend=backend)
        return model.predict(x, verbose=0)
    finally:
        config.set_floatx(before)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "arguments", "expected"), FIGURES)
def test_numbers_are_those_of_keras(name, arguments, expected, backend):
    function = getattr(activations, name)
    x = np.array(KERAS["x"])
    close = {"rtol": 1e-11, "atol": 1e-15}
    np.testing.assert_allclose(function(x, **arguments), expected, **close)
    layer = applied(lambda t: function(t, **arguments), x[:, None], backend)
    np.testing.assert_allclose(layer[:, 0], expected, **close)


@pytest.mark.parametrize(("name", "axis", "expected"), ROWS)
def test_rows_are_those_of_keras(name, axis, expected):
    function = getattr(activations, name)
    x = np.array(KERAS["matrix"])
    expected = np.reshape(expected, x.shape)
    np.testing.assert_allclose(function(x, axis=axis), expected, rtol=1e-9)
    # Inside a model the rows stay first: the same matrix as one row.
    for backend in BACKENDS:
        made = applied(lambda t: function(t, axis=axis if axis < 0 else 1), x[None], backend)
        np.testing.assert_allclose(made[0], expected, rtol=1e-9)


def test_none_is_missing():
    # Keras has no step; the other two are forms of relu and gelu, which have figures of their own.
    ours = {"step", "relu_general", "gelu_tanh"}
    assert {name for name, _, _ in FIGURES} | ours <= set(ACTIVATIONS)


def test_a_fourth_parameter_is_refused():
    def wide(x, a=1.0, b=2.0, c=3.0, d=4.0):
        return a * b * c * d * x

    with pytest.raises(ValueError, match="wide: at most 3 parameters reach a kernel"):
        activation(derivative=np.ones_like, saves="input")(wide)
    assert "wide" not in ACTIVATIONS


@pytest.mark.parametrize("backend", BACKENDS)
def test_step(backend):
    x = [[-2.0], [-1e-30], [0.0], [1e-30], [5.0]]
    np.testing.assert_array_equal(activations.step(np.array(x))[:, 0], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(applied("step", x, backend)[:, 0], [0, 0, 1, 1, 1])


# Small results in full relative precision: log1p and expm1 make them, not differences near 1.
PRECISE = {
    "softplus": lambda x: math.log1p(math.exp(x)),
    "log_sigmoid": lambda x: -math.log1p(math.exp(-x)),
    "elu": lambda x: math.expm1(x) if x < 0 else x,
    "selu": lambda x: 1.0507009873554805 * (1.6732632423543772 * math.expm1(x) if x < 0 else x),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PRECISE)
def test_small_results_keep_their_digits(name, backend):
    sizes = [1e-20, 1e-7, 3e-4, 0.01, 0.7, 5.0, 17.0, 40.0, 80.0]
    x = np.array([*sizes, *(-s for s in sizes)], np.float32)
    expected = [PRECISE[name](float(v)) for v in x]
    made = applied(name, x[:, None], backend, "float32")[:, 0]
    np.testing.assert_allclose(made, np.array(expected), rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_far_away(backend):
    ends = np.array([[-3e38], [3e38]], np.float32)
    for name, expected in {
        "softplus": [0, 3e38],
        "log_sigmoid": [-3e38, 0],
        "elu": [-1, 3e38],
        "hard_sigmoid": [0, 1],
        "exponential": [0, np.inf],
        "relu6": [0, 6],
    }.items():
        made = applied(name, ends, backend, "float32")[:, 0]
        np.testing.assert_array_equal(made, np.float32(expected), err_msg=name)


def test_names_and_functions():
    for name in (*ACTIVATIONS, "softmax", "log_softmax"):
        function = activations.get(name)
        assert function is getattr(activations, name) is activations.get(function)
        assert activations.serialize(function) == name
        assert name in activations.__all__
        assert function.__doc__
    assert activations.get("swish") is activations.swish is activations.silu
    assert activations.get(None) is activations.linear
    with pytest.raises(ValueError, match="unknown activation 'rellu'; choose one of: .* relu, "):
        activations.get("rellu")


def test_parameters_stand_in_the_signature():
    assert activations.leaky_relu([-1.0], negative_slope=0.5) == -0.5
    assert activations.leaky_relu(np.array([-1.0]), -0.5) == 0.5  # a slope that turns upwards
    assert activations.elu(np.array([-1.0]), alpha=2) == 2 * math.expm1(-1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'alpha'"):
        activations.tanh([1.0], alpha=2)


def test_of_any_numbers():
    assert activations.relu([-1, 2]).tolist() == [0.0, 2.0]
    for dtype in ("float32", "float64"):
        for name in (*ACTIVATIONS, "softmax", "log_softmax"):
            made = activations.get(name)(np.array([0.5, -1.5], dtype))
            assert made.dtype == dtype, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activations.elu([1.0], alpha=-1), "elu: alpha must be a number of 0 or more"),
        (lambda: activations.relu([1.0], max_value=-1), "relu: max_value must be a number of 0 or"),
        (lambda: activations.relu([1.0], threshold=-1), "relu: threshold must be a number of 0 or"),
        (lambda: activations.leaky_relu([1.0], None), "leaky_relu: negative_slope must be a num"),
        (lambda: activations.softmax([[1.0]], axis=2), r"softmax: axis 2 is no axis of shape"),
        (lambda: Model(x := Input((3,)), Activation(lambda t: activations.softmax(t, 0))(x)),
         r"transpose: the rows of .* must stay the first axis"),
    ],
)  # fmt: skip
def test_what_cannot_be_right(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("backend", BACKENDS)
def test_parameters_reach_the_fused_product(backend):
    """leaky_relu runs inside the product, with the slope that was asked for."""
    model = Sequential(
        [Dense(3, activation=lambda t: activations.leaky_relu(t, 0.3), input_shape=(4,)), Dense(1)]
    )
    model.compile("sgd", "mse", backend=backend)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4)), rng.normal(size=(9, 1))
    w, b, v, c = (np.float64(a) for a in model.get_weights())
    z = x @ w + b
    h = np.where(z < 0, 0.3 * z, z)
    error = h @ v + c - y
    dz = (2 * error / 9) @ v.T * np.where(z < 0, 0.3, 1)
    model.fit(x, y, batch_size=9, verbose=0)
    plan = str(model.plan)
    assert "linear leaky_relu" in plan and "linear_dx leaky_relu" in plan
    np.testing.assert_allclose(model.get_weights()[0], w - 0.01 * (x.T @ dz), rtol=1e-5, atol=1e-6)
