"""What fit does with batches, weights, several outputs and validation, and how it reports."""

from benchmarks.parity.cases.data import (
    BIT,
    LABELS,
    ONE_HOT,
    OTHER_LABELS,
    OTHER_VALUES,
    OTHER_WEIGHT,
    OTHER_X,
    VALUES,
    WEIGHT,
    X2,
    X,
)  # fmt: skip
from benchmarks.parity.description import Graph, Training, layers, losses, metrics, optimizers

CASES = {}
NET = [layers.Input(shape=(6,)), layers.Dense(5, "tanh"), layers.Dense(3)]
CLASSIFIER = [layers.Input(shape=(6,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")]
SPARSE = "sparse_categorical_crossentropy"

CASES["fit, validation_data"] = Training(
    NET, "mse", X, VALUES, settings={"metrics": ["mae"]},
    fit={"validation_data": (OTHER_X, OTHER_VALUES)},
)  # fmt: skip
CASES["fit, validation_data, weighted"] = Training(
    CLASSIFIER, SPARSE, X, LABELS,
    settings={"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    fit={
        "sample_weight": WEIGHT, "validation_data": (OTHER_X, OTHER_LABELS, OTHER_WEIGHT),
        "validation_batch_size": 4,
    },
)  # fmt: skip
CASES["fit, validation_split"] = Training(
    CLASSIFIER, SPARSE, X, LABELS, settings={"metrics": ["accuracy"]},
    fit={"validation_split": 0.3},
)  # fmt: skip
CASES["fit, validation_split, weighted"] = Training(
    CLASSIFIER, SPARSE, X, LABELS, settings={"weighted_metrics": ["accuracy"]},
    fit={"validation_split": 0.3, "sample_weight": WEIGHT},
)  # fmt: skip
CASES["fit, validation_freq"] = Training(
    NET, "mse", X, VALUES, fit={"validation_data": (OTHER_X, OTHER_VALUES), "validation_freq": 3}
)
CASES["fit, validation_freq, a list"] = Training(
    NET, "mse", X, VALUES,
    fit={"validation_data": (OTHER_X, OTHER_VALUES), "validation_freq": [1, 2, 7]},
)  # fmt: skip
CASES["fit, initial_epoch"] = Training(
    NET, "mse", X, VALUES, epochs=13, fit={"initial_epoch": 3}
)
CASES["fit, class_weight"] = Training(
    CLASSIFIER, SPARSE, X, LABELS,
    settings={"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    fit={"class_weight": {0: 0.5, 1: 2.0, 2: 1.2}},
)  # fmt: skip
CASES["fit, class_weight, one-hot"] = Training(
    CLASSIFIER, "categorical_crossentropy", X, ONE_HOT,
    settings={"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    fit={"class_weight": {0: 0.5, 1: 2.0, 2: 1.2}},
)  # fmt: skip
CASES["fit, class_weight, a bit"] = Training(
    [layers.Input(shape=(6,)), layers.Dense(1, "sigmoid")], "binary_crossentropy", X, BIT,
    settings={"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
    fit={"class_weight": {0: 0.5, 1: 2.0}},
)  # fmt: skip
CASES["fit, class_weight, some classes"] = Training(
    CLASSIFIER, SPARSE, X, LABELS, fit={"class_weight": {1: 3.0}}
)
CASES["fit, steps_per_epoch"] = Training(
    NET, "mse", X, VALUES, batch_size=12, fit={"steps_per_epoch": 2}
)
CASES["fit, batches of one row"] = Training(NET, "mse", X[:4], VALUES[:4], batch_size=1, epochs=5)
CASES["fit, one batch"] = Training(NET, "mse", X, VALUES, batch_size=64, epochs=20)
CASES["fit, default batch size"] = Training(
    NET, "mse", X, VALUES, epochs=20, fit={"batch_size": None}
)
CASES["fit, a metric twice"] = Training(
    NET, "mse", X, VALUES, settings={"metrics": ["mae", "mae"], "weighted_metrics": ["mae"]}
)
CASES["fit, metrics by their names"] = Training(
    NET, "mse", X, VALUES, settings={"metrics": ["MSE", "mean_absolute_error", "mape", "msle"]}
)

# --- several inputs and outputs ------------------------------------------------------------------

shared = layers.Dense(4, "tanh")


def several(**settings):
    """Two inputs, a layer that is used twice, two outputs."""
    graph = Graph(
        {"a": (6,), "b": (5,)},
        {
            "left": (layers.Dense(5, "relu"), "a"),
            "both": (layers.Concatenate(), ["left", "b"]),
            "again": (layers.Dense(10), "left"),
            "shared_1": (shared, "both"),
            "shared_2": (shared, "again"),
            "p": (layers.Dense(3, name="p"), "shared_1"),
            "q": (layers.Dense(3, "softmax", name="q"), "shared_2"),
        },
        ["p", "q"],
    )
    return {"network": graph, "x": [X, X2], "y": [VALUES, LABELS]} | settings


CASES["outputs, lists"] = Training(**several(loss=["mse", SPARSE]))
CASES["outputs, loss_weights, metrics"] = Training(
    **several(
        loss=["mse", SPARSE],
        settings={"loss_weights": [0.3, 2.0], "metrics": [["mae"], ["accuracy"]]},
        fit={"validation_data": ([X, X2], [VALUES, LABELS])},
    )
)
CASES["outputs, dictionaries"] = Training(
    **several(
        x={"a": X, "b": X2},
        y={"p": VALUES, "q": LABELS},
        loss={"p": losses.Huber(0.5), "q": SPARSE},
        settings={
            "loss_weights": {"p": 0.3, "q": 2.0},
            "metrics": {"p": ["mse", "mae"], "q": metrics.SparseCategoricalAccuracy(name="right")},
            "weighted_metrics": {"q": ["accuracy"]},
        },
    )
)
CASES["outputs, one loss for both"] = Training(
    **several(y=[VALUES, ONE_HOT], loss="mse", settings={"metrics": ["mae", "mae"]})
)
CASES["outputs, weights for both"] = Training(
    **several(
        loss=["mse", SPARSE],
        settings={"weighted_metrics": [["mae"], ["accuracy"]]},
        fit={"sample_weight": [WEIGHT, WEIGHT[::-1].copy()]},
        optimizer=optimizers.Adam(0.01),
    )
)
CASES["outputs, one for a regularized network"] = Training(
    Graph(
        {"a": (6,)},
        {
            "h": (layers.Dense(5, "relu", kernel_regularizer="l2"), "a"),
            "p": (layers.Dense(3, name="p"), "h"),
            "q": (layers.Dense(1, "sigmoid", name="q"), "h"),
        },
        ["p", "q"],
    ),
    ["mae", "binary_crossentropy"], X, [VALUES, BIT],
    settings={"metrics": [[], ["accuracy", metrics.AUC(name="auc")]]},
)  # fmt: skip
