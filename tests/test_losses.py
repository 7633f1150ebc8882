"""Losses: alone on arrays against Keras' figures, in models against those, and your own ones."""

import numpy as np
import pytest
from op_runner import executors

from fastnn import Input, Model, Sequential, layers, losses, ops, utils

EXECUTORS = ["native", "reference"] if len(executors()) > 1 else ["reference"]

rng = np.random.default_rng(5)
P = rng.uniform(0.05, 0.95, (6, 3))  # probabilities, not of sum 1
LABELS = np.array([0, 2, 1, 1, 0, 2])
HOT = np.eye(3)[LABELS]
BITS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]], float)
R, S = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
POSITIVE = rng.uniform(0.1, 3, (6, 3))
WEIGHT = np.array([1, 2, 0.5, 0, 3, 1.0])

# What Keras 3.15.1 (on torch, in float32) returns for these arrays: keras.losses.<name>(...).
FIGURES = {
    "mean_squared_error": [0.6151842, 1.9971943, 2.1333032, 1.4761839, 0.7304473, 1.4843022],
    "mean_absolute_error": [0.7557809, 1.4007097, 1.1688292, 1.0431471, 0.7774543, 1.1219532],
    "mean_absolute_percentage_error": (
        127.5463581, 825.707531, 229.2855501, 421.8920708, 1352.4622917, 212.0054483,
    ),
    "mean_squared_logarithmic_error": (
        0.1446596, 0.1370489, 0.2127737, 0.2127737, 0.1370489, 0.1446596,
    ),
    "huber": [0.4124312, 1.302675, 1.6296681, 0.9321955, 0.809114, 0.8483093],
    "log_cosh": [0.2757393, 0.7700932, 0.6701086, 0.5473896, 0.3161683, 0.5643507],
    "binary_crossentropy": [0.8075702, 0.4665234, 1.8795196, 1.2447755, 1.7943649, 0.952167],
    "categorical_crossentropy": [0.9808786, 0.7066331, 1.8925989, 1.0645844, 1.6179489, 1.2403428],
    "sparse_categorical_crossentropy": (
        0.9808786, 0.7066331, 1.8925989, 1.0645844, 1.6179489, 1.2403428,
    ),
    "kl_divergence": [-0.2481677, 2.9024958, 2.2881225, -0.6157821, -0.6385775, 0.4959805],
    "poisson": [0.9096794, 0.9377545, 1.2692541, 1.1026115, 0.9456885, 1.019917],
    "hinge": [0.9555144, 0.8179029, 1.9424682, 0.6631417, 1.313211, 0.5793473],
    "squared_hinge": [1.6582044, 1.5968361, 4.6446381, 0.6606157, 1.9748751, 1.0069299],
    "categorical_hinge": [2.3161147, 1.4537084, 0.7278711, 0.9894252, 2.1954231, 2.8370147],
    "cosine_similarity": [-0.6332446, 0.7757591, -0.2810228, -0.1432325, -0.1965321, -0.0104607],
    "binary_focal_crossentropy": [0.3590347, 0.1251915, 1.4074734, 0.9220461, 1.3121758, 0.4460785],
    "categorical_focal_crossentropy": (
        0.0957946, 0.0453557, 0.3413042, 0.1142282, 0.2599699, 0.1566292,
    ),
    "binary_crossentropy logits": [0.748733, 0.7296061, 1.2657331, 0.5698654, 0.8605745, 0.6127341],
    "categorical_crossentropy logits": (
        1.6340482, 1.0976885, 0.54779, 0.8878494, 1.5862595, 1.9869946,
    ),
    "sparse_categorical_crossentropy ignore": (
        1.7041972, 1.0062066, 0.0, 0.0, 1.6644632, 2.1039639,
    ),
    "binary_focal_crossentropy balanced": (
        0.1140005, 0.218555, 0.2729541, 0.0859398, 0.2390809, 0.1534563,
    ),
    "categorical_focal_crossentropy logits": (
        0.3694912, 0.1697446, 0.0466769, 0.1091125, 0.3536787, 0.5032732,
    ),
}
GIVEN = {
    "mean_squared_error": (R, S),
    "mean_absolute_error": (R, S),
    "mean_absolute_percentage_error": (R, S),
    "mean_squared_logarithmic_error": (POSITIVE, POSITIVE[::-1]),
    "huber": (2 * R, S),
    "log_cosh": (R, S),
    "binary_crossentropy": (BITS, P),
    "categorical_crossentropy": (HOT, P),
    "sparse_categorical_crossentropy": (LABELS, P),
    "kl_divergence": (P[::-1], P),
    "poisson": (POSITIVE, POSITIVE[::-1]),
    "hinge": (BITS, S),
    "squared_hinge": (2 * BITS - 1, S),
    "categorical_hinge": (HOT, S),
    "cosine_similarity": (R, S),
    "binary_focal_crossentropy": (BITS, P),
    "categorical_focal_crossentropy": (HOT, P),
    "binary_crossentropy logits": (BITS, S, {"from_logits": True, "label_smoothing": 0.2}),
    "categorical_crossentropy logits": (HOT, S, {"from_logits": True, "label_smoothing": 0.2}),
    "sparse_categorical_crossentropy ignore": (
        LABELS, S, {"from_logits": True, "ignore_class": 1},
    ),
    "binary_focal_crossentropy balanced": (
        BITS, S,
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "from_logits": True,
         "label_smoothing": 0.1},
    ),
    "categorical_focal_crossentropy logits": (
        HOT, S, {"alpha": 0.3, "gamma": 1.5, "from_logits": True, "label_smoothing": 0.1},
    ),
}  # fmt: skip


def given(case):
    y_true, y_pred, *settings = GIVEN[case]
    return y_true, y_pred, settings[0] if settings else {}


def made(case):
    """The class of a case, with its settings."""
    return losses._CLASSES[case.split()[0]](**given(case)[2])


@pytest.mark.parametrize("case", GIVEN)
def test_functions_return_what_keras_returns(case):
    y_true, y_pred, settings = given(case)
    function = getattr(losses, case.split()[0])
    np.testing.assert_allclose(
        function(y_true, y_pred, **settings), FIGURES[case], rtol=2e-6, atol=2e-7
    )
    assert function(y_true, y_pred.astype("float32"), **settings).dtype == np.float32


def test_every_built_in_loss_has_figures_and_a_function():
    names = {utils.snake_case(cls.__name__) for cls in losses._BUILT_IN} - {"crossentropy"}
    assert {case.split()[0] for case in GIVEN} | {"root_mean_squared_error"} == names
    for name in names:
        assert getattr(losses, name).__name__ == name
        assert type(losses.get(name)) is type(losses.get(getattr(losses, name)))
        assert "per row" in getattr(losses, name).__doc__


def test_root_mean_squared_error_is_per_row():
    np.testing.assert_allclose(
        losses.root_mean_squared_error(R, S), np.sqrt(np.square(R - S).mean(-1))
    )


# From Keras 3.15.1: MeanSquaredError without and with weights, SparseCategoricalCrossentropy of
# probabilities with ignore_class=1, Huber(0.5), these two with weights.
REDUCED = {
    "sum_over_batch_size": [1.4061025, 1.5586448, 2.1220834, 0.4809477],
    "sum": [8.436615, 9.3518684, 8.4883343, 2.8856863],
    "mean": [1.4061025, 1.5586448, 2.1220834, 0.4809477],
    "mean_with_sample_weight": [1.4061025, 1.2469158, 1.2126192, 0.3847582],
}


def weighed(reduction):
    sparse = losses.SparseCategoricalCrossentropy(ignore_class=1, reduction=reduction)
    yield losses.MeanSquaredError(reduction=reduction), R, S, None
    yield losses.MeanSquaredError(reduction=reduction), R, S, WEIGHT
    yield sparse, LABELS, P, WEIGHT
    yield losses.Huber(0.5, reduction=reduction), R, S, WEIGHT


@pytest.mark.parametrize("reduction", REDUCED)
def test_reductions_of_arrays(reduction):
    values = [loss(t, p, w) for loss, t, p, w in weighed(reduction)]
    np.testing.assert_allclose(values, REDUCED[reduction], rtol=2e-6)


def through(loss, features=3, executor="native", optimizer="sgd", **settings):
    """A model whose output is its input, to begin with."""
    model = Sequential([layers.Dense(features, use_bias=False, input_shape=(features,))])
    model.set_weights([np.eye(features)])
    model.compile(optimizer, loss, backend=executor, **settings)
    return model


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", GIVEN)
def test_in_a_model(case, executor):
    """The model reports the loss of the arrays, and its gradient is the one of differences."""
    y_true, y_pred, _ = given(case)
    loss = made(case)
    model = through(loss, executor=executor)
    expected = loss(y_true, y_pred.astype("float32"), WEIGHT)
    found = model.evaluate(y_pred, y_true, sample_weight=WEIGHT, batch_size=4, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    model.optimizer.learning_rate = 0.01
    assert model.train_on_batch(y_pred, y_true, WEIGHT) == pytest.approx(expected, rel=1e-5)
    step = (np.eye(3) - model.get_weights()[0]) / 0.01
    slope = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            w = np.eye(3)
            w[i, j] += 1e-6
            above = loss(y_true, y_pred @ w, WEIGHT)
            w[i, j] -= 2e-6
            slope[i, j] = (above - loss(y_true, y_pred @ w, WEIGHT)) / 2e-6
    np.testing.assert_allclose(step, slope, rtol=2e-3, atol=2e-3 * np.abs(slope).max())


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("reduction", REDUCED)
def test_reductions_in_a_model(reduction, executor):
    for loss, y_true, y_pred, weight in weighed(reduction):
        model = through(loss, executor=executor)
        expected = loss(y_true, y_pred, weight)
        found = model.evaluate(y_pred, y_true, sample_weight=weight, verbose=0)
        assert found == pytest.approx(expected, rel=1e-5)
        # Two batches: the mean of both, each weighing as many as it has rows.
        parts = [
            loss(y_true[i], y_pred[i], None if weight is None else weight[i])
            for i in (slice(0, 4), slice(4, 6))
        ]
        model.optimizer.learning_rate = 0.0
        history = model.fit(y_pred, y_true, batch_size=4, sample_weight=weight, shuffle=False,
                            verbose=0).history  # fmt: skip
        if not (reduction.startswith(("sum_over", "mean")) and loss.ignore_class is not None):
            expected = (4 * parts[0] + 2 * parts[1]) / 6
            assert history["loss"] == [pytest.approx(expected, rel=1e-5)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_gradient_of_a_sum(executor):
    mean, total = through("mse", executor=executor), through(
        losses.MeanSquaredError(reduction="sum"), executor=executor
    )
    mean.optimizer.learning_rate, total.optimizer.learning_rate = 0.06, 0.01
    for model in (mean, total):
        model.train_on_batch(S, R)
    np.testing.assert_allclose(mean.get_weights()[0], total.get_weights()[0], rtol=1e-5)


# --- your own losses -----------------------------------------------------------------------------


def own_mse(y_true, y_pred):
    difference = ops.subtract(y_pred, y_true)
    return ops.multiply(difference, difference)


class OwnMse(losses.Loss):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true, y_pred):
        return ops.multiply(ops.reduce("mean", own_mse(y_true, y_pred), -1), self.factor)


def number_for_all(y_true, y_pred):
    return ops.reduce("mean", own_mse(y_true, y_pred))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("own", [own_mse, OwnMse(), OwnMse, number_for_all])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_an_own_loss_trains_as_the_built_in_one(own, weight, executor):
    if own is number_for_all and weight is not None:
        pytest.skip("one number for all rows has no weights of rows")
    models = [through(loss, executor=executor, optimizer="adam") for loss in ("mse", own)]
    histories = [
        model.fit(S, R, epochs=5, batch_size=6, sample_weight=weight, shuffle=False, verbose=0)
        for model in models
    ]
    np.testing.assert_allclose(*[h.history["loss"] for h in histories], rtol=1e-5)
    np.testing.assert_allclose(*[m.get_weights()[0] for m in models], rtol=1e-4)


def test_an_own_loss_on_arrays():
    expected = np.square(S - R)
    assert OwnMse(2.0)(R, S) == pytest.approx(2 * expected.mean())
    assert losses.get(own_mse)(R, S, WEIGHT) == pytest.approx(
        (expected * WEIGHT[:, None]).mean()
    )
    assert losses.get(own_mse).name == "own_mse"


@pytest.mark.parametrize("executor", EXECUTORS)
def test_targets_of_another_shape_than_the_output(executor):
    """A quantile loss of two outputs against one target."""

    def pinball(y_true, y_pred):
        low = ops.subtract(y_true, ops.slice_(y_pred, [None, (0, 1)]))
        high = ops.subtract(y_true, ops.slice_(y_pred, [None, (1, 2)]))
        return ops.add(
            ops.binary("maximum", ops.multiply(low, 0.1), ops.multiply(low, -0.9)),
            ops.binary("maximum", ops.multiply(high, 0.9), ops.multiply(high, -0.1)),
        )

    model = Sequential([layers.Dense(2, input_shape=(1,))])
    model.compile("adam", pinball, backend=executor)
    model.optimizer.learning_rate = 0.05
    noise = np.random.default_rng(1).uniform(0, 1, 400)
    model.fit(np.ones((400, 1)), noise[:, None], epochs=100, batch_size=100, verbose=0)
    np.testing.assert_allclose(model.predict(np.ones((1, 1)))[0], [0.1, 0.9], atol=0.05)


def test_an_own_loss_that_is_wrong():
    cases = [
        (lambda t, p: None, "must return a tensor made of y_pred"),
        (lambda t, p: ops.reduce("sum", p, 0), "must return values per row"),
    ]
    for loss, message in cases:
        with pytest.raises(ValueError, match=message):
            through(loss).fit(S, R, verbose=0)

    class NoCall(losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match="NoCall defines no call"):
        through(NoCall()).fit(S, R, verbose=0)
    with pytest.raises(TypeError, match="mean_squared_error works on arrays"):
        through(lambda t, p: losses.mean_squared_error(t, p)).fit(S, R, verbose=0)


def test_a_target_that_is_trained_is_refused():
    """A built-in loss has no gradient of its target: an own one has."""

    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.emit("elementwise_loss", y_true, y_pred, None, function="squared_error")

    with pytest.raises(ValueError, match="the target .* depends on trained parameters"):
        with ops.Graph() as graph:
            x = ops.Tensor((None, 3), "real", "x", "feed")
            w = ops.Variable(np.eye(3), "w")
            y = ops.matmul(x, w)
            total = ops.emit("elementwise_loss", x, y, None, function="squared_error")
            scale = ops.emit("loss_scale", None, factor=1.0)
        from fastnn.engine.backward import differentiate

        differentiate(graph, [(total, scale)], [w])


# --- looking up, writing down --------------------------------------------------------------------


def test_get():
    for name in ("mse", "MSE", "mean_squared_error", "MeanSquaredError", losses.MeanSquaredError):
        assert type(losses.get(name)) is losses.MeanSquaredError
    for short, cls in {"mape": "MeanAbsolutePercentageError", "KLD": "KLDivergence",
                       "msle": "MeanSquaredLogarithmicError", "BCE": "BinaryCrossentropy",
                       "rmse": "RootMeanSquaredError"}.items():  # fmt: skip
        assert type(losses.get(short)).__name__ == cls
    assert losses.get("huber").name == "huber_loss"  # as in Keras
    assert losses.get("kl_divergence").name == "kl_divergence"


@pytest.mark.parametrize("case", GIVEN)
def test_descriptions(case):
    loss = made(case)
    again = losses.deserialize(losses.serialize(loss))
    y_true, y_pred, _ = given(case)
    assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert again(y_true, y_pred) == loss(y_true, y_pred)


def test_descriptions_of_own_losses():
    found = losses.deserialize(losses.serialize(OwnMse(3.0)), {"OwnMse": OwnMse})
    assert found.factor == 3.0
    wrapped = losses.get(own_mse)
    again = losses.deserialize(losses.serialize(wrapped), {"own_mse": own_mse})
    assert again(R, S) == wrapped(R, S)
    with pytest.raises(ValueError, match="unknown function 'own_mse'"):
        losses.deserialize(losses.serialize(wrapped))


@pytest.mark.parametrize(
    ("units", "y", "expected"),
    [
        (1, BITS[:, :1], losses.BinaryCrossentropy),
        (3, LABELS, losses.SparseCategoricalCrossentropy),
        (3, LABELS[:, None], losses.SparseCategoricalCrossentropy),
        (3, HOT, losses.CategoricalCrossentropy),
    ],
)
def test_crossentropy_is_chosen_by_output_and_data(units, y, expected):
    for name in ("crossentropy", "ce"):
        activation = "sigmoid" if units == 1 else "softmax"
        model = Sequential([layers.Dense(units, activation=activation, input_shape=(3,))])
        model.compile("sgd", name, metrics=["accuracy"])
        other = Sequential([layers.Dense(units, activation=activation, input_shape=(3,))])
        other.compile("sgd", expected(), metrics=["accuracy"])
        other.set_weights(model.get_weights())
        assert model.evaluate(S, y, verbose=0) == other.evaluate(S, y, verbose=0)


# --- labels, several outputs ---------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_labels_of_a_hinge(loss):
    """0 is -1, whatever is in the batch: a batch of ones and one of zeros are read alike."""
    model = through(loss)
    as_bits = model.evaluate(S, BITS, batch_size=1, verbose=0)
    assert as_bits == pytest.approx(model.evaluate(S, 2 * BITS - 1, verbose=0), rel=1e-6)
    for y in (BITS - 0.5, np.where(S > 1, -1, BITS)):
        with pytest.raises(ValueError, match="two kinds of labels: -1 and 1, or 0 and 1"):
            model.fit(S, y, verbose=0)


def test_ignored_labels_may_be_anything():
    for ignored in (-1, 255):
        loss = losses.SparseCategoricalCrossentropy(ignore_class=ignored)
        y = np.where(LABELS == 1, ignored, LABELS)
        model = through(loss, metrics=["accuracy"])
        kept = LABELS != 1
        expected = losses.sparse_categorical_crossentropy(LABELS, P)[kept].mean()
        found = model.evaluate(P, y, verbose=0)
        assert found[0] == pytest.approx(expected, rel=1e-5)
        right = (P.argmax(-1) == LABELS) & kept
        assert found[1] == pytest.approx(right.mean())  # as in Keras: an ignored row is wrong
        model.fit(P, y, epochs=2, batch_size=4, verbose=0)
        assert np.isfinite(model.get_weights()[0]).all()
    with pytest.raises(ValueError, match="labels from -1 to 2"):
        through("sparse_categorical_crossentropy").fit(P, LABELS - (LABELS == 0), verbose=0)


def two_outputs(**settings):
    x = Input((3,))
    a = layers.Dense(3, name="a")(x)
    b = layers.Dense(3, name="b")(x)
    model = Model(x, [a, b])
    model.compile("sgd", **settings)
    return model


def test_an_output_without_a_loss():
    model = two_outputs(loss={"a": "mse"})
    assert model.metrics_names == ["loss"]
    before = model.get_weights()
    model.fit(S, {"a": R}, epochs=2, verbose=0)
    model.fit(S, [R, None], epochs=2, verbose=0)
    after = model.get_weights()
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[2], after[2])
    watched = two_outputs(loss=["mse", None], metrics={"b": ["mae"]})
    assert watched.metrics_names == ["loss", "b_mae"]
    found = watched.evaluate(S, {"a": R, "b": P}, return_dict=True, verbose=0)
    assert found["b_mae"] == pytest.approx(np.abs(watched.predict(S)[1] - P).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="y is missing for output 'b'"):
        watched.fit(S, {"a": R}, verbose=0)


def test_loss_weights():
    model = two_outputs(loss="mse", loss_weights={"a": 2.0, "b": 0.5})
    found = model.evaluate(S, [R, P], return_dict=True, verbose=0)
    assert found["loss"] == pytest.approx(2 * found["a_loss"] + 0.5 * found["b_loss"], rel=1e-6)
    single = through("mse", loss_weights=3.0)
    plain = through("mse")
    assert single.evaluate(S, R, verbose=0) == pytest.approx(3 * plain.evaluate(S, R, verbose=0))


# --- extremes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("size", [1e4, 1e30, 1e-40, 0.0])
def test_crossentropy_of_extreme_logits(size, executor):
    """Finite, and within 1e-6 of float64; 3e38 is below."""
    z = size * np.array([[1, -1, 0.5], [0.25, 1, -1], [-1, -1, -1], [0, 0, 1]])
    labels = np.array([0, 0, 1, 1])
    shifted = z - z.max(-1, keepdims=True)
    exact = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(4), labels]
    for loss, y in (
        (losses.SparseCategoricalCrossentropy(from_logits=True), labels),
        (losses.CategoricalCrossentropy(from_logits=True), np.eye(3)[labels]),
    ):
        model = through(loss, executor=executor)
        assert model.evaluate(z, y, verbose=0) == pytest.approx(exact.mean(), rel=1e-6, abs=1e-6)
        model.fit(z, y, verbose=0)
        assert np.isfinite(model.get_weights()[0]).all()
    bits = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1.0]])
    exact = np.maximum(z, 0) - z * bits + np.log1p(np.exp(-np.abs(z)))
    model = through(losses.BinaryCrossentropy(from_logits=True), executor=executor)
    assert model.evaluate(z, bits, verbose=0) == pytest.approx(exact.mean(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_logits_at_the_end_of_float32(executor):
    """The difference of two such logits is infinite in float32, and so is the loss, not NaN."""
    z = np.array([[3e38, -3e38, 0], [3e38, 3e38, 3e38]])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model = through(loss, executor=executor)
    assert model.evaluate(z, np.array([1, 0]), verbose=0) == np.inf
    assert model.evaluate(z, np.array([0, 0]), verbose=0) == pytest.approx(np.log(3) / 2, rel=1e-6)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_probabilities_of_0_and_1(executor):
    p = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    bits = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    for loss in ("bce", "categorical_crossentropy", "binary_focal_crossentropy", "kld",
                 "categorical_focal_crossentropy", "poisson", "cosine_similarity"):  # fmt: skip
        model = through(loss, executor=executor)
        expected = losses.get(loss)(bits, p.astype("float32"))  # 1 - 1e-7 is another number there
        assert np.isfinite(expected)
        assert model.evaluate(p, bits, verbose=0) == pytest.approx(expected, rel=1e-3)
        model.fit(p, bits, verbose=0)
        assert np.isfinite(model.get_weights()[0]).all()
