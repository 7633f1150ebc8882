"""Streams of batches: generators, iterables, objects with numbered batches; each like the arrays.

The same rows in the same batches give the same weights as `fit` on arrays without shuffling, and
the same losses but for the order of additions.
"""

import warnings

import numpy as np
import pytest
from api_tools import LABELS, ONE_HOT, ROWS, WEIGHT, X, Y, assert_same, mlp, train, twins
from api_tools import sgd as sgd_program

from fastnn import Input, Model, Sequential, callbacks
from fastnn.layers import Dense


def batches(size=16, weighted=False, x=X, y=Y):
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield (x[rows], y[rows], WEIGHT[rows]) if weighted else (x[rows], y[rows])


def forever(size=16):
    while True:
        yield from batches(size)


class Numbered:
    """Like keras.utils.PyDataset."""

    def __init__(self, size=16, weighted=False):
        self.parts = list(batches(size, weighted))
        self.asked, self.ended = [], 0

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, i):
        self.asked.append(i)
        return self.parts[i]

    def on_epoch_end(self):
        self.ended += 1


class Loader:
    """Like a PyTorch DataLoader: iterable again and again, yields lists."""

    def __init__(self, size=16, weighted=False):
        self.size, self.weighted = size, weighted

    def __iter__(self):
        return (list(batch) for batch in batches(self.size, self.weighted))


KINDS = {
    "generator": lambda weighted: batches(16, weighted),
    "iterator": lambda weighted: iter(list(batches(16, weighted))),
    "numbered": lambda weighted: Numbered(16, weighted),
    "iterable": lambda weighted: Loader(16, weighted),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_is_its_arrays(kind, weighted, backend):
    epochs = 1 if kind in ("generator", "iterator") else 3
    a, b = twins("adam", metrics=["mae"])
    weight = WEIGHT if weighted else None
    given = {"epochs": epochs, "shuffle": False, "verbose": 0}
    wanted = a.fit(X, Y, batch_size=16, sample_weight=weight, **given)
    history = b.fit(KINDS[kind](weighted), **given)
    assert_same(a.get_weights(), b.get_weights())
    assert history.epoch == wanted.epoch
    for key, values in wanted.history.items():
        np.testing.assert_allclose(history.history[key], values, rtol=1e-6)
    checked = b.evaluate(KINDS[kind](weighted), return_dict=True)
    assert checked == pytest.approx(
        a.evaluate(X, Y, sample_weight=weight, return_dict=True), rel=1e-5
    )
    np.testing.assert_allclose(b.predict(KINDS[kind](weighted)), a.predict(X), rtol=1e-5)


def test_a_stream_builds_a_model(backend):
    model = Sequential([Dense(2)])
    model.compile("sgd", "mse")
    model.fit(batches(), verbose=0)
    assert model.input_shape == (None, 4)


def test_batches_of_many_lengths_share_a_plan(backend):
    a, b = twins("adam")
    sizes = [3, 16, 1, 9, 5, 2, 8, 6]
    assert sum(sizes) == ROWS
    ends = np.cumsum(sizes)
    parts = [(X[e - n : e], Y[e - n : e]) for n, e in zip(sizes, ends, strict=True)]
    for part in parts:
        a.train_on_batch(*part)
    history = b.fit(iter(parts), verbose=0)
    assert_same(a.get_weights(), b.get_weights())
    assert len(history.epoch) == 1
    plans = [k for k in b._executors._kept if "train" in k]
    assert len(plans) <= 2  # room for 4 rows, then for 16


def test_each_epoch_takes_its_steps_from_an_endless_stream(backend):
    model = mlp()
    history = model.fit(forever(), epochs=3, steps_per_epoch=6, verbose=0)
    wanted, _ = train(mlp_weights(), X, Y, sgd_program(), 16, 1)
    assert history.epoch == [0, 1, 2]
    # 18 batches of a stream of 4 a pass: 4 passes and 2 batches
    weights = mlp_weights()
    for start in [0, 16, 32, 48] * 4 + [0, 16]:
        weights, _ = train(weights, X[start : start + 16], Y[start : start + 16],
                           sgd_program(), 16, 1)  # fmt: skip
    for got, value in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-6)


def mlp_weights():
    from fastnn import utils

    utils.set_random_seed(11)
    return mlp().get_weights()


@pytest.mark.parametrize("kind", ["numbered", "iterable"])
def test_with_steps_a_pass_goes_on_in_the_next_epoch(kind, backend):
    a, b = twins("adam")
    b.fit(KINDS[kind](False), epochs=4, steps_per_epoch=2, shuffle=False, verbose=0)
    a.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)  # 4 batches a pass
    assert_same(a.get_weights(), b.get_weights())


def test_arrays_with_steps(backend):
    a, b = twins("adam")
    given = {"batch_size": 16, "verbose": 0}
    halves = b.fit(X, Y, epochs=4, steps_per_epoch=2, **given)
    whole = a.fit(X, Y, epochs=2, **given)
    assert_same(a.get_weights(), b.get_weights())
    assert halves.epoch == [0, 1, 2, 3]
    # A pass is 48 rows of three full batches and one of 2 rows.
    losses = halves.history["loss"]
    mean = [(32 * losses[i] + 18 * losses[i + 1]) / 50 for i in (0, 2)]
    np.testing.assert_allclose(mean, whole.history["loss"], rtol=1e-5)


@pytest.mark.parametrize("steps", [3, 9])
def test_arrays_that_run_out_of_steps(steps, backend):
    model = mlp()
    with pytest.warns(UserWarning, match="the data ran out before all steps"):
        history = model.fit(X, Y, batch_size=16, epochs=3, steps_per_epoch=steps, verbose=0)
    assert history.epoch == [0, 1, 2]
    assert model.optimizer.iterations == {3: 3 + 1 + 3, 9: 4 * 3}[steps]


def test_a_generator_that_ends_early_ends_training(backend):
    model = mlp()
    with pytest.warns(UserWarning, match="steps_per_epoch \\* epochs batches"):
        history = model.fit(batches(), epochs=5, steps_per_epoch=3, verbose=0)
    assert model.optimizer.iterations == 4  # nothing is lost
    assert history.epoch == [0, 1]
    with pytest.warns(UserWarning, match="ran out"):
        history = model.fit(batches(), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.warns(UserWarning, match="ran out"):
        assert model.fit(batches(), epochs=2, steps_per_epoch=4, verbose=0).epoch == [0]


def test_enough_batches_are_no_warning_and_no_more_are_taken(backend):
    model, stream = mlp(), forever()
    model.fit(stream, epochs=2, steps_per_epoch=3, verbose=0)
    np.testing.assert_array_equal(next(stream)[0], X[32:48])


@pytest.mark.parametrize("given", [iter([]), (x for x in ()), [].__iter__()])
def test_a_stream_without_batches(given, backend):
    model = mlp()
    with pytest.raises(ValueError, match="x yielded no batch; at least one is needed"):
        model.fit(given)
    with pytest.raises(ValueError, match="x yielded no batch"):
        model.evaluate(iter([]))
    with pytest.raises(ValueError, match="x yielded no batch"):
        model.predict(iter([]))


class Empty:
    def __len__(self):
        return 0

    def __getitem__(self, i):
        raise IndexError(i)


def test_an_object_without_batches():
    with pytest.raises(ValueError, match="x yielded no batch"):
        mlp().fit(Empty())


BAD = {
    "features": ((X[:5, :3], Y[:5]), ["x has rows of 3 features", "expects 4"]),
    "rank": ((X[0], Y[0]), ["x has 1 dimensions", "single row"]),
    "lengths": ((X[:5], Y[:4]), ["x has 5 rows", "y has 4"]),
    "empty": ((X[:0], Y[:0]), ["x is empty"]),
    "no targets": ((X[:5],), ["y is missing"]),
    "only x": (X[:5], ["y is missing"]),
    "NaN": ((X[:5] * np.nan, Y[:5]), ["x has 20 values that are NaN", "index (0, 0)"]),
    "text": ((X[:5].astype(str), Y[:5]), ["x has dtype"]),
    "nothing": (None, ["x is missing"]),
    "four": ((X, Y, WEIGHT, 1), ["x yielded a tuple of 4", "(x, y, sample_weight)"]),
    "number": (3, ["x is a single number"]),
    "weights only now": (
        (X[:5], Y[:5], WEIGHT[:5]), ["sample_weight must come with every batch"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_batch_is_refused_by_its_number(case, backend):
    batch, parts = BAD[case]
    model, twin = twins()
    good = list(batches())[:2]
    for part in good:
        twin.train_on_batch(*part)
    with pytest.raises(ValueError) as caught:
        model.fit(iter([*good, batch]), verbose=0)
    for part in parts:
        assert part in str(caught.value)
    if case != "four":
        assert str(caught.value).startswith("batch 2 of x: ")
    assert_same(model.get_weights(), twin.get_weights())  # the good ones are kept
    assert model.optimizer.iterations == 2


def test_an_error_inside_a_generator_reaches_the_caller(backend):
    def broken():
        yield X, Y
        yield X, Y
        raise OSError("disk gone")

    model, twin = twins()
    with pytest.raises(OSError, match="disk gone"):
        model.fit(broken(), steps_per_epoch=1, epochs=5, verbose=0)
    assert model.history.epoch == [0, 1]
    twin.train_on_batch(X, Y)
    twin.train_on_batch(X, Y)
    assert_same(model.get_weights(), twin.get_weights())


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"y": Y}, ["y cannot be given: x is a generator"]),
        ({"batch_size": 8}, ["batch_size cannot be given", "batch by batch"]),
        ({"sample_weight": WEIGHT}, ["sample_weight cannot be given"]),
        ({"validation_split": 0.2}, ["validation_split is for arrays", "validation_data"]),
    ],
)
def test_arguments_that_are_for_arrays(settings, parts):
    with pytest.raises(ValueError) as caught:
        mlp().fit(batches(), **settings)
    for part in parts:
        assert part in str(caught.value)


def test_numbered_batches_are_shuffled_by_their_numbers(backend):
    given = Numbered(size=5)
    mlp().fit(given, epochs=3, verbose=0)
    assert given.ended == 3
    orders = [given.asked[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    given = Numbered(size=5)
    mlp().fit(given, epochs=2, shuffle=False, verbose=0)
    assert given.asked == [*range(10)] * 2


def test_validation_by_a_stream(backend):
    a, b = twins(metrics=["mae"])
    wanted = a.fit(X, Y, validation_data=(X[:32], Y[:32]), epochs=2, verbose=0)
    held_out = list(batches())[:2]
    history = b.fit(X, Y, validation_data=Numbered(), validation_steps=2, epochs=2, verbose=0)
    for key, values in wanted.history.items():
        np.testing.assert_allclose(history.history[key][0], values[0], rtol=1e-5)
    assert_same(a.get_weights(), b.get_weights())
    one_pass = mlp().fit(X, Y, validation_data=iter(held_out), epochs=2, verbose=0)
    assert len(one_pass.history["val_loss"]) == 1  # then there was nothing left
    assert len(one_pass.history["loss"]) == 2


def test_validation_steps_of_arrays(backend):
    a, b = twins()
    wanted = a.fit(X, Y, validation_data=(X[:20], Y[:20]), verbose=0)
    history = b.fit(X, Y, validation_data=(X, Y), validation_steps=2, validation_batch_size=10,
                    verbose=0)  # fmt: skip
    np.testing.assert_allclose(history.history["val_loss"], wanted.history["val_loss"], rtol=1e-6)


def test_steps_of_evaluate_and_predict(backend):
    model = mlp()
    wanted = model.evaluate(X[:32], Y[:32])
    assert model.evaluate(X, Y, batch_size=16, steps=2) == pytest.approx(wanted, rel=1e-6)
    assert model.evaluate(forever(), steps=2) == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(model.predict(X, batch_size=16, steps=2), model.predict(X[:32]),
                               rtol=1e-6)  # fmt: skip
    assert model.predict(forever(), steps=3).shape == (48, 2)
    with pytest.warns(UserWarning, match="predict: x ran out after 4 batches of 9"):
        assert model.predict(batches(), steps=9).shape == (ROWS, 2)


def test_several_inputs_and_outputs_by_name(backend):
    def model():
        from fastnn import utils

        utils.set_random_seed(4)
        a, b = Input((4,), name="a"), Input((2,), name="b")
        outputs = [Dense(1, name="p")(a), Dense(3, "softmax", name="q")(b)]
        made = Model([a, b], outputs)
        made.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
        return made

    def stream():
        for rows in (slice(0, 20), slice(20, 50)):
            x = {"a": X[rows], "b": Y[rows]}
            y = {"p": X[rows, :1], "q": LABELS[rows]}
            yield x, y, {"p": WEIGHT[rows]}

    one, other = model(), model()
    one.fit(stream(), verbose=0)
    for x, y, weight in stream():
        other.train_on_batch(x, y, sample_weight=weight)
    assert_same(one.get_weights(), other.get_weights())
    assert len(one.predict(([x, y[:, :2]],) for x, y in [(X, Y)])) == 2


def test_class_weights_of_a_stream(backend):
    a, b = (mlp(loss="categorical_crossentropy", units=3, activation="softmax") for _ in range(2))
    b.set_weights(a.get_weights())
    given = {"class_weight": {0: 3.0, 2: 0.5}, "verbose": 0}
    a.fit(X, ONE_HOT, batch_size=16, shuffle=False, **given)
    b.fit(batches(y=ONE_HOT), **given)
    assert_same(a.get_weights(), b.get_weights())


def test_hooks_of_a_stream(backend):
    calls = []

    class Watch(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            calls.append(("epoch", epoch))

        def on_train_batch_end(self, batch, logs=None):
            calls.append((batch, logs["loss"]))
            if len(calls) == 4:
                self.model.stop_training = True

    model = mlp()
    history = model.fit(Loader(), epochs=9, callbacks=[Watch()], verbose=0)
    assert [call[0] for call in calls] == ["epoch", 0, 1, 2]
    assert history.epoch == [0]
    assert history.history["loss"] == [calls[-1][1]]
    # The mean so far, as of arrays.
    assert calls[1][1] == pytest.approx(mlp_loss(slice(0, 16)), rel=1e-5)


def mlp_loss(rows):
    _, losses = train(mlp_weights(), X[rows], Y[rows], sgd_program(), 16, 1)
    return losses[0]


def test_a_callback_may_train_or_predict_within(backend):
    """The accumulators of an epoch do not notice what else runs on the same executor."""

    class Busy(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(X, Y)
            self.model.predict(X)

    a, b = twins()
    wanted = a.fit(batches(), verbose=0)
    assert b.fit(batches(), callbacks=[Busy()], verbose=0).history == wanted.history


def test_progress_of_unknown_length(backend, capsys):
    mlp().fit(batches(), verbose=1)
    out = capsys.readouterr().out
    assert "Epoch 1/1" in out and "loss" in out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlp().fit(batches(), verbose=2)
    assert "loss: " in capsys.readouterr().out
