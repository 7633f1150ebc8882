"""The API as Keras users know it, on both executors.

Numbers are compared with NumPy programs written here, in float64, from the published formulas: a
two-layer network with its gradients by hand, and each optimizer as Keras defines it.
"""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastnn
from fastnn import (
    Input,
    Model,
    Sequential,
    backends,
    callbacks,
    config,
    losses,
    metrics,
    optimizers,
    regularizers,
    training,
    utils,
)
from fastnn.layers import Activation, Dense, Dropout, Flatten, Rescaling

ROWS = 50
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, 4))
Y = RNG.normal(size=(ROWS, 2))
LABELS = RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3)[LABELS]
WEIGHT = RNG.uniform(0.1, 2, ROWS)

# Against float64 programs. In float64 only the order of sums differs; in float32 each value carries
# a rounding of 6e-8, and the updates of a test add up a few dozen of them.
CLOSE = {"float32": {"rtol": 1e-5, "atol": 1e-6}, "float64": {"rtol": 1e-12, "atol": 1e-14}}


native_only = pytest.mark.skipif(
    "native" not in backends.available(), reason="the native executor is not compiled"
)


@pytest.fixture(params=[pytest.param("native", marks=native_only), "reference"])
def backend(request, monkeypatch):
    """The executor that all models of a test use."""
    monkeypatch.setenv("FASTNN_BACKEND", request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The float type of all models of a test."""
    config.set_floatx(request.param)
    yield request.param
    config.set_floatx("float32")


@pytest.fixture(autouse=True)
def seeded():
    utils.set_random_seed(11)


def mlp(optimizer="sgd", loss="mse", hidden=8, units=2, activation=None, **settings):
    """4 inputs, a tanh layer, `units` outputs."""
    model = Sequential(
        [Dense(hidden, activation="tanh", input_shape=(4,)), Dense(units, activation=activation)]
    )
    model.compile(optimizer, loss, **settings)
    return model


def assert_same(weights, others):
    """Equal bit for bit."""
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_differ(weights, others):
    assert any((a != b).any() for a, b in zip(weights, others, strict=True))


def twins(*args, **settings):
    """Two models that start from the same weights and the same seed."""
    made = []
    for _ in range(2):
        utils.set_random_seed(5)
        made.append(mlp(*args, **settings))
    assert_same(made[0].get_weights(), made[1].get_weights())
    return made


# --- formulas, in NumPy --------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def forward(weights, x):
    """The network of `mlp`: (hidden, output before its activation)."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    return hidden, hidden @ w2 + b2


def gradients(weights, x, slope):
    """Gradients of the network of `mlp`, given dloss/d(output before its activation)."""
    hidden, _ = forward(weights, x)
    dz = (slope @ weights[2].T) * (1 - hidden**2)
    return [x.T @ dz, dz.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


def train(weights, x, y, optimizer, batch_size, epochs, weight=None, l2=0.0, every=1, frozen=()):
    """Mean squared error, batches in order; returns (weights, loss of each epoch)."""
    weights = [np.array(w, np.float64) for w in weights]
    weight = np.ones(len(x)) if weight is None else weight
    history, total, steps = [], None, 0
    for _ in range(epochs):
        epoch_loss = 0.0
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            n = len(x[rows])
            error = forward(weights, x[rows])[1] - y[rows]
            penalty = l2 * (weights[0] ** 2).sum()
            loss = (weight[rows] * (error**2).mean(axis=1)).sum() / n + penalty
            epoch_loss += n * loss
            slope = 2 * error * weight[rows, None] / error.size
            grads = gradients(weights, x[rows], slope)
            grads[0] = grads[0] + 2 * l2 * weights[0]
            total = grads if total is None else [a + b for a, b in zip(total, grads, strict=True)]
            steps += 1
            if steps % every == 0:
                mean = [None if i in frozen else g / every for i, g in enumerate(total)]
                optimizer(mean, weights)
                total = None
        history.append(epoch_loss / len(x))
    return weights, history


def sgd(rate=0.01, momentum=0.0, nesterov=False):
    velocity = {}

    def step(grads, weights):
        for i, g in enumerate(grads):
            velocity[i] = momentum * velocity.get(i, 0) - rate * g
            weights[i] += momentum * velocity[i] - rate * g if nesterov else velocity[i]

    return step


def rmsprop(rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    square, mean, moved = {}, {}, {}

    def step(grads, weights):
        for i, g in enumerate(grads):
            square[i] = rho * square.get(i, 0) + (1 - rho) * g**2
            spread = square[i]
            if centered:
                mean[i] = rho * mean.get(i, 0) + (1 - rho) * g
                spread = spread - mean[i] ** 2
            moved[i] = momentum * moved.get(i, 0) + rate * g / np.sqrt(spread + epsilon)
            weights[i] -= moved[i]

    return step


def adam(rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = {}, {}
    count = [0]

    def step(grads, weights):
        count[0] += 1
        alpha = rate * np.sqrt(1 - beta_2 ** count[0]) / (1 - beta_1 ** count[0])
        for i, g in enumerate(grads):
            if g is None:
                continue
            m[i] = beta_1 * m.get(i, 0) + (1 - beta_1) * g
            v[i] = beta_2 * v.get(i, 0) + (1 - beta_2) * g**2
            weights[i] -= alpha * m[i] / (np.sqrt(v[i]) + epsilon)

    return step


# --- training is what the formulas say -----------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: optimizers.SGD(0.1), lambda: sgd(0.1)),
        (lambda: optimizers.SGD(0.05, momentum=0.9), lambda: sgd(0.05, 0.9)),
        (lambda: optimizers.SGD(0.05, 0.9, nesterov=True), lambda: sgd(0.05, 0.9, True)),
        (lambda: optimizers.RMSprop(), lambda: rmsprop()),
        (lambda: optimizers.RMSprop(0.01, momentum=0.5), lambda: rmsprop(0.01, momentum=0.5)),
        (
            lambda: optimizers.RMSprop(0.01, 0.8, centered=True),
            lambda: rmsprop(0.01, 0.8, centered=True),
        ),
        (
            lambda: optimizers.RMSprop(0.01, 0.8, 0.3, 1e-3, True),
            lambda: rmsprop(0.01, 0.8, 0.3, 1e-3, True),
        ),
        (lambda: optimizers.Adam(), lambda: adam()),
        (lambda: optimizers.Adam(0.01, 0.8, 0.99, 1e-4), lambda: adam(0.01, 0.8, 0.99, 1e-4)),
    ],
    ids=["sgd", "momentum", "nesterov", "rmsprop", "rmsprop momentum", "rmsprop centered",
         "rmsprop all", "adam", "adam set"],
)  # fmt: skip
def test_optimizers_step_by_step(ours, theirs, backend, dtype):
    # 50 rows in batches of 16: three of 16 and one of 2, in order.
    model = mlp(ours())
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=16, epochs=5, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, theirs(), 16, 5)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 51, 1000])
def test_every_batch_size_is_exact_down_to_the_last_partial_batch(batch_size, backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, sgd(0.1), batch_size, 2)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE["float32"])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_batch_size_is_32_unless_given(backend):
    one, other = twins()
    one.fit(X, Y, verbose=0)
    other.fit(X, Y, batch_size=32, verbose=0)
    assert_same(one.get_weights(), other.get_weights())


@pytest.mark.parametrize("make", [lambda k: optimizers.SGD(0.1, gradient_accumulation_steps=k),
                                  lambda k: optimizers.Adam(gradient_accumulation_steps=k)],
                         ids=["sgd", "adam"])  # fmt: skip
def test_gradient_accumulation_averages_the_gradients_of_k_batches(make, backend, dtype):
    # 8 batches in two epochs, an update after every third: after the 3rd and the 6th.
    model = mlp(make(3))
    start = model.get_weights()
    model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    theirs = sgd(0.1) if isinstance(model.optimizer, optimizers.SGD) else adam()
    weights, _ = train(start, X, Y, theirs, 16, 2, every=3)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_l2_adds_to_loss_and_gradient(backend, dtype):
    model = Sequential(
        [
            Dense(8, "tanh", kernel_regularizer=regularizers.L2(0.05), input_shape=(4,)),
            Dense(2),
        ]
    )
    model.compile(optimizers.SGD(0.1), "mse", metrics=["mse"])
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, sgd(0.1), 16, 3, l2=0.05)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])
    result = model.evaluate(X, Y, return_dict=True)
    penalty = 0.05 * (weights[0] ** 2).sum()
    np.testing.assert_allclose(result["loss"], result["mse"] + penalty, **CLOSE[dtype])


def test_sample_weights_divide_by_the_rows_and_not_by_their_sum(backend, dtype):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    settings = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    history = model.fit(X, Y, sample_weight=WEIGHT, **settings)
    weights, losses_ = train(start, X, Y, sgd(0.1), 16, 3, weight=WEIGHT)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_a_weight_of_zero_leaves_a_row_out(backend):
    one, other = twins(optimizers.SGD(0.1))
    weight = np.ones(ROWS)
    weight[20:] = 0
    one.fit(X, Y, sample_weight=weight, batch_size=ROWS, verbose=0)
    # The same gradient as of the first 20 rows alone, but divided by 50.
    other.optimizer.learning_rate = 0.1 * 20 / ROWS
    other.fit(X[:20], Y[:20], batch_size=ROWS, verbose=0)
    for got, want in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_all_weights_zero_change_nothing(backend):
    model = mlp("adam")
    before = model.get_weights()
    history = model.fit(X, Y, sample_weight=np.zeros(ROWS), verbose=0)
    assert history.history["loss"] == [0.0]
    assert_same(before, model.get_weights())


def test_dropout_in_training_only(backend):
    rate = 0.25
    model = Sequential([Dropout(rate, input_shape=(1,)), Dense(1, use_bias=False)])
    model.compile(optimizers.SGD(0.0), "mse")
    model.set_weights([[[1.0]]])
    ones = np.ones((4000, 1))
    np.testing.assert_array_equal(model.predict(ones), ones)
    assert model.evaluate(ones, ones) == 0
    # In training a unit is 0 or 1 / (1 - rate): the squared errors 1 and (1/3)^2 tell how many.
    dropped = model.fit(ones, ones, batch_size=100, verbose=0).history["loss"][0]
    share = (dropped - (1 / 3) ** 2) / (1 - (1 / 3) ** 2)
    assert abs(share - rate) < 4 * np.sqrt(rate * (1 - rate) / 4000)


def test_dropout_of_rate_0_and_its_own_seed(backend):
    with_none, plain = (
        Sequential([Dense(8, "tanh", input_shape=(4,)), *middle, Dense(2)])
        for middle in ([Dropout(0.0)], [])
    )
    plain.set_weights(with_none.get_weights())
    for model in (with_none, plain):
        model.compile("sgd", "mse")
        model.fit(X, Y, shuffle=False, verbose=0)
    assert_same(with_none.get_weights(), plain.get_weights())
    results = []
    for seed, general in ((1, 3), (1, 4), (2, 3)):
        utils.set_random_seed(general)
        model = Sequential([Dropout(0.5, seed=seed, input_shape=(4,)), Dense(2)])
        model.set_weights([np.ones((4, 2)), np.ones(2)])
        model.compile("sgd", "mse")
        model.fit(X, Y, shuffle=False, verbose=0)
        results.append(model.get_weights())
    assert_same(results[0], results[1])
    assert_differ(results[0], results[2])


# --- predict and evaluate ------------------------------------------------------------------------

FUNCTIONS = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": softmax,
    "step": lambda z: (z >= 0) * 1.0,
}


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_predict_is_the_forward_pass(activation, backend, dtype):
    model = Sequential(
        [
            Rescaling(0.5, offset=0.1, input_shape=(2, 2)),
            Flatten(),
            Dense(9, activation=activation),
            Dense(3, use_bias=False),
            Activation("tanh"),
            Dense(2),
        ]
    )
    for layer in model.layers:
        layer.set_weights([RNG.normal(size=w.shape) for w in layer.get_weights()])
    w1, b1, w2, w3, b3 = (w.astype(np.float64) for w in model.get_weights())
    images = X.reshape(ROWS, 2, 2)
    hidden = FUNCTIONS[activation]((images * 0.5 + 0.1).reshape(ROWS, 4) @ w1 + b1)
    want = np.tanh(hidden @ w2) @ w3 + b3
    got = model.predict(images)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, **CLOSE[dtype])
    for batch_size in (1, 7, ROWS, 1000):
        close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else CLOSE[dtype]
        np.testing.assert_allclose(model.predict(images, batch_size=batch_size), got, **close)
    np.testing.assert_allclose(model.predict(images[:1])[0], got[0], rtol=1e-5, atol=1e-6)


def test_predictions_belong_to_the_caller(backend):
    model = mlp()
    first = model.predict(X)
    kept = first.copy()
    second = model.predict(X[::-1])
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(second[::-1], kept)
    assert second.flags.writeable


LOSSES = {
    "mse": ("mse", 2, None, Y, lambda p: ((p - Y) ** 2).mean(axis=1)),
    "mae": ("mean_absolute_error", 2, None, Y, lambda p: abs(p - Y).mean(axis=1)),
    "binary": (
        "binary_crossentropy", 3, "sigmoid", ONE_HOT,
        lambda p: -(ONE_HOT * np.log(p) + (1 - ONE_HOT) * np.log(1 - p)).mean(axis=1),
    ),
    "binary of logits": (
        losses.BinaryCrossentropy(from_logits=True), 3, None, ONE_HOT,
        lambda z: (np.log1p(np.exp(z)) - ONE_HOT * z).mean(axis=1),
    ),
    "categorical": (
        "categorical_crossentropy", 3, "softmax", ONE_HOT,
        lambda p: -(ONE_HOT * np.log(p)).sum(axis=1),
    ),
    "sparse": (
        "sparse_categorical_crossentropy", 3, "softmax", LABELS,
        lambda p: -np.log(p[np.arange(ROWS), LABELS]),
    ),
    "sparse of logits": (
        losses.SparseCategoricalCrossentropy(from_logits=True), 3, None, LABELS,
        lambda z: -np.log(softmax(z)[np.arange(ROWS), LABELS]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSES)
def test_evaluate_is_the_mean_loss(case, backend, dtype):
    loss, units, activation, y, formula = LOSSES[case]
    model = mlp("sgd", loss, units=units, activation=activation)
    rows = formula(model.predict(X).astype(np.float64))
    got = model.evaluate(X, y)
    assert isinstance(got, float)
    np.testing.assert_allclose(got, rows.mean(), **CLOSE[dtype])
    weighted = model.evaluate(X, y, sample_weight=WEIGHT)
    np.testing.assert_allclose(weighted, (WEIGHT * rows).sum() / ROWS, **CLOSE[dtype])
    for batch_size in (1, 16, ROWS, 1000):
        np.testing.assert_allclose(model.evaluate(X, y, batch_size), got, **CLOSE[dtype])
    # What fit reports for an epoch at rate 0 is the same number.
    model.optimizer.learning_rate = 0
    np.testing.assert_allclose(model.fit(X, y, verbose=0).history["loss"], [got], **CLOSE[dtype])


def mean_of(values, weight=None):
    return np.average(values, weights=weight)


METRICS = {
    "accuracy": ("sparse", lambda p: p.argmax(axis=1) == LABELS),
    "acc": ("categorical", lambda p: p.argmax(axis=1) == LABELS),
    "sparse_categorical_accuracy": ("sparse", lambda p: p.argmax(axis=1) == LABELS),
    "categorical_accuracy": ("categorical", lambda p: p.argmax(axis=1) == LABELS),
    "binary_accuracy": ("binary", lambda p: ((p > 0.5) == ONE_HOT).mean(axis=1)),
    "mse": ("categorical", lambda p: ((p - ONE_HOT) ** 2).mean(axis=1)),
    "mae": ("binary", lambda p: abs(p - ONE_HOT).mean(axis=1)),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_ignore_sample_weights_and_weighted_metrics_heed_them(name, backend):
    case, formula = METRICS[name]
    loss, units, activation, y, _ = LOSSES[case]
    model = mlp(
        "sgd", loss, units=units, activation=activation, metrics=[name], weighted_metrics=[name]
    )
    values = formula(model.predict(X).astype(np.float64))
    assert model.metrics_names == ["loss", name, f"weighted_{name}"]
    result = model.evaluate(X, y, sample_weight=WEIGHT, return_dict=True)
    assert list(result) == model.metrics_names
    np.testing.assert_allclose(result[name], mean_of(values), rtol=1e-5)
    np.testing.assert_allclose(result[f"weighted_{name}"], mean_of(values, WEIGHT), rtol=1e-5)
    plain = model.evaluate(X, y, return_dict=True)
    np.testing.assert_allclose(plain[f"weighted_{name}"], mean_of(values), rtol=1e-5)


def test_accuracy_is_the_one_that_fits(backend):
    binary = mlp("sgd", "mse", units=1, metrics=["accuracy"])
    wrong = binary.evaluate(X, LABELS > 0, return_dict=True)["accuracy"]
    want = (binary.predict(X)[:, 0] > 0.5) == (LABELS > 0)
    assert wrong == pytest.approx(want.mean())
    given = mlp("sgd", "bce", units=1, metrics=[metrics.BinaryAccuracy("mine", threshold=0.1)])
    result = given.evaluate(X, LABELS > 0, return_dict=True)
    assert result["mine"] == pytest.approx(((given.predict(X)[:, 0] > 0.1) == (LABELS > 0)).mean())


def test_confusion_matrix(backend):
    loss, units, activation, y, _ = LOSSES["sparse"]
    model = mlp("sgd", loss, units=units, activation=activation, metrics=["confusion_matrix"])
    want = np.zeros((3, 3))
    for label, guess in zip(LABELS, model.predict(X).argmax(axis=1), strict=True):
        want[label, guess] += 1
    result = model.evaluate(X, y, return_dict=True)
    np.testing.assert_array_equal(result["confusion_matrix"], want)
    history = model.fit(X, y, epochs=3, verbose=2)
    assert [m.sum() for m in history.history["confusion_matrix"]] == [ROWS] * 3


def test_metrics_of_one_name_are_told_apart(backend):
    model = mlp(metrics=["mae", "mae"], weighted_metrics=["mae", metrics.MeanSquaredError("loss")])
    names = ["loss", "mae", "mae_1", "weighted_mae", "weighted_loss"]
    assert model.metrics_names == names
    assert len(model.evaluate(X, Y)) == len(names)
    assert list(model.fit(X, Y, verbose=0).history) == names


def test_evaluate_returns_a_number_a_list_or_a_dictionary(backend):
    assert isinstance(mlp().evaluate(X, Y), float)
    model = mlp(metrics=["mae", "mse"])
    values = model.evaluate(X, Y)
    assert model.metrics_names == ["loss", "mae", "mse"]
    result = model.evaluate(X, Y, return_dict=True)
    assert result == dict(zip(model.metrics_names, values, strict=True))
    assert values[0] == values[2]


# --- building models -----------------------------------------------------------------------------


def test_the_ways_to_make_a_sequential_agree(backend):
    first = Sequential([Dense(5, "relu", input_shape=(4,)), Dense(2)])
    weights = first.get_weights()

    added = Sequential(name="added")
    added.add(Dense(5, "relu", input_shape=[4]))
    added.add(Dense(2))

    with_input = Sequential([Input((4,)), Dense(5, "relu"), Dense(2)])
    with_dim = Sequential([Dense(5, "relu", input_dim=4), Dense(2)])
    by_number = Sequential([Dense(5, "relu", input_shape=4), Dense(2)])
    built = Sequential([Dense(5, "relu"), Dense(2)])
    built.build((None, 4))
    built_for_32 = Sequential([Dense(5, "relu"), Dense(2)])
    built_for_32.build((32, 4))
    batch_shape = Sequential([Input(batch_shape=(None, 4)), Dense(5, "relu"), Dense(2)])
    nested = Sequential([Sequential([Dense(5, "relu", input_shape=(4,))]), Dense(2)])
    nested.build((None, 4))
    x = Input((4,))
    graph = Model(x, Dense(2)(Dense(5, "relu")(x)))

    for model in (
        added, with_input, with_dim, by_number, built, built_for_32, batch_shape, nested, graph,
    ):  # fmt: skip
        assert model.input_shape == (None, 4)
        assert model.output_shape == (None, 2)
        assert [w.shape for w in model.get_weights()] == [w.shape for w in weights]
        model.set_weights(weights)
        np.testing.assert_array_equal(model.predict(X), first.predict(X))


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_a_model_without_input_shape_is_built_by_its_first_data(call, backend):
    model = Sequential([Dense(5, "relu"), Dense(2)])
    model.compile("sgd", "mse")
    assert not model.built
    getattr(model, call)(X, Y)
    assert model.built
    assert [w.shape for w in model.get_weights()] == [(4, 5), (5,), (5, 2), (2,)]


def test_a_vector_is_one_feature_per_row(backend):
    model = Sequential([Dense(1)])
    model.compile(optimizers.SGD(0.1), "mse")
    xs = np.arange(6.0)
    model.fit(xs, 2 * xs - 1, epochs=300, verbose=0)
    np.testing.assert_allclose(model.predict([10.0]), [[19]], rtol=0.05)


def test_add_and_pop_after_training_keep_the_weights_of_the_layers(backend):
    model = mlp()
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.add(Dense(3))
    assert model.output_shape == (None, 3)
    assert_same(model.get_weights()[:4], weights)
    want = model.predict(X)
    assert want.shape == (ROWS, 3)
    assert isinstance(model.pop(), Dense)
    np.testing.assert_array_equal(model.predict(X), mlp_with(weights).predict(X))


def mlp_with(weights):
    model = mlp()
    model.set_weights(weights)
    return model


def test_names_layers_and_counts():
    model = Sequential(
        [Dense(8, input_shape=(4,)), Dense(8), Dropout(0.5), Dense(2, name="last")], name="mine"
    )
    assert model.name == "mine"
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dropout", "last"]
    assert model.get_layer("last") is model.layers[-1] is model.get_layer(index=3)
    assert model.get_layer(index=-1).units == 2
    assert model.count_params() == 4 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2
    assert model.layers[1].count_params() == 72
    assert [v.path for v in model.weights] == [
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", "last/kernel", "last/bias",
    ]  # fmt: skip
    assert len(model.trainable_variables) == 6
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 4
    assert [v.path for v in model.non_trainable_weights] == ["dense/kernel", "dense/bias"]


def test_summary(capsys):
    model = Sequential([Dense(8, input_shape=(4,)), Dropout(0.5), Dense(2, name="last")])
    model.layers[0].trainable = False
    lines = []
    model.summary(print_fn=lines.append)
    assert lines == [
        'Model: "sequential"',
        "Layer (type)       Output shape  Params  Trainable",
        "--------------------------------------------------",
        "dense (Dense)      (None, 8)         40          0",
        "dropout (Dropout)  (None, 8)          0          0",
        "last (Dense)       (None, 2)         18         18",
        "Total params: 58 (232 bytes), trainable 18",
    ]
    model.summary()
    assert capsys.readouterr().out == "\n".join(lines) + "\n"
    model.summary(line_length=80, print_fn=lines.append)
    assert len(lines[9]) == 80


# --- several inputs and outputs ------------------------------------------------------------------


def two_by_two(**settings):
    """Inputs a and b, a shared layer, outputs p (regression) and q (classes)."""
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = Dense(6, "tanh", name="shared")
    p = Dense(2, name="p")(shared(a))
    q = Dense(3, "softmax", name="q")(shared(b))
    model = Model([a, b], [p, q])
    settings = {"loss": ["mse", "sparse_categorical_crossentropy"]} | settings
    model.compile("sgd", **settings)
    return model


A, B = X, X[::-1] * 0.5


def test_a_graph_with_two_inputs_and_outputs(backend, dtype):
    model = two_by_two(loss_weights=[0.25, 2.0], metrics=[["mae"], ["accuracy"]])
    w, b, wp, bp, wq, bq = (v.astype(np.float64) for v in model.get_weights())
    want_p = np.tanh(A @ w + b) @ wp + bp
    want_q = softmax(np.tanh(B @ w + b) @ wq + bq)
    p, q = model.predict([A, B])
    np.testing.assert_allclose(p, want_p, **CLOSE[dtype])
    np.testing.assert_allclose(q, want_q, **CLOSE[dtype])
    p_loss = ((want_p - Y) ** 2).mean()
    q_loss = -np.log(want_q[np.arange(ROWS), LABELS]).mean()
    result = model.evaluate([A, B], [Y, LABELS], return_dict=True)
    assert list(result) == ["loss", "p_loss", "q_loss", "p_mae", "q_accuracy"]
    assert list(result) == model.metrics_names
    want = [
        0.25 * p_loss + 2 * q_loss, p_loss, q_loss, abs(want_p - Y).mean(),
        (want_q.argmax(axis=1) == LABELS).mean(),
    ]  # fmt: skip
    np.testing.assert_allclose(list(result.values()), want, **CLOSE[dtype])
    assert model.input_shape == [(None, 4), (None, 4)]
    assert model.output_shape == [(None, 2), (None, 3)]


def test_training_a_shared_layer_adds_the_gradients_of_its_uses(backend, dtype):
    model = two_by_two(loss_weights=[0.25, 2.0])
    w, b, wp, bp, wq, bq = (v.astype(np.float64) for v in model.get_weights())
    model.fit([A, B], [Y, LABELS], batch_size=ROWS, shuffle=False, verbose=0)
    ha, hb = np.tanh(A @ w + b), np.tanh(B @ w + b)
    dp = 0.25 * 2 * (ha @ wp + bp - Y) / Y.size
    dq = 2.0 * (softmax(hb @ wq + bq) - ONE_HOT) / ROWS
    da, db = (dp @ wp.T) * (1 - ha**2), (dq @ wq.T) * (1 - hb**2)
    want = [
        w - 0.01 * (A.T @ da + B.T @ db), b - 0.01 * (da + db).sum(axis=0),
        wp - 0.01 * ha.T @ dp, bp - 0.01 * dp.sum(axis=0),
        wq - 0.01 * hb.T @ dq, bq - 0.01 * dq.sum(axis=0),
    ]  # fmt: skip
    for got, value in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(got, value, **CLOSE[dtype])


def test_lists_and_dictionaries_mean_the_same(backend):
    results = []
    for form in (list, dict):
        utils.set_random_seed(9)

        def per(names, *values, form=form):
            return list(values) if form is list else dict(zip(names, values, strict=True))

        outputs, inputs = ("p", "q"), ("a", "b")
        model = two_by_two(
            loss=per(outputs, "mse", "sparse_categorical_crossentropy"),
            loss_weights=per(outputs, 0.25, 2.0),
            metrics=per(outputs, ["mae"], ["accuracy"]),
            weighted_metrics=per(outputs, ["mse"], ["accuracy"]),
        )
        x, y = per(inputs, A, B), per(outputs, Y, LABELS)
        history = model.fit(
            x, y, sample_weight=per(outputs, WEIGHT, WEIGHT[::-1]), epochs=2, verbose=0,
            validation_data=(x, y),
        )  # fmt: skip
        results.append((history.history, model.evaluate(x, y), model.get_weights()))
        np.testing.assert_array_equal(model.predict(x)[0], model.predict([A, B])[0])
    assert results[0][0] == results[1][0]
    assert results[0][1] == results[1][1]
    assert_same(results[0][2], results[1][2])


def test_one_loss_weight_and_metric_for_all_outputs(backend):
    x = Input((4,))
    model = Model(x, [Dense(2, name="p")(x), Dense(2, name="q")(x)])
    model.compile("sgd", loss="mse", metrics=["mae"])
    result = model.evaluate(X, [Y, -Y], sample_weight=WEIGHT, return_dict=True)
    assert list(result) == ["loss", "p_loss", "q_loss", "p_mae", "q_mae"]
    rows = ((model.predict(X)[0] - Y) ** 2).mean(axis=1)
    assert result["p_loss"] == pytest.approx((WEIGHT * rows).mean(), rel=1e-5)


def test_keras_forms_of_data_for_one_input_and_output(backend):
    plain = mlp().evaluate(X, Y)
    model = mlp_with(mlp_weights := mlp().get_weights())
    plain = model.evaluate(X, Y)
    name_in, name_out = "input_layer", model.layers[-1].name
    assert model.evaluate([X], [Y]) == plain
    assert model.evaluate({name_in: X}, {name_out: Y}) == plain
    assert model.evaluate([X], [Y], sample_weight=[np.ones(ROWS)]) == plain
    lazy = Sequential([Dense(8, "tanh"), Dense(2)])
    lazy.compile("sgd", "mse")
    lazy.fit([X], [Y], verbose=0)
    lazy.set_weights(mlp_weights)
    assert lazy.evaluate(X, Y) == plain


def test_an_output_twice_and_an_input_as_output(backend):
    x = Input((4,))
    y = Dense(2)(x)
    model = Model(x, [y, y, x])
    one, two, three = model.predict(X)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(three, X.astype(np.float32))


# --- weights -------------------------------------------------------------------------------------


def test_get_weights_are_copies_and_set_weights_copies(backend):
    model = mlp()
    before = model.predict(X)
    for array in model.get_weights():
        array[:] = 99
    np.testing.assert_array_equal(model.predict(X), before)
    given = [np.ones_like(w) for w in model.get_weights()]
    model.set_weights(given)
    after = model.predict(X)
    assert (after != before).any()
    given[0][:] = 5
    np.testing.assert_array_equal(model.predict(X), after)


def test_a_kernel_is_a_live_view(backend):
    model = mlp()
    kernel = np.asarray(model.layers[1].kernel)
    model.predict(X)
    kernel[:] = 0
    np.asarray(model.layers[1].bias)[:] = [1, 2]
    np.testing.assert_array_equal(model.predict(X), np.tile([1.0, 2.0], (ROWS, 1)))
    model.fit(X, Y, verbose=0)
    assert (kernel != 0).any()
    np.testing.assert_array_equal(kernel, model.get_weights()[2])
    kernel[:] = 0  # and still after training
    model.layers[1].bias.assign([1, 2])
    np.testing.assert_array_equal(model.predict(X), np.tile([1.0, 2.0], (ROWS, 1)))
    assert np.asarray(model.layers[1].kernel).base is not None


def test_weights_of_one_layer(backend):
    model = mlp()
    layer = model.layers[1]
    layer.set_weights([np.zeros((8, 2)), [3, 4]])
    np.testing.assert_array_equal(model.predict(X), np.tile([3.0, 4.0], (ROWS, 1)))
    assert_same(layer.get_weights(), model.get_weights()[2:])


# --- fit -----------------------------------------------------------------------------------------


def test_history(backend):
    model = mlp(metrics=["mae"])
    history = model.fit(X, Y, epochs=4, validation_data=(X[:9], Y[:9]), verbose=0)
    assert history is model.history
    assert history.epoch == [0, 1, 2, 3]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(len(values) == 4 for values in history.history.values())
    assert all(type(v) is float for values in history.history.values() for v in values)
    last = model.evaluate(X[:9], Y[:9], return_dict=True)
    assert history.history["val_loss"][-1] == last["loss"]
    assert history.history["val_mae"][-1] == last["mae"]


def test_validation_data_with_weights(backend):
    model = mlp(weighted_metrics=["mae"])
    history = model.fit(X, Y, validation_data=(X, Y, WEIGHT), verbose=0).history
    result = model.evaluate(X, Y, sample_weight=WEIGHT, batch_size=32, return_dict=True)
    assert history["val_loss"] == [result["loss"]]
    assert history["val_mae"] == [result["mae"]]
    assert history["loss"] != history["val_loss"]


def test_validation_split_holds_out_the_last_rows_before_shuffling(backend):
    one, other = twins()
    split = one.fit(X, Y, validation_split=0.3, epochs=3, sample_weight=WEIGHT, verbose=0)
    given = other.fit(
        X[:35], Y[:35], validation_data=(X[35:], Y[35:], WEIGHT[35:]), epochs=3,
        sample_weight=WEIGHT[:35], verbose=0,
    )  # fmt: skip
    assert split.history == given.history
    assert_same(one.get_weights(), other.get_weights())


def test_validation_does_not_change_training(backend):
    one, other = twins("adam")
    one.fit(X, Y, epochs=3, verbose=0)
    other.fit(X, Y, epochs=3, validation_data=(X, Y), validation_batch_size=7, verbose=0)
    assert_same(one.get_weights(), other.get_weights())


def test_validation_freq(backend):
    history = mlp().fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0)
    assert len(history.history["loss"]) == 5
    assert len(history.history["val_loss"]) == 2


def test_initial_epoch_counts_from_there(backend):
    one, other = twins()
    history = one.fit(X, Y, initial_epoch=3, epochs=5, verbose=0)
    assert history.epoch == [3, 4]
    other.fit(X, Y, epochs=2, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    before = one.get_weights()
    assert one.fit(X, Y, initial_epoch=5, epochs=5, verbose=0).history == {}
    assert_same(one.get_weights(), before)


def test_train_on_batch_is_one_step_of_fit(backend):
    for optimizer in ("sgd", "adam", "rmsprop"):
        one, other = twins(optimizer, metrics=["mae"])
        before = one.evaluate(X, Y)
        for step in range(3):
            values = one.train_on_batch(X, Y, sample_weight=WEIGHT if step else None)
            history = other.fit(
                X, Y, batch_size=ROWS, shuffle=False, verbose=0,
                sample_weight=WEIGHT if step else None,
            ).history  # fmt: skip
            assert values == [history["loss"][0], history["mae"][0]]
            if step == 0:  # the loss from before the update
                np.testing.assert_allclose(values, before, rtol=1e-5)
            assert_same(one.get_weights(), other.get_weights())
    result = one.train_on_batch(X, Y, return_dict=True)
    assert list(result) == ["loss", "mae"]


def test_train_on_batch_of_several_sizes_keeps_the_optimizer_state(backend, dtype):
    model = mlp("adam")
    start, theirs = model.get_weights(), adam()
    weights = start
    for rows in (slice(0, 10), slice(10, 11), slice(11, 50), slice(0, 10)):
        model.train_on_batch(X[rows], Y[rows])
        weights, _ = train(weights, X[rows], Y[rows], theirs, ROWS, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_an_epoch_visits_each_row_once(backend):
    # At rate 0 row i has the loss 2^i, so the mean tells which rows were seen, and how often.
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(optimizers.SGD(0.0), "mae")
    model.set_weights([[[1.0]]])
    x = 2.0 ** np.arange(20)
    history = model.fit(x, np.zeros(20), batch_size=3, epochs=4, verbose=0)
    assert history.history["loss"] == [(2**20 - 1) / 20] * 4


class Orders(callbacks.Callback):
    """Notes the row of each batch of one, from the running mean of its losses 2^i."""

    def __init__(self):
        self.orders = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = 0.0
        self.orders.append([])

    def on_train_batch_end(self, batch, logs=None):
        total = logs["loss"] * (batch + 1)
        self.orders[-1].append(round(np.log2(total - self.seen)))
        self.seen = total


def orders_of(seed, shuffle=True, fits=(3,)):
    utils.set_random_seed(seed)
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(optimizers.SGD(0.0), "mae")
    model.set_weights([[[1.0]]])
    found = []
    for epochs in fits:
        watch = Orders()
        x = 2.0 ** np.arange(20)
        model.fit(
            x, np.zeros(20), batch_size=1, epochs=epochs, shuffle=shuffle, callbacks=watch,
            verbose=0,
        )  # fmt: skip
        found += watch.orders
    return found


def test_the_order_of_the_rows(backend):
    in_order = list(range(20))
    assert orders_of(1, shuffle=False) == [in_order] * 3
    shuffled = orders_of(1)
    assert all(sorted(order) == in_order for order in shuffled)
    assert len({tuple(order) for order in [in_order, *shuffled]}) == 4  # all differ
    assert orders_of(1) == shuffled
    assert orders_of(2) != shuffled
    # A second fit goes on: it does not repeat the orders of the first.
    assert orders_of(1, fits=(1, 1, 1)) == shuffled


@native_only
def test_both_executors_draw_the_same_orders(monkeypatch):
    found = []
    for name in ("native", "reference"):
        monkeypatch.setenv("FASTNN_BACKEND", name)
        found.append(orders_of(3))
    assert found[0] == found[1]


def test_the_same_seed_gives_the_same_bits(backend):
    results = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        model = Sequential([Dense(8, "relu", input_shape=(4,)), Dropout(0.5), Dense(2)])
        model.compile("adam", "mse")
        history = model.fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
        results.append((history.history, model.get_weights()))
    assert results[0][0] == results[1][0] != results[2][0]
    assert_same(results[0][1], results[1][1])
    assert_differ(results[0][1], results[2][1])


def test_set_random_seed_sets_numpy_and_random_too():
    import random

    draws = []
    for _ in range(2):
        utils.set_random_seed(4)
        draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_second_fit_continues(optimizer, backend):
    made = []
    for fits in ((4,), (1, 2, 1)):
        utils.set_random_seed(5)
        model = Sequential([Dense(8, "relu", input_shape=(4,)), Dropout(0.3), Dense(2)])
        model.compile(optimizer, "mse")
        values = []
        for epochs in fits:
            values += model.fit(X, Y, epochs=epochs, verbose=0).history["loss"]
        made.append((values, model.get_weights()))
    assert made[0][0] == made[1][0]
    assert_same(made[0][1], made[1][1])


def test_compile_starts_the_optimizer_anew(backend):
    model = mlp("adam")
    model.fit(X, Y, epochs=3, verbose=0)
    weights = model.get_weights()
    model.compile("adam", "mse")
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    want, _ = train(weights, X, Y, adam(), ROWS, 1)
    for got, value in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(got, value, **CLOSE["float32"])


def test_a_change_of_the_learning_rate_takes_effect(backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    model.optimizer.learning_rate = 0.0
    middle = model.get_weights()
    model.fit(X, Y, epochs=3, verbose=0)
    assert_same(model.get_weights(), middle)
    model.optimizer.learning_rate = np.float32(0.5)
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    weights, _ = train(start, X, Y, sgd(0.1), ROWS, 1)
    weights, _ = train(weights, X, Y, sgd(0.5), ROWS, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_a_callback_can_change_the_learning_rate(backend):
    class Halve(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / 2**epoch

    model = mlp()
    start = model.get_weights()
    model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, callbacks=[Halve()], verbose=0)
    weights = start
    for epoch in range(3):
        weights, _ = train(weights, X, Y, sgd(0.1 / 2**epoch), 16, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


# --- small and odd data --------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_rows(rows, backend, dtype):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    history = model.fit(X[:rows], Y[:rows], epochs=3, verbose=0)
    weights, losses_ = train(start, X[:rows], Y[:rows], sgd(0.1), 32, 3)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_one_class_only(backend):
    model = mlp(
        optimizers.Adam(0.05),
        "sparse_categorical_crossentropy",
        units=3,
        activation="softmax",
        metrics=["accuracy"],
    )
    history = model.fit(X, np.ones(ROWS, int), epochs=20, batch_size=5, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["accuracy"][-1] == 1


def test_a_model_without_weights(backend):
    model = Sequential([Flatten(input_shape=(2, 2)), Activation("relu")])
    model.compile("adam", "mse", metrics=["mae"])
    images = X.reshape(ROWS, 2, 2)
    np.testing.assert_array_equal(model.predict(images), np.maximum(X, 0).astype(np.float32))
    history = model.fit(images, X, epochs=2, verbose=0).history
    want = (np.minimum(X, 0) ** 2).mean()
    np.testing.assert_allclose(history["loss"], [want, want], rtol=1e-5)
    assert model.count_params() == 0


def test_values_that_overflow_give_infinity_without_a_word(backend):
    model = Sequential([Dense(2, use_bias=False, input_shape=(2,))])
    model.set_weights([[[1, 1], [1, -1]]])
    got = model.predict([[3e38, 3e38], [-3e38, -3e38]])  # warnings are errors here
    np.testing.assert_array_equal(got, [[np.inf, 0], [-np.inf, 0]])


def test_a_training_that_diverges_says_so_in_its_history(backend):
    model = mlp(optimizers.SGD(1e6))
    losses_ = model.fit(X, Y, epochs=30, verbose=0).history["loss"]
    assert np.isfinite(losses_[0])
    assert not np.isfinite(losses_[-1])


def test_inputs_of_every_kind_give_the_bits_of_the_contiguous_copy(backend):
    base = RNG.integers(0, 2, (ROWS, 4))
    wide = np.zeros((ROWS * 2, 8), np.float32)
    wide[::2, ::2] = base
    frozen = base.astype(np.float32)
    frozen.flags.writeable = False
    kinds = {
        "float64": base.astype(np.float64),
        "float16": base.astype(np.float16),
        "longdouble": base.astype(np.longdouble),
        "bool": base.astype(bool),
        "uint8": base.astype(np.uint8),
        "int64": base.astype(np.int64),
        "big endian": base.astype(">f4"),
        "big endian int": base.astype(">i2"),
        "list": base.tolist(),
        "tuple of lists": tuple(base.tolist()),
        "Fortran": np.asfortranarray(base.astype(np.float32)),
        "strided": wide[::2, ::2],
        "reversed": base[::-1].astype(np.float32)[::-1],
        "read-only": frozen,
    }
    targets = {"y": base[:, :2].astype(np.float32), "w": (1 + base[:, 2]).astype(np.float32)}

    def run(x, y, w):
        utils.set_random_seed(2)
        model = mlp("adam")
        history = model.fit(x, y, sample_weight=w, epochs=2, validation_split=0.2, verbose=0)
        return [history.history["val_loss"], model.predict(x), model.evaluate(x, y)]

    want = run(base.astype(np.float32), targets["y"], targets["w"])
    for kind, x in kinds.items():
        y = [row[:2] for row in x] if isinstance(x, (list, tuple)) else x[:, :2]
        w = [1 + row[2] for row in x] if isinstance(x, (list, tuple)) else 1 + x[:, 2]
        before = [np.array(a, copy=True) for a in (x, y, w)]
        got = run(x, y, w)
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=kind)
        for a, b in zip(before, (x, y, w), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{kind} was changed")


def test_broadcast_and_memory_mapped_inputs(backend, tmp_path):
    model = mlp()
    row = X[0].astype(np.float32)
    repeated = np.broadcast_to(row, (ROWS, 4))  # rows of stride 0
    np.testing.assert_array_equal(model.predict(repeated), model.predict(np.array(repeated)))
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(model.predict(mapped), model.predict(X))
    assert model.fit(mapped, Y, verbose=0).epoch == [0]


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float64, bool, ">i4", "column"])
def test_labels_of_every_kind(kind, backend):
    labels = LABELS % 2
    model = mlp("sgd", "sparse_categorical_crossentropy", units=2, activation="softmax")
    given = labels[:, None] if kind == "column" else labels.astype(kind)
    assert model.evaluate(X, given) == model.evaluate(X, labels) == model.evaluate(X, list(labels))


def test_labels_of_a_sequence(backend):
    # Rows of three positions: one label and one loss for each.
    model = Sequential([Dense(3, "softmax", input_shape=(3, 4))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = RNG.normal(size=(10, 3, 4))
    labels = RNG.integers(0, 3, (10, 3))
    p = model.predict(x)
    assert p.shape == (10, 3, 3)
    want = -np.log(np.take_along_axis(p, labels[..., None], axis=-1)).mean()
    loss, accuracy = model.evaluate(x, labels)
    assert loss == pytest.approx(want, rel=1e-5)
    assert accuracy == pytest.approx((p.argmax(axis=-1) == labels).mean())
    assert model.evaluate(x, labels[..., None]) == [loss, accuracy]


# --- frozen layers -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("frozen", [[0], [1], [2], [0, 2], [0, 1], [0, 1, 2]])
def test_trainable_false_freezes_exactly_those_layers(frozen, optimizer, backend):
    model = Sequential([Dense(8, "tanh", input_shape=(4,)), Dense(5, "tanh"), Dense(2)])
    model.compile(optimizer, "mse")
    for i in frozen:
        model.layers[i].trainable = False
    before = [layer.get_weights() for layer in model.layers]
    model.fit(X, Y, epochs=2, verbose=0)
    for i, layer in enumerate(model.layers):
        if i in frozen:
            assert_same(layer.get_weights(), before[i])
        else:
            assert all((a != b).any() for a, b in zip(layer.get_weights(), before[i], strict=True))


def test_a_frozen_model_and_a_frozen_layer_from_the_start(backend):
    model = Sequential([Dense(8, trainable=False, input_shape=(4,)), Dense(2)])
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert_same(model.get_weights()[:2], before[:2])
    assert_differ(model.get_weights()[2:], before[2:])
    whole = Sequential([Dense(2, input_shape=(4,))], trainable=False)
    whole.compile("adam", "mse")
    before = whole.get_weights()
    whole.fit(X, Y, verbose=0)
    assert_same(whole.get_weights(), before)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1]])
def test_the_optimizer_state_survives_a_time_in_which_layers_are_frozen(frozen, backend, dtype):
    model = mlp("adam")
    weights, theirs = model.get_weights(), adam()
    for phase in ([], frozen, []):
        for i, layer in enumerate(model.layers):
            layer.trainable = i not in phase
        model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        if len(phase) < 2:  # with all layers frozen there is no update at all
            still = [n for i in phase for n in (2 * i, 2 * i + 1)]
            weights, _ = train(weights, X, Y, theirs, 16, 2, frozen=still)
        for got, want in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_a_model_frozen_at_first_can_be_thawed(backend):
    model = mlp("adam")
    start = model.get_weights()
    model.trainable = False
    model.fit(X, Y, verbose=0)
    assert_same(model.get_weights(), start)
    model.trainable = True
    model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    weights, _ = train(start, X, Y, adam(), 16, 2)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


# --- models that share layers --------------------------------------------------------------------


def test_two_models_that_share_a_layer_stay_in_sync(backend):
    shared = Dense(6, "tanh")
    a, b = Input((4,)), Input((4,))
    one = Model(a, Dense(2)(shared(a)))
    two = Model(b, Dense(3)(shared(b)))
    one.compile("sgd", "mse")
    two.compile("adam", "mse")
    before = shared.get_weights()
    one.fit(X, Y, verbose=0)
    after = shared.get_weights()
    assert_differ(before, after)
    assert_same(two.get_weights()[:2], after)
    hidden = np.tanh(X @ after[0] + after[1])
    kernel, bias = two.get_weights()[2:]
    np.testing.assert_allclose(two.predict(X), hidden @ kernel + bias, rtol=1e-4, atol=1e-5)
    two.fit(X, ONE_HOT, verbose=0)
    assert_same(one.get_weights()[:2], shared.get_weights())
    assert_differ(after, shared.get_weights())


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", optimizers.SGD(0.1, momentum=0.9)])
def test_a_model_made_of_trained_layers_does_not_disturb_their_training(optimizer, backend):
    # The new model moves the weights elsewhere; the optimizer's state must move along.
    one, other = twins(optimizer)
    one.fit(X, Y, epochs=2, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    x = Input((4,))
    second = Model(x, Dense(3)(Dense(5)(one.layers[0](x))))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    one.fit(X, Y, epochs=2, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    second.compile("sgd", "mse")
    second.fit(X, ONE_HOT, verbose=0)
    assert_same(one.get_weights()[:2], second.get_weights()[:2])
    assert_same(one.get_weights()[2:], other.get_weights()[2:])


def test_a_model_sees_its_weights_whatever_newer_models_share_them(backend):
    # Each new model moves the shared weights; the first must never go on with an old place.
    shared = Dense(2, use_bias=False)
    x = Input((4,))
    first = Model(x, shared(x))
    for value in range(60):
        x = Input((4,))
        newer = Model(x, Dense(3)(shared(x)))
        shared.kernel.assign(np.full((4, 2), float(value)))
        want = X.astype(np.float32) @ np.full((4, 2), value, np.float32)
        np.testing.assert_allclose(first.predict(X), want, rtol=1e-4, atol=1e-5)
    kernel, bias = newer.layers[1].get_weights()
    np.testing.assert_allclose(newer.predict(X), want @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_a_newer_model_does_not_rename_the_layers_of_an_older_one():
    first = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    x = Input((4,))
    second = Model(x, first.layers[0](Dense(4)(x)))
    assert [layer.name for layer in first.layers] == ["dense", "dense_1"]
    assert [layer.name for layer in second.layers] == ["dense_1", "dense"]
    assert [v.path for v in first.weights][::2] == ["dense/kernel", "dense_1/kernel"]
    # Where two older models use one name, the newer one tells its layers apart all the same.
    third = Sequential([Dense(3, input_shape=(2,))])
    x = Input((4,))
    both = Model(x, third.layers[0](first.layers[1](first.layers[0](x))))
    names = [layer.name for layer in both.layers]
    assert len(set(names)) == 3
    assert names[:2] == ["dense", "dense_1"]


def test_a_model_as_a_layer(backend):
    inner = Sequential([Dense(5, "tanh", input_shape=(4,)), Dense(3)])
    outer = Sequential([inner, Dense(2)])
    outer.build((None, 4))
    outer.compile("sgd", "mse")
    w1, b1, w2, b2, w3, b3 = outer.get_weights()
    want = (np.tanh(X @ w1 + b1) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(outer.predict(X), want, rtol=1e-4, atol=1e-5)
    outer.fit(X, Y, verbose=0)
    assert_same(inner.get_weights(), outer.get_weights()[:4])
    assert_differ(inner.get_weights(), [w1, b1, w2, b2])
    x = Input((4,))
    two = Model(x, [Dense(3)(x), Dense(2)(x)])
    p, q = two(y := Input((4,)))
    wrapped = Model(y, [q, p])
    for got, want in zip(wrapped.predict(X), reversed(two.predict(X)), strict=True):
        np.testing.assert_array_equal(got, want)


# --- float64 -------------------------------------------------------------------------------------


def test_floatx_of_new_models(backend):
    assert config.floatx() == "float32"
    single = mlp()
    config.set_floatx("float64")
    try:
        double = mlp()
    finally:
        config.set_floatx("float32")
    for model, kind in ((single, "float32"), (double, "float64")):
        model.fit(X, Y, verbose=0)
        assert {w.dtype.name for w in model.get_weights()} == {kind}
        assert model.predict(X).dtype == kind
        assert model.plan.dtype == kind
    by_layer = Sequential([Dense(2, dtype="float64", input_shape=(4,))])
    assert by_layer.predict(X).dtype == np.float64


# --- callbacks -----------------------------------------------------------------------------------

HOOKS = [
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin",
    "on_train_batch_end", "on_test_begin", "on_test_end",
]  # fmt: skip


class Note(callbacks.Callback):
    """Notes every call: (hook, number or None, keys of the logs)."""

    def __init__(self):
        self.calls = []
        self.logs = []


def _noting(hook):
    def method(self, *args):
        *number, logs = args
        self.calls.append((hook, *number, list(logs)))
        self.logs.append(logs)

    return method


for _hook in HOOKS:
    setattr(Note, _hook, _noting(_hook))


def test_hooks_in_their_order_with_their_arguments(backend):
    model = mlp(metrics=["mae"])
    note = Note()
    data = {"validation_data": (X, Y), "callbacks": [note], "verbose": 0}
    history = model.fit(X, Y, batch_size=32, initial_epoch=1, epochs=3, **data)
    values, both = ["loss", "mae"], ["loss", "mae", "val_loss", "val_mae"]
    epochs = [
        [
            ("on_epoch_begin", epoch, []),
            ("on_train_batch_begin", 0, []),
            ("on_train_batch_end", 0, values),
            ("on_train_batch_begin", 1, []),
            ("on_train_batch_end", 1, values),
            ("on_test_begin", []),
            ("on_test_end", values),
            ("on_epoch_end", epoch, both),
        ]
        for epoch in (1, 2)
    ]
    assert note.calls == [("on_train_begin", []), *epochs[0], *epochs[1], ("on_train_end", both)]
    assert note.model is model
    assert note.params == {"epochs": 3, "steps": 2, "batch_size": 32, "verbose": 0}
    ends = [logs for call, logs in zip(note.calls, note.logs, strict=True)
            if call[0] == "on_epoch_end"]  # fmt: skip
    assert [logs["loss"] for logs in ends] == history.history["loss"]
    assert note.logs[-1] == ends[-1]
    # The batch logs are means of the epoch so far: the last one is the epoch's.
    batch_ends = [logs for call, logs in zip(note.calls, note.logs, strict=True)
                  if call[0] == "on_train_batch_end"]  # fmt: skip
    assert batch_ends[1]["loss"] == ends[0]["loss"]


def test_callbacks_do_not_change_training(backend):
    class Epochs(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.last = epoch

    histories, weights = [], []
    for given in (None, [Note()], [Epochs()], Note(), callbacks.Callback()):
        utils.set_random_seed(5)
        model = Sequential([Dense(8, "tanh", input_shape=(4,)), Dropout(0.2), Dense(2)])
        model.compile("adam", "mse")
        histories.append(model.fit(X, Y, epochs=3, callbacks=given, verbose=0).history)
        weights.append(model.get_weights())
    for history, w in zip(histories, weights, strict=True):
        assert history == histories[0]
        assert_same(w, weights[0])


def test_batch_hooks_by_their_other_names(backend):
    class Batches(callbacks.Callback):
        seen = ()

        def on_batch_begin(self, batch, logs=None):
            self.seen += (("begin", batch),)

        def on_batch_end(self, batch, logs=None):
            self.seen += (("end", batch),)

    watch = Batches()
    mlp().fit(X, Y, callbacks=[watch], verbose=0)
    assert watch.seen == (("begin", 0), ("end", 0), ("begin", 1), ("end", 1))


def test_several_callbacks_are_called_in_their_order(backend):
    order = []

    class Say(callbacks.Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, epoch, logs=None):
            order.append((self.name, epoch))

    mlp().fit(X, Y, epochs=2, callbacks=[Say("a"), Say("b")], verbose=0)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_stop_training_after_an_epoch(backend):
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    one, other = twins()
    history = one.fit(X, Y, epochs=10, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0, 1, 2]
    other.fit(X, Y, epochs=3, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    assert one.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]  # the next fit is not stopped


def test_stop_training_within_an_epoch_ends_that_epoch(backend):
    class Stop(Note):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.model.stop_training = batch == 1

    model, watch = mlp(), Stop()
    start = model.get_weights()
    history = model.fit(
        X, Y, batch_size=10, epochs=5, shuffle=False, callbacks=[watch],
        validation_data=(X, Y), verbose=0,
    )  # fmt: skip
    assert [call[0] for call in watch.calls][-4:] == [
        "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip
    weights, losses_ = train(start, X[:20], Y[:20], sgd(), 10, 1)
    assert history.epoch == [0]
    np.testing.assert_allclose(history.history["loss"], losses_, rtol=1e-5)
    assert len(history.history["val_loss"]) == 1
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_a_history_given_as_a_callback_is_filled(backend):
    mine = callbacks.History()
    history = mlp().fit(X, Y, epochs=2, callbacks=[mine], verbose=0)
    assert mine.history == history.history
    assert mine.epoch == [0, 1]


def test_an_exception_in_a_callback_reaches_the_caller(backend):
    class Fail(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("mine")

    model = mlp()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, epochs=9, callbacks=[Fail()], verbose=0)
    assert model.history.epoch == [0, 1]
    assert model.fit(X, Y, verbose=0).epoch == [0]


# --- Ctrl-C --------------------------------------------------------------------------------------


def test_keyboard_interrupt_from_a_callback(backend):
    class Interrupt(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    one, other = twins("adam")
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, epochs=9, callbacks=[Interrupt()], verbose=0)
    assert one.history.epoch == [0, 1, 2]
    history = other.fit(X, Y, epochs=3, verbose=0)
    assert one.history.history == history.history
    # Training goes on where it stopped.
    assert (
        one.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
    )
    assert_same(one.get_weights(), other.get_weights())


def test_keyboard_interrupt_within_an_epoch(backend):
    class Interrupt(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.batches = getattr(self, "batches", 0) + 1
            if self.batches == 7:
                raise KeyboardInterrupt

    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, epochs=9, shuffle=False, callbacks=Interrupt(), verbose=0)
    assert model.history.epoch == [0]
    assert len(model.history.history["loss"]) == 1
    step = sgd(0.1)
    weights, _ = train(start, X, Y, step, 10, 1)
    weights, _ = train(weights, X[:20], Y[:20], step, 10, 1)  # the two batches after it
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


@native_only
def test_a_real_ctrl_c_in_a_long_native_fit(monkeypatch):
    monkeypatch.setenv("FASTNN_BACKEND", "native")
    one, other = twins("adam", hidden=32)
    kernel = np.asarray(one.layers[0].kernel)
    start = kernel.copy()

    def interrupt_once_it_trains():
        while (kernel == start).all():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt_once_it_trains)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            # One batch an epoch, so the history counts the steps.
            one.fit(X, Y, batch_size=ROWS, epochs=2_000_000, verbose=0)
    finally:
        sender.join()
    epochs = len(one.history.epoch)
    assert 0 < epochs < 2_000_000
    assert one.history.epoch == list(range(epochs))
    assert len(one.history.history["loss"]) == epochs
    assert all(np.isfinite(w).all() for w in one.get_weights())
    assert (kernel != start).any()
    # The model holds the last whole step, and goes on from there.
    history = other.fit(X, Y, batch_size=ROWS, epochs=epochs, verbose=0)
    assert one.history.history == history.history
    assert_same(one.get_weights(), other.get_weights())
    assert (
        one.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
    )


# --- threads -------------------------------------------------------------------------------------


@pytest.fixture
def impatient():
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_predictions_in_several_threads_are_those_of_one(backend, impatient):
    model = mlp(hidden=32)
    sizes = [1, 2, 3, 5, 8, 13, 21, 34, 50]
    serial = {n: model.predict(X[:n]) for n in sizes}
    model = mlp_with_same(model)  # its plans are made by the threads
    problems = []

    def work(seed):
        try:
            for n in np.random.default_rng(seed).choice(sizes, 400):
                if not np.array_equal(model.predict(X[:n]), serial[n]):
                    problems.append(f"{n} rows differ")
        except Exception as error:  # a thread's exception would only be printed
            problems.append(repr(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def mlp_with_same(model):
    other = mlp(hidden=32)
    other.set_weights(model.get_weights())
    return other


def test_nothing_runs_on_after_fit(backend):
    program = """
import threading, numpy as np
from fastnn import Sequential, layers
model = Sequential([layers.Dense(1, input_shape=(4,))])
model.compile("sgd", "mse")
model.fit(np.ones((9, 4)), np.ones(9), epochs=3, validation_split=0.2, verbose=1)
model.predict(np.ones((9, 4)))
print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "['MainThread']"


# --- what is shown -------------------------------------------------------------------------------


def test_verbose_0_shows_nothing(backend, capsys):
    mlp().fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_verbose_2_shows_a_line_an_epoch(backend, capsys):
    history = mlp(metrics=["mae"]).fit(X, Y, epochs=2, validation_split=0.2, verbose=2).history
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 2
    for i, line in enumerate(lines):
        values = " - ".join(f"{key}: {value[i]:.4f}" for key, value in history.items())
        assert re.fullmatch(rf"Epoch {i + 1}/2 - \d+\.\ds - {re.escape(values)}", line)


@pytest.mark.parametrize("verbose", [1, "auto", True])
def test_verbose_1_shows_a_bar_with_the_values(verbose, backend, capsys):
    history = mlp(metrics=["mae"]).fit(X, Y, epochs=3, verbose=verbose).history
    out, err = capsys.readouterr()
    assert err == ""
    assert "Epoch 1/3" in out
    last = out.replace("\r", "\n").strip().splitlines()[-1]
    assert "Epoch 3/3: 100%" in last
    assert "2/2" in last
    assert f"loss: {history['loss'][-1]:.4f} - mae: {history['mae'][-1]:.4f}" in last


def test_hundreds_of_short_epochs_do_not_flood_the_screen(backend, monkeypatch, capsys):
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # all of them within one moment
    mlp().fit(X, Y, epochs=300, verbose=1)
    out = capsys.readouterr().out
    shown = set(re.findall(r"Epoch (\d+)/300", out))
    assert shown == {"1", "300"}


# --- the executor, the vocabulary, the command ---------------------------------------------------


def executor_of(model):
    model.predict(X[:1])
    return model._executor("predict", 1, ())[0].name


@native_only
@pytest.mark.parametrize("name", ["native", "reference"])
def test_the_backend_of_the_environment_and_of_compile(name, monkeypatch):
    other = "reference" if name == "native" else "native"
    monkeypatch.delenv("FASTNN_BACKEND", raising=False)
    assert backends.available() == ["native", "reference"]
    assert executor_of(mlp()) == "native"
    monkeypatch.setenv("FASTNN_BACKEND", name)
    assert executor_of(mlp()) == name
    assert executor_of(mlp(backend=other)) == other


@native_only
def test_the_isa_of_the_environment():
    from fastnn.backends import native

    for isa in native.isas():
        done = subprocess.run(
            [sys.executable, "-m", "fastnn"],
            capture_output=True,
            text=True,
            env=os.environ | {"FASTNN_ISA": isa},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"native kernels: {isa} (usable here: {', '.join(native.isas())})" in done.stdout
    program = "from fastnn import *; Sequential([Input((1,)), layers.Dense(1)]).predict([1])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"FASTNN_ISA": "v9"},
    )
    assert done.returncode == 1
    expected = f"'v9' is not usable here; choose one of: {', '.join(native.isas())}"
    assert f"ValueError: FASTNN_ISA={expected}" in done.stderr


def test_without_native_modules_the_reference_runs_and_says_so_once(monkeypatch):
    monkeypatch.delenv("FASTNN_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "fastnn.backends.native", None)  # importing it fails
    monkeypatch.delattr(backends, "native", raising=False)
    monkeypatch.setattr(backends, "_warned", False)
    with pytest.warns(RuntimeWarning, match="slow reference executor: no compiled kernels") as said:
        assert executor_of(mlp()) == "reference"
        assert executor_of(mlp()) == "reference"
    assert len(said) == 1
    assert backends.available() == ["reference"]
    with pytest.raises(RuntimeError, match="native executor is not available.*backend='reference'"):
        mlp(backend="native").predict(X)


def test_keras_is_the_same_vocabulary():
    from fastnn.keras.layers import Dense as KerasDense
    from fastnn.keras.models import Model as KerasModel
    from fastnn.keras.models import Sequential as KerasSequential
    from fastnn.keras.optimizers import Adam
    from fastnn.keras.utils import set_random_seed

    from fastnn import keras

    assert keras.Sequential is KerasSequential is Sequential
    assert keras.Model is KerasModel is Model
    assert keras.Input is Input is keras.layers.Input
    assert KerasDense is Dense is keras.layers.Dense
    assert Adam is optimizers.Adam is keras.optimizers.Adam
    assert set_random_seed is utils.set_random_seed
    for name in (
        "activations", "callbacks", "initializers", "layers", "losses", "metrics", "optimizers",
        "regularizers", "utils",
    ):  # fmt: skip
        assert getattr(keras, name) is getattr(fastnn, name)
        assert sys.modules[f"fastnn.keras.{name}"] is getattr(fastnn, name)


def test_a_keras_program_runs_with_its_import_line_changed(backend):
    program = """
from fastnn import keras
import numpy as np
keras.utils.set_random_seed(0)
model = keras.models.Sequential()
model.add(keras.layers.Dense(8, activation=keras.activations.relu, input_shape=(4,)))
model.add(keras.layers.Dense(3, activation="softmax"))
model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-2),
              loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
x = np.eye(4)[np.arange(40) % 4]
history = model.fit(x, np.arange(40) % 4 % 3, epochs=100, batch_size=8, verbose=0)
print(history.history["accuracy"][-1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) == 1.0


@native_only
def test_python_m_fastnn():
    environment = {key: v for key, v in os.environ.items() if key != "FASTNN_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "fastnn"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"fastnn {fastnn.__version__}" in done.stdout
    assert f"NumPy {np.__version__}" in done.stdout
    assert "executors: native, reference (default: native)" in done.stdout
    from fastnn.backends import native

    assert f"native kernels: {native.isas()[0]}" in done.stdout
    assert "threads: 1" in done.stdout
    assert "float type: float32" in done.stdout


def test_more_epochs_than_one_call_of_the_executor_keeps(backend, monkeypatch):
    """The history is the same when the executor has to come back for every third epoch."""
    x, y = np.arange(4.0), np.arange(4.0)

    def losses():
        utils.set_random_seed(3)
        model = Sequential([Dense(1, input_shape=(1,))])
        model.compile("sgd", "mse")
        return model.fit(x, y, epochs=10, verbose=0).history["loss"]

    at_once = losses()
    monkeypatch.setattr(training, "EPOCHS_AT_ONCE", 3)
    assert losses() == at_once
    assert len(at_once) == 10


def test_a_network_deeper_than_pythons_stack(backend):
    depth = 1200
    model = Sequential([Activation("linear", input_shape=(3,)) for _ in range(depth)])
    model.add(Dense(1))
    model.compile("sgd", "mse")
    assert len(model.layers) == depth + 1
    model.fit(X[:, :3], Y[:, :1], epochs=1, verbose=0)
    expected = X[:, :3] @ model.get_weights()[0] + model.get_weights()[1]
    np.testing.assert_allclose(model.predict(X[:, :3]), expected, rtol=1e-5, atol=1e-6)
