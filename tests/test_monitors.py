"""Callbacks that watch a value (EarlyStopping, ReduceLROnPlateau), and LearningRateScheduler."""

import numpy as np
import pytest
from api_tools import X, Y, assert_same, mlp, sgd, train

from fastnn import Sequential, callbacks, optimizers
from fastnn.callbacks import EarlyStopping, LearningRateScheduler, ReduceLROnPlateau
from fastnn.layers import Dense

SERIES = {
    "a": [1.0, 0.9, 0.95, 0.85, 0.86, 0.87, 0.849, 0.9, 0.9, 0.9],
    "b": [0.1, 0.3, 0.3, 0.2, 0.35, 0.34, 0.33, 0.36, 0.1, 0.1],
    "c": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
    "d": [3.0, 2.999, 2.998, 2.9, 2.8999, 2.8998, 2.8, 2.8, 2.8, 1.0],
}

# (series, arguments, epochs run, epoch whose weights are restored): what Keras 3.15.1 does.
STOPS = [
    ("a", {"patience": 0}, 3, 1),
    ("a", {"patience": 2}, 6, 3),
    ("a", {"patience": 3}, 10, 6),
    ("b", {"mode": "max", "patience": 1}, 3, 1),
    ("b", {"mode": "max", "patience": 2}, 4, 1),
    ("c", {}, 2, 0),
    ("c", {"patience": 1}, 2, 0),
    ("c", {"patience": 4}, 5, 0),
    ("d", {"min_delta": 0.01, "patience": 2}, 3, 0),
    ("d", {"min_delta": -0.01, "patience": 3}, 10, 9),
    ("a", {"baseline": 0.5, "patience": 2}, 3, 1),
    ("a", {"baseline": 0.88, "patience": 3}, 3, 1),
    ("b", {"mode": "max", "baseline": 0.35, "patience": 4}, 4, 1),
    ("a", {"start_from_epoch": 4}, 6, 4),
    ("b", {"mode": "max", "start_from_epoch": 2, "patience": 2}, 7, 4),
    ("c", {"start_from_epoch": 6, "patience": 1}, 8, 6),
]

# (series, arguments, rate after each epoch, from 1.0): what Keras 3.15.1 does.
REDUCTIONS = [
    ("a", {"patience": 0}, [1, 1, 0.1, 0.1, 1e-2, 1e-3, 1e-3, 1e-4, 1e-5, 1e-6]),
    ("a", {"patience": 1}, [1, 1, 0.1, 0.1, 1e-2, 1e-3, 1e-3, 1e-4, 1e-5, 1e-6]),
    ("a", {"patience": 2, "factor": 0.5}, [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
    (
        "c",
        {"patience": 2, "cooldown": 2, "factor": 0.5},
        [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125],
    ),
    (
        "c",
        {"patience": 1, "cooldown": 1, "factor": 0.5, "min_lr": 0.2},
        [1, 0.5, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    ),
    (
        "d",
        {"patience": 1, "min_delta": 0.05, "factor": 0.5},
        [1, 0.5, 0.25, 0.25, 0.125, 0.0625, 0.0625, 0.03125, 0.015625, 0.015625],
    ),
    (
        "d",
        {"patience": 1, "factor": 0.5, "min_delta": 0.0},
        [1, 1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.25],
    ),
    (
        "b",
        {"mode": "max", "patience": 2, "factor": 0.25},
        [1, 1, 1, 0.25, 0.25, 0.25, 0.0625, 0.0625, 0.0625, 0.015625],
    ),
    ("c", {"patience": 1, "factor": 0.0, "min_lr": 0.001}, [1] + [0.001] * 9),
]


class Say(callbacks.Callback):
    """Puts a series into the logs, and the number of the epoch into the weights."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        if epoch < len(self.values):
            logs["value"] = self.values[epoch]
        self.model.set_weights([np.full((1, 1), float(epoch))])


def still():
    """A model whose weights only `Say` changes, but for the steps of the plateau tests."""
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(optimizers.SGD(1.0), "mse")
    return model


def fit(model, watch, values, epochs=10, **settings):
    x = np.zeros((2, 1))
    return model.fit(
        x, x, epochs=epochs, verbose=0, callbacks=[Say(values), watch], **settings
    )  # fmt: skip


# --- EarlyStopping ---


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize("series, settings, ran, best", STOPS)
def test_early_stopping_decides_as_keras(series, settings, ran, best, restore):
    settings = {"mode": "min", **settings}
    watch = EarlyStopping(monitor="value", restore_best_weights=restore, **settings)
    model = still()
    for _ in range(2):  # an instance can be used again
        history = fit(model, watch, SERIES[series])
        assert history.epoch == list(range(ran))
        assert history.history["value"] == SERIES[series][:ran]
        if ran < 10:
            assert watch.stopped_epoch == ran - 1
        assert model.get_weights() == [best if restore else ran - 1]


def test_early_stopping_on_the_validation_loss(backend):
    watch = EarlyStopping(patience=2, restore_best_weights=True)
    model = mlp(optimizers.SGD(2.5))  # far too large a rate
    history = model.fit(
        X, Y, epochs=50, validation_data=(X, Y), callbacks=[watch], verbose=0
    ).history["val_loss"]
    assert len(history) < 50
    assert watch.best == min(history) == history[watch.best_epoch]
    assert len(history) == watch.best_epoch + 3
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(watch.best, rel=1e-6)


def test_early_stopping_says_so(capsys):
    fit(still(), EarlyStopping("value", verbose=1, restore_best_weights=True, mode="min"), [1, 2])
    out = capsys.readouterr().out
    assert "Epoch 2: early stopping\n" in out
    assert "Restoring the weights of the best epoch: 1\n" in out


def test_nan_is_never_an_improvement():
    nan = float("nan")
    watch = EarlyStopping("value", patience=3, mode="min", restore_best_weights=True)
    model = still()
    history = fit(model, watch, [nan, 3.0, nan, 2.0, nan, nan, nan, 1.0])
    assert len(history.epoch) == 7
    assert (watch.best, model.get_weights()) == (2.0, [3.0])
    history = fit(model, EarlyStopping("value", patience=2, mode="max"), [nan] * 9)
    assert len(history.epoch) == 2


@pytest.mark.parametrize(
    "monitor, metrics, expected",
    [
        ("loss", [], "min"),
        ("val_loss", [], "min"),
        ("accuracy", ["accuracy"], "max"),
        ("val_accuracy", ["accuracy"], "max"),
        ("mae", ["mae"], "min"),
        ("val_mse", ["mse"], "min"),
    ],
)
def test_the_direction_of_what_is_known(monitor, metrics, expected):
    class Direction(EarlyStopping):
        def on_train_begin(self, logs=None):
            super().on_train_begin(logs)
            self.found = self._direction()

    watch = Direction(monitor)
    mlp(metrics=metrics).fit(X, Y, validation_split=0.2, callbacks=watch, verbose=0)
    assert watch.found == expected


def test_a_direction_that_is_not_known_is_an_error_before_training():
    model = mlp(metrics=["mae"])
    before = model.get_weights()
    expected = "cannot tell whether.*'beauty'.*mode='min' or mode='max'.*keys are: loss, mae"
    with pytest.raises(ValueError, match=f"EarlyStopping: {expected}"):
        model.fit(X, Y, callbacks=[EarlyStopping("beauty")], verbose=0)
    assert_same(model.get_weights(), before)


def test_a_missing_key_warns_once_and_lists_the_keys():
    expected = "EarlyStopping stops by 'val_loss', which is not among the logs: loss, mae; valid"
    with pytest.warns(UserWarning, match=expected) as said:
        history = mlp(metrics=["mae"]).fit(
            X, Y, epochs=3, callbacks=[EarlyStopping("val_loss")], verbose=0
        )
    assert len(said) == 1
    assert len(history.epoch) == 3
    with pytest.warns(UserWarning, match="by 'x', which is not among the logs: loss$"):
        mlp().fit(X, Y, callbacks=[EarlyStopping("x", mode="max")], verbose=0)


def test_a_key_that_is_no_number_warns():
    model = mlp(loss="sparse_categorical_crossentropy", metrics=["confusion_matrix"])
    watch = EarlyStopping("confusion_matrix", mode="max")
    with pytest.warns(UserWarning, match="'confusion_matrix', which is a ndarray, not a number"):
        model.fit(X, np.zeros(len(X)), callbacks=[watch], verbose=0)


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"monitor": 3}, "monitor must be a key of the logs, got 3"),
        ({"mode": "up"}, "mode must be one of auto, min, max, got 'up'"),
        ({"patience": -1}, "patience must be an integer of 0 or more, got -1"),
        ({"patience": 1.5}, "patience must be an integer of 0 or more, got 1.5"),
        ({"min_delta": "small"}, "min_delta must be a finite number, got 'small'"),
        ({"min_delta": float("nan")}, "min_delta must be a finite number, got nan"),
    ],
)
def test_wrong_arguments(kind, settings, expected):
    with pytest.raises(ValueError, match=f"{kind.__name__}: {expected}"):
        kind(**settings)


def test_the_state_of_early_stopping_goes_on_where_it_was():
    """Resumed at every epoch, it decides as without interruption."""
    values = SERIES["a"]
    for stop in range(1, 5):
        first = EarlyStopping("value", patience=2, mode="min", restore_best_weights=True)
        fit(still(), first, values, epochs=stop)
        second = EarlyStopping("value", patience=2, mode="min", restore_best_weights=True)
        second.set_state(first.get_state())
        model = still()
        history = fit(model, second, values, initial_epoch=stop)
        assert history.epoch[-1] == 5
        assert model.get_weights() == [3.0]
        fit(model, second, values)  # the next fit begins anew
        assert second.stopped_epoch == 5


# --- ReduceLROnPlateau ---


@pytest.mark.parametrize("series, settings, rates", REDUCTIONS)
def test_reductions_are_those_of_keras(series, settings, rates):
    class Rates(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.optimizer.learning_rate)

    seen = []
    model = still()
    watch = ReduceLROnPlateau(monitor="value", **{"mode": "min", **settings})
    x = np.zeros((2, 1))
    given = [Say(SERIES[series]), watch, Rates()]
    history = model.fit(x, x, epochs=10, verbose=0, callbacks=given).history
    assert seen == pytest.approx(rates, rel=1e-12)
    # The history tells the rate that an epoch was trained with.
    assert history["learning_rate"] == pytest.approx([1.0, *rates[:-1]], rel=1e-12)


def test_the_reduced_rate_is_used(backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    watch = ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    model.fit(X, Y, batch_size=10, epochs=3, shuffle=False, callbacks=[watch], verbose=0)
    weights = start
    for rate in (0.1, 0.1, 0.05):
        weights, _ = train(weights, X, Y, sgd(rate), 10, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert model.optimizer.learning_rate == 0.025


def test_reductions_are_said(capsys):
    fit(still(), ReduceLROnPlateau("value", patience=1, verbose=1, mode="min"), [1, 1], epochs=2)
    expected = "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.1."
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"factor": 1.0}, "factor must be a number from 0 to below 1, got 1.0"),
        ({"factor": -0.5}, "factor must be a number from 0 to below 1, got -0.5"),
        ({"cooldown": -1}, "cooldown must be an integer of 0 or more, got -1"),
        ({"min_lr": -1}, "min_lr must be a finite number of 0 or more, got -1"),
    ],
)
def test_wrong_arguments_of_a_reduction(settings, expected):
    with pytest.raises(ValueError, match=f"ReduceLROnPlateau: {expected}"):
        ReduceLROnPlateau(**settings)


# --- LearningRateScheduler ---


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch, rate: rate * 0.5 if epoch else rate,
        lambda epoch: 0.1 * 0.5**epoch,
        lambda epoch, rate: np.float32(0.1) * np.float32(0.5) ** epoch,
        lambda epoch, rate: np.array(0.1 * 0.5**epoch),
    ],
)
def test_a_scheduler_sets_the_rate_of_each_epoch(schedule, backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    history = model.fit(
        X, Y, batch_size=10, epochs=3, shuffle=False, callbacks=LearningRateScheduler(schedule),
        verbose=0,
    ).history  # fmt: skip
    assert history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025], rel=1e-7)
    weights = start
    for rate in (0.1, 0.05, 0.025):
        weights, _ = train(weights, X, Y, sgd(rate), 10, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_scheduler_says_what_it_sets(capsys):
    watch = LearningRateScheduler(lambda epoch, rate: 0.25, verbose=1)
    mlp().fit(X, Y, callbacks=[watch], verbose=0)
    expected = "Epoch 1: LearningRateScheduler setting learning rate to 0.25."
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    "value, expected",
    [
        (None, "must return a float, got None for epoch 1"),
        ("0.1", "must return a float, got '0.1' for epoch 1"),
        (True, "must return a float, got True for epoch 1"),
        ([0.1], r"must return a float, got \[0.1\] for epoch 1"),
        (float("nan"), "returned nan for epoch 1; a learning rate is finite and not negative"),
        (float("inf"), "returned inf for epoch 1; a learning rate is finite and not negative"),
        (-0.1, "returned -0.1 for epoch 1; a learning rate is finite and not negative"),
    ],
)
def test_a_schedule_that_returns_no_rate(value, expected):
    model = mlp()
    watch = LearningRateScheduler(lambda epoch, rate: value if epoch else rate)
    with pytest.raises(ValueError, match=f"LearningRateScheduler: the schedule {expected}"):
        model.fit(X, Y, epochs=5, callbacks=[watch], verbose=0)
    assert model.history.epoch == [0]
    assert model.optimizer.learning_rate == 0.01
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    "watch", [LearningRateScheduler(lambda epoch, rate: rate), ReduceLROnPlateau("loss")]
)
def test_an_optimizer_with_a_schedule_of_its_own_is_refused(watch):
    decay = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model = mlp(optimizers.SGD(decay))
    before = model.get_weights()
    expected = "the optimizer already has a schedule, ExponentialDecay; give it a number"
    with pytest.raises(ValueError, match=f"{type(watch).__name__}: {expected}"):
        model.fit(X, Y, callbacks=[watch], verbose=0)
    assert_same(model.get_weights(), before)


def test_a_schedule_that_cannot_be_called():
    with pytest.raises(TypeError, match="schedule must be a function .* got 0.1"):
        LearningRateScheduler(0.1)


def test_an_error_inside_a_schedule_is_not_hidden():
    def schedule(epoch, rate):
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        mlp().fit(X, Y, callbacks=[LearningRateScheduler(schedule)], verbose=0)
