"""What happens around training: callbacks, Ctrl-C, threads, and what is shown."""

import os
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from api_tools import (
    CLOSE,
    ROWS,
    X,
    Y,
    assert_same,
    mlp,
    native_only,
    sgd,
    train,
    twins,
)

from fastnn import (
    Sequential,
    callbacks,
    optimizers,
    utils,
)
from fastnn.layers import Dense, Dropout

# --- callbacks ---


HOOKS = [
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin",
    "on_train_batch_end", "on_test_begin", "on_test_end",
]  # fmt: skip


class Note(callbacks.Callback):
    """Notes every call: (hook, number or None, keys of the logs)."""

    def __init__(self):
        self.calls = []
        self.logs = []


def _noting(hook):
    def method(self, *args):
        *number, logs = args
        self.calls.append((hook, *number, list(logs)))
        self.logs.append(logs)

    return method


for _hook in HOOKS:
    setattr(Note, _hook, _noting(_hook))


def test_hooks_in_their_order_with_their_arguments(backend):
    model = mlp(metrics=["mae"])
    note = Note()
    data = {"validation_data": (X, Y), "callbacks": [note], "verbose": 0}
    history = model.fit(X, Y, batch_size=32, initial_epoch=1, epochs=3, **data)
    values, both = ["loss", "mae"], ["loss", "mae", "val_loss", "val_mae"]
    epochs = [
        [
            ("on_epoch_begin", epoch, []),
            ("on_train_batch_begin", 0, []),
            ("on_train_batch_end", 0, values),
            ("on_train_batch_begin", 1, []),
            ("on_train_batch_end", 1, values),
            ("on_test_begin", []),
            ("on_test_end", values),
            ("on_epoch_end", epoch, both),
        ]
        for epoch in (1, 2)
    ]
    assert note.calls == [("on_train_begin", []), *epochs[0], *epochs[1], ("on_train_end", both)]
    assert note.model is model
    assert note.params == {"epochs": 3, "steps": 2, "batch_size": 32, "verbose": 0}
    ends = [logs for call, logs in zip(note.calls, note.logs, strict=True)
            if call[0] == "on_epoch_end"]  # fmt: skip
    assert [logs["loss"] for logs in ends] == history.history["loss"]
    assert note.logs[-1] == ends[-1]
    # The batch logs are means of the epoch so far: the last one is the epoch's.
    batch_ends = [logs for call, logs in zip(note.calls, note.logs, strict=True)
                  if call[0] == "on_train_batch_end"]  # fmt: skip
    assert batch_ends[1]["loss"] == ends[0]["loss"]


def test_callbacks_do_not_change_training(backend):
    class Epochs(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.last = epoch

    histories, weights = [], []
    for given in (None, [Note()], [Epochs()], Note(), callbacks.Callback()):
        utils.set_random_seed(5)
        model = Sequential([Dense(8, "tanh", input_shape=(4,)), Dropout(0.2), Dense(2)])
        model.compile("adam", "mse")
        histories.append(model.fit(X, Y, epochs=3, callbacks=given, verbose=0).history)
        weights.append(model.get_weights())
    for history, w in zip(histories, weights, strict=True):
        assert history == histories[0]
        assert_same(w, weights[0])


def test_batch_hooks_by_their_other_names(backend):
    class Batches(callbacks.Callback):
        seen = ()

        def on_batch_begin(self, batch, logs=None):
            self.seen += (("begin", batch),)

        def on_batch_end(self, batch, logs=None):
            self.seen += (("end", batch),)

    watch = Batches()
    mlp().fit(X, Y, callbacks=[watch], verbose=0)
    assert watch.seen == (("begin", 0), ("end", 0), ("begin", 1), ("end", 1))


def test_several_callbacks_are_called_in_their_order(backend):
    order = []

    class Say(callbacks.Callback):
        def __init__(self, name):
            self.name = name

        def on_epoch_end(self, epoch, logs=None):
            order.append((self.name, epoch))

    mlp().fit(X, Y, epochs=2, callbacks=[Say("a"), Say("b")], verbose=0)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_stop_training_after_an_epoch(backend):
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    one, other = twins()
    history = one.fit(X, Y, epochs=10, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0, 1, 2]
    other.fit(X, Y, epochs=3, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    assert one.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]  # the next fit is not stopped


def test_stop_training_within_an_epoch_ends_that_epoch(backend):
    class Stop(Note):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.model.stop_training = batch == 1

    model, watch = mlp(), Stop()
    start = model.get_weights()
    history = model.fit(
        X, Y, batch_size=10, epochs=5, shuffle=False, callbacks=[watch],
        validation_data=(X, Y), verbose=0,
    )  # fmt: skip
    assert [call[0] for call in watch.calls][-4:] == [
        "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip
    weights, losses_ = train(start, X[:20], Y[:20], sgd(), 10, 1)
    assert history.epoch == [0]
    np.testing.assert_allclose(history.history["loss"], losses_, rtol=1e-5)
    assert len(history.history["val_loss"]) == 1
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_a_history_given_as_a_callback_is_filled(backend):
    mine = callbacks.History()
    history = mlp().fit(X, Y, epochs=2, callbacks=[mine], verbose=0)
    assert mine.history == history.history
    assert mine.epoch == [0, 1]


def test_an_exception_in_a_callback_reaches_the_caller(backend):
    class Fail(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("mine")

    model = mlp()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, epochs=9, callbacks=[Fail()], verbose=0)
    assert model.history.epoch == [0, 1]
    assert model.fit(X, Y, verbose=0).epoch == [0]


def test_what_a_callback_adds_to_the_logs_is_in_the_history_and_seen_by_later_ones(backend):
    class Add(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = 10.0 * epoch

    watch = Note()
    history = mlp().fit(X, Y, epochs=3, callbacks=[Add(), watch], verbose=0)
    assert history.history["mine"] == [0.0, 10.0, 20.0]
    assert [logs["mine"] for call, logs in zip(watch.calls, watch.logs, strict=True)
            if call[0] == "on_epoch_end"] == [0.0, 10.0, 20.0]  # fmt: skip


# --- Ctrl-C ---


def test_keyboard_interrupt_from_a_callback(backend):
    class Interrupt(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    one, other = twins("adam")
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, epochs=9, callbacks=[Interrupt()], verbose=0)
    assert one.history.epoch == [0, 1, 2]
    history = other.fit(X, Y, epochs=3, verbose=0)
    assert one.history.history == history.history
    # Training goes on where it stopped.
    assert (
        one.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
    )
    assert_same(one.get_weights(), other.get_weights())


def test_keyboard_interrupt_within_an_epoch(backend):
    class Interrupt(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.batches = getattr(self, "batches", 0) + 1
            if self.batches == 7:
                raise KeyboardInterrupt

    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, epochs=9, shuffle=False, callbacks=Interrupt(), verbose=0)
    assert model.history.epoch == [0]
    assert len(model.history.history["loss"]) == 1
    step = sgd(0.1)
    weights, _ = train(start, X, Y, step, 10, 1)
    weights, _ = train(weights, X[:20], Y[:20], step, 10, 1)  # the two batches after it
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


@native_only
def test_a_real_ctrl_c_in_a_long_native_fit(monkeypatch):
    monkeypatch.setenv("FASTNN_BACKEND", "native")
    one, other = twins("adam", hidden=32)
    kernel = np.asarray(one.layers[0].kernel)
    start = kernel.copy()

    def interrupt_once_it_trains():
        while (kernel == start).all():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt_once_it_trains)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            # One batch an epoch, so the history counts the steps.
            one.fit(X, Y, batch_size=ROWS, epochs=2_000_000, verbose=0)
    finally:
        sender.join()
    epochs = len(one.history.epoch)
    assert 0 < epochs < 2_000_000
    assert one.history.epoch == list(range(epochs))
    assert len(one.history.history["loss"]) == epochs
    assert all(np.isfinite(w).all() for w in one.get_weights())
    assert (kernel != start).any()
    # The model holds the last whole step, and goes on from there.
    history = other.fit(X, Y, batch_size=ROWS, epochs=epochs, verbose=0)
    assert one.history.history == history.history
    assert_same(one.get_weights(), other.get_weights())
    assert (
        one.fit(X, Y, epochs=2, verbose=0).history == other.fit(X, Y, epochs=2, verbose=0).history
    )


@pytest.mark.parametrize("place", ["before the values", "between the values", "after them"])
@pytest.mark.parametrize("method", ["add", "extend"])
def test_ctrl_c_while_a_slice_of_many_epochs_is_noted(backend, monkeypatch, method, place):
    """The history then holds every epoch that the weights have seen, once."""
    one, other = twins("adam", metrics=["mae"])
    note = getattr(callbacks.History, method)
    calls = []

    def interrupted(history, epoch, logs):
        calls.append(epoch)
        if len(calls) == (4 if method == "add" else 1):
            if place == "between the values":
                history.history["loss"] = history.history.get("loss", []) + [logs["loss"]] * 9
            if place == "after them":
                note(history, epoch, logs)
            raise KeyboardInterrupt
        note(history, epoch, logs)

    monkeypatch.setattr(callbacks.History, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, Y, epochs=9, verbose=2 if method == "add" else 0)
    monkeypatch.undo()
    epochs = len(one.history.epoch)
    assert epochs >= 3
    assert one.history.epoch == list(range(epochs))
    monkeypatch.setenv("FASTNN_BACKEND", backend)
    assert one.history.history == other.fit(X, Y, epochs=epochs, verbose=0).history
    assert_same(one.get_weights(), other.get_weights())


# --- threads ---


def test_predictions_in_several_threads_are_those_of_one(backend, impatient):
    model = mlp(hidden=32)
    sizes = [1, 2, 3, 5, 8, 13, 21, 34, 50]
    serial = {n: model.predict(X[:n]) for n in sizes}
    model = mlp_with_same(model)  # its plans are made by the threads
    problems = []

    def work(seed):
        try:
            for n in np.random.default_rng(seed).choice(sizes, 400):
                if not np.array_equal(model.predict(X[:n]), serial[n]):
                    problems.append(f"{n} rows differ")
        except Exception as error:  # a thread's exception would only be printed
            problems.append(repr(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def mlp_with_same(model):
    other = mlp(hidden=32)
    other.set_weights(model.get_weights())
    return other


def test_nothing_runs_on_after_fit(backend):
    program = """
import threading, numpy as np
from fastnn import Sequential, layers
model = Sequential([layers.Dense(1, input_shape=(4,))])
model.compile("sgd", "mse")
model.fit(np.ones((9, 4)), np.ones(9), epochs=3, validation_split=0.2, verbose=1)
model.predict(np.ones((9, 4)))
print([thread.name for thread in threading.enumerate()])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "['MainThread']"


# --- what is shown ---


def test_verbose_0_shows_nothing(backend, capsys):
    mlp().fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
    assert capsys.readouterr() == ("", "")


def test_verbose_2_shows_a_line_an_epoch(backend, capsys):
    history = mlp(metrics=["mae"]).fit(X, Y, epochs=2, validation_split=0.2, verbose=2).history
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == 2
    for i, line in enumerate(lines):
        values = " - ".join(f"{key}: {value[i]:.4f}" for key, value in history.items())
        assert re.fullmatch(rf"Epoch {i + 1}/2 - \d+\.\ds - {re.escape(values)}", line)


@pytest.mark.parametrize("verbose", [1, "auto", True])
def test_verbose_1_shows_a_bar_with_the_values(verbose, backend, capsys):
    history = mlp(metrics=["mae"]).fit(X, Y, epochs=3, verbose=verbose).history
    out, err = capsys.readouterr()
    assert err == ""
    assert "Epoch 1/3" in out
    last = out.replace("\r", "\n").strip().splitlines()[-1]
    assert "Epoch 3/3: 100%" in last
    assert "2/2" in last
    assert f"loss: {history['loss'][-1]:.4f} - mae: {history['mae'][-1]:.4f}" in last


def test_hundreds_of_short_epochs_do_not_flood_the_screen(backend, monkeypatch, capsys):
    monkeypatch.setattr("time.monotonic", lambda: 0.0)  # all of them within one moment
    mlp().fit(X, Y, epochs=300, verbose=1)
    out = capsys.readouterr().out
    shown = set(re.findall(r"Epoch (\d+)/300", out))
    assert shown == {"1", "300"}
