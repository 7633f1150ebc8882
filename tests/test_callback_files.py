"""Callbacks that write files, or are made of functions; the history drawn; stopping at NaN."""

import csv
import errno
import json
import os
import sys

import numpy as np
import pytest
from api_tools import X, Y, assert_same, mlp, twins

from fastnn import Sequential, callbacks, load_model, optimizers
from fastnn.callbacks import (
    CSVLogger,
    History,
    LambdaCallback,
    ModelCheckpoint,
    TerminateOnNaN,
    overrides,
)
from fastnn.layers import Dense

# --- LambdaCallback ---


def test_a_callback_made_of_functions(backend):
    said = []
    watch = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: said.append(("begin", epoch)),
        on_train_batch_end=lambda batch, logs: said.append(("batch", batch, list(logs))),
        on_train_end=lambda logs: said.append(("end", list(logs))),
        on_test_end=lambda logs: said.append(("test", list(logs))),
    )
    mlp().fit(X, Y, validation_data=(X, Y), callbacks=[watch], verbose=0)
    assert said == [
        ("begin", 0), ("batch", 0, ["loss"]), ("batch", 1, ["loss"]), ("test", ["loss"]),
        ("end", ["loss", "val_loss"]),
    ]  # fmt: skip


def test_only_the_hooks_that_are_given_are_called():
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    assert overrides(watch, "on_epoch_end")
    assert not overrides(watch, "on_train_batch_end", "on_batch_end", "on_epoch_begin")


def test_functions_for_hooks_that_do_not_exist():
    with pytest.raises(TypeError, match="no argument 'on_epoch'; the hooks are: on_train_begin"):
        LambdaCallback(on_epoch=print)
    with pytest.raises(TypeError, match="on_epoch_end must be a function, got 3"):
        LambdaCallback(on_epoch_end=3)


# --- CSVLogger ---


def read(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_a_line_an_epoch_that_reads_back_as_the_history(backend, tmp_path):
    path = tmp_path / "log.csv"
    model = mlp(metrics=["mae"])
    history = model.fit(
        X, Y, epochs=3, validation_split=0.2, callbacks=[CSVLogger(path)], verbose=0
    ).history
    head, *lines = read(path)
    assert head == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    for epoch, line in enumerate(lines):
        assert line[0] == str(epoch)
        assert [float(cell) for cell in line[1:]] == [history[key][epoch] for key in head[1:]]
    assert len(lines) == 3


def test_a_value_that_is_not_there_is_na_and_arrays_are_lists(tmp_path):
    path = tmp_path / "log.csv"
    model = mlp(loss="sparse_categorical_crossentropy", metrics=["confusion_matrix"])
    model.fit(
        X, np.arange(50) % 2, epochs=2, validation_split=0.2, validation_freq=2,
        callbacks=[CSVLogger(path, separator=";")], verbose=0,
    )  # fmt: skip
    head, first, second = read(path, ";")
    assert head == ["epoch", "confusion_matrix", "loss", "val_confusion_matrix", "val_loss"]
    assert first[3:] == ["NA", "NA"]
    assert "NA" not in second
    assert np.sum(json.loads(first[1])) == 40


def test_a_second_fit_overwrites_or_appends(tmp_path):
    path = tmp_path / "log.csv"
    model = mlp()
    model.fit(X, Y, epochs=2, callbacks=[CSVLogger(path)], verbose=0)
    watch = CSVLogger(path, append=True)
    model.fit(X, Y, epochs=4, initial_epoch=2, callbacks=[watch], verbose=0)
    model.fit(X, Y, epochs=5, initial_epoch=4, callbacks=[watch], verbose=0)
    assert [line[0] for line in read(path)] == ["epoch", "0", "1", "2", "3", "4"]
    model.fit(X, Y, callbacks=[CSVLogger(path)], verbose=0)
    assert [line[0] for line in read(path)] == ["epoch", "0"]


def test_appending_keeps_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,mae,loss\r\n0,5.0,1.5\r\n1,2.0")  # without an end: a crash
    watch = CSVLogger(path, append=True)
    history = mlp().fit(X, Y, epochs=3, initial_epoch=2, callbacks=[watch], verbose=0).history
    assert read(path)[1:] == [
        ["0", "5.0", "1.5"], ["1", "2.0"], ["2", "NA", repr(history["loss"][0])],
    ]  # fmt: skip
    path.write_text("name,score\nada,3\n")
    with pytest.raises(ValueError, match="append=True.*does not begin with 'epoch': 'name,score'"):
        mlp().fit(X, Y, callbacks=[watch], verbose=0)


@pytest.mark.parametrize("append", [True, False])
def test_a_log_that_cannot_be_written_is_an_error_before_training(append, tmp_path):
    model = mlp()
    before = model.get_weights()
    watch = CSVLogger(tmp_path / "nowhere" / "log.csv", append=append)
    with pytest.raises(OSError, match="CSVLogger: filename cannot be written .*nowhere"):
        model.fit(X, Y, callbacks=[watch], verbose=0)
    assert_same(model.get_weights(), before)
    with pytest.raises(ValueError, match="separator must be a string of one character, got ', '"):
        CSVLogger("log.csv", separator=", ")


# --- ModelCheckpoint ---


def test_a_file_an_epoch_with_its_values_in_the_name(backend, tmp_path):
    path = tmp_path / "runs" / "m-{epoch:02d}-{val_loss:.3f}.fastnn"
    model = mlp("adam")
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    history = model.fit(
        X, Y, epochs=3, validation_split=0.2, callbacks=[ModelCheckpoint(path), keep], verbose=0
    ).history
    names = [f"m-{i + 1:02d}-{history['val_loss'][i]:.3f}.fastnn" for i in range(3)]
    assert sorted(os.listdir(tmp_path / "runs")) == sorted(names)
    for name, expected in zip(names, weights, strict=True):
        assert_same(load_model(tmp_path / "runs" / name).get_weights(), expected)


class Say(callbacks.Callback):
    """Puts a series into the logs."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["value"] = self.values[epoch]


VALUES = [3.0, 2.0, 2.5, 2.0, 1.0, 1.5]


@pytest.mark.parametrize(
    "settings, saved",
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"save_best_only": True, "mode": "min"}, [1, 2, 5]),
        ({"save_best_only": True, "mode": "max"}, [1]),
        ({"save_best_only": True, "mode": "min", "initial_value_threshold": 2.0}, [5]),
        ({"save_best_only": True, "mode": "max", "initial_value_threshold": 2.7}, [1]),
        ({"save_best_only": True, "mode": "max", "initial_value_threshold": 3.5}, []),
    ],
)
def test_which_epochs_are_saved(settings, saved, tmp_path):
    path = tmp_path / "{epoch}.weights.fastnn"
    watch = ModelCheckpoint(path, monitor="value", save_weights_only=True, **settings)
    mlp().fit(X, Y, epochs=6, callbacks=[Say(VALUES), watch], verbose=0)
    assert sorted(os.listdir(tmp_path)) == [f"{i}.weights.fastnn" for i in saved]


def test_the_best_model_is_the_one_in_the_file(tmp_path):
    path = tmp_path / "best.fastnn"
    model = mlp(optimizers.SGD(2.5))  # far too large a rate: it gets worse
    watch = ModelCheckpoint(path, save_best_only=True)
    history = model.fit(X, Y, epochs=20, validation_data=(X, Y), callbacks=[watch], verbose=0)
    assert watch.best == min(history.history["val_loss"])
    assert load_model(path).evaluate(X, Y) == pytest.approx(watch.best, rel=1e-6)


@pytest.mark.parametrize("freq, batches", [(1, [1, 2, 3, 1, 2, 3]), (2, [2, 1, 3]), (4, [1])])
def test_saving_by_batch(freq, batches, backend, tmp_path):
    class Names(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for name in os.listdir(tmp_path):
                seen.append(name)
                os.remove(tmp_path / name)

    seen = []
    path = tmp_path / "{epoch}-{batch}.weights.fastnn"
    watch = ModelCheckpoint(path, save_weights_only=True, save_freq=freq)
    mlp().fit(X, Y, batch_size=20, epochs=2, callbacks=[watch, Names()], verbose=0)
    assert [int(name.split(".")[0].split("-")[1]) for name in seen] == batches


def test_epochs_stay_in_the_native_call_unless_batches_are_saved():
    assert not overrides(ModelCheckpoint("a.fastnn"), "on_train_batch_end", "on_batch_end")
    assert overrides(ModelCheckpoint("a.fastnn", save_freq=3), "on_train_batch_end")


def test_checkpoints_are_said(tmp_path, capsys):
    watch = ModelCheckpoint(
        tmp_path / "a.fastnn", monitor="value", save_best_only=True, mode="min", verbose=1
    )
    mlp().fit(X, Y, epochs=3, callbacks=[Say(VALUES), watch], verbose=0)
    out = capsys.readouterr().out
    assert f"Epoch 1: value improved from None to 3.00000, saving model to {tmp_path}" in out
    assert "Epoch 2: value improved from 3.00000 to 2.00000, saving" in out
    assert "Epoch 3: value did not improve from 2.00000" in out


def test_without_the_monitored_key_every_epoch_is_saved(tmp_path):
    watch = ModelCheckpoint(tmp_path / "{epoch}.fastnn", save_best_only=True)
    expected = "ModelCheckpoint finds the best model by 'val_loss', which is not among the logs"
    with pytest.warns(UserWarning, match=expected) as said:
        mlp().fit(X, Y, epochs=2, callbacks=[watch], verbose=0)
    assert len(said) == 1
    assert sorted(os.listdir(tmp_path)) == ["1.fastnn", "2.fastnn"]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"filepath": "m.keras"}, r"must end in '.fastnn' for save_weights_only=False, got 'm.ker"),
        ({"filepath": "m.h5"}, r"must end in '.fastnn'"),
        (
            {"filepath": "m.fastnn", "save_weights_only": True},
            "must end in '.weights.fastnn' for save_weights_only=True, got 'm.fastnn'",
        ),
        ({"filepath": "m.fastnn", "save_freq": 0}, "save_freq.* an integer of 1 or more, got 0"),
        ({"filepath": "m.fastnn", "save_freq": "batch"}, "save_freq.* got 'batch'"),
        ({"filepath": "m.fastnn", "initial_value_threshold": "a"}, "threshold must be a finite"),
    ],
)
def test_wrong_arguments_of_a_checkpoint(settings, expected):
    with pytest.raises(ValueError, match=f"ModelCheckpoint: .*{expected}"):
        ModelCheckpoint(**settings)


def test_a_checkpoint_that_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.fastnn").mkdir()
    model = mlp()
    before = model.get_weights()
    for path in (tmp_path / "file" / "m.fastnn", tmp_path / "folder.fastnn"):
        with pytest.raises(OSError, match="ModelCheckpoint: filepath cannot be written"):
            model.fit(X, Y, callbacks=[ModelCheckpoint(path)], verbose=0)
    assert_same(model.get_weights(), before)


def test_a_full_disk_keeps_the_older_file_and_reaches_the_caller(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "m.fastnn"
    model = mlp("adam")
    model.fit(X, Y, callbacks=[ModelCheckpoint(path)], verbose=0)
    saved = model.get_weights()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="ModelCheckpoint: filepath .*No space left") as caught:
        model.fit(X, Y, epochs=3, callbacks=[ModelCheckpoint(path)], verbose=0)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert model.history.epoch == [0]
    monkeypatch.undo()
    assert_same(load_model(path).get_weights(), saved)
    model.fit(X, Y, callbacks=[ModelCheckpoint(path)], verbose=0)
    assert_same(load_model(path).get_weights(), model.get_weights())
    assert os.listdir(tmp_path) == ["m.fastnn"]


def test_a_name_that_cannot_be_filled_in(tmp_path):
    watch = ModelCheckpoint(tmp_path / "{epoch}-{val_acc:.2f}.fastnn")
    expected = "cannot be filled in .KeyError: 'val_acc'.; what there is: loss, epoch"
    with pytest.raises(ValueError, match=f"ModelCheckpoint: filepath .*{expected}"):
        mlp().fit(X, Y, callbacks=[watch], verbose=0)


# --- TerminateOnNaN ---


def diverging():
    """A linear model whose loss doubles its digits with each batch."""
    model = Sequential([Dense(1, input_shape=(4,))])
    model.compile(optimizers.SGD(1e6), "mse")
    return model


def test_training_stops_within_the_step_that_is_not_finite(backend, capsys):
    class Losses(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    seen = []
    x, y = X[:40], Y[:40, :1]
    settings = {"batch_size": 1, "epochs": 3, "shuffle": False, "verbose": 0}
    one = diverging()
    start = one.get_weights()
    with np.errstate(all="ignore"):
        one.fit(x, y, callbacks=[Losses(), TerminateOnNaN()], **settings)
    bad = [i for i, loss in enumerate(seen) if not np.isfinite(loss)]
    assert bad == [len(seen) - 1]
    assert 0 < bad[0] < 40
    said = capsys.readouterr().out
    assert f"Batch {bad[0]}: Invalid loss, terminating training" in said
    # Without a batch hook it is the executor that stops, at the same batch.
    other = diverging()
    other.set_weights(start)
    with np.errstate(all="ignore"):
        history = other.fit(x, y, callbacks=TerminateOnNaN(), **settings)
    assert history.epoch == [0]
    assert other.optimizer.iterations == one.optimizer.iterations == bad[0] + 1
    assert capsys.readouterr().out == said
    assert not overrides(TerminateOnNaN(), "on_train_batch_end", "on_batch_end", "on_epoch_end")


def test_an_error_at_nan(backend):
    model = diverging()
    ends = []
    watch = LambdaCallback(on_train_end=ends.append, on_epoch_end=lambda *given: ends.append(1))
    expected = r"TerminateOnNaN: the loss was (nan|inf) at batch \d+; try a smaller learning rate"
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match=expected):
        model.fit(X, Y[:, :1], batch_size=1, callbacks=[TerminateOnNaN(True), watch], verbose=0)
    assert ends == []


def test_a_function_that_is_called_at_nan(backend):
    seen = []
    watch = LambdaCallback(on_nan=lambda batch, logs: seen.append(batch))
    with np.errstate(all="ignore"):
        diverging().fit(X, Y[:, :1], batch_size=1, callbacks=[watch], verbose=0)
    assert len(seen) == 1


def test_a_training_without_nan_is_not_disturbed(backend):
    one, other = twins("adam")
    history = one.fit(X, Y, epochs=4, callbacks=[TerminateOnNaN()], verbose=0).history
    assert history == other.fit(X, Y, epochs=4, verbose=0).history
    assert_same(one.get_weights(), other.get_weights())


# --- History.plot ---


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def curves(axes):
    return {line.get_label(): [list(v) for v in line.get_data()] for line in axes.get_lines()}


def test_the_history_is_drawn(pyplot, tmp_path):
    model = mlp(metrics=["mae"])
    history = model.fit(
        X, Y, epochs=5, validation_split=0.2, validation_freq=3, verbose=0, initial_epoch=1
    )
    figure = history.plot()
    loss, mae = figure.axes
    assert (loss.get_title(), mae.get_title()) == ("loss", "mae")
    for axes in figure.axes:
        values = history.history[axes.get_title()]
        checked = history.history[f"val_{axes.get_title()}"]
        assert curves(axes) == {
            "training": [[1, 2, 3, 4], values],
            "validation": [[2], checked],
        }
        assert axes.get_xlabel() == "epoch"
    figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_chosen_curves_and_logarithms(pyplot):
    model = mlp(loss="sparse_categorical_crossentropy", metrics=["accuracy", "confusion_matrix"])
    history = model.fit(X, np.arange(50) % 2, epochs=2, verbose=0)
    assert [axes.get_title() for axes in history.plot().axes] == ["loss", "accuracy"]
    (axes,) = history.plot("accuracy").axes
    assert (axes.get_title(), axes.get_yscale()) == ("accuracy", "linear")
    (axes,) = history.plot(["loss"], log=True).axes
    assert axes.get_yscale() == "log"
    with pytest.raises(ValueError, match="'mse' is not in the history; there is: loss, accuracy"):
        history.plot(["loss", "mse"])
    with pytest.raises(ValueError, match="nothing to plot; fit the model first"):
        History().plot()


def test_plot_without_matplotlib_says_what_to_install(monkeypatch):
    history = mlp().fit(X, Y, verbose=0)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        history.plot()


# --- errors in callbacks ---


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
def test_a_callback_that_raises_leaves_a_model_that_can_be_used(hook, backend):
    def fail(*given):
        raise ZeroDivisionError("mine")

    one, other = twins("adam")
    with pytest.raises(ZeroDivisionError, match="mine"):
        one.fit(X, Y, epochs=3, callbacks=[LambdaCallback(**{hook: fail})], verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    one.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    other.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    assert_same(one.get_weights(), other.get_weights())
