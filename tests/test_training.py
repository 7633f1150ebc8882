"""Training on every executor: it follows the reference's losses and reaches the same weights.

Each case is trained twice from the same seed, on the reference and on the executor under test, for
twenty steps: ten epochs of 23 rows, shuffled, in batches of 16 and 7. `tests/test_api.py` compares
the reference with programs of its own.
"""

import numpy as np
import pytest

from fastnn import (
    Input,
    Model,
    Sequential,
    backends,
    config,
    losses,
    metrics,
    optimizers,
    regularizers,
    utils,
)
from fastnn.backends.reference import ReferenceExecutor
from fastnn.layers import Activation, Dense, Dropout, Flatten, Rescaling
from fastnn.ops import ACTIVATIONS

native = pytest.importorskip(
    "fastnn.backends.native", reason="the native executor is not compiled", exc_type=ImportError
)

ROWS, BATCH, EPOCHS = 23, 16, 10
RNG = np.random.default_rng(3)
X = RNG.normal(size=(ROWS, 10))
Y = RNG.normal(size=(ROWS, 3))
LABELS = RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3)[LABELS]
SHARES = RNG.dirichlet([1, 1, 1], ROWS)  # targets that are distributions
WEIGHT = RNG.uniform(0, 2, ROWS)
SEQUENCES = RNG.normal(size=(ROWS, 5, 10))
IMAGES = RNG.integers(0, 256, (ROWS, 4, 5)).astype(np.uint8)

# An update moves a weight by about 1e-3 to 1e-1. Two executors differ by the order of their sums
# and by the last bits of exp and tanh: some 1e-7 (float32) or 1e-16 (float64) of a gradient, twenty
# times. The largest difference seen is 9e-7, where momentum adds them up.
CLOSE = {"float32": {"rtol": 1e-5, "atol": 3e-6}, "float64": {"rtol": 1e-12, "atol": 1e-14}}

EXECUTORS = {isa: native.executor_for(isa) for isa in native.isas()}


def mlp(activation="tanh", last=None, units=3, hidden=(17, 8), **settings):
    sizes = [Dense(n, activation, **settings) for n in hidden]
    return Sequential([Input((10,)), *sizes, Dense(units, last)])


def compiled(model, loss, optimizer="sgd", **settings):
    model.compile(optimizer, loss, **settings)
    return model


CASES = {}


def case(name, make, x, y, **fit):
    CASES[name] = make, x, y, fit


for _activation in (*ACTIVATIONS, "softmax"):
    case(
        f"activation {_activation}",
        lambda a=_activation: compiled(mlp(a), "mse", optimizers.SGD(0.05, momentum=0.9)),
        X,
        Y,
    )

# An activation of its own layer, and one behind another: nothing to fuse with.
case(
    "activations apart",
    lambda: compiled(
        Sequential(
            [Activation("tanh", input_shape=(10,)), Dense(9), Activation("gelu"),
             Activation("softmax"), Dense(3), Activation("sigmoid")]
        ),
        "mse",
    ),
    X,
    ONE_HOT,
)  # fmt: skip

_LOSSES = {
    "mse": ("mse", None, Y),
    "mae": ("mae", None, Y),
    "binary, fused": ("binary_crossentropy", "sigmoid", ONE_HOT),
    "binary, of probabilities": ("binary_crossentropy", "softmax", SHARES),
    "binary, of logits": (losses.BinaryCrossentropy(from_logits=True), None, ONE_HOT),
    "categorical, fused": ("categorical_crossentropy", "softmax", SHARES),
    "categorical, of probabilities": ("categorical_crossentropy", "sigmoid", ONE_HOT),
    "categorical, of logits": (losses.CategoricalCrossentropy(from_logits=True), None, ONE_HOT),
    "sparse, fused": ("sparse_categorical_crossentropy", "softmax", LABELS),
    "sparse, of probabilities": ("sparse_categorical_crossentropy", "sigmoid", LABELS),
    "sparse, of logits": (losses.SparseCategoricalCrossentropy(from_logits=True), None, LABELS),
}
for _name, (_loss, _last, _y) in _LOSSES.items():
    for _weight in (None, WEIGHT):
        case(
            f"{_name}{'' if _weight is None else ', weighted'}",
            lambda loss=_loss, last=_last: compiled(mlp("relu", last), loss),
            X,
            _y,
            sample_weight=_weight,
        )

_OPTIMIZERS = {
    "sgd": lambda **k: optimizers.SGD(0.1, **k),
    "momentum": lambda **k: optimizers.SGD(0.02, 0.9, **k),
    "nesterov": lambda **k: optimizers.SGD(0.02, 0.9, nesterov=True, **k),
    "rmsprop": lambda **k: optimizers.RMSprop(**k),
    "rmsprop, momentum": lambda **k: optimizers.RMSprop(momentum=0.5, **k),
    "rmsprop, centered": lambda **k: optimizers.RMSprop(centered=True, epsilon=1e-4, **k),
    "rmsprop, both": lambda **k: optimizers.RMSprop(0.002, 0.8, 0.5, 1e-4, True, **k),
    "adam": lambda **k: optimizers.Adam(**k),
    "adam, set": lambda **k: optimizers.Adam(0.01, 0.8, 0.95, 1e-4, **k),
}
for _name, _make in _OPTIMIZERS.items():
    for _every in (None, 3):
        case(
            f"{_name}{'' if _every is None else ', every third batch'}",
            lambda make=_make, every=_every: compiled(
                mlp("tanh", "softmax"),
                "sparse_categorical_crossentropy",
                make(gradient_accumulation_steps=every),
            ),
            X,
            LABELS,
        )

case(
    "dropout",
    lambda: compiled(
        Sequential(
            [Dropout(0.2, input_shape=(10,)), Dense(33, "relu"), Dropout(0.5), Dense(8, "tanh"),
             Dropout(0.1, seed=5), Dense(3)]
        ),
        "mse",
        "adam",
    ),
    X,
    Y,
)  # fmt: skip
case(
    "l2",
    lambda: compiled(
        mlp("tanh", kernel_regularizer=regularizers.L2(0.1), bias_regularizer="l2"), "mse"
    ),
    X,
    Y,
)
case("no bias", lambda: compiled(mlp("relu", use_bias=False), "mse", "adam"), X, Y)
case("one unit", lambda: compiled(mlp("relu", units=1, hidden=(1,)), "mse"), X, Y[:, :1])
case(
    "odd and large sizes",
    lambda: compiled(mlp("tanh", "softmax", hidden=(129, 65, 31, 2)), "categorical_crossentropy"),
    X,
    ONE_HOT,
)


def frozen():
    model = mlp("tanh", hidden=(9, 8, 7))
    model.layers[1].trainable = False
    return compiled(model, "mse", "adam")


case("a frozen layer", frozen, X, Y)
case(
    "metrics",
    lambda: compiled(
        mlp("relu", "softmax"),
        "categorical_crossentropy",
        metrics=["acc", "binary_accuracy", "mse", "mae", metrics.ConfusionMatrix(sparse=False)],
        weighted_metrics=["accuracy", "binary_accuracy", "mse"],
    ),
    X,
    ONE_HOT,
    sample_weight=WEIGHT,
)  # fmt: skip
case(
    "sequences",
    lambda: compiled(
        Sequential([Dense(9, "tanh", input_shape=(5, 10)), Dropout(0.3), Dense(3, "softmax")]),
        "sparse_categorical_crossentropy",
        "adam",
        metrics=["accuracy"],
        weighted_metrics=["accuracy", "confusion_matrix"],
    ),
    SEQUENCES,
    RNG.integers(0, 3, (ROWS, 5)),
    sample_weight=WEIGHT,
)
case(
    "sequences, real targets",
    lambda: compiled(
        Sequential([Dense(9, "gelu", input_shape=(5, 10)), Dense(2)]), "mae", metrics=["mse"]
    ),
    SEQUENCES,
    RNG.normal(size=(ROWS, 5, 2)),
    sample_weight=WEIGHT,
)
case(
    "images",
    lambda: compiled(
        Sequential([Rescaling(1 / 255, -0.5, input_shape=(4, 5)), Flatten(), Dense(3, "softmax")]),
        "sparse_categorical_crossentropy",
    ),
    IMAGES,
    LABELS,
)


def two_by_two():
    """A layer used for both inputs, an output of both, another of one, an L2 penalty."""
    a, b = Input((10,), name="a"), Input((10,), name="b")
    shared = Dense(11, "tanh", name="shared", kernel_regularizer="l2")
    again = Dense(11, "relu", name="again")
    hidden = again(shared(a))
    p = Dense(3, name="p")(again(hidden))
    q = Dense(3, "softmax", name="q")(Dropout(0.2)(shared(b)))
    model = Model([a, b], [p, q])
    model.compile(
        optimizers.SGD(0.05, 0.9),
        {"p": "mse", "q": "sparse_categorical_crossentropy"},
        loss_weights={"p": 0.5, "q": 2.0},
        metrics={"p": ["mae"], "q": ["accuracy"]},
    )
    return model


case("two inputs and outputs", two_by_two, [X, X[::-1].copy()], [Y, LABELS])
case(
    "two inputs and outputs, one weighted",
    two_by_two,
    [X, X[::-1].copy()],
    [Y, LABELS],
    sample_weight={"q": WEIGHT},
)


def nested():
    inner = Sequential([Dense(7, "tanh", input_shape=(10,)), Dropout(0.1), Dense(10)])
    x = Input((10,))
    return compiled(Model(x, Dense(3)(inner(inner(x)))), "mse", "rmsprop")


case("a model used twice as a layer", nested, X, Y)


def run(executor, name, dtype, monkeypatch):
    """Train a case; returns (history, weights, predictions)."""
    monkeypatch.setattr(backends, "get", lambda name=None: executor)
    make, x, y, fit = CASES[name]
    utils.set_random_seed(6)
    config.set_floatx(dtype)
    try:
        model = make()
    finally:
        config.set_floatx("float32")
    start = model.get_weights()
    history = model.fit(
        x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=(x, y), verbose=0, **fit
    )
    used = {type(executor_) for executor_, _ in model._executors._kept.values()}
    assert used == {executor}
    weights = model.get_weights()
    if "step" not in name:  # its gradient is 0: only the last layer learns
        assert all((a != b).any() for a, b in zip(start, weights, strict=True)) or "frozen" in name
    outputs = model.predict(x)
    return history.history, weights, outputs if isinstance(outputs, list) else [outputs]


_REFERENCE = {}


def reference(name, dtype, monkeypatch):
    """The reference's run; made once for all executors that are compared with it."""
    if (name, dtype) not in _REFERENCE:
        _REFERENCE[name, dtype] = run(ReferenceExecutor, name, dtype, monkeypatch)
    return _REFERENCE[name, dtype]


@pytest.mark.parametrize("isa", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_native_follows_the_reference(name, dtype, isa, monkeypatch):
    want_history, want_weights, want_outputs = reference(name, dtype, monkeypatch)
    history, weights, outputs = run(EXECUTORS[isa], name, dtype, monkeypatch)
    assert list(history) == list(want_history)
    for key, values in history.items():
        assert len(values) == EPOCHS
        np.testing.assert_allclose(values, want_history[key], **CLOSE[dtype], err_msg=key)
    for got, want in zip((*weights, *outputs), (*want_weights, *want_outputs), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


@pytest.mark.parametrize("name", ["adam", "dropout", "two inputs and outputs", "sequences"])
def test_the_reference_in_float32_follows_itself_in_float64(name, monkeypatch):
    _, weights, outputs = reference(name, "float32", monkeypatch)
    _, want_weights, want_outputs = reference(name, "float64", monkeypatch)
    for got, want in zip((*weights, *outputs), (*want_weights, *want_outputs), strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


@pytest.mark.parametrize("isa", EXECUTORS)
@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy"])
def test_a_network_learns_what_no_line_separates(loss, isa, monkeypatch):
    """Exclusive or: the smallest task that needs a hidden layer and its gradient."""
    monkeypatch.setattr(backends, "get", lambda name=None: EXECUTORS[isa])
    utils.set_random_seed(0)
    model = Sequential([Dense(8, "tanh", input_shape=(2,)), Dense(1, "sigmoid")])
    model.compile(optimizers.Adam(0.05), loss, metrics=["accuracy"])
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model.fit(x, y, epochs=500, verbose=0)
    loss_, accuracy = model.evaluate(x, y)
    assert accuracy == 1
    assert loss_ < 0.05


def test_every_build_that_is_installed_is_tested_where_the_processor_can_run_it():
    assert native.isas()
    assert native.Default.isa in EXECUTORS
    kernels = {
        executor.kernels.__name__.rpartition("kernels_")[2] for executor in EXECUTORS.values()
    }
    assert kernels == set(native.isas())
