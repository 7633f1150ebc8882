"""Losses and metrics."""

from benchmarks.parity.cases.data import (
    BIT,
    BITS,
    COUNTS,
    LABELS,
    ONE_HOT,
    POSITIVE,
    ROWS,
    SEQUENCES,
    SHARES,
    SIGNS,
    STEP_LABELS,
    STEP_ONE_HOT,
    STEP_VALUES,
    STEP_WEIGHT,
    VALUE,
    VALUES,
    WEIGHT,
    X,
)  # fmt: skip
from benchmarks.parity.description import (
    Call,
    Training,
    Values,
    layers,
    losses,
    metrics,
    optimizers,
)

CASES = {}


def net(last=None, units=3, shape=(6,)):
    return [layers.Input(shape=shape), layers.Dense(5, "tanh"), layers.Dense(units, last)]


def special(name):
    """How to train a case that needs another rate or other batches."""
    if "ercentage" in name or "mape" in name:
        return {"optimizer": optimizers.SGD(1e-4)}  # it reports percents: gradients are large
    if "Cosine" in name:
        return {"optimizer": optimizers.SGD(0.01)}  # short vectors make it sensitive to rounding
    if "ignored" in name:
        # Over several batches Keras reports the mean of their means, fastnn that of the elements.
        return {"batch_size": ROWS, "epochs": 20}
    return {}


# --- losses: each alone, and with sample weights -------------------------------------------------

for name, (loss, last, y) in {
    "MeanSquaredError": (losses.MeanSquaredError(), None, VALUES),
    "mse": ("mse", None, VALUES),
    "MeanAbsoluteError": (losses.MeanAbsoluteError(), None, VALUES),
    "mae": ("mean_absolute_error", None, VALUES),
    "MeanAbsolutePercentageError": (losses.MeanAbsolutePercentageError(), None, POSITIVE),
    "mape": ("mape", None, VALUES),
    "MeanSquaredLogarithmicError": (losses.MeanSquaredLogarithmicError(), "softplus", POSITIVE),
    "msle": ("msle", None, COUNTS),
    "Huber": (losses.Huber(), None, VALUES),
    "Huber, delta": (losses.Huber(delta=0.3), None, VALUES),
    "LogCosh": (losses.LogCosh(), None, VALUES),
    "log_cosh": ("log_cosh", None, 40 * VALUES),
    "Poisson": (losses.Poisson(), "softplus", COUNTS),
    "Hinge": (losses.Hinge(), None, SIGNS),
    "Hinge, of bits": (losses.Hinge(), "tanh", BITS),
    "SquaredHinge": (losses.SquaredHinge(), None, SIGNS),
    "SquaredHinge, of bits": ("squared_hinge", "tanh", BITS),
    "CategoricalHinge": (losses.CategoricalHinge(), None, ONE_HOT),
    "CosineSimilarity": (losses.CosineSimilarity(), None, VALUES),
    "KLDivergence": (losses.KLDivergence(), "softmax", SHARES),
    "kl_divergence": ("kl_divergence", "sigmoid", ONE_HOT),
    "BinaryCrossentropy": (losses.BinaryCrossentropy(), "sigmoid", BITS),
    "bce": ("binary_crossentropy", "softmax", SHARES),
    "BinaryCrossentropy, of logits": (losses.BinaryCrossentropy(from_logits=True), None, BITS),
    "BinaryCrossentropy, smoothed": (
        losses.BinaryCrossentropy(label_smoothing=0.2), "sigmoid", BITS),
    "BinaryCrossentropy, of logits, smoothed": (
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), None, BITS),
    "CategoricalCrossentropy": (losses.CategoricalCrossentropy(), "softmax", ONE_HOT),
    "CategoricalCrossentropy, of shares": ("categorical_crossentropy", "softmax", SHARES),
    "CategoricalCrossentropy, of sigmoids": (losses.CategoricalCrossentropy(), "sigmoid", SHARES),
    "CategoricalCrossentropy, of logits": (
        losses.CategoricalCrossentropy(from_logits=True), None, SHARES),
    "CategoricalCrossentropy, smoothed": (
        losses.CategoricalCrossentropy(label_smoothing=0.2), "softmax", ONE_HOT),
    "CategoricalCrossentropy, of logits, smoothed": (
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), None, ONE_HOT),
    "SparseCategoricalCrossentropy": (losses.SparseCategoricalCrossentropy(), "softmax", LABELS),
    "SparseCategoricalCrossentropy, of sigmoids": (
        "sparse_categorical_crossentropy", "sigmoid", LABELS),
    "SparseCategoricalCrossentropy, of logits": (
        losses.SparseCategoricalCrossentropy(from_logits=True), None, LABELS),
    "SparseCategoricalCrossentropy, a class ignored": (
        losses.SparseCategoricalCrossentropy(ignore_class=1), "softmax", LABELS),
    "SparseCategoricalCrossentropy, of logits, a class ignored": (
        losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2), None, LABELS),
    "ce, of labels": ("ce", "softmax", LABELS),
    "ce, of one-hot": ("crossentropy", "softmax", ONE_HOT),
    "BinaryFocalCrossentropy": (losses.BinaryFocalCrossentropy(), "sigmoid", BITS),
    "BinaryFocalCrossentropy, set": (
        losses.BinaryFocalCrossentropy(
            apply_class_balancing=True, alpha=0.4, gamma=1.5, label_smoothing=0.1
        ), "sigmoid", BITS),
    "BinaryFocalCrossentropy, of logits": (
        losses.BinaryFocalCrossentropy(from_logits=True), None, BITS),
    "CategoricalFocalCrossentropy": (losses.CategoricalFocalCrossentropy(), "softmax", ONE_HOT),
    "CategoricalFocalCrossentropy, set": (
        losses.CategoricalFocalCrossentropy(alpha=0.4, gamma=1.0, label_smoothing=0.1),
        "softmax", ONE_HOT),
    "CategoricalFocalCrossentropy, of logits": (
        losses.CategoricalFocalCrossentropy(from_logits=True), None, ONE_HOT),
}.items():  # fmt: skip
    settings = special(name)
    CASES[f"loss {name}"] = Training(net(last), loss, X, y, **settings)
    CASES[f"loss {name}, weighted"] = Training(
        net(last), loss, X, y, fit={"sample_weight": WEIGHT}, **settings
    )

for name, (loss, last, y) in {
    "mse": ("mse", None, STEP_VALUES),
    "binary_crossentropy": ("binary_crossentropy", "sigmoid", STEP_ONE_HOT),
    "categorical_crossentropy": ("categorical_crossentropy", "softmax", STEP_ONE_HOT),
    "sparse_categorical_crossentropy": ("sparse_categorical_crossentropy", "softmax", STEP_LABELS),
    "SparseCategoricalCrossentropy, a class ignored": (
        losses.SparseCategoricalCrossentropy(ignore_class=1), "softmax", STEP_LABELS),
    "CosineSimilarity": (losses.CosineSimilarity(), None, STEP_VALUES),
    "CategoricalHinge": (losses.CategoricalHinge(), None, STEP_ONE_HOT),
    "KLDivergence": (losses.KLDivergence(), "softmax", STEP_ONE_HOT),
}.items():  # fmt: skip
    network = net(last, shape=SEQUENCES.shape[1:])
    settings = special(name)
    CASES[f"loss {name}, of sequences"] = Training(network, loss, SEQUENCES, y, **settings)
    if "ignored" not in name:  # Keras cannot broadcast these weights
        CASES[f"loss {name}, of sequences, weighted"] = Training(
            network, loss, SEQUENCES, y, fit={"sample_weight": WEIGHT[:, None]}
        )
    CASES[f"loss {name}, of sequences, weighted by step"] = Training(
        network, loss, SEQUENCES, y, fit={"sample_weight": STEP_WEIGHT}, **settings
    )

# --- losses as functions of arrays ---------------------------------------------------------------

for function, y, p in (
    ("mean_squared_error", VALUES, X[:, :3]),
    ("mean_absolute_error", VALUES, X[:, :3]),
    ("mean_absolute_percentage_error", VALUES, X[:, :3]),
    ("mean_squared_logarithmic_error", COUNTS, POSITIVE),
    ("huber", VALUES, X[:, :3]),
    ("log_cosh", VALUES, X[:, :3]),
    ("poisson", COUNTS, POSITIVE),
    ("hinge", SIGNS, VALUES),
    ("squared_hinge", BITS, VALUES),
    ("categorical_hinge", ONE_HOT, VALUES),
    ("cosine_similarity", VALUES, X[:, :3]),
    ("kl_divergence", SHARES, SHARES[::-1].copy()),
    ("binary_crossentropy", BITS, SHARES),
    ("binary_focal_crossentropy", BITS, SHARES),
    ("categorical_crossentropy", ONE_HOT, SHARES),
    ("categorical_focal_crossentropy", ONE_HOT, SHARES),
    ("sparse_categorical_crossentropy", LABELS, SHARES),
):
    CASES[f"function {function}"] = Values(getattr(losses, function), (y, p))

# --- metrics, each also weighted -----------------------------------------------------------------


def named(chosen, kind):
    """The metrics with names: those of Keras depend on how many were made before."""
    return [
        Call(metric.name, metric.args, {"name": f"{kind}_{i}"} | metric.kwargs)
        if isinstance(metric, Call)
        else metric
        for i, metric in enumerate(chosen)
    ]


def watched(*chosen):
    """Metrics, and the same again as weighted metrics."""
    return {"metrics": named(chosen, "plain"), "weighted_metrics": named(chosen, "weighted")}


def case(name, y, last, loss, *chosen, units=3):
    CASES[f"metric {name}"] = Training(
        net(last, units), loss, X, y, settings=watched(*chosen), fit={"sample_weight": WEIGHT}
    )


case("MeanSquaredError", VALUES, None, "mse", metrics.MeanSquaredError())
case("MeanAbsoluteError", VALUES, None, "mse", metrics.MeanAbsoluteError())
case("RootMeanSquaredError", VALUES, None, "mse", metrics.RootMeanSquaredError())
case("MeanAbsolutePercentageError", POSITIVE, None, "mse", metrics.MeanAbsolutePercentageError())
case("MeanSquaredLogarithmicError", POSITIVE, None, "mse", metrics.MeanSquaredLogarithmicError())
case("LogCoshError", VALUES, None, "mse", metrics.LogCoshError())
case("CosineSimilarity", VALUES, None, "mse", metrics.CosineSimilarity())
case("Poisson", COUNTS, "softplus", "mse", metrics.Poisson())
case("KLDivergence", SHARES, "softmax", "mse", metrics.KLDivergence())
case("Hinge", SIGNS, None, "hinge", metrics.Hinge(), metrics.SquaredHinge())
case("CategoricalHinge", ONE_HOT, None, "categorical_hinge", metrics.CategoricalHinge())
case("R2Score", VALUES, None, "mse", metrics.R2Score())
case("R2Score, variance weighted", VALUES, None, "mse",
     metrics.R2Score(class_aggregation="variance_weighted_average"))  # fmt: skip
case("R2Score, per output", VALUES, None, "mse", metrics.R2Score(class_aggregation=None))
case("R2Score, adjusted", VALUES, None, "mse", metrics.R2Score(num_regressors=2))

case("accuracy, of labels", LABELS, "softmax", "sparse_categorical_crossentropy", "accuracy")
case("acc, of one-hot", ONE_HOT, "softmax", "categorical_crossentropy", "acc", "mse", "mae")
case("accuracy, of a bit", BIT, "sigmoid", "binary_crossentropy", "accuracy", units=1)
case("accuracy, of bits", BITS, "sigmoid", "binary_crossentropy", "accuracy")
case("BinaryAccuracy", BITS, "sigmoid", "binary_crossentropy",
     metrics.BinaryAccuracy(), metrics.BinaryAccuracy(name="high", threshold=0.6))  # fmt: skip
case("CategoricalAccuracy", ONE_HOT, "softmax", "mse", metrics.CategoricalAccuracy())
case("SparseCategoricalAccuracy", LABELS, "softmax", "sparse_categorical_crossentropy",
     metrics.SparseCategoricalAccuracy())  # fmt: skip
case("TopKCategoricalAccuracy", ONE_HOT, "softmax", "mse", metrics.TopKCategoricalAccuracy(k=2))
case("SparseTopKCategoricalAccuracy", LABELS, "softmax", "sparse_categorical_crossentropy",
     metrics.SparseTopKCategoricalAccuracy(k=2))  # fmt: skip
case("BinaryCrossentropy", BITS, "sigmoid", "mse", metrics.BinaryCrossentropy())
case("BinaryCrossentropy, of logits", BITS, None, "mse",
     metrics.BinaryCrossentropy(from_logits=True, label_smoothing=0.1))  # fmt: skip
case("CategoricalCrossentropy", ONE_HOT, "softmax", "mse", metrics.CategoricalCrossentropy())
case("CategoricalCrossentropy, of logits", ONE_HOT, None, "mse",
     metrics.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1))  # fmt: skip
case("SparseCategoricalCrossentropy", LABELS, "softmax", "sparse_categorical_crossentropy",
     metrics.SparseCategoricalCrossentropy())  # fmt: skip

case("Precision", BITS, "sigmoid", "mse", metrics.Precision())
case("Recall", BITS, "sigmoid", "mse", metrics.Recall())
case("Precision, threshold", BITS, "sigmoid", "mse", metrics.Precision(thresholds=0.3),
     metrics.Recall(thresholds=0.7))  # fmt: skip
case("Precision, thresholds", BITS, "sigmoid", "mse", metrics.Precision(thresholds=[0.3, 0.6]),
     metrics.Recall(thresholds=[0.4, 0.55]))  # fmt: skip
case("Precision, of a class", ONE_HOT, "softmax", "mse", metrics.Precision(class_id=1),
     metrics.Recall(class_id=2))  # fmt: skip
case("Precision, top k", ONE_HOT, "softmax", "mse", metrics.Precision(top_k=2),
     metrics.Recall(top_k=1))  # fmt: skip
case("TruePositives and so on", BITS, "sigmoid", "mse", metrics.TruePositives(),
     metrics.TrueNegatives(), metrics.FalsePositives(), metrics.FalseNegatives())  # fmt: skip
for average in ("micro", "macro", "weighted", None):
    case(f"F1Score, {average}", ONE_HOT, "softmax", "mse", metrics.F1Score(average=average))
case("F1Score, threshold", BITS, "sigmoid", "mse",
     metrics.F1Score(average="macro", threshold=0.5))  # fmt: skip
case("FBetaScore", BITS, "sigmoid", "mse",
     metrics.FBetaScore(average="macro", threshold=0.4, beta=2.0))  # fmt: skip
case("AUC", BIT, "sigmoid", "binary_crossentropy", metrics.AUC(), units=1)
for curve in ("ROC", "PR"):
    for method in ("interpolation", "minoring", "majoring"):
        case(f"AUC, {curve}, {method}", BIT, "sigmoid", "binary_crossentropy",
             metrics.AUC(num_thresholds=11, curve=curve, summation_method=method), units=1)
case("AUC, of logits", BIT, None, "mse", metrics.AUC(from_logits=True), units=1)
case("AUC, thresholds", BIT, "sigmoid", "mse", metrics.AUC(thresholds=[0.2, 0.5, 0.8]), units=1)
CASES["loss ce, of a bit"] = Training(net("sigmoid", 1), "ce", X, BIT)
case("of one output", VALUE, None, "mse", "mse", "mae", metrics.R2Score(), units=1)

for name, (loss, last, y, chosen) in {
    "regression": ("mse", None, STEP_VALUES, ["mse", "mae", metrics.RootMeanSquaredError()]),
    "labels": ("sparse_categorical_crossentropy", "softmax", STEP_LABELS,
               ["accuracy", metrics.SparseTopKCategoricalAccuracy(k=2)]),
    "one-hot": ("categorical_crossentropy", "softmax", STEP_ONE_HOT,
                ["accuracy", metrics.TopKCategoricalAccuracy(k=2), metrics.Precision(),
                 metrics.Recall(), metrics.CosineSimilarity()]),
}.items():  # fmt: skip
    CASES[f"metrics of sequences, {name}"] = Training(
        net(last, shape=SEQUENCES.shape[1:]), loss, SEQUENCES, y,
        settings=watched(*chosen),
        fit={"sample_weight": WEIGHT[:, None]},
    )  # fmt: skip
