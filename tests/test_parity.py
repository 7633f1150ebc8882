"""fastnn against Keras 3: the same small programs, and the figures that Keras computed for them.

The programs are the cases of `benchmarks/parity`; Keras ran them in float64 and its losses,
metrics, weights and predictions were written to `data/keras_figures.json` (which names the versions
and the command). Every name that can be given to a model has a case, or a reason to have none.
"""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from api_tools import native_only

import fastnn.keras
from benchmarks.parity.cases import CASES
from benchmarks.parity.compare import largest_difference, pairs
from benchmarks.parity.description import Draw, names
from benchmarks.parity.run import QUANTILES, run
from fastnn import config

FIGURES = json.loads((pathlib.Path(__file__).parent / "data" / "keras_figures.json").read_text())

# The figures have 13 digits. In float64 only the order of sums differs; in float32 every value of
# 20 steps is rounded to 6e-8 of it, and momentum adds up to 20 of them.
CLOSE = {"float64": {"rtol": 1e-11, "atol": 1e-12}, "float32": {"rtol": 2e-5, "atol": 5e-6}}

# Where Keras, or PyTorch on which it ran, is not exact in float64.
ROUGH = {
    "metric AUC": 1e-7,  # it counts in float32
    "activation hard_sigmoid": 1e-7,  # its 1/6 is that of float32
    "loss log_cosh": 1e-7,  # its softplus(x) is x from 20 on: 2e-9 off
}

RUNS = [
    pytest.param("native", "float64", marks=native_only),
    pytest.param("native", "float32", marks=native_only),
    ("reference", "float64"),
]


@pytest.fixture
def floatx(request):
    config.set_floatx(request.param)
    yield request.param
    config.set_floatx("float32")


@pytest.mark.parametrize("executor, floatx", RUNS, indirect=["floatx"])
@pytest.mark.parametrize("name", [n for n, c in CASES.items() if not isinstance(c, Draw)])
def test_keras_computes_the_same(name, executor, floatx, monkeypatch):
    monkeypatch.setenv("FASTNN_BACKEND", executor)
    rough = max((ROUGH[k] for k in ROUGH if name.startswith(k)), default=0.0)
    close = {key: max(value, rough) for key, value in CLOSE[floatx].items()}
    figures = run(CASES[name], fastnn.keras)
    for what, got, want in pairs(figures, FIGURES["cases"][name]):
        np.testing.assert_allclose(got, want, **close, err_msg=what)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if isinstance(c, Draw)])
def test_keras_draws_from_the_same_distribution(name):
    """Two draws of 60,000 values; the bounds are 5 standard errors of the difference and more."""
    got, want = run(CASES[name], fastnn.keras), FIGURES["cases"][name]
    if CASES[name].exact:
        np.testing.assert_allclose(got["values"], want["values"], rtol=1e-7)
        return
    deviation = want["deviation"]
    assert abs(got["mean"] - want["mean"]) < 0.03 * deviation
    assert got["deviation"] == pytest.approx(deviation, rel=0.02)
    normal = "RandomNormal" in name or "untruncated" in name or "Orthogonal" in name
    for p, a, b in zip(QUANTILES, got["quantiles"], want["quantiles"], strict=True):
        bound = {0: 0.02, 1: 0.02, 0.01: 0.11, 0.99: 0.11}.get(p, 0.04)
        if p in (0, 1) and normal:  # these have no limits
            bound = 1.5
        assert abs(a - b) < bound * deviation, f"quantile {p}: {a}, in Keras {b}"
    if "products" in want:  # of columns: orthogonal, and of the same length
        np.testing.assert_allclose(got["products"], want["products"], atol=1e-5)


def test_a_small_mistake_shows():
    name = "optimizer Adam, set"
    right = CASES[name].optimizer
    wrong = right.name(*right.args, **right.kwargs | {"epsilon": 1.1e-4})
    case = dataclasses.replace(CASES[name], optimizer=wrong)
    assert largest_difference(run(case, fastnn.keras), FIGURES["cases"][name])[0] > 1e-4


def test_the_figures_are_those_of_the_cases():
    assert list(FIGURES["cases"]) == list(CASES)
    assert FIGURES["source"]["library"].startswith("Keras 3.")


# What Keras does not have, or what cannot be compared number by number.
WITHOUT_A_CASE = {
    "activations.step": "Keras has none",
    "activations.gelu_tanh": "Keras has it as gelu(approximate=True)",
    "optimizers.LBFGS": "Keras has none",
    "activations.relu_general": "Keras has it as relu with its arguments",
    "regularizers.OwnFunction": "wraps a user's function",
    "losses.Crossentropy": "given by its name, ce",
    "losses.FunctionLoss": "wraps a user's function",
    "losses.RootMeanSquaredError": "Keras has it as a metric only",
    "losses.root_mean_squared_error": "Keras has it as a metric only",
    "layers.Lambda": "wraps a user's function",
    "optimizers.schedules.OneCycle": "Keras has none",
    "optimizers.schedules.WarmUp": "Keras has none",
    "layers.InputLayer": "made by Input, which all cases use",
    "metrics.ConfusionMatrix": "Keras has none",
    "metrics.Accuracy": "given by its name",
    "metrics.Mean": "counts numbers outside of a model",
    "metrics.Sum": "counts numbers outside of a model",
    "metrics.MeanMetricWrapper": "wraps a user's function",
    "layers.Operation": "an op between layers: fastnn.ops makes it, tests of own layers check it",
}


def entries():
    """Everything with a name that can be given to a model, as `module.Name`."""
    for kind in ("activations", "losses"):
        module = getattr(fastnn, kind)
        for name in set(module.__all__) - {"get", "serialize", "deserialize"}:
            if not isinstance(getattr(module, name), type):
                yield f"{kind}.{name}"
    for kind, base in (
        ("constraints", "Constraint"), ("initializers", "Initializer"), ("layers", "Layer"),
        ("losses", "Loss"), ("metrics", "Metric"), ("optimizers", "Optimizer"),
        ("optimizers.schedules", "LearningRateSchedule"), ("regularizers", "Regularizer"),
    ):  # fmt: skip
        module = fastnn.keras
        for part in kind.split("."):
            module = getattr(module, part, None)
        if module is None:
            continue
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, getattr(module, base)):
                if not found.__name__.startswith("_") and found.__name__ != base:
                    yield f"{kind}.{found.__name__}"


def test_everything_has_a_case_or_a_reason_to_have_none():
    covered = {path for case in CASES.values() for path in names(case)}
    missing = sorted(set(entries()) - covered - set(WITHOUT_A_CASE))
    assert not missing, f"no case in benchmarks/parity/cases for {', '.join(missing)}"
    unneeded = sorted(covered & set(WITHOUT_A_CASE))
    assert not unneeded, f"there is a case for {', '.join(unneeded)}"
