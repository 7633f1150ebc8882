"""An interrupted training that is resumed ends byte for byte where it would have ended."""

import numpy as np
import pytest
from api_tools import LABELS, X, assert_same

from fastnn import ModelFileError, Sequential, callbacks, optimizers, regularizers, saving, utils
from fastnn.layers import Dense, Dropout

FIT = {"batch_size": 8, "verbose": 0, "validation_split": 0.2}
EPOCHS, SAVED = 7, 3


def classifier(optimizer="adam", units=8):
    utils.set_random_seed(4)
    model = Sequential(
        [
            Dense(units, "tanh", kernel_regularizer=regularizers.L2(1e-3), input_shape=(4,)),
            Dropout(0.25),
            Dense(3, "softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Saver(callbacks.Callback):
    """Saves the state after some epochs, as a program does that may be killed."""

    def __init__(self, path, others):
        self.path, self.others = path, others

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == SAVED:
            saving.save_state(self.model, self.path, self.others, epoch + 1, logs=logs)


def resumed_like_uninterrupted(path, optimizer, others=list):
    """Train with a state saved on the way; resume it in a second model; compare everything."""
    whole, theirs = classifier(optimizer()), others()
    uninterrupted = whole.fit(
        X, LABELS, epochs=EPOCHS, callbacks=[*theirs, Saver(path, theirs)], **FIT
    )
    model, ours = classifier(optimizer()), others()
    utils.set_random_seed(99)  # another process has other numbers
    for variable in model.variables:
        variable.assign(np.zeros(variable.shape))
    state = saving.restore_state(model, path, ours)
    assert state["epoch"] == SAVED
    assert state["logs"]["loss"] == uninterrupted.history["loss"][SAVED - 1]
    before = {key: list(values) for key, values in model.history.history.items()}
    rest = model.fit(X, LABELS, epochs=EPOCHS, initial_epoch=state["epoch"], callbacks=ours, **FIT)
    for key, values in uninterrupted.history.items():
        assert before[key] + rest.history[key] == values
    assert_same(model.get_weights(), whole.get_weights())
    mine, others_ = model._executors, whole._executors
    assert mine.control.tobytes() == others_.control.tobytes()
    assert list(mine.slots()) == list(others_.slots())
    for slot, parts in mine.slots().items():
        assert list(parts) == list(others_.slots()[slot])
        for path_, part in parts.items():
            assert part.tobytes() == others_.slots()[slot][path_].tobytes()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_equal(one.get_state(), other.get_state())
    return uninterrupted


# L-BFGS takes no batches and none of these settings.
NAMES = sorted(c.__name__ for c in optimizers._CLASSES.values() if not c.full_batch)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer(name, tmp_path, backend):
    cls = {c.__name__: c for c in optimizers._CLASSES.values()}[name]
    resumed_like_uninterrupted(tmp_path / "state.fastnn", lambda: cls(learning_rate=0.01))


SETTINGS = {
    "momentum": 0.9, "nesterov": True, "centered": True, "amsgrad": True, "weight_decay": 0.01,
    "use_ema": True, "global_clipnorm": 0.5, "gradient_accumulation_steps": 3,
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_of_every_optimizer(name, setting, tmp_path):
    cls = {c.__name__: c for c in optimizers._CLASSES.values()}[name]
    arguments = {setting: SETTINGS[setting]}
    if setting == "nesterov":
        arguments["momentum"] = 0.9
    try:
        cls(**arguments)
    except (TypeError, ValueError):
        return  # it has no such setting
    resumed_like_uninterrupted(tmp_path / "state.fastnn", lambda: cls(**arguments))


@pytest.mark.parametrize(
    "schedule",
    [
        optimizers.schedules.CosineDecay(0.05, 30, warmup_target=0.1, warmup_steps=7),
        optimizers.schedules.ExponentialDecay(0.05, 5, 0.7, staircase=True),
    ],
)
def test_schedules(schedule, tmp_path, backend):
    resumed_like_uninterrupted(
        tmp_path / "state.fastnn",
        lambda: optimizers.Nadam(schedule, gradient_accumulation_steps=3, use_ema=True),
    )


def test_with_callbacks_that_remember(tmp_path, backend):
    def others():
        return [
            callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=0.2),
            callbacks.EarlyStopping(
                monitor="val_loss", patience=4, min_delta=0.08, restore_best_weights=True
            ),
        ]

    history = resumed_like_uninterrupted(
        tmp_path / "state.fastnn", lambda: optimizers.Adam(0.02), others
    )
    assert SAVED + 1 < len(history.epoch) < EPOCHS  # it stopped early, after the state was saved
    rates = history.history["learning_rate"]
    assert rates[SAVED - 1] < rates[0]


def test_a_resume_of_another_training_is_refused(tmp_path):
    path = tmp_path / "state.fastnn"
    model = classifier()
    model.fit(X, LABELS, epochs=2, verbose=0)
    saving.save_state(model, path, [callbacks.EarlyStopping()], epoch=2)

    def refused(other, message, given=()):
        before = other.get_weights()
        with pytest.raises(ModelFileError, match=message):
            saving.restore_state(other, path, given)
        assert_same(other.get_weights(), before)
        assert other.history is None

    stopping = [callbacks.EarlyStopping()]
    units = r"model.config.layers\[0\].config.units is 8 in the file, 9 in the model"
    refused(classifier(units=9), units, stopping)
    refused(
        classifier("sgd"), "compile.optimizer.class_name is 'Adam' in the file, 'SGD'", stopping
    )
    refused(classifier(optimizers.Adam(beta_1=0.5)), "config.beta_1 is 0.9 in the file", stopping)
    deeper = Sequential([*classifier().layers, Dense(3)])
    deeper.compile("adam", "mse")
    refused(deeper, r"layers has 3 entries in the file, 4 in the model", stopping)
    refused(classifier(), "the callbacks EarlyStopping, but these are given: none")
    model.save(tmp_path / "model.fastnn")
    with pytest.raises(ModelFileError, match="not by save_state"):
        saving.restore_state(model, tmp_path / "model.fastnn")
    with pytest.raises(ModelFileError, match="restore_state reads"):
        saving.load_model(path)
    with pytest.raises(ValueError, match="restore_state: compile and build the model first"):
        saving.restore_state(Sequential([Dense(1)]), path)
    assert saving.restore_state(classifier(optimizers.Adam(0.5)), path, stopping)["epoch"] == 2


class Restorer(callbacks.Callback):
    """Resumes when training begins, when the plan is made already."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, logs=None):
        saving.restore_state(self.model, self.path)


def test_a_state_can_be_restored_when_training_begins(tmp_path, backend):
    path = tmp_path / "state.fastnn"
    whole, model = classifier(), classifier()
    history = whole.fit(X, LABELS, epochs=EPOCHS, callbacks=Saver(path, []), **FIT).history
    model.fit(X, LABELS, epochs=2, **FIT)
    rest = {"epochs": EPOCHS, "initial_epoch": SAVED, "callbacks": Restorer(path)}
    assert model.fit(X, LABELS, **rest, **FIT).history == history
    assert_same(model.get_weights(), whole.get_weights())


class Odd(callbacks.Callback):
    def __init__(self, state):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def test_states_of_callbacks_come_back_as_they_were(tmp_path):
    state = {
        "best": -np.inf, "nan": float("nan"), 3: [True, None, "text", 0.1], "": {"float": "x"},
        "arrays": [np.arange(6, dtype=np.int32).reshape(2, 3), np.float32(0.5), np.zeros(0)],
    }  # fmt: skip
    model = classifier()
    saving.save_state(
        model, tmp_path / "s.fastnn", [Odd(state)], 1, 2, {"loss": np.float64(np.nan)}
    )
    callback = Odd(None)
    got = saving.restore_state(model, tmp_path / "s.fastnn", [callback])
    np.testing.assert_equal(callback.state, state)
    assert callback.state["arrays"][0].dtype == np.int32
    np.testing.assert_equal(got, {"epoch": 1, "batch": 2, "logs": {"loss": np.nan}})
    with pytest.raises(TypeError, match="neither JSON nor an array"):
        saving.save_state(model, tmp_path / "s.fastnn", [Odd({"a": {1, 2}})])
