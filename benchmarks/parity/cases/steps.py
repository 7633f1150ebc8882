"""Optimizers, schedules, constraints, regularizers, initializers."""

import numpy as np

from benchmarks.parity.cases.data import LABELS, VALUES, X
from benchmarks.parity.description import (
    Draw,
    Rates,
    Training,
    constraints,
    initializers,
    layers,
    optimizers,
    regularizers,
    schedules,
)  # fmt: skip

CASES = {}
NET = [layers.Input(shape=(6,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")]

# --- optimizers ----------------------------------------------------------------------------------

for name, optimizer in {
    "SGD": optimizers.SGD(0.1),
    "SGD, momentum": optimizers.SGD(0.05, momentum=0.9),
    "SGD, nesterov": optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "Adagrad": optimizers.Adagrad(0.05),
    "Adagrad, set": optimizers.Adagrad(0.05, initial_accumulator_value=0.01, epsilon=1e-3),
    "Adadelta": optimizers.Adadelta(1.0),
    "Adadelta, set": optimizers.Adadelta(0.5, rho=0.8, epsilon=1e-4),
    "RMSprop": optimizers.RMSprop(0.01),
    "RMSprop, momentum": optimizers.RMSprop(0.01, momentum=0.5),
    "RMSprop, centered": optimizers.RMSprop(0.01, centered=True),
    "RMSprop, both": optimizers.RMSprop(0.01, rho=0.8, momentum=0.5, epsilon=1e-4, centered=True),
    "Adam": optimizers.Adam(0.01),
    "Adam, set": optimizers.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-4),
    "Adam, amsgrad": optimizers.Adam(0.02, beta_2=0.7, amsgrad=True),
    "AdamW": optimizers.AdamW(0.01),
    "AdamW, set": optimizers.AdamW(0.01, weight_decay=0.3, beta_1=0.8, amsgrad=True),
    "Adamax": optimizers.Adamax(0.01),
    "Adamax, set": optimizers.Adamax(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-4),
    "Nadam": optimizers.Nadam(0.01),
    "Nadam, set": optimizers.Nadam(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-4),
    "Lion": optimizers.Lion(0.003),
    "Lion, set": optimizers.Lion(0.003, beta_1=0.8, beta_2=0.95),
}.items():
    CASES[f"optimizer {name}"] = Training(
        NET, "sparse_categorical_crossentropy", X, LABELS, optimizer
    )
for name in ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "adamax", "nadam", "lion"):
    CASES[f"optimizer by name, {name}"] = Training(
        NET, "sparse_categorical_crossentropy", X, LABELS, name
    )

RATES = {
    "SGD": 0.05, "Adagrad": 0.05, "Adadelta": 1.0, "RMSprop": 0.01, "Adam": 0.01, "AdamW": 0.01,
    "Adamax": 0.01, "Nadam": 0.01, "Lion": 0.003,
}  # fmt: skip
OPTIONS = {
    "weight_decay": {"weight_decay": 0.2},
    "clipnorm": {"clipnorm": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.02},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema, overwriting": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 7},
    "accumulation": {"gradient_accumulation_steps": 3},
    "accumulation, decay, clipping": {
        "gradient_accumulation_steps": 3, "weight_decay": 0.2, "global_clipnorm": 0.1},
    "accumulation, ema": {"gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.8},
    "accumulation, ema, overwriting": {
        "gradient_accumulation_steps": 3, "use_ema": True, "ema_momentum": 0.8,
        "ema_overwrite_frequency": 2},
}  # fmt: skip
for name, rate in RATES.items():
    for option, settings in OPTIONS.items():
        if name in ("SGD", "Adam") or option in ("weight_decay", "clipnorm", "accumulation"):
            CASES[f"optimizer {name}, {option}"] = Training(
                NET, "sparse_categorical_crossentropy", X, LABELS,
                getattr(optimizers, name)(rate, **settings),
            )  # fmt: skip
CASES["optimizer Adam, frozen layer, decay, global_clipnorm, ema"] = Training(
    [layers.Input(shape=(6,)), layers.Dense(5, "tanh", trainable=False), *NET[1:]],
    "sparse_categorical_crossentropy", X, LABELS,
    optimizers.Adam(0.01, weight_decay=0.2, global_clipnorm=0.1, use_ema=True, ema_momentum=0.8),
)  # fmt: skip

# --- schedules: their rates, and a training -------------------------------------------------------

SCHEDULES = {
    "ExponentialDecay": schedules.ExponentialDecay(0.1, 7, 0.5),
    "ExponentialDecay, staircase": schedules.ExponentialDecay(0.1, 7, 0.5, staircase=True),
    "PiecewiseConstantDecay": schedules.PiecewiseConstantDecay([5, 11], [0.1, 0.03, 0.01]),
    "PolynomialDecay": schedules.PolynomialDecay(0.1, 17),
    "PolynomialDecay, set": schedules.PolynomialDecay(0.1, 17, 0.01, power=2.0),
    "PolynomialDecay, cycle": schedules.PolynomialDecay(0.1, 9, 0.01, power=0.5, cycle=True),
    "InverseTimeDecay": schedules.InverseTimeDecay(0.1, 7, 0.5),
    "InverseTimeDecay, staircase": schedules.InverseTimeDecay(0.1, 7, 0.5, staircase=True),
    "CosineDecay": schedules.CosineDecay(0.1, 17),
    "CosineDecay, alpha": schedules.CosineDecay(0.1, 17, alpha=0.2),
    "CosineDecay, warm-up": schedules.CosineDecay(
        0.01, 12, alpha=0.1, warmup_target=0.1, warmup_steps=6),
    "CosineDecayRestarts": schedules.CosineDecayRestarts(0.1, 5),
    "CosineDecayRestarts, set": schedules.CosineDecayRestarts(
        0.1, 5, t_mul=1.5, m_mul=0.7, alpha=0.1),
    "CosineDecayRestarts, equal": schedules.CosineDecayRestarts(0.1, 6, t_mul=1.0, m_mul=0.8),
}  # fmt: skip
for name, schedule in SCHEDULES.items():
    CASES[f"schedule {name}, rates"] = Rates(schedule)
    CASES[f"schedule {name}"] = Training(
        NET, "sparse_categorical_crossentropy", X, LABELS, optimizers.SGD(schedule, momentum=0.5)
    )
for option in ("accumulation", "weight_decay"):
    CASES[f"schedule CosineDecay, Adam, {option}"] = Training(
        NET, "sparse_categorical_crossentropy", X, LABELS,
        optimizers.Adam(SCHEDULES["CosineDecay, warm-up"], **OPTIONS[option]),
    )  # fmt: skip

# --- constraints and regularizers ----------------------------------------------------------------

for name, constraint in {
    "MaxNorm": constraints.MaxNorm(0.8),
    "MaxNorm, default": constraints.MaxNorm(),
    "MaxNorm, axis 1": constraints.MaxNorm(max_value=0.7, axis=1),
    "MinMaxNorm": constraints.MinMaxNorm(0.5, 0.9, rate=0.6),
    "NonNeg": constraints.NonNeg(),
    "UnitNorm": constraints.UnitNorm(),
    "UnitNorm, axis 1": constraints.UnitNorm(axis=1),
    "by name": "non_neg",
}.items():
    network = [
        layers.Input(shape=(6,)),
        layers.Dense(5, "tanh", kernel_constraint=constraint),
        layers.Dense(3, kernel_constraint=constraint),
    ]
    CASES[f"constraint {name}"] = Training(network, "mse", X, VALUES)
    CASES[f"constraint {name}, Adam"] = Training(network, "mse", X, VALUES, optimizers.Adam(0.01))
CASES["constraint on the bias"] = Training(
    [
        layers.Input(shape=(6,)),
        layers.Dense(5, "tanh", bias_constraint=constraints.MaxNorm(0.5)),
        layers.Dense(3, bias_constraint="non_neg"),
    ],
    "mse", X, VALUES,
)  # fmt: skip
for option in ("accumulation", "ema, overwriting"):
    CASES[f"constraint UnitNorm, {option}"] = Training(
        [layers.Input(shape=(6,)), layers.Dense(3, kernel_constraint="unit_norm")],
        "mse", X, VALUES, optimizers.Adam(0.01, **OPTIONS[option]),
    )  # fmt: skip

for name, regularizer in {
    "L1": regularizers.L1(0.02),
    "L2": regularizers.L2(0.05),
    "L1L2": regularizers.L1L2(0.01, 0.03),
    "OrthogonalRegularizer": regularizers.OrthogonalRegularizer(0.05),
    "OrthogonalRegularizer, columns": regularizers.OrthogonalRegularizer(0.05, mode="columns"),
}.items():
    CASES[f"regularizer {name}"] = Training(
        [
            layers.Input(shape=(6,)),
            layers.Dense(5, "tanh", kernel_regularizer=regularizer),
            layers.Dense(3, kernel_regularizer=regularizer),
        ],
        "mse", X, VALUES,
    )  # fmt: skip
    if name.startswith("Orthogonal"):
        continue  # of an activity it would compare the rows of a batch with each other
    CASES[f"regularizer {name}, activity"] = Training(
        [
            layers.Input(shape=(6,)),
            layers.Dense(5, "tanh", activity_regularizer=regularizer),
            layers.Dense(3),
        ],
        "mse", X, VALUES,
    )  # fmt: skip
for name in ("l1", "l2", "orthogonal_regularizer"):
    CASES[f"regularizer by name, {name}"] = Training(
        [layers.Input(shape=(6,)), layers.Dense(3, kernel_regularizer=name)], "mse", X, VALUES
    )
CASES["regularizers of all kinds"] = Training(
    [
        layers.Input(shape=(6,)),
        layers.Dense(
            5, "relu", kernel_regularizer=regularizers.L1L2(0.01, 0.02),
            bias_regularizer=regularizers.L2(0.1), activity_regularizer=regularizers.L1(0.02),
        ),
        layers.Dense(3, "softmax", activity_regularizer="l2"),
    ],
    "sparse_categorical_crossentropy", X, LABELS,
)  # fmt: skip

# --- initializers --------------------------------------------------------------------------------

for name, initializer in {
    "Zeros": initializers.Zeros(),
    "Ones": initializers.Ones(),
    "Constant": initializers.Constant(0.3),
    "Identity": initializers.Identity(),
    "Identity, gain": initializers.Identity(gain=0.5),
}.items():
    CASES[f"initializer {name}"] = Draw(initializer, (4, 4), exact=True)
CASES["initializer Identity, no square"] = Draw(initializers.Identity(), (3, 5), exact=True)

RANDOM = {
    "RandomNormal": initializers.RandomNormal(seed=1),
    "RandomNormal, set": initializers.RandomNormal(mean=0.5, stddev=0.2, seed=1),
    "RandomUniform": initializers.RandomUniform(seed=1),
    "RandomUniform, set": initializers.RandomUniform(minval=-0.1, maxval=0.4, seed=1),
    "TruncatedNormal": initializers.TruncatedNormal(seed=1),
    "TruncatedNormal, set": initializers.TruncatedNormal(mean=0.5, stddev=0.2, seed=1),
    **{
        name: getattr(initializers, name)(seed=1)
        for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform",
                     "LecunNormal")
    },
    **{
        f"VarianceScaling, {mode}, {kind}": initializers.VarianceScaling(
            scale=0.5, mode=mode, distribution=kind, seed=1)
        for mode in ("fan_in", "fan_out", "fan_avg")
        for kind in ("truncated_normal", "untruncated_normal", "uniform")
    },
}  # fmt: skip
for name, initializer in RANDOM.items():
    CASES[f"initializer {name}"] = Draw(initializer, (200, 300))
CASES["initializer GlorotUniform, a vector"] = Draw(initializers.GlorotUniform(seed=1), (60_000,))
CASES["initializer HeNormal, four axes"] = Draw(initializers.HeNormal(seed=1), (3, 4, 50, 100))
for shape in ((300, 200), (200, 300), (200, 200)):
    CASES[f"initializer Orthogonal, {shape}"] = Draw(
        initializers.Orthogonal(gain=1.5, seed=1), shape
    )
CASES["initializer Constant, an array"] = Draw(
    initializers.Constant(np.arange(12.0).reshape(3, 4).tolist()), (3, 4), exact=True
)
