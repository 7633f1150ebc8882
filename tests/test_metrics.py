"""Metrics: alone on arrays against Keras' figures, in models against those, and your own ones."""

import numpy as np
import pytest
from op_runner import executors

from fastnn import Input, Model, Sequential, layers, losses, metrics, ops
from fastnn.metrics import AUC, F1Score, FBetaScore, Precision, R2Score, Recall

EXECUTORS = ["native", "reference"] if len(executors()) > 1 else ["reference"]

rng = np.random.default_rng(5)
P = rng.uniform(0.05, 0.95, (6, 3))
LABELS = np.array([0, 2, 1, 1, 0, 2])
HOT = np.eye(3)[LABELS]
BITS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]], float)
R, S = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
POSITIVE = rng.uniform(0.1, 3, (6, 3))
NEAR = R + 0.3 * S
WEIGHT = np.array([1, 2, 0.5, 0, 3, 1.0])

AREAS = [
    (lambda c=c, s=s: AUC(curve=c, summation_method=s, num_thresholds=50), BITS, P)
    for c in ("ROC", "PR")
    for s in ("interpolation", "minoring", "majoring")
]
SCORES = [
    case
    for a in (None, "micro", "macro", "weighted")
    for case in (
        (lambda a=a: F1Score(a), HOT, P),
        (lambda a=a: FBetaScore(a, beta=2.0, threshold=0.4), BITS, P),
    )
]
# (metric, y_true, y_pred), in the order of the figures below.
CASES = [
    (metrics.TruePositives, BITS, P),
    (lambda: metrics.TrueNegatives([0.3, 0.7]), BITS, P),
    (lambda: metrics.FalsePositives(0.4), BITS, P),
    (metrics.FalseNegatives, BITS, P),
    (Precision, BITS, P),
    (lambda: Precision([0.7, 0.3]), BITS, P),
    (lambda: Precision(top_k=2), BITS, P),
    (lambda: Precision(class_id=1), BITS, P),
    (lambda: Recall(top_k=1, class_id=2), BITS, P),
    (lambda: Recall(0.6), BITS, P),
    *AREAS,
    (lambda: AUC(thresholds=[0.2, 0.5, 0.8]), BITS, P),
    (lambda: AUC(from_logits=True), BITS, S),
    (AUC, BITS[:, :1], P[:, :1]),
    *SCORES,
    (R2Score, R, NEAR),
    (lambda: R2Score("variance_weighted_average"), R, NEAR),
    (lambda: R2Score(None), R, NEAR),
    (lambda: R2Score(num_regressors=2), R, NEAR),
    (lambda: metrics.BinaryAccuracy(threshold=0.4), BITS, P),
    (metrics.CategoricalAccuracy, HOT, P),
    (metrics.SparseCategoricalAccuracy, LABELS, P),
    (lambda: metrics.TopKCategoricalAccuracy(k=2), HOT, P),
    (lambda: metrics.SparseTopKCategoricalAccuracy(k=2), LABELS, P),
    (metrics.MeanSquaredError, R, S),
    (metrics.RootMeanSquaredError, R, S),
    (metrics.MeanAbsoluteError, R, S),
    (metrics.MeanAbsolutePercentageError, R, S),
    (metrics.MeanSquaredLogarithmicError, POSITIVE, POSITIVE[::-1]),
    (metrics.LogCoshError, R, S),
    (metrics.BinaryCrossentropy, BITS, P),
    (metrics.CategoricalCrossentropy, HOT, P),
    (metrics.SparseCategoricalCrossentropy, LABELS, P),
    (metrics.KLDivergence, P[::-1], P),
    (metrics.Poisson, POSITIVE, POSITIVE[::-1]),
    (metrics.Hinge, BITS, S),
    (metrics.SquaredHinge, BITS, S),
    (metrics.CategoricalHinge, HOT, S),
    (metrics.CosineSimilarity, R, S),
]
# What Keras 3.15.1 (on torch) makes of these arrays in two parts of 4 and 2 rows: without weights,
# and with WEIGHT.
FIGURES = [
    (3.0, 2.0),
    ([2.0, 5.0], [2.0, 6.0]),
    (7.0, 10.0),
    (5.0, 6.5),
    (0.375, 0.2),
    ([0.16667, 0.42857], [0.11111, 0.38462]),
    (0.41667, 0.26667),
    (0.33333, 0.0),
    (0.33333, 0.57143),
    (0.25, 0.11765),
    (0.34375, 0.33193),
    (0.325, 0.31513),
    (0.3625, 0.34874),
    (0.34392, 0.28477),
    (0.30503, 0.23195),
    (0.37904, 0.33105),
    (0.33125, 0.30252),
    (0.5375, 0.4937),
    (0.33333, 0.66667),
    ([0.0, 0.0, 0.66667], [0.0, 0.0, 0.8]),
    ([0.88235, 0.41667, 0.33333], [0.95745, 0.0, 0.26316]),
    (0.16667, 0.26667),
    (0.56818, 0.55556),
    (0.22222, 0.26667),
    (0.54412, 0.40687),
    (0.22222, 0.32),
    (0.56005, 0.61524),
    (0.70707, 0.71764),
    (0.72582, 0.7777),
    ([0.6933, 0.85948, 0.56844], [0.85739, 0.67933, 0.61619]),
    (0.66802, 0.67999),
    (0.44444, 0.42222),
    (0.16667, 0.26667),
    (0.16667, 0.26667),
    (0.66667, 0.53333),
    (0.66667, 0.53333),
    (1.4061, 1.24692),
    (1.18579, 1.11665),
    (1.04465, 1.01279),
    (528.1499, 821.73279),
    (0.16483, 0.14413),
    (0.52397, 0.48851),
    (1.19082, 1.20209),
    (1.2505, 1.25795),
    (1.2505, 1.25795),
    (0.69735, 0.70415),
    (1.03082, 0.97024),
    (1.04526, 1.07754),
    (1.92368, 1.88077),
    (1.75326, 2.00143),
    (0.08146, -0.02369),
]
NUMBERS = range(len(CASES))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("i", NUMBERS)
def test_alone_on_arrays(i, weighted):
    make, y_true, y_pred = CASES[i]
    metric = make()
    for rows in (slice(0, 4), slice(4, 6)):
        weight = WEIGHT[rows] if weighted else None
        metric.update_state(y_true[rows], y_pred[rows], weight)
    expected = FIGURES[i][weighted]
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5, atol=1.1e-5)
    metric.reset_state()
    assert metric.result() == 0
    whole = metric(y_true, y_pred, WEIGHT if weighted else None)
    np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1.1e-5)


def through(executor="native", loss="mse", features=3, **settings):
    """A model whose output is its input."""
    model = Sequential([layers.Dense(features, use_bias=False, input_shape=(features,))])
    model.set_weights([np.eye(features)])
    model.compile("sgd", loss, backend=executor, **settings)
    return model


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("i", NUMBERS)
def test_in_a_model(i, executor):
    make, y_true, y_pred = CASES[i]
    loss = "sparse_categorical_crossentropy" if y_true.ndim == 1 else "mse"
    plain, weighted = make(), make()
    plain.name, weighted.name = "plain", "weighted"
    model = through(executor, loss, y_pred.shape[-1], metrics=[plain], weighted_metrics=[weighted])
    found = model.evaluate(y_pred, y_true, 4, sample_weight=WEIGHT, return_dict=True, verbose=0)
    for name, expected in zip(("plain", "weighted"), FIGURES[i], strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=2e-5)


def test_every_built_in_metric_has_figures():
    made = {type(make()) for make, _, _ in CASES}
    assert made | {metrics.Accuracy, metrics.ConfusionMatrix} == set(metrics._BUILT_IN)


def test_names():
    for name in ("accuracy", "acc", "mse", "MAE", "rmse", "precision", "recall", "auc", "f1_score",
                 "r2_score", "cosine_similarity", "top_k_categorical_accuracy"):  # fmt: skip
        assert metrics.get(name).name == name  # as in Keras: the key is what was written
    assert type(metrics.get("AUC")) is AUC
    assert type(metrics.get("F1Score")) is F1Score
    assert metrics.get(metrics.LogCoshError).name == "logcosh"
    assert metrics.get(losses.mean_squared_error).name == "mean_squared_error"
    assert type(metrics.get(losses.mean_squared_error)) is metrics.MeanSquaredError
    with pytest.raises(ValueError, match="unknown metric 'accurate'; choose one of: .*auc"):
        metrics.get("accurate")
    with pytest.raises(ValueError, match="MeanSquaredError is a loss; give the metric"):
        metrics.get(losses.MeanSquaredError())


def test_keys():
    """Keras 3.15.1 reports these keys for these arguments."""
    model = through(metrics=["mse", Precision(), Precision(0.7)], weighted_metrics=["mse", "mae"])
    assert model.metrics_names == [
        "loss", "mse", "precision", "precision_1", "weighted_mse", "mae",
    ]  # fmt: skip
    x = Input((3,))
    model = Model(x, [layers.Dense(3, name="a")(x), layers.Dense(1, name="b")(x)])
    model.compile("sgd", ["mse", "mae"], metrics={"a": ["mae"], "b": ["mse", "mae"]})
    assert model.metrics_names == ["loss", "a_loss", "b_loss", "a_mae", "b_mse", "b_mae"]


def test_descriptions():
    for make, y_true, y_pred in CASES:
        metric = make()
        again = metrics.deserialize(metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
        np.testing.assert_array_equal(again(y_true, y_pred), metric(y_true, y_pred))


# --- other forms of y_true -----------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_labels_are_read_as_one_hot_rows_where_a_metric_needs_those(executor):
    names = ["auc", "precision", "f1_score", "mse", "categorical_accuracy",
             "top_k_categorical_accuracy", "categorical_crossentropy"]  # fmt: skip
    sparse = through(executor, "sparse_categorical_crossentropy", metrics=names)
    dense = through(executor, "categorical_crossentropy", metrics=names)
    for a, b in zip(sparse.evaluate(P, LABELS, verbose=0), dense.evaluate(P, HOT, verbose=0)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_one_hot_rows_are_read_as_labels_where_a_metric_needs_those(executor):
    names = ["sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy",
             "confusion_matrix", "sparse_categorical_crossentropy"]  # fmt: skip
    sparse = through(executor, "sparse_categorical_crossentropy", metrics=names)
    dense = through(executor, "categorical_crossentropy", metrics=names)
    for a, b in zip(sparse.evaluate(P, LABELS, verbose=0), dense.evaluate(P, HOT, verbose=0)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_accuracy_beside_an_own_loss():
    def own(y_true, y_pred):
        return ops.multiply(y_pred, 0.0)

    for y, expected in ((LABELS, (P.argmax(-1) == LABELS).mean()),
                        (HOT, (P.argmax(-1) == LABELS).mean())):  # fmt: skip
        assert through(loss=own, metrics=["accuracy"]).evaluate(P, y, verbose=0)[1] == (
            pytest.approx(expected)
        )
    bits = through(loss=own, features=1, metrics=["acc"])
    expected = ((P[:, :1] > 0.5) == BITS[:, :1]).mean()
    assert bits.evaluate(P[:, :1], BITS[:, 0], verbose=0)[1] == pytest.approx(expected)
    with pytest.raises(ValueError, match="metric 'mse' cannot compare y_true of shape"):
        through(loss=own, metrics=["mse"]).evaluate(P, P[:, :2], verbose=0)


def test_accuracy_alone():
    assert metrics.Accuracy()(LABELS, P) == pytest.approx((P.argmax(-1) == LABELS).mean())
    assert metrics.Accuracy()(HOT, P) == pytest.approx((P.argmax(-1) == LABELS).mean())
    assert metrics.Accuracy()(BITS[:, 0], P[:, 0]) == pytest.approx(
        ((P[:, 0] > 0.5) == BITS[:, 0]).mean()
    )


# --- your own metrics ----------------------------------------------------------------------------


def furthest(y_true, y_pred):
    return ops.reduce("max", ops.unary("absolute", ops.subtract(y_true, y_pred)), -1)


class Furthest(metrics.Metric):
    direction = "min"

    def call(self, y_true, y_pred):
        return furthest(y_true, y_pred)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("own", [furthest, Furthest(), Furthest])
def test_an_own_metric(own, executor):
    model = through(executor, metrics=[own], weighted_metrics=[own])
    values = np.abs(R - S).max(-1)
    found = model.evaluate(S, R, sample_weight=WEIGHT, batch_size=4, return_dict=True, verbose=0)
    assert list(found) == ["loss", "furthest", "weighted_furthest"]
    assert found["furthest"] == pytest.approx(values.mean(), rel=1e-5)
    assert found["weighted_furthest"] == pytest.approx(
        (values * WEIGHT).sum() / WEIGHT.sum(), rel=1e-5
    )
    assert metrics.get(own)(R, S) == pytest.approx(values.mean())


def test_an_own_metric_reads_labels_as_numbers():
    def label(y_true, y_pred):
        return y_true

    model = through(loss="sparse_categorical_crossentropy", metrics=[label])
    assert model.evaluate(P, LABELS, verbose=0)[1] == pytest.approx(LABELS.mean())


def test_a_metric_written_with_update_state_is_refused():
    class Counter(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

    with pytest.raises(NotImplementedError, match="Counter defines no call.*update_state cannot"):
        through(metrics=[Counter()]).evaluate(P, BITS, verbose=0)


def test_mean_and_sum_of_numbers():
    mean = metrics.Mean()
    mean.update_state([1, 2, 3])
    assert mean([4, 5], [1, 3]) == pytest.approx(25 / 7)
    assert metrics.Sum()([1, 2, 3], [1, 2, 1]) == 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Precision(1.5), "Precision: thresholds must lie from 0 to 1, got 1.5"),
        (lambda: Recall("a"), "Recall: thresholds must be a finite number"),
        (lambda: Recall([]), "Recall: from 1 to 32 thresholds are possible, got 0"),
        (lambda: Precision(top_k=0), "Precision: top_k must be an integer of 1 or more, got 0"),
        (lambda: AUC(1), "AUC: num_thresholds must be 2 or more, got 1"),
        (lambda: AUC(curve="roc"), "AUC: curve must be one of: ROC, PR; got 'roc'"),
        (lambda: AUC(multi_label=True), "AUC: multi_label=True is not supported"),
        (lambda: AUC(thresholds=[2.0]), "AUC: thresholds must be at most 30 numbers from 0 to 1"),
        (lambda: F1Score("mean"), "F1Score: average must be None, 'micro'"),
        (lambda: FBetaScore(beta=0), "FBetaScore: beta must be above 0, got 0"),
        (lambda: F1Score(threshold=2), "threshold must be above 0 and at most 1, got 2"),
        (lambda: R2Score("mean"), "R2Score: class_aggregation must be one of"),
        (lambda: metrics.TopKCategoricalAccuracy(0), "k must be an integer of 1 or more, got 0"),
        (
            lambda: through(metrics=[Precision(class_id=3)]),
            "metric 'precision' looks at class_id=3, but the output has 3 columns",
        ),
        (
            lambda: Precision().update_state(BITS, P[:4]),
            "precision: y_true has 6 rows, but y_pred has 4",
        ),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()
