"""predict, evaluate and train_on_batch against forward passes in NumPy."""

import numpy as np
import pytest
from api_tools import (
    CLOSE,
    LABELS,
    ONE_HOT,
    RNG,
    ROWS,
    WEIGHT,
    X,
    Y,
    builds,
    mlp,
    sigmoid,
    softmax,
)

from fastnn import (
    Sequential,
    losses,
    metrics,
)
from fastnn.layers import Activation, Dense, Flatten, Rescaling

ISAS = builds()

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


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (15, 1), (5, 3), (4, 10)])
def test_a_row_has_the_same_bits_in_any_batch_of_a_tiny_network(isa, sizes, monkeypatch):
    """Products of a few numbers have loops of their own."""
    from fastnn.backends import native

    monkeypatch.setattr(native, "Default", native.executor_for(isa))
    features, units = sizes
    model = Sequential([Dense(units, activation="relu", input_shape=(features,)), Dense(1)])
    x = np.random.default_rng(0).normal(size=(90, features)).astype(np.float32)
    x[0] = -0.0
    together = model.predict(x, batch_size=90, verbose=0)
    for rows in (1, 2, 3, 5, 12, 64, 65):
        assert model.predict(x[:rows], verbose=0).tobytes() == together[:rows].tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("units", [(256, 512), (130, 100), (1024, 17)])
def test_a_row_has_the_same_bits_in_any_batch_of_a_wide_network(isa, units, monkeypatch):
    """Products are cut, and their operands packed, by the number of rows."""
    from fastnn.backends import native

    monkeypatch.setattr(native, "Default", native.executor_for(isa))
    widest, narrow = units
    model = Sequential(
        [Dense(widest, activation="relu", input_shape=(narrow,)), Dense(narrow), Dense(10)]
    )
    x = np.random.default_rng(0).normal(size=(400, narrow)).astype(np.float32)
    together = model.predict(x, batch_size=400, verbose=0)
    for rows in (1, 2, 7, 31, 33, 200):
        np.testing.assert_array_equal(model.predict(x[:rows], verbose=0), together[:rows])
