"""Activations and layers."""

from benchmarks.parity.cases.data import (
    LABELS,
    POINTS,
    SEQUENCES,
    STEP_LABELS,
    STEP_VALUES,
    VALUES,
    X2,
    X,
)  # fmt: skip
from benchmarks.parity.description import (
    Graph,
    Training,
    Values,
    activations,
    constraints,
    initializers,
    layers,
    regularizers,
)  # fmt: skip

CASES = {}

# --- activations ---------------------------------------------------------------------------------

ACTIVATIONS = (
    "linear", "sigmoid", "tanh", "relu", "leaky_relu", "relu6", "elu", "selu", "gelu", "silu",
    "swish", "mish", "softplus", "softsign", "hard_sigmoid", "hard_tanh", "exponential", "softmax",
    "log_softmax", "log_sigmoid",
)  # fmt: skip


def train_with(activation, **settings):
    network = [
        layers.Input(shape=(6,)),
        layers.Dense(5, activation=activation),
        layers.Dense(4, activation),
        layers.Dense(3),
    ]
    return Training(network, "mse", X, VALUES, **settings)


ROWS_ONLY = ("softmax", "log_softmax")  # they need rows
for name in ACTIVATIONS:
    function = getattr(activations, name)
    CASES[f"activation {name}"] = train_with(function)
    points = POINTS.reshape(-1, 1) + [[0.0, 1.0, -2.0]] if name in ROWS_ONLY else POINTS
    points = points[points < 500] if name == "exponential" else points
    CASES[f"activation {name}, values"] = Values(function, points)
CASES["activation by name"] = train_with("gelu")
# They explode behind each other, or at the rate of the others.
CASES["activation log_softmax"] = train_with(activations.log_softmax, optimizer="sgd")
CASES["activation exponential"] = Training(
    [layers.Input(shape=(6,)), layers.Dense(5, activations.exponential), layers.Dense(3)],
    "mse", X, VALUES, "sgd",
)  # fmt: skip
for name, settings in {
    "relu": {"negative_slope": 0.2, "max_value": 4.0, "threshold": 0.5},
    "leaky_relu": {"negative_slope": 0.05},
    "elu": {"alpha": 0.5},
    "gelu": {"approximate": True},
}.items():
    CASES[f"activation {name}, set"] = Values(getattr(activations, name), POINTS, settings)
CASES["activation softmax, axis"] = Values(activations.softmax, X, {"axis": 0})


def chain(*middle, loss="mse", x=X, y=VALUES, first=5, **settings):
    """A Dense layer, what is given, and a Dense layer."""
    network = [layers.Input(shape=x.shape[1:]), layers.Dense(first), *middle, layers.Dense(3)]
    return Training(network, loss, x, y, **settings)


# --- layers that are an activation ---------------------------------------------------------------

for name, layer in {
    "Activation": layers.Activation("tanh"),
    "ReLU": layers.ReLU(),
    "ReLU, set": layers.ReLU(max_value=0.8, negative_slope=0.1, threshold=0.2),
    "LeakyReLU": layers.LeakyReLU(),
    "LeakyReLU, set": layers.LeakyReLU(negative_slope=0.05),
    "ELU": layers.ELU(),
    "ELU, set": layers.ELU(alpha=0.5),
    "PReLU": layers.PReLU(),
    "PReLU, regularized": layers.PReLU(
        alpha_initializer=initializers.Constant(0.25),
        alpha_regularizer=regularizers.L2(0.1),
        alpha_constraint=constraints.NonNeg(),
    ),
    "Softmax": layers.Softmax(),
}.items():
    CASES[f"layer {name}"] = chain(layer)
CASES["layer PReLU, shared axes"] = chain(
    layers.PReLU(shared_axes=[1]), x=SEQUENCES, y=STEP_VALUES
)

# --- normalization -------------------------------------------------------------------------------

for name, layer in {
    "BatchNormalization": layers.BatchNormalization(),
    "BatchNormalization, set": layers.BatchNormalization(
        momentum=0.7, epsilon=1e-2, gamma_regularizer="l2", beta_regularizer="l1",
        beta_constraint="non_neg",
    ),
    "BatchNormalization, no scale": layers.BatchNormalization(scale=False),
    "BatchNormalization, no center": layers.BatchNormalization(center=False),
    "BatchNormalization, frozen": layers.BatchNormalization(trainable=False),
    "LayerNormalization": layers.LayerNormalization(),
    "LayerNormalization, set": layers.LayerNormalization(
        epsilon=1e-2, gamma_regularizer="l2", beta_regularizer="l2"
    ),
    "LayerNormalization, no scale": layers.LayerNormalization(scale=False, center=False),
}.items():  # fmt: skip
    CASES[f"layer {name}"] = chain(layer)
CASES["layer BatchNormalization, sequences"] = chain(
    layers.BatchNormalization(momentum=0.8), x=SEQUENCES, y=STEP_VALUES
)
CASES["layer LayerNormalization, sequences"] = chain(
    layers.LayerNormalization(), x=SEQUENCES, y=STEP_VALUES
)
CASES["layer BatchNormalization, behind relu"] = chain(
    layers.BatchNormalization(), layers.Activation("relu"), layers.Dense(4),
    layers.BatchNormalization(), layers.Activation("relu"),
)  # fmt: skip


def normalized(layer):
    network = [layers.Input(shape=(6,)), layer, layers.Dense(4, "tanh"), layers.Dense(3)]
    return Training(network, "mse", 3 * X + 2, VALUES, adapt=True)


CASES["layer Normalization"] = normalized(layers.Normalization())
CASES["layer Normalization, one mean"] = normalized(layers.Normalization(axis=None))
CASES["layer Normalization, given"] = Training(
    [
        layers.Input(shape=(6,)),
        layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6),
        layers.Dense(3),
    ],
    "mse", X, VALUES,
)  # fmt: skip
CASES["layer Normalization, inverted"] = Training(
    [
        layers.Input(shape=(6,)),
        layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6, invert=True),
        layers.Dense(3),
    ],
    "mse", X, VALUES,
)  # fmt: skip

# --- shapes, and what is random only in training -------------------------------------------------

CASES["layer Rescaling"] = chain(layers.Rescaling(0.5, offset=0.1))
CASES["layer Flatten"] = chain(layers.Flatten(), x=SEQUENCES)
CASES["layer Reshape"] = chain(
    layers.Reshape((2, 3)), layers.Dense(4, "tanh"), layers.Reshape((-1,)), first=6
)
CASES["layer Permute"] = chain(
    layers.Permute((2, 1)), layers.Dense(4, "tanh"), layers.Flatten(), x=SEQUENCES
)
CASES["layer RepeatVector"] = chain(
    layers.RepeatVector(4), layers.Dense(4, "tanh"), y=STEP_LABELS,
    loss="sparse_categorical_crossentropy", epochs=0,
)  # fmt: skip
CASES["layer RepeatVector, trained"] = chain(
    layers.RepeatVector(4), layers.Dense(4, "tanh"), y=STEP_VALUES
)
CASES["layer Dropout, in inference"] = chain(layers.Dropout(0.4), epochs=0)
CASES["layer GaussianNoise, in inference"] = chain(layers.GaussianNoise(0.4), epochs=0)
CASES["layer GaussianDropout, in inference"] = chain(layers.GaussianDropout(0.4), epochs=0)
CASES["layer AlphaDropout, in inference"] = chain(layers.AlphaDropout(0.4), epochs=0)
CASES["layer Identity"] = chain(layers.Identity())
CASES["layer UnitNormalization"] = chain(layers.UnitNormalization())
CASES["layer ActivityRegularization"] = chain(layers.ActivityRegularization(l1=0.02, l2=0.05))
CASES["layer Dense, on sequences"] = chain(
    layers.Dense(4, "relu", use_bias=False), x=SEQUENCES, y=STEP_VALUES
)
CASES["layer Dense, frozen"] = chain(layers.Dense(4, "tanh", trainable=False))

# --- merging -------------------------------------------------------------------------------------


def merged(layer, loss="mse", y=VALUES):
    """Two branches and the layer that joins them."""
    graph = Graph(
        {"a": (6,), "b": (5,)},
        {
            "left": (layers.Dense(4, "tanh"), "a"),
            "right": (layers.Dense(4, "sigmoid"), "b"),
            "both": (layer, ["left", "right"]),
            "out": (layers.Dense(3), "both"),
        },
        ["out"],
    )
    return Training(graph, loss, [X, X2], y)


for name, layer in {
    "Add": layers.Add(),
    "Subtract": layers.Subtract(),
    "Multiply": layers.Multiply(),
    "Average": layers.Average(),
    "Maximum": layers.Maximum(),
    "Minimum": layers.Minimum(),
    "Concatenate": layers.Concatenate(),
    "Concatenate, axis 1": layers.Concatenate(axis=1),
    "Dot": layers.Dot(axes=1),
    "Dot, normalized": layers.Dot(axes=-1, normalize=True),
}.items():
    CASES[f"layer {name}"] = merged(layer)

CASES["layer Dot, sequences"] = Training(
    Graph(
        {"a": (4, 6)},
        {
            "left": (layers.Dense(5, "tanh"), "a"),
            "right": (layers.Dense(5, "tanh"), "a"),
            "both": (layers.Dot(axes=2), ["left", "right"]),
            "out": (layers.Dense(3), "both"),
        },
        ["out"],
    ),
    "mse", SEQUENCES, STEP_VALUES,
)  # fmt: skip
CASES["layers Add, Maximum, of three"] = Training(
    Graph(
        {"a": (6,)},
        {
            "p": (layers.Dense(4, "tanh"), "a"),
            "q": (layers.Dense(4, "relu"), "a"),
            "r": (layers.Dense(4), "a"),
            "most": (layers.Maximum(), ["p", "q", "r"]),
            "sum": (layers.Add(), ["p", "q", "most"]),
            "out": (layers.Dense(3, "softmax"), "sum"),
        },
        ["out"],
    ),
    "sparse_categorical_crossentropy", X, LABELS,
)  # fmt: skip
