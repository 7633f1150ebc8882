"""Choosing the executor, the Keras vocabulary, and `python -m fastnn`."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from api_tools import (
    X,
    Y,
    mlp,
    native_only,
)

import fastnn
from fastnn import (
    Input,
    Model,
    Sequential,
    backends,
    optimizers,
    training,
    utils,
)
from fastnn.layers import Activation, Dense


def executor_of(model):
    model.predict(X[:1])
    return model._executor("predict", 1, ())[0].name


@native_only
@pytest.mark.parametrize("name", ["native", "reference"])
def test_the_backend_of_the_environment_and_of_compile(name, monkeypatch):
    other = "reference" if name == "native" else "native"
    monkeypatch.delenv("FASTNN_BACKEND", raising=False)
    assert backends.available() == ["native", "reference"]
    assert executor_of(mlp()) == "native"
    monkeypatch.setenv("FASTNN_BACKEND", name)
    assert executor_of(mlp()) == name
    assert executor_of(mlp(backend=other)) == other


@native_only
def test_the_isa_of_the_environment():
    from fastnn.backends import native

    for isa in native.isas():
        done = subprocess.run(
            [sys.executable, "-m", "fastnn"],
            capture_output=True,
            text=True,
            env=os.environ | {"FASTNN_ISA": isa},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"native kernels: {isa} (usable here: {', '.join(native.isas())})" in done.stdout
    program = "from fastnn import *; Sequential([Input((1,)), layers.Dense(1)]).predict([1])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"FASTNN_ISA": "v9"},
    )
    assert done.returncode == 1
    expected = f"'v9' is not usable here; choose one of: {', '.join(native.isas())}"
    assert f"ValueError: FASTNN_ISA={expected}" in done.stderr


def test_without_native_modules_the_reference_runs_and_says_so_once(monkeypatch):
    monkeypatch.delenv("FASTNN_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "fastnn.backends.native", None)  # importing it fails
    monkeypatch.delattr(backends, "native", raising=False)
    monkeypatch.setattr(backends, "_warned", False)
    with pytest.warns(RuntimeWarning, match="slow reference executor: no compiled kernels") as said:
        assert executor_of(mlp()) == "reference"
        assert executor_of(mlp()) == "reference"
    assert len(said) == 1
    assert backends.available() == ["reference"]
    with pytest.raises(RuntimeError, match="native executor is not available.*backend='reference'"):
        mlp(backend="native").predict(X)


def test_keras_is_the_same_vocabulary():
    from fastnn.keras.layers import Dense as KerasDense
    from fastnn.keras.models import Model as KerasModel
    from fastnn.keras.models import Sequential as KerasSequential
    from fastnn.keras.optimizers import Adam
    from fastnn.keras.utils import set_random_seed

    from fastnn import keras

    assert keras.Sequential is KerasSequential is Sequential
    assert keras.Model is KerasModel is Model
    assert keras.Input is Input is keras.layers.Input
    assert KerasDense is Dense is keras.layers.Dense
    assert keras.models.load_model is keras.saving.load_model is fastnn.load_model
    assert keras.models.model_from_json is keras.saving.model_from_json
    assert keras.saving.custom_object_scope is keras.utils.custom_object_scope
    assert Adam is optimizers.Adam is keras.optimizers.Adam
    assert set_random_seed is utils.set_random_seed
    for name in (
        "activations", "callbacks", "initializers", "layers", "losses", "metrics", "optimizers",
        "regularizers", "utils",
    ):  # fmt: skip
        assert getattr(keras, name) is getattr(fastnn, name)
        assert sys.modules[f"fastnn.keras.{name}"] is getattr(fastnn, name)


def test_a_keras_program_runs_with_its_import_line_changed(backend):
    program = """
from fastnn import keras
import numpy as np
keras.utils.set_random_seed(0)
model = keras.models.Sequential()
model.add(keras.layers.Dense(8, activation=keras.activations.relu, input_shape=(4,)))
model.add(keras.layers.Dense(3, activation="softmax"))
model.compile(optimizer=keras.optimizers.Adam(learning_rate=1e-2),
              loss=keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
x = np.eye(4)[np.arange(40) % 4]
history = model.fit(x, np.arange(40) % 4 % 3, epochs=100, batch_size=8, verbose=0)
print(history.history["accuracy"][-1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) == 1.0


@native_only
def test_python_m_fastnn():
    environment = {key: v for key, v in os.environ.items() if key != "FASTNN_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "fastnn"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"fastnn {fastnn.__version__}" in done.stdout
    assert f"NumPy {np.__version__}" in done.stdout
    assert "executors: native, reference (default: native)" in done.stdout
    from fastnn.backends import native

    assert f"native kernels: {native.isas()[0]}" in done.stdout
    assert re.search(r"^threads: [1-9]", done.stdout, re.MULTILINE)
    assert "float type: float32" in done.stdout


def test_more_epochs_than_one_call_of_the_executor_keeps(backend, monkeypatch):
    """The history is the same when the executor has to come back for every third epoch."""
    x, y = np.arange(4.0), np.arange(4.0)

    def losses():
        utils.set_random_seed(3)
        model = Sequential([Dense(1, input_shape=(1,))])
        model.compile("sgd", "mse")
        return model.fit(x, y, epochs=10, verbose=0).history["loss"]

    at_once = losses()
    monkeypatch.setattr(training, "EPOCHS_AT_ONCE", 3)
    assert losses() == at_once
    assert len(at_once) == 10


def test_a_network_deeper_than_pythons_stack(backend):
    depth = 1200
    model = Sequential([Activation("linear", input_shape=(3,)) for _ in range(depth)])
    model.add(Dense(1))
    model.compile("sgd", "mse")
    assert len(model.layers) == depth + 1
    model.fit(X[:, :3], Y[:, :1], epochs=1, verbose=0)
    expected = X[:, :3] @ model.get_weights()[0] + model.get_weights()[1]
    np.testing.assert_allclose(model.predict(X[:, :3]), expected, rtol=1e-5, atol=1e-6)
