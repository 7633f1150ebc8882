"""Wrong calls: each is refused before anything is trained, and the message helps.

A message names the argument, what was received, what was expected and what to do. After a refused
call the weights are what they were. Plans made by hand show that an unsafe one never runs.
"""

import numpy as np
import pytest
from api_tools import native_only

from fastnn import (
    Input,
    Model,
    Sequential,
    backends,
    callbacks,
    config,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
    utils,
)
from fastnn.engine.plan import Buffer, Group, Plan, PlanError, Step
from fastnn.heads import Kind
from fastnn.layers import Dense, Dropout, Flatten, Layer, Rescaling
from fastnn.ops.contract import Graph, Op, emit, registry
from fastnn.ops.tensor import Tensor

# Where the native executor is not compiled, fastnn says once that it runs on the reference.
pytestmark = pytest.mark.filterwarnings("ignore:fastnn runs on its slow reference")

ROWS = 12
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
LABELS = np.arange(ROWS) % 3
ONE_HOT = np.eye(3)[LABELS]
NOT_BUILT = "is not built yet"
OPTIMIZERS = "adadelta adagrad adam adamax adamw lbfgs lion nadam rmsprop sgd".split()


def classifier(loss="sparse_categorical_crossentropy", units=3, activation="softmax", **settings):
    model = Sequential([Dense(units, activation=activation, input_shape=(4,), name="out")])
    model.compile("sgd", loss, **settings)
    return model


def one_hot_classifier():
    return classifier("categorical_crossentropy")


def regressor(**settings):
    return classifier("mse", 1, None, **settings)


def pair():
    """Two inputs, two outputs."""
    a, b = Input((4,), name="a"), Input((2,), name="b")
    model = Model([a, b], [Dense(1, name="p")(a), Dense(3, "softmax", name="q")(b)])
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
    return model


def refused(exception, parts, call, model=None):
    """`call` raises exactly `exception`, all parts are in its message, the model is as before."""
    before = [] if model is None else model.get_weights()
    with pytest.raises(exception) as caught:
        call()
    assert caught.type is exception
    message = str(caught.value)
    for part in [parts] if isinstance(parts, str) else parts:
        assert part in message
    for old, new in zip(before, [] if model is None else model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def with_value(array, index, value):
    changed = np.array(array, np.float64)
    changed[index] = value
    return changed


# --- x -------------------------------------------------------------------------------------------


BAD_X = {
    "features": (
        np.zeros((ROWS, 5)),
        ["x has rows of 5 features", "expects 4 features", "(rows, 4)"],
    ),
    "single row": (
        np.zeros(4),
        ["x has 1 dimensions (shape (4,))", "expects 2", "single row", "x[None]"],
    ),
    "images": (
        np.zeros((ROWS, 2, 2)),
        ["x has 3 dimensions (shape (12, 2, 2))", "(rows, 4)", "x.reshape(len(x), -1)", "Flatten"],
    ),
    "colour images": (np.zeros((ROWS, 1, 2, 2)), ["x has 4 dimensions", "Flatten()"]),
    "too deep": (np.zeros((ROWS, 3, 5)), ["x has 3 dimensions (shape (12, 3, 5))", "(rows, 4)"]),
    "number": (3.0, ["x is a single number", "one row per sample"]),
    "missing": (None, "x is missing"),
    "empty": (np.zeros((0, 4)), ["x is empty (shape (0, 4))", "at least one row"]),
    "no data at all": ([], "x is empty (shape (0,))"),
    "text": (X.astype(str), ["x has dtype <U", "expected numbers", "np.asarray"]),
    "objects": (X.astype(object), ["x has dtype object", "expected numbers", "np.asarray"]),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ["x cannot be made into one array", "rows differ in shape"]),
    "complex": (X + 1j, ["x has dtype complex", "expected numbers"]),
    "dates": (np.zeros((ROWS, 4), "datetime64[s]"), ["x has dtype datetime64", "expected numbers"]),
    "set": ({1.0, 2.0}, ["x is a set", "pass a list"]),
    "masked": (np.ma.masked_less(X, 0), ["x is a masked array", "filled"]),
    "NaN": (
        with_value(X, (3, 1), np.nan),
        ["x has 1 value that is NaN or infinite", "first at index (3, 1)", "remove or replace"],
    ),
    "infinity": (
        with_value(with_value(X, (7, 0), np.inf), (5, 2), -np.inf),
        ["x has 2 values that are NaN or infinite", "first at index (5, 2)"],
    ),
    "too large": (
        with_value(X, (1, 2), 1e300),
        ["x has values too large for float32", "index (1, 2)", "float64"],
    ),
    "unknown key": ({"wrong": X}, ["dictionary has keys ['wrong']", "expected ['input_layer']"]),
}


METHODS = ["fit", "evaluate", "train_on_batch", "test_on_batch", "partial_fit", "predict"]


@pytest.mark.parametrize("method", [*METHODS, "predict_on_batch"])
@pytest.mark.parametrize("case", BAD_X)
def test_x(case, method):
    x, parts = BAD_X[case]
    model = classifier()
    given = (x,) if method.startswith("predict") else (x, LABELS)
    refused(ValueError, parts, lambda: getattr(model, method)(*given), model)
    # The refusal left nothing behind: the right data is accepted.
    model.predict(X)
    model.train_on_batch(X, LABELS)


def test_finite_values_whose_sum_overflows_are_accepted():
    large = np.full((ROWS, 4), 3e38, np.float32)
    same = Sequential([layers.Activation("relu", input_shape=(4,))])
    np.testing.assert_array_equal(same.predict(large), large)


def test_data_that_is_refused_does_not_build_a_lazy_model():
    model = Sequential([Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    for x in (np.full((ROWS, 7), np.nan), [["a"] * 7] * ROWS, np.zeros((0, 7))):
        refused(ValueError, "x has" if len(x) else "x is empty", lambda x=x: model.fit(x, LABELS))
    assert not model.built
    model.fit(X, LABELS, verbose=0)
    assert model.input_shape == (None, 4)


@pytest.mark.parametrize(
    ("x", "parts"),
    [
        (X, ["x: this model expects a list of 2 arrays", "got ndarray"]),
        ([X], ["expects a list of 2 arrays", "got 1 arrays"]),
        ([X, X[:, :2], X], "got 3 arrays"),
        ([X, X[:5, :2]], ["x[0] has 12 rows", "x[1] has 5", "must agree"]),
        ([X, X], ["x[1] has rows of 4 features", "expects 2 features"]),
        ({"a": X}, ["keys ['a']", "expected ['a', 'b']"]),
        ({"a": X, "b": X[:, :2], "c": X}, ["keys ['a', 'b', 'c']", "expected ['a', 'b']"]),
        ([X, with_value(X[:, :2], (2, 1), np.nan)], ["x[1] has 1 value", "index (2, 1)"]),
    ],
)
def test_x_of_several_inputs(x, parts):
    model = pair()
    refused(ValueError, parts, lambda: model.fit(x, [LABELS, LABELS]), model)
    refused(ValueError, parts, lambda: model.predict(x), model)


# --- y -------------------------------------------------------------------------------------------

SHAPE_OF_LABELS = "expects one class index per row: shape (rows,)"
SHAPE_OF_OUTPUT = "expects the shape of the output: shape (rows, 3)"

BAD_Y = {
    # labels
    "label too large": (
        classifier,
        LABELS + 1,
        ["y has labels from 1 to 3", "output has 3 classes (0 to 2)", "in row 2"],
    ),
    "label negative": (classifier, LABELS - 1, ["labels from -1 to 1", "3 classes", "in row 0"]),
    "label of 1e30": (classifier, LABELS * 1e30, ["y has labels from 0 to", "in row 1"]),
    "label of 64 bits": (
        classifier,
        np.full(ROWS, 2**63 + 5, np.uint64),
        ["labels from 9223372036854775813", "in row 0"],
    ),
    "label with a fraction": (
        classifier,
        with_value(LABELS, 4, 0.5),
        ["y must hold whole class indices", "row 4 has 0.5", "'mse'"],
    ),
    "label NaN": (classifier, with_value(LABELS, 4, np.nan), ["y has 1 value", "index 4"]),
    "one-hot to sparse": (
        classifier,
        ONE_HOT,
        ["y has shape (12, 3)", SHAPE_OF_LABELS, "'categorical_crossentropy'"],
    ),
    "one-hot of another width to sparse": (
        classifier,
        np.eye(5)[LABELS],
        ["y has shape (12, 5)", SHAPE_OF_LABELS, "'categorical_crossentropy'"],
    ),
    "text labels": (classifier, [f"c{i}" for i in LABELS], ["y has dtype <U2", "expected numbers"]),
    "fewer labels": (classifier, LABELS[:7], ["x has 12 rows", "y has 7", "must agree"]),
    "labels empty": (classifier, LABELS[:0], "y is empty"),
    "labels missing": (classifier, None, ["y is missing", "targets"]),
    # targets like the prediction
    "indices to categorical": (
        one_hot_classifier,
        LABELS,
        ["y has shape (12,)", SHAPE_OF_OUTPUT, "'sparse_categorical_crossentropy'"],
    ),
    "column of indices to categorical": (
        one_hot_classifier,
        LABELS[:, None],
        ["y has shape (12, 1)", SHAPE_OF_OUTPUT, "'sparse_categorical_crossentropy'"],
    ),
    "one-hot of the wrong width": (
        one_hot_classifier,
        np.eye(4)[LABELS],
        ["y has shape (12, 4)", SHAPE_OF_OUTPUT],
    ),
    "no probabilities": (
        one_hot_classifier,
        ONE_HOT * 2,
        ["y has values from 0.0 to 2.0", "probabilities from 0 to 1"],
    ),
    "no probabilities, binary": (
        lambda: classifier("binary_crossentropy", 1, "sigmoid"),
        LABELS - 1,
        ["y has values from -1 to 1", "'binary_crossentropy'", "from 0 to 1"],
    ),
    "too many columns": (
        regressor,
        ONE_HOT,
        ["y has shape (12, 3)", "expects the shape of the output: shape (rows, 1)"],
    ),
    "target NaN": (
        regressor,
        with_value(LABELS, (5,), np.nan),
        ["y has 1 value that is NaN", "first at index (5, 0)"],
    ),
    "target infinite": (regressor, with_value(LABELS, (0,), np.inf), "y has 1 value"),
    "target too large": (
        regressor,
        with_value(LABELS, (2,), 1e300),
        ["y has values too large for float32", "index (2, 0)"],
    ),
    "target ragged": (regressor, [[1], [2, 3]], ["y cannot be made into one array"]),
}


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("case", BAD_Y)
def test_y(case, method):
    make, y, parts = BAD_Y[case]
    model = make()
    refused(ValueError, parts, lambda: getattr(model, method)(X, y), model)


@pytest.mark.parametrize(
    ("y", "parts"),
    [
        ([LABELS], ["y: got a list of 1", "a list of 2", "p, q"]),
        (LABELS, ["y: got one entry", "a list of 2 or a dictionary", "p, q"]),
        ({"p": LABELS}, ["y is missing for output 'q'"]),
        ({"p": LABELS, "q": LABELS, "r": LABELS}, ["y: unknown output 'r'", "p, q"]),
        ([LABELS, LABELS + 1], ["y[1] has labels from 1 to 3", "3 classes"]),
        ([LABELS, LABELS[:3]], ["x has 12 rows", "y[1] has 3"]),
    ],
)
def test_y_of_several_outputs(y, parts):
    model = pair()
    refused(ValueError, parts, lambda: model.fit([X, X[:, :2]], y), model)


# --- sample_weight -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize(
    ("weight", "parts"),
    [
        (np.ones(ROWS - 1), ["sample_weight has shape (11,)", "one weight per row: (12,)"]),
        (np.ones((ROWS, 2)), ["sample_weight has shape (12, 2)", "(12,)"]),
        (-np.ones(ROWS), ["sample_weight must be 0 or more", "row 0 has -1.0"]),
        (with_value(np.ones(ROWS), 3, -0.5), ["must be 0 or more", "row 3 has -0.5"]),
        (with_value(np.ones(ROWS), 3, np.nan), ["sample_weight has 1 value", "index 3"]),
        (with_value(np.ones(ROWS), 9, np.inf), ["sample_weight has 1 value", "index 9"]),
        (["a"] * ROWS, ["sample_weight has dtype <U1", "expected numbers"]),
        (2.0, ["sample_weight is a single number", "one row per sample"]),
        ([], "sample_weight is empty"),
    ],
)
def test_sample_weight(weight, parts, method):
    model = classifier()
    call = getattr(model, method)
    refused(ValueError, parts, lambda: call(X, LABELS, sample_weight=weight), model)


def test_sample_weight_of_several_outputs():
    model = pair()
    data = [X, X[:, :2]], [LABELS, LABELS]
    for weight, parts in (
        ([np.ones(ROWS)], ["sample_weight: got a list of 1", "a list of 2", "p, q"]),
        ({"r": np.ones(ROWS)}, ["sample_weight: unknown output 'r'"]),
        ([None, -np.ones(ROWS)], ["sample_weight[1] must be 0 or more"]),
    ):
        refused(ValueError, parts, lambda w=weight: model.fit(*data, sample_weight=w), model)


# --- the other arguments of fit, evaluate and predict --------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", [0], np.float64(4)])
@pytest.mark.parametrize(
    "name", ["batch_size", "epochs", "validation_freq", "steps_per_epoch", "validation_steps"]
)
def test_counts(name, value):
    model = classifier()
    got = 0 if value == [0] and name == "validation_freq" else value  # a list of epochs
    parts = [f"{name} must be an integer of 1 or more", f"got {got!r}"]
    refused(ValueError, parts, lambda: model.fit(X, LABELS, **{name: value}), model)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_batch_size_of_evaluate_and_predict(value):
    model = classifier()
    parts = ["batch_size must be an integer of 1 or more", f"got {value!r}"]
    refused(ValueError, parts, lambda: model.evaluate(X, LABELS, batch_size=value), model)
    refused(ValueError, parts, lambda: model.predict(X, batch_size=value), model)


@pytest.mark.parametrize("value", [-1, 0.5, True, "a", None])
def test_initial_epoch(value):
    model = classifier()
    parts = ["initial_epoch must be an integer of 0 or more", f"got {value!r}"]
    refused(ValueError, parts, lambda: model.fit(X, LABELS, initial_epoch=value), model)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"validation_split": -0.1}, ["validation_split must be a number from 0", "got -0.1"]),
        ({"validation_split": 1}, ["validation_split", "to below 1", "got 1"]),
        ({"validation_split": "a"}, ["validation_split", "got 'a'"]),
        ({"validation_split": True}, ["validation_split", "got True"]),
        ({"validation_split": np.nan}, ["validation_split", "got nan"]),
        (
            {"validation_split": 0.99},
            ["validation_split=0.99 of 12 rows leaves 0 to train on", "at least 1"],
        ),
        ({"validation_data": X}, ["validation_data must be (x, y) or (x, y, sample_weight)"]),
        ({"validation_data": (X,)}, ["validation_data must be (x, y)", "got 1"]),
        ({"validation_data": (X, LABELS, None, None)}, ["validation_data must be", "got 4"]),
        ({"validation_data": "ab"}, ["validation_data must be (x, y)", "str"]),
        (
            {"validation_data": (X[:, :2], LABELS)},
            ["validation_x has rows of 2 features", "expects 4"],
        ),
        (
            {"validation_data": (X, LABELS[:5])},
            ["validation_x has 12 rows", "validation_y has 5"],
        ),
        ({"validation_data": (X, LABELS + 1)}, ["validation_y has labels from 1 to 3"]),
        ({"validation_data": (X, None)}, "validation_y is missing"),
        (
            {"validation_data": (X, LABELS, np.ones(3))},
            ["validation_sample_weight has shape (3,)"],
        ),
        (
            {"validation_data": (X, LABELS), "validation_batch_size": 0},
            ["validation_batch_size must be an integer of 1 or more", "got 0"],
        ),
        ({"validation_batch_size": 2.5}, ["validation_batch_size", "got 2.5"]),
        ({"verbose": 7}, ["verbose must be 'auto', 0, 1 or 2", "got 7"]),
        ({"verbose": "loud"}, ["verbose must be 'auto', 0, 1 or 2", "got 'loud'"]),
        ({"verbose": X}, "verbose must be 'auto', 0, 1 or 2"),
        ({"class_weight": [1, 2]}, ["class_weight must be a dictionary", "got [1, 2]"]),
        ({"class_weight": {}}, ["class_weight must be a dictionary", "got {}"]),
        ({"class_weight": {3: 1.0}}, ["class_weight has key 3", "from 0 to 2"]),
        ({"class_weight": {"a": 1.0}}, ["class_weight has key 'a'", "from 0 to 2"]),
        ({"class_weight": {True: 1.0}}, ["class_weight has key True", "from 0 to 2"]),
        ({"class_weight": {0: -1.0}}, ["class_weight[0] must be a finite number", "got -1.0"]),
        ({"class_weight": {0: np.nan}}, ["class_weight[0] must be", "got nan"]),
        ({"shuffle": "rows"}, ["shuffle must be True, False or 'batch'", "got 'rows'"]),
        ({"shuffle": 3}, ["shuffle must be True, False or 'batch'", "got 3"]),
    ],
)
def test_arguments_of_fit(settings, parts):
    model = classifier()
    refused(ValueError, parts, lambda: model.fit(X, LABELS, **settings), model)


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3"])
def test_steps_of_evaluate_and_predict(value):
    model = classifier()
    parts = ["steps must be an integer of 1 or more", f"got {value!r}"]
    refused(ValueError, parts, lambda: model.evaluate(X, LABELS, steps=value), model)
    refused(ValueError, parts, lambda: model.predict(X, steps=value), model)


def test_class_weight_of_what_has_no_classes():
    for method in ("fit", "train_on_batch"):
        model = regressor()
        call = getattr(model, method)
        parts = ["class_weight: y has values from 3.0 to 3.0", "from 0 to 1"]
        y = np.full((ROWS, 1), 3.0)
        refused(ValueError, parts, lambda c=call, y=y: c(X, y, class_weight={0: 2}), model)
        model = pair()
        data = [X, X[:, :2]], [LABELS, LABELS]
        call = getattr(model, method)
        parts = ["class_weight is for a model with one output", "sample_weight"]
        refused(ValueError, parts, lambda c=call, d=data: c(*d, class_weight={0: 2}), model)


@pytest.mark.parametrize("given", [print, "early_stopping", callbacks.Callback, [3]])
def test_callbacks_that_are_none(given):
    model = classifier()
    parts = ["callbacks must be a list of fastnn.callbacks.Callback", "got "]
    refused(TypeError, parts, lambda: model.fit(X, LABELS, callbacks=given), model)


# --- not compiled, not built ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.parametrize("built", [True, False])
def test_not_compiled(method, built):
    model = Sequential([Dense(3, **({"input_shape": (4,)} if built else {}))])
    parts = [f"{method}: compile the model first", "model.compile"]
    refused(RuntimeError, parts, lambda: getattr(model, method)(X, LABELS), model)
    refused(RuntimeError, "metrics_names: compile", lambda: model.metrics_names)


@pytest.mark.parametrize("compiled", [True, False])
def test_not_built(compiled, capsys):
    model = Sequential([Dense(3)])
    if compiled:
        model.compile("sgd", "mse")
        refused(ValueError, ["metrics_names", NOT_BUILT], lambda: model.metrics_names)
    what_to_do = ["input_shape", "model.build((None, features))", "fit it first"]
    refused(ValueError, ["predict", NOT_BUILT, *what_to_do], lambda: model.predict(X))
    refused(ValueError, ["plan", NOT_BUILT, *what_to_do], lambda: model.plan)
    refused(ValueError, ["output_shape", NOT_BUILT], lambda: model.output_shape)
    refused(ValueError, ["input_shape", NOT_BUILT], lambda: model.input_shape)
    refused(
        ValueError,
        ["2 weight arrays were given", "expected 0", NOT_BUILT.removeprefix("is ")],
        lambda: model.set_weights([np.ones((4, 3)), np.ones(3)]),
    )
    model.summary()  # what is known already can be shown
    assert "Total params: 0" in capsys.readouterr().out


def test_a_plan_and_a_summary_need_no_compile(capsys):
    model = Sequential([Dense(3, input_shape=(4,))])
    assert model.plan.mode == "predict"
    model.summary()
    assert "Total params: 15" in capsys.readouterr().out


def test_a_sequential_without_layers():
    model = Sequential()
    model.compile("sgd", "mse")
    refused(ValueError, "this Sequential has no layers", lambda: model.fit(X, LABELS))
    refused(ValueError, "there are no layers", model.pop)


@pytest.mark.parametrize("shape", [3, "four", ()])
def test_build_with_what_is_no_shape(shape):
    parts = ["build: the input shape must be a tuple such as (None, features)", f"got {shape!r}"]
    refused(ValueError, parts, lambda: Sequential([Dense(2)]).build(shape))


# --- compile -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"optimizer": "adamm"}, ["unknown optimizer 'adamm'", ", ".join(OPTIMIZERS)]),
        ({"optimizer": None}, ["unknown optimizer None", ", ".join(OPTIMIZERS)]),
        ({"optimizer": 0.01}, ["unknown optimizer 0.01", "choose one of"]),
        ({"loss": "mze"}, ["unknown loss 'mze'", "mse", "sparse_categorical_crossentropy"]),
        ({"loss": None}, ["a loss is needed", "loss='mse'"]),
        ({"loss": 3}, ["unknown loss 3", "mean_squared_error"]),
        ({"loss": max}, ["unknown loss <built-in function max>", "choose one of"]),
        ({"metrics": ["acuracy"]}, ["unknown metric 'acuracy'", "accuracy"]),
        ({"metrics": "acuracy"}, ["unknown metric 'acuracy'", "confusion_matrix"]),
        ({"metrics": [3]}, ["unknown metric 3", "choose one of"]),
        ({"weighted_metrics": ["x"]}, ["unknown metric 'x'", "choose one of"]),
        ({"backend": "cuda"}, ["unknown backend 'cuda'", "native, reference"]),
        ({"loss_weights": ["a"]}, ["loss_weights must be a finite number", "got 'a'"]),
        ({"loss_weights": [np.nan]}, ["loss_weights must be a finite number", "got nan"]),
        ({"loss_weights": [1, 2]}, ["loss_weights: got a list of 2", "list of 1"]),
        ({"loss_weights": {"no": 1}}, ["loss_weights: unknown output 'no'", "out"]),
        ({"loss": {"no": "mse"}}, ["loss: unknown output 'no'", "out"]),
        ({"loss": ["mse", "mse"]}, ["loss: got a list of 2", "a list of 1"]),
        ({"loss": {}}, "no output has a loss; the outputs are: out"),
        ({"metrics": {"no": ["mse"]}}, ["metrics: unknown output 'no'", "out"]),
    ],
)
def test_compile(settings, parts):
    model = regressor()
    refused(ValueError, parts, lambda: model.compile(**{"loss": "mse"} | settings), model)


@pytest.mark.parametrize(
    ("loss", "parts"),
    [
        ("sparse_categorical_crossentropy", ["needs at least 2 classes", "(None, 1)", "binary"]),
        ("categorical_crossentropy", ["needs at least 2 classes", "(None, 1)", "binary"]),
    ],
)
def test_a_categorical_loss_with_one_output(loss, parts):
    refused(ValueError, [repr(loss), *parts], lambda: classifier(loss, 1, None))


@pytest.mark.parametrize("metric", ["categorical_accuracy", metrics.ConfusionMatrix(sparse=False)])
def test_a_categorical_metric_with_one_output(metric):
    parts = ["needs at least 2 classes", "(None, 1)", "binary_accuracy"]
    refused(ValueError, parts, lambda: regressor(metrics=[metric]))


@pytest.mark.parametrize(
    ("loss", "units", "activation", "y"),
    [
        (losses.SparseCategoricalCrossentropy(from_logits=True), 3, "softmax", LABELS),
        (losses.CategoricalCrossentropy(from_logits=True), 3, "softmax", ONE_HOT),
        (losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid", LABELS > 1),
    ],
)
def test_from_logits_after_probabilities(loss, units, activation, y):
    model = classifier(loss, units, activation)
    parts = ["from_logits=True", f"went through {activation}", "remove that activation"]
    refused(ValueError, parts, lambda: model.fit(X, y), model)


def test_a_compile_that_is_refused_leaves_the_last_one_in_place():
    model = regressor()
    model.compile("adam", "mae")
    refused(ValueError, "unknown loss", lambda: model.compile("sgd", "mze"))
    model.fit(X, LABELS, verbose=0)
    assert model.optimizer.name == "adam"
    assert model.metrics_names == ["loss"]


def test_arguments_that_steer_other_engines_are_accepted():
    utils.set_random_seed(3)
    plain = regressor()
    steered = regressor(
        run_eagerly=True, steps_per_execution=10, jit_compile=True, auto_scale_loss=False
    )
    steered.set_weights(plain.get_weights())
    for model in (plain, steered):
        model.fit(X, LABELS, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(steered.predict(X, verbose=1), plain.predict(X))
    assert Input((4,), batch_size=7).shape == (None, 4)


# --- optimizers, losses, metrics, initializers, regularizers -------------------------------------


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: optimizers.SGD(-0.1), ["SGD: learning_rate", "of 0 or more", "got -0.1"]),
        (lambda: optimizers.SGD("0.1"), ["SGD: learning_rate", "finite number", "got '0.1'"]),
        (lambda: optimizers.SGD(True), ["SGD: learning_rate", "got True"]),
        (lambda: optimizers.SGD(None), ["SGD: learning_rate", "got None"]),
        (lambda: optimizers.SGD(np.nan), ["SGD: learning_rate", "got nan"]),
        (lambda: optimizers.SGD(np.inf), ["SGD: learning_rate", "finite", "got inf"]),
        (lambda: optimizers.SGD(momentum=1), ["SGD: momentum", "0 to below 1", "got 1"]),
        (lambda: optimizers.SGD(momentum=-0.1), ["SGD: momentum", "got -0.1"]),
        (lambda: optimizers.RMSprop(rho=1.0), ["RMSprop: rho", "0 to below 1", "got 1.0"]),
        (lambda: optimizers.RMSprop(momentum=2), ["RMSprop: momentum", "got 2"]),
        (lambda: optimizers.RMSprop(epsilon=-1), ["RMSprop: epsilon", "0 or more", "got -1"]),
        (lambda: optimizers.Adam(beta_1=1), ["Adam: beta_1", "0 to below 1", "got 1"]),
        (lambda: optimizers.Adam(beta_2=-0.5), ["Adam: beta_2", "got -0.5"]),
        (lambda: optimizers.Adam(epsilon="x"), ["Adam: epsilon", "got 'x'"]),
        (lambda: regularizers.L2(-1), ["L2: l2", "0 or more", "got -1"]),
        (lambda: regularizers.L2("a"), ["L2: l2", "finite number", "got 'a'"]),
        (lambda: regularizers.L2(np.nan), ["L2: l2", "got nan"]),
        (lambda: metrics.BinaryAccuracy(threshold=1), ["BinaryAccuracy: threshold", "got 1"]),
        (lambda: metrics.BinaryAccuracy(threshold=0), ["BinaryAccuracy: threshold", "got 0"]),
        (lambda: metrics.BinaryAccuracy(threshold="a"), ["BinaryAccuracy: threshold", "got 'a'"]),
        (lambda: losses.MeanSquaredError(reduction="none"), ["reduction 'none'", "one number"]),
        (lambda: losses.Hinge(reduction="avg"), ["Hinge", "reduction 'avg'", "sum_over_batch"]),
        (lambda: losses.Hinge(dtype="float16"), ["Hinge: dtype='float16' is not supported"]),
        (lambda: losses.Huber(-1), ["Huber: delta", "of 0 or more", "got -1"]),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), ["label_smoothing", "at most 1"]),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), ["gamma", "of 0 or more"]),
        (
            lambda: losses.SparseCategoricalCrossentropy(ignore_class=0.5),
            ["ignore_class must be a whole number or None", "got 0.5"],
        ),
        (lambda: initializers.VarianceScaling(0), ["VarianceScaling: scale", "above 0", "got 0"]),
        (lambda: initializers.VarianceScaling("a"), ["VarianceScaling: scale", "got 'a'"]),
        (
            lambda: initializers.VarianceScaling(mode="fan"),
            ["unknown mode 'fan'", "fan_avg, fan_in, fan_out"],
        ),
        (
            lambda: initializers.VarianceScaling(distribution="n"),
            ["unknown distribution 'n'", "uniform"],
        ),
        (lambda: Dense(3, activation="reluu"), ["unknown activation 'reluu'", "relu, relu6"]),
        (lambda: Dense(3, activation=3), ["unknown activation 3", "choose one of"]),
        (lambda: Dense(3, kernel_constraint="max"), ["unknown constraint 'max'", "max_norm"]),
        (
            lambda: Dense(3, kernel_initializer="glorot"),
            ["unknown initializer 'glorot'", "glorot_normal, glorot_uniform"],
        ),
        (lambda: Dense(3, bias_initializer=0.5), ["unknown initializer 0.5", "choose one of"]),
        (lambda: Dense(3, kernel_regularizer="l3"), ["unknown regularizer 'l3'", "l2"]),
        (lambda: Dense(3, bias_regularizer=0.01), ["unknown regularizer 0.01", "l2"]),
        (lambda: config.set_floatx("float16"), ["floatx 'float16'", "float32, float64"]),
        (lambda: config.set_floatx(64), ["floatx 64", "float32, float64"]),
        (lambda: utils.set_random_seed(-1), ["seed must be an integer of 0 or more", "got -1"]),
        (lambda: utils.set_random_seed(1.5), ["seed must be an integer", "got 1.5"]),
        (lambda: utils.set_random_seed(True), ["seed must be an integer", "got True"]),
    ],
)
def test_settings_out_of_range(make, parts):
    refused(ValueError, parts, make)
    assert config.floatx() == "float32"


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "2"])
@pytest.mark.parametrize("cls", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam])
def test_gradient_accumulation_steps(cls, steps):
    parts = ["gradient_accumulation_steps must be an integer of 1 or more", f"got {steps!r}"]
    refused(ValueError, parts, lambda: cls(gradient_accumulation_steps=steps))


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != "lbfgs"])
@pytest.mark.parametrize(
    ("setting", "value", "part"),
    [
        ("learning_rate", -1e-3, "a finite number of 0 or more"),
        ("learning_rate", "fast", "a finite number of 0 or more"),
        ("weight_decay", -0.1, "a finite number of 0 or more"),
        ("clipnorm", 0.0, "must be above 0"),
        ("clipnorm", "1", "a finite number of 0 or more"),
        ("clipvalue", -1.0, "a finite number of 0 or more"),
        ("global_clipnorm", float("inf"), "a finite number of 0 or more"),
        ("ema_momentum", 1.5, "a number from 0 to 1"),
        ("ema_momentum", -0.5, "a finite number of 0 or more"),
        ("ema_overwrite_frequency", 0, "an integer of 1 or more"),
        ("ema_overwrite_frequency", 2.5, "an integer of 1 or more"),
        ("loss_scale_factor", "2", "a finite number of 0 or more"),
        ("layer_rates", [0.1], "a dictionary such as {'dense_1': 0.1}"),
    ],
)
def test_settings_of_all_optimizers(name, setting, value, part):
    cls = type(optimizers.get(name))
    refused(ValueError, [setting, part, repr(value)], lambda: cls(**{setting: value}))


def test_a_factor_of_layer_rates():
    parts = ["SGD: layer_rates['dense'] must be a finite number of 0 or more", "got -1"]
    refused(ValueError, parts, lambda: optimizers.SGD(layer_rates={"dense": -1}))


def test_layer_rates_of_no_layer():
    model = classifier()
    model.compile(optimizers.SGD(layer_rates={"dence": 0.1}), "sparse_categorical_crossentropy")
    parts = ["SGD: layer_rates names 'dence', which fits no layer; those with weights are: out"]
    refused(ValueError, parts, lambda: model.fit(X, LABELS, verbose=0), model)


def test_only_one_way_to_clip():
    parts = ["Adam: give only one of clipnorm, clipvalue and global_clipnorm", "clipvalue=0.5"]
    refused(ValueError, parts, lambda: optimizers.Adam(clipnorm=1.0, clipvalue=0.5))


def test_a_setting_that_was_changed_to_what_cannot_be():
    model = classifier()
    model.optimizer.momentum = 1.5
    parts = ["SGD: momentum must be a number from 0 to below 1, got 1.5"]
    refused(ValueError, parts, lambda: model.fit(X, LABELS, verbose=0), model)


def test_exclude_from_weight_decay():
    optimizer = optimizers.AdamW()
    parts = ["exclude_from_weight_decay: var_list holds weights", "'kernel'"]
    refused(TypeError, parts, lambda: optimizer.exclude_from_weight_decay(["kernel"]))
    parts = ["exclude_from_weight_decay: var_names is a list, got 'bias'"]
    refused(TypeError, parts, lambda: optimizer.exclude_from_weight_decay(var_names="bias"))


def test_the_defaults_of_keras_may_be_written_out():
    optimizers.Adam(
        amsgrad=False, weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None,
        use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None, loss_scale_factor=None,
        gradient_accumulation_steps=None, name="adam",
    )  # fmt: skip
    losses.CategoricalCrossentropy(label_smoothing=0.0, axis=-1, reduction="sum_over_batch_size")
    Dense(3, activity_regularizer=None, kernel_constraint=None, bias_constraint=None)
    Dropout(0.1, noise_shape=None, seed=None)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (
            lambda: losses.CategoricalCrossentropy(axis=1),
            "CategoricalCrossentropy: axis=1 is not supported",
        ),
        (lambda: Dense(3, lora_rank=4), "Dense: lora_rank=4"),
        (lambda: Dense(3, quantization_config={}), "Dense: quantization_config={}"),
        (lambda: Dropout(0.5, noise_shape=(1, 2)), "Dropout: noise_shape=(1, 2)"),
        (lambda: Flatten(data_format="channels_first"), "Flatten: data_format='channels_first'"),
    ],
)
def test_unsupported_arguments_name_themselves(make, parts):
    refused(ValueError, [*([parts] if isinstance(parts, str) else parts), "not supported"], make)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Dense(3, lora=4), "Dense has no argument 'lora'"),
        (lambda: Dropout(0.5, rat=4), "Dropout has no argument 'rat'"),
        (lambda: optimizers.SGD(lr=0.1), "SGD has no argument 'lr'"),
        (lambda: losses.MeanSquaredError(delta=1), "unexpected keyword argument 'delta'"),
    ],
)
def test_arguments_that_do_not_exist(make, parts):
    refused(TypeError, parts, make)


def test_a_learning_rate_set_later_is_checked_as_well():
    model = regressor()
    parts = ["SGD: learning_rate", "got 'fast'"]
    refused(ValueError, parts, lambda: setattr(model.optimizer, "learning_rate", "fast"))
    assert model.optimizer.learning_rate == 0.01


def test_an_unknown_backend_in_the_environment(monkeypatch):
    monkeypatch.setenv("FASTNN_BACKEND", "gpu")
    model = regressor()
    parts = ["unknown backend 'gpu'", "native, reference"]
    refused(ValueError, parts, lambda: model.fit(X, LABELS), model)


# --- layers and models ---------------------------------------------------------------------------


class Shrink(Layer):
    """A user's layer that computes on whatever it is given."""

    def call(self, inputs):
        return ops.affine(inputs, 1 / 255)


def test_an_op_that_computes_refuses_integers():
    with pytest.raises(TypeError, match=r"op affine computes on real numbers.*holds int32"):
        Shrink()(Input((4,), dtype="int32"))


def test_softmax_needs_an_axis_of_classes():
    with Graph(), pytest.raises(ValueError, match="has no axis of classes beside its rows"):
        ops.apply_activation("softmax", Tensor((None,)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_initializer_that_is_not_finite_is_refused(value):
    layer = Dense(2, kernel_initializer=initializers.Constant(value))
    with pytest.raises(ValueError, match="layer 'dense': the initializer of 'kernel'.*NaN or"):
        Sequential([Input((3,)), layer])


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", True, None, (3,)])
def test_units(units):
    refused(
        ValueError,
        ["Dense: units must be an integer of 1 or more", f"got {units!r}"],
        lambda: Dense(units),
    )


@pytest.mark.parametrize("rate", [1, -0.1, 1.5, "a", True, None, np.nan])
def test_dropout_rate(rate):
    refused(
        ValueError,
        ["Dropout: rate must be a number from 0 to below 1", f"got {rate!r}"],
        lambda: Dropout(rate),
    )


@pytest.mark.parametrize("seed", [-1, 2.5, "a", True])
def test_dropout_seed(seed):
    refused(
        ValueError,
        ["Dropout: seed must be an integer of 0 or more", f"got {seed!r}"],
        lambda: Dropout(0.5, seed=seed),
    )


@pytest.mark.parametrize("value", ["a", np.nan, np.inf, None, [1, 2], True])
def test_rescaling(value):
    parts = ["must be a finite number", f"got {value!r}"]
    refused(ValueError, ["Rescaling: scale", *parts], lambda: Rescaling(value))
    refused(ValueError, ["Rescaling: offset", *parts], lambda: Rescaling(1.0, offset=value))


@pytest.mark.parametrize("shape", [0, -1, 2.5, "ab", (0,), (2.5,), (None, 3), (True,), {3}])
def test_input_shapes(shape):
    parts = ["the shape of a row must be made of integers of 1 or more", f"got {shape!r}"]
    refused(ValueError, ["Input", *parts], lambda: Input(shape))
    refused(ValueError, ["Dense", *parts], lambda: Dense(3, input_shape=shape))


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Input(), ["give shape=(...) of one row, or batch_shape"]),
        (lambda: Input((3,), batch_shape=(None, 3)), "but not both"),
        (lambda: Input((3,), dtype="float16"), ["dtype must be one of", "got 'float16'"]),
        (lambda: Dense(3, dtype="float16"), ["Dense: dtype must be one of", "got 'float16'"]),
        (lambda: Dense(3, name=""), ["Dense: name must be a non-empty string", "got ''"]),
        (lambda: Dense(3, name=7), ["Dense: name must be a non-empty string", "got 7"]),
        (
            lambda: Sequential([Dense(3, name="a", input_shape=(2,)), Dense(3, name="a")]),
            ["two layers of this model are called 'a'", "names must differ"],
        ),
        (
            lambda: Sequential([Dense(3, input_shape=(2,)), Input((3,))]),
            "Input must be the first layer of a Sequential",
        ),
        (lambda: Sequential([_TWICE, _TWICE]), ["already in this Sequential", "Model(inputs"]),
        (
            lambda: Sequential([Dense(3, input_shape=())]),
            ["(Dense) needs rows of at least one feature", "(None,)"],
        ),
        (
            lambda: Dense(2)(Input((3,), dtype="int32")),
            ["(Dense) needs real numbers, got int32", "leave out the dtype"],
        ),
        (
            lambda: _built(Dense(2))(Input((5,))),
            ["(Dense) was built for 3 features", "got 5"],
        ),
        (
            lambda: Dense(2, bias_initializer=lambda shape, dtype: np.zeros(1, dtype))(Input((3,))),
            ["layer 'dense'", "initializer of 'bias'", "shape (1,), expected (2,)"],
        ),
        (
            lambda: Dense(2, kernel_initializer=initializers.Constant([1, 2, 3]))(Input((3,))),
            ["Constant: value has shape (3,)", "the weight has (3, 2)"],
        ),
        (
            lambda: Sequential([Dense(2, input_shape=(2,)), Dense(2, dtype="float64")]),
            ["float32", "float64", "use one float type for all layers"],
        ),
    ],
)
def test_layers(make, parts):
    refused(ValueError, parts, make)


_TWICE = Dense(4)


def _built(layer):
    layer(Input((3,)))
    return layer


@pytest.mark.parametrize("thing", [3, "dense", None, Dense, np.ones(3)])
def test_what_is_no_layer_in_a_sequential(thing):
    parts = ["Sequential.add expects a layer such as Dense(10)", f"got {type(thing).__name__}"]
    model = Sequential()
    refused(TypeError, parts, lambda: model.add(thing))
    refused(TypeError, parts, lambda: Sequential([Dense(3), thing]))
    assert model.layers == []


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: Dense(3)([X, X]), ["(Dense) takes one tensor, got 2"]),
        (lambda: Dense(3)(), ["(Dense) takes one tensor, got 0"]),
        (lambda: Dense(3)([Input((3,)), Input((3,))]), ["(Dense) takes one tensor, got 2"]),
    ],
)
def test_a_layer_called_on_too_many_or_too_few(call, parts):
    refused(TypeError, parts, call)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: Dense(3)([1.0, 2.0]), ["(Dense) needs rows of at least one feature", "(None,)"]),
        (lambda: Dense(3)(7), ["layer 'dense'", "single number"]),
        (lambda: Dense(3)("seven"), ["layer 'dense'"]),
        (lambda: regressor()(X[:, :2]), ["x", "2"]),
    ],
)
def test_a_layer_called_on_what_does_not_fit(call, parts):
    refused(ValueError, parts, call)


def test_a_failed_build_can_be_tried_again():
    sizes = iter([1, 2])
    layer = Dense(2, bias_initializer=lambda shape, dtype: np.zeros(next(sizes), dtype))
    refused(ValueError, "initializer of 'bias'", lambda: layer(Input((3,))))
    layer(Input((3,)))
    assert [w.shape for w in layer.get_weights()] == [(3, 2), (2,)]


def test_graphs_of_model():
    x, other = Input((3,), name="x"), Input((3,), name="other")
    y = Dense(2)(x)
    depends = ["an output depends on other(rows, 3)", "not among the inputs"]
    refused(ValueError, depends, lambda: Model(x, Dense(2)(other)))
    refused(ValueError, "an output depends on x", lambda: Model(y, x))
    refused(ValueError, ["inputs must be symbolic tensors", "Input"], lambda: Model(X, y))
    refused(ValueError, ["outputs must be symbolic tensors", "got 3"], lambda: Model(x, [y, 3]))
    refused(ValueError, "give both inputs and outputs", lambda: Model(x))
    refused(ValueError, "give both inputs and outputs", lambda: Model(outputs=y))


def test_get_layer():
    model = Sequential([Dense(3, name="a", input_shape=(2,)), Dense(3, name="b")])
    refused(ValueError, ["no layer 'c'", "a, b"], lambda: model.get_layer("c"))
    refused(ValueError, ["no layer 2", "a, b"], lambda: model.get_layer(index=2))
    refused(ValueError, ["no layer None", "a, b"], lambda: model.get_layer())


KERNEL, BIAS = np.ones((4, 3)), np.ones(3)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ([], ["0 weight arrays were given", "expected 2"]),
        ([KERNEL], ["1 weight arrays were given", "expected 2"]),
        ([KERNEL, BIAS, BIAS], ["3 weight arrays were given", "expected 2"]),
        ([KERNEL.T, BIAS], ["out/kernel has shape (3, 4)", "expected (4, 3)"]),
        ([KERNEL, np.ones(4)], ["out/bias has shape (4,)", "expected (3,)"]),
        ([KERNEL, with_value(BIAS, 1, np.nan)], ["out/bias has values that are NaN"]),
        ([KERNEL, with_value(BIAS, 1, np.inf)], ["out/bias has values that are NaN, infinite"]),
        ([KERNEL, with_value(BIAS, 1, 1e300)], ["out/bias has values", "too large"]),
        ([KERNEL, ["a"] * 3], ["out/bias has dtype <U1", "expected numbers"]),
        ([KERNEL, BIAS + 1j], ["out/bias has dtype complex128", "expected numbers"]),
        ([KERNEL, [[1], [2, 3]]], ["out/bias is no array", "rows differ in length"]),
    ],
)
def test_set_weights(weights, parts):
    model = classifier()
    refused(ValueError, parts, lambda: model.set_weights(weights), model)
    refused(ValueError, parts, lambda: model.layers[0].set_weights(weights), model)


@pytest.mark.parametrize("weights", [5, None, "ab", {"kernel": KERNEL}])
def test_set_weights_of_what_is_no_list(weights):
    model = classifier()
    parts = ["set_weights expects a list of arrays", f"got {type(weights).__name__}"]
    refused(TypeError, parts, lambda: model.set_weights(weights), model)


# --- executors and plans -------------------------------------------------------------------------


class Cube(Op):
    """An op that only the reference executor can run: it has no kernel."""

    name = "cube"

    def define(self, x):
        return x**3


class Cubed(Layer):
    def call(self, inputs):
        return emit(Cube(), inputs)


@native_only
def test_a_missing_kernel_is_an_error_that_names_op_and_executor():
    model = Sequential([Cubed(input_shape=(4,))])
    model.compile("sgd", "mse", backend="native")
    parts = ["native executor", "no kernel for: cube", "compile(backend=...)"]
    refused(NotImplementedError, parts, lambda: model.predict(X))
    model.compile("sgd", "mse", backend="reference")
    np.testing.assert_allclose(model.predict(X), X**3, rtol=1e-6)


@pytest.mark.parametrize("backend", [pytest.param("native", marks=native_only), "reference"])
def test_all_missing_kernels_are_listed_and_none_is_replaced(backend, monkeypatch):
    monkeypatch.setattr(
        backends.get(backend),
        "has",
        classmethod(lambda cls, op: op.name not in ("sgd", "softmax_crossentropy")),
    )
    model = classifier(backend=backend)
    parts = [f"the {backend} executor has no kernel for: sgd, softmax_crossentropy"]
    refused(NotImplementedError, parts, lambda: model.fit(X, LABELS), model)


def test_blocks_that_are_too_small_are_refused():
    model = regressor()
    plan = model._executor("train", 4, (Kind(),))[0].plan
    cls = backends.get()
    small = np.zeros(plan.sizes["model"] - 1, np.uint8)
    parts = ["the model block has", f"the plan needs {plan.sizes['model']}"]
    refused(ValueError, parts, lambda: cls(plan, small))


def reals(name, offset, shape=(None, 4), block="scratch", rows=6, dtype="float32", value=None):
    """A buffer of 6 rows; its value is its place unless told otherwise."""
    nbytes = int(np.prod([rows if n is None else n for n in shape])) * np.dtype(dtype).itemsize
    return Buffer(name, shape, dtype, block, offset, nbytes, offset if value is None else value)


def step(op, outputs, inputs, **attrs):
    add = (False,) * len(outputs)
    return Step(registry()[op], tuple(outputs), tuple(inputs), add, attrs, (), (), 0)


def plan_of(*steps, feeds, outputs=(), accumulators=(), workspace=None, scratch=1024):
    sizes = {"model": 64, "parameters": 64, "training": 0, "scratch": scratch}
    return Plan(
        mode="predict", capacity=6, dtype="float32", groups=(Group(tuple(steps)),),
        feeds=tuple(feeds), outputs=tuple(outputs), accumulators=tuple(accumulators),
        sizes=sizes, control_offset=0, workspace=workspace,
    )  # fmt: skip


FEED, A, B = reals("x", 0), reals("a", 128), reals("b", 256)  # each has 96 bytes
WEIGHT = reals("w", 0, (4, 4), "model")
PRODUCT = step("linear", [A], [FEED, WEIGHT, None], activation="linear")


def test_a_plan_made_by_hand_that_is_safe():
    second = step("activation", [B], [A], activation="relu")
    plan = plan_of(PRODUCT, second, feeds=[FEED], outputs=[B])
    assert plan.validate() is plan


@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        (
            lambda: plan_of(
                step("linear", [reals("a", 64)], [FEED, WEIGHT, None], activation="linear"),
                feeds=[FEED],
            ),
            ["step 0 (linear)", "output a[rows,4] overlaps input x[rows,4]"],
        ),
        (
            lambda: plan_of(
                step("linear", [FEED], [FEED, WEIGHT, None], activation="linear"), feeds=[FEED]
            ),
            ["step 0 (linear)", "output x[rows,4] overlaps input x[rows,4]"],  # no product in place
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[FEED], scratch=200),
            ["a[rows,4] covers bytes 128 to 224 of block 'scratch', which has 200"],
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[reals("x", -4)], outputs=[A]),
            ["x[rows,4] covers bytes -4 to 92"],
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[FEED._replace(nbytes=80)]),
            ["x[rows,4] has 80 bytes but needs 96 for 6 rows"],
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[reals("x", 2)]),
            ["x[rows,4] is not aligned to its type float32"],
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[reals("x", 0, block="heap")]),
            ["x[rows,4] is in an unknown block 'heap'"],
        ),
        (
            lambda: plan_of(step("activation", [B], [A], activation="relu"), feeds=[FEED]),
            ["step 0 (activation relu) reads a[rows,4]", "not written or was overwritten"],
        ),
        (
            # The second step takes the memory of the feed, which the third still wants.
            lambda: plan_of(
                PRODUCT,
                step("activation", [reals("c", 0, value=9)], [A], activation="relu"),
                step("linear", [B], [FEED, WEIGHT, None], activation="linear"),
                feeds=[FEED],
            ),
            ["step 2 (linear) reads x[rows,4]", "not written or was overwritten"],
        ),
        (
            lambda: plan_of(
                PRODUCT,
                step("activation", [reals("c", 128, value=9)], [A], activation="relu"),
                feeds=[FEED],
                outputs=[A],
            ),
            ["a[rows,4] is overwritten before the end"],
        ),
        (
            lambda: plan_of(PRODUCT, feeds=[FEED, reals("y", 32)]),
            ["y[rows,4] overlaps another feed or accumulator"],
        ),
        (
            lambda: plan_of(
                PRODUCT, feeds=[FEED], workspace=reals("workspace", 192, (16,), "scratch")
            ),
            ["step 0 (linear)", "output a[rows,4] overlaps the workspace"],
        ),
    ],
)
def test_a_plan_that_does_not_validate(plan, parts):
    refused(PlanError, ["this plan is not safe to run", *parts], lambda: plan().validate())


def test_a_plan_error_is_a_value_error():
    assert issubclass(PlanError, ValueError)
