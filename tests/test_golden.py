"""The committed model files load for ever: weights, predictions and optimizer state as recorded."""

import json

import numpy as np
import pytest
from api_tools import assert_same
from golden import make

from fastnn import load_model, saving

CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # predictions: another processor, another order of sums


def recorded(name):
    return json.loads((make.FOLDER / f"{name}.json").read_text())


def is_as_recorded(model, expected, inputs):
    assert [v.path for v in model.variables] == list(expected["weights"])
    assert_same(
        model.get_weights(), [np.array(w, np.float32) for w in expected["weights"].values()]
    )
    slots = model._executors.slots()
    assert list(slots) == list(expected["slots"])
    for slot, parts in expected["slots"].items():
        assert list(slots[slot]) == list(parts)
        assert_same(slots[slot].values(), [np.array(p, np.float32) for p in parts.values()])
    assert model.optimizer.iterations == expected["iterations"]
    assert model.optimizer.learning_rate == expected["learning_rate"]
    predictions = model.predict(inputs)
    several = predictions if isinstance(predictions, list) else [predictions]
    for prediction, wanted in zip(several, expected["predictions"], strict=True):
        np.testing.assert_allclose(prediction[:5], wanted, **CLOSE)


@pytest.mark.parametrize(
    ("name", "inputs", "targets"),
    [("sequential", make.X, make.LABELS), ("functional", [make.A, make.B], [make.Y, make.LABELS])],
)
def test_models(name, inputs, targets, backend):
    expected = recorded(name)
    model = load_model(make.FOLDER / f"{name}.fastnn")
    is_as_recorded(model, expected, inputs)
    known = expected["architecture"]
    now = json.loads(model.to_json())
    assert now["class_name"] == known["class_name"]
    assert [d["class_name"] for d in now["config"]["layers"]] == [
        d["class_name"] for d in known["config"]["layers"]
    ]
    history = model.fit(inputs, targets, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    again = saving.model_from_json(json.dumps(known))
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]


def test_a_state(backend):
    expected = recorded("state")
    model, stopping = make.state_model(), make.state_callbacks()
    progress = saving.restore_state(model, make.FOLDER / "state.fastnn", stopping)
    assert progress == {"epoch": 3, "batch": 0, "logs": {}}
    is_as_recorded(model, expected, make.X)
    assert model.history.history == expected["history"]
    assert stopping[0].wait == expected["wait"]
    assert len(stopping[0].best_weights) == 4
