"""BackupAndRestore: a fit that was interrupted and is run again ends as if it had not been."""

import os

import numpy as np
import pytest
from api_tools import LABELS, X, assert_same, mlp

from fastnn import ModelFileError, Sequential, callbacks, optimizers, utils
from fastnn.callbacks import BackupAndRestore, EarlyStopping, LambdaCallback, ReduceLROnPlateau
from fastnn.layers import Dense, Dropout

FIT = {"batch_size": 8, "epochs": 6, "validation_split": 0.2, "verbose": 0}  # 5 batches an epoch


def classifier(optimizer="adam", units=8, seed=4):
    utils.set_random_seed(seed)
    model = Sequential([Dense(units, "tanh", input_shape=(4,)), Dropout(0.25), Dense(3, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Killed(BaseException):
    """Nothing catches it, as nothing stops a kill."""


class Die(callbacks.Callback):
    """At the end of one batch, all batches counted."""

    def __init__(self, at):
        self.left = at

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed


def watchers():
    return [
        ReduceLROnPlateau("loss", patience=1, min_delta=0.1),
        EarlyStopping("val_loss", patience=4, min_delta=0.05, restore_best_weights=True),
    ]


@pytest.fixture
def whole(backend):
    """The training that nobody interrupts, and its history."""
    model = classifier(optimizers.Adam(0.02))
    return model, model.fit(X, LABELS, callbacks=watchers(), **FIT).history


@pytest.mark.parametrize("at", [5, 13, 15, 24])
@pytest.mark.parametrize("freq", ["epoch", 1, 3, 7])
def test_a_killed_fit_that_is_run_again_ends_byte_for_byte_the_same(freq, at, whole, tmp_path):
    want, history = whole
    folder = tmp_path / "backup"
    first = classifier(optimizers.Adam(0.02))
    with pytest.raises(Killed):
        first.fit(
            X, LABELS, callbacks=[BackupAndRestore(folder, freq), *watchers(), Die(at)], **FIT
        )
    done = (at - 1) // 5 * 5 if freq == "epoch" else last_backup(at, freq)
    seed = 99 if done else 4  # another process has other numbers; without a backup they stay
    second = classifier(optimizers.Adam(0.02), seed=seed)
    ran = []
    count = LambdaCallback(on_train_batch_end=lambda batch, logs: ran.append(batch))
    again = second.fit(
        X, LABELS, callbacks=[count, *watchers(), BackupAndRestore(folder, freq)], **FIT
    )
    assert len(ran) == 5 * len(history["loss"]) - done
    assert again.history == history
    assert_same(second.get_weights(), want.get_weights())
    ours, theirs = second._executors, want._executors
    assert ours.control.tobytes() == theirs.control.tobytes()
    for slot, parts in theirs.slots().items():
        for path, part in parts.items():
            assert ours.slots()[slot][path].tobytes() == part.tobytes()
    assert not folder.exists()
    # Later fits go on alike too.
    more = {"epochs": 2, "batch_size": 8, "verbose": 0}
    assert second.fit(X, LABELS, **more).history == want.fit(X, LABELS, **more).history


def last_backup(at, every):
    """The batches in the last backup before a kill at the end of batch `at`.

    A backup that is due with the last batch of an epoch is made when the epoch has ended; the
    kill comes in the hook of a callback that is called before.
    """
    done = since = 0
    for batch in range(1, at):
        since += 1
        if since >= every:
            done, since = batch, 0
    return done


def test_the_model_itself_can_be_fitted_again(backend, tmp_path):
    want, model = classifier(), classifier()
    history = want.fit(X, LABELS, **FIT).history
    with pytest.raises(Killed):
        model.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path), Die(13)], **FIT)
    assert model.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path)], **FIT).history == history
    assert_same(model.get_weights(), want.get_weights())


@pytest.mark.parametrize(
    "settings", [{"shuffle": "batch"}, {"batch_size": 10, "steps_per_epoch": 2}]
)
@pytest.mark.parametrize("freq", ["epoch", 1, 3])
def test_other_orders_and_lengths_of_an_epoch(freq, settings, backend, tmp_path):
    fit = {**FIT, **settings}
    want, first, again = classifier(), classifier(), classifier(seed=99)
    history = want.fit(X, LABELS, **fit).history
    with pytest.raises(Killed):
        first.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path, freq), Die(9)], **fit)
    resumed = again.fit(X, LABELS, callbacks=BackupAndRestore(tmp_path, freq), **fit)
    assert resumed.history == history
    assert_same(again.get_weights(), want.get_weights())


class Batches:
    """A stream whose batches have numbers."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[8 * i : 8 * i + 8], LABELS[8 * i : 8 * i + 8]


@pytest.mark.parametrize("freq", ["epoch", 4])
def test_a_stream_goes_on_between_epochs(freq, backend, tmp_path):
    want, first, again = classifier(), classifier(), classifier(seed=99)
    fit = {"epochs": 5, "verbose": 0}
    history = want.fit(Batches(), **fit).history
    with pytest.raises(Killed):
        first.fit(Batches(), callbacks=[BackupAndRestore(tmp_path, freq), Die(18)], **fit)
    resumed = again.fit(Batches(), callbacks=BackupAndRestore(tmp_path, freq), **fit)
    assert resumed.history == history
    assert_same(again.get_weights(), want.get_weights())


def test_with_a_schedule_and_averages(backend, tmp_path):
    def model_and_callbacks(seed=4):
        decay = optimizers.schedules.CosineDecay(0.05, 30, warmup_target=0.1, warmup_steps=6)
        optimizer = optimizers.Adam(decay, use_ema=True, ema_momentum=0.9, clipnorm=0.5)
        return classifier(optimizer, seed=seed), [callbacks.SwapEMAWeights(swap_on_epoch=True)]

    want, given = model_and_callbacks()
    history = want.fit(X, LABELS, callbacks=given, **FIT).history
    first, given = model_and_callbacks()
    with pytest.raises(Killed):
        first.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path), *given, Die(18)], **FIT)
    again, given = model_and_callbacks(seed=99)
    resumed = again.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path), *given], **FIT)
    assert resumed.history == history
    assert_same(again.get_weights(), want.get_weights())
    assert again.optimizer.learning_rate == want.optimizer.learning_rate


def test_a_fit_that_begins_later(backend, tmp_path):
    want, model = classifier(), classifier()
    history = want.fit(X, LABELS, initial_epoch=2, **FIT)
    with pytest.raises(Killed):
        settings = {"callbacks": [BackupAndRestore(tmp_path), Die(13)], **FIT}
        model.fit(X, LABELS, initial_epoch=2, **settings)
    again = classifier(seed=5)
    resumed = again.fit(X, LABELS, initial_epoch=2, callbacks=BackupAndRestore(tmp_path), **FIT)
    assert resumed.epoch == history.epoch == [2, 3, 4, 5]
    assert resumed.history == history.history
    assert_same(again.get_weights(), want.get_weights())


def test_a_training_that_is_done_leaves_nothing_or_what_was_asked_for(tmp_path):
    folder = tmp_path / "a"
    classifier().fit(X, LABELS, callbacks=[BackupAndRestore(folder)], **FIT)
    assert not folder.exists()
    folder.mkdir()
    (folder / "mine").write_text("")  # not ours to remove
    classifier().fit(X, LABELS, callbacks=[BackupAndRestore(folder)], **FIT)
    assert os.listdir(folder) == ["mine"]
    folder = tmp_path / "b"
    watch = BackupAndRestore(folder, delete_checkpoint=False)
    model = classifier()
    history = model.fit(X, LABELS, callbacks=[watch], **FIT).history
    assert os.listdir(folder) == ["latest.fastnn"]
    # It is all done: nothing is trained again.
    other = classifier(seed=5)
    assert other.fit(X, LABELS, callbacks=[watch], **FIT).history == history
    assert_same(other.get_weights(), model.get_weights())


def test_a_damaged_backup(tmp_path):
    def killed(watch):
        with pytest.raises(Killed):
            classifier().fit(X, LABELS, callbacks=[watch, Die(22)], **FIT)

    def resumed(watch):
        seen = []
        say = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
        model = classifier(seed=5)
        before = model.get_weights()
        try:
            model.fit(X, LABELS, callbacks=[watch, say], **FIT)
        except ModelFileError:
            assert_same(model.get_weights(), before)
            raise
        return seen

    latest = tmp_path / "latest.fastnn"
    for double in (False, True):
        killed(BackupAndRestore(tmp_path, double_checkpoint=double))
        latest.write_bytes(latest.read_bytes()[:-9])
        watch = BackupAndRestore(tmp_path, double_checkpoint=double)
        if double:
            with pytest.warns(UserWarning, match="last backup is not used.*latest.fastnn"):
                assert resumed(watch) == [3, 4, 5]
        else:
            with pytest.raises(ModelFileError, match="latest.fastnn"):
                resumed(watch)
            latest.unlink()


def test_a_backup_of_another_model_or_of_other_callbacks(tmp_path):
    with pytest.raises(Killed):
        classifier().fit(
            X, LABELS, callbacks=[BackupAndRestore(tmp_path), EarlyStopping(), Die(13)], **FIT
        )
    for model, given, expected in (
        (classifier(units=9), [EarlyStopping()], "units is 8 in the file, 9 in the model"),
        (classifier("sgd"), [EarlyStopping()], "is 'Adam' in the file, 'SGD' in the model"),
        (classifier(), [], "EarlyStopping, BackupAndRestore, but these are given: Back"),
    ):
        before = model.get_weights()
        with pytest.raises(ModelFileError, match=expected):
            model.fit(X, LABELS, callbacks=[BackupAndRestore(tmp_path), *given], **FIT)
        assert_same(model.get_weights(), before)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"backup_dir": ""}, "backup_dir must be the path of a folder, got ''"),
        ({"backup_dir": "a", "save_freq": "batch"}, "save_freq, .* got 'batch'"),
        ({"backup_dir": "a", "save_freq": 0}, "save_freq, .* an integer of 1 or more, got 0"),
        ({"backup_dir": "a", "save_freq": False}, "save_freq, .* got False"),
    ],
)
def test_wrong_arguments(settings, expected):
    with pytest.raises(ValueError, match=f"BackupAndRestore: {expected}"):
        BackupAndRestore(**settings)


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = mlp()
    before = model.get_weights()
    with pytest.raises(OSError, match="BackupAndRestore: backup_dir cannot be written"):
        model.fit(X, np.zeros((50, 2)), callbacks=[BackupAndRestore(tmp_path / "file")], verbose=0)
    assert_same(model.get_weights(), before)


def test_epochs_stay_in_the_native_call_unless_batches_are_saved():
    assert not callbacks.overrides(BackupAndRestore("a"), "on_train_batch_end", "on_batch_end")
    assert callbacks.overrides(BackupAndRestore("a", 3), "on_train_batch_end")
