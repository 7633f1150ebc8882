"""Training through the public API: it is what the formulas say, for every kind of data.

The formulas are written again in NumPy (api_tools.py), in the way of a textbook.
"""

import platform

import numpy as np
import pytest
from api_tools import (
    CLOSE,
    LABELS,
    RNG,
    ROWS,
    WEIGHT,
    X,
    Y,
    adam,
    assert_differ,
    assert_same,
    mlp,
    native_only,
    rmsprop,
    sgd,
    train,
    twins,
)

from fastnn import (
    Sequential,
    callbacks,
    config,
    optimizers,
    regularizers,
    utils,
)
from fastnn.layers import Activation, Dense, Dropout, Flatten

# --- training is what the formulas say ---


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: optimizers.SGD(0.1), lambda: sgd(0.1)),
        (lambda: optimizers.SGD(0.05, momentum=0.9), lambda: sgd(0.05, 0.9)),
        (lambda: optimizers.SGD(0.05, 0.9, nesterov=True), lambda: sgd(0.05, 0.9, True)),
        (lambda: optimizers.RMSprop(), lambda: rmsprop()),
        (lambda: optimizers.RMSprop(0.01, momentum=0.5), lambda: rmsprop(0.01, momentum=0.5)),
        (
            lambda: optimizers.RMSprop(0.01, 0.8, centered=True),
            lambda: rmsprop(0.01, 0.8, centered=True),
        ),
        (
            lambda: optimizers.RMSprop(0.01, 0.8, 0.3, 1e-3, True),
            lambda: rmsprop(0.01, 0.8, 0.3, 1e-3, True),
        ),
        (lambda: optimizers.Adam(), lambda: adam()),
        (lambda: optimizers.Adam(0.01, 0.8, 0.99, 1e-4), lambda: adam(0.01, 0.8, 0.99, 1e-4)),
    ],
    ids=["sgd", "momentum", "nesterov", "rmsprop", "rmsprop momentum", "rmsprop centered",
         "rmsprop all", "adam", "adam set"],
)  # fmt: skip
def test_optimizers_step_by_step(ours, theirs, backend, dtype):
    # 50 rows in batches of 16: three of 16 and one of 2, in order.
    model = mlp(ours())
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=16, epochs=5, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, theirs(), 16, 5)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


@pytest.mark.parametrize("batch_size", [1, 7, 49, 50, 51, 1000])
def test_every_batch_size_is_exact_down_to_the_last_partial_batch(batch_size, backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, sgd(0.1), batch_size, 2)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE["float32"])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_batch_size_is_32_unless_given(backend):
    one, other = twins()
    one.fit(X, Y, verbose=0)
    other.fit(X, Y, batch_size=32, verbose=0)
    assert_same(one.get_weights(), other.get_weights())


@pytest.mark.parametrize("make", [lambda k: optimizers.SGD(0.1, gradient_accumulation_steps=k),
                                  lambda k: optimizers.Adam(gradient_accumulation_steps=k)],
                         ids=["sgd", "adam"])  # fmt: skip
def test_gradient_accumulation_averages_the_gradients_of_k_batches(make, backend, dtype):
    # 8 batches in two epochs, an update after every third: after the 3rd and the 6th.
    model = mlp(make(3))
    start = model.get_weights()
    model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    theirs = sgd(0.1) if isinstance(model.optimizer, optimizers.SGD) else adam()
    weights, _ = train(start, X, Y, theirs, 16, 2, every=3)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_l2_adds_to_loss_and_gradient(backend, dtype):
    model = Sequential(
        [
            Dense(8, "tanh", kernel_regularizer=regularizers.L2(0.05), input_shape=(4,)),
            Dense(2),
        ]
    )
    model.compile(optimizers.SGD(0.1), "mse", metrics=["mse"])
    start = model.get_weights()
    history = model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    weights, losses_ = train(start, X, Y, sgd(0.1), 16, 3, l2=0.05)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])
    result = model.evaluate(X, Y, return_dict=True)
    penalty = 0.05 * (weights[0] ** 2).sum()
    np.testing.assert_allclose(result["loss"], result["mse"] + penalty, **CLOSE[dtype])


def test_sample_weights_divide_by_the_rows_and_not_by_their_sum(backend, dtype):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    settings = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}
    history = model.fit(X, Y, sample_weight=WEIGHT, **settings)
    weights, losses_ = train(start, X, Y, sgd(0.1), 16, 3, weight=WEIGHT)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_a_weight_of_zero_leaves_a_row_out(backend):
    one, other = twins(optimizers.SGD(0.1))
    weight = np.ones(ROWS)
    weight[20:] = 0
    one.fit(X, Y, sample_weight=weight, batch_size=ROWS, verbose=0)
    # The same gradient as of the first 20 rows alone, but divided by 50.
    other.optimizer.learning_rate = 0.1 * 20 / ROWS
    other.fit(X[:20], Y[:20], batch_size=ROWS, verbose=0)
    for got, want in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_all_weights_zero_change_nothing(backend):
    model = mlp("adam")
    before = model.get_weights()
    history = model.fit(X, Y, sample_weight=np.zeros(ROWS), verbose=0)
    assert history.history["loss"] == [0.0]
    assert_same(before, model.get_weights())


def test_dropout_in_training_only(backend):
    rate = 0.25
    model = Sequential([Dropout(rate, input_shape=(1,)), Dense(1, use_bias=False)])
    model.compile(optimizers.SGD(0.0), "mse")
    model.set_weights([[[1.0]]])
    ones = np.ones((4000, 1))
    np.testing.assert_array_equal(model.predict(ones), ones)
    assert model.evaluate(ones, ones) == 0
    # In training a unit is 0 or 1 / (1 - rate): the squared errors 1 and (1/3)^2 tell how many.
    dropped = model.fit(ones, ones, batch_size=100, verbose=0).history["loss"][0]
    share = (dropped - (1 / 3) ** 2) / (1 - (1 / 3) ** 2)
    assert abs(share - rate) < 4 * np.sqrt(rate * (1 - rate) / 4000)


def test_dropout_of_rate_0_and_its_own_seed(backend):
    with_none, plain = (
        Sequential([Dense(8, "tanh", input_shape=(4,)), *middle, Dense(2)])
        for middle in ([Dropout(0.0)], [])
    )
    plain.set_weights(with_none.get_weights())
    for model in (with_none, plain):
        model.compile("sgd", "mse")
        model.fit(X, Y, shuffle=False, verbose=0)
    assert_same(with_none.get_weights(), plain.get_weights())
    results = []
    for seed, general in ((1, 3), (1, 4), (2, 3)):
        utils.set_random_seed(general)
        model = Sequential([Dropout(0.5, seed=seed, input_shape=(4,)), Dense(2)])
        model.set_weights([np.ones((4, 2)), np.ones(2)])
        model.compile("sgd", "mse")
        model.fit(X, Y, shuffle=False, verbose=0)
        results.append(model.get_weights())
    assert_same(results[0], results[1])
    assert_differ(results[0], results[2])


# --- fit ---


def test_history(backend):
    model = mlp(metrics=["mae"])
    history = model.fit(X, Y, epochs=4, validation_data=(X[:9], Y[:9]), verbose=0)
    assert history is model.history
    assert history.epoch == [0, 1, 2, 3]
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert all(len(values) == 4 for values in history.history.values())
    assert all(type(v) is float for values in history.history.values() for v in values)
    last = model.evaluate(X[:9], Y[:9], return_dict=True)
    assert history.history["val_loss"][-1] == last["loss"]
    assert history.history["val_mae"][-1] == last["mae"]


def test_validation_data_with_weights(backend):
    model = mlp(weighted_metrics=["mae"])
    history = model.fit(X, Y, validation_data=(X, Y, WEIGHT), verbose=0).history
    result = model.evaluate(X, Y, sample_weight=WEIGHT, batch_size=32, return_dict=True)
    assert history["val_loss"] == [result["loss"]]
    assert history["val_mae"] == [result["mae"]]
    assert history["loss"] != history["val_loss"]


def test_validation_split_holds_out_the_last_rows_before_shuffling(backend):
    one, other = twins()
    split = one.fit(X, Y, validation_split=0.3, epochs=3, sample_weight=WEIGHT, verbose=0)
    given = other.fit(
        X[:35], Y[:35], validation_data=(X[35:], Y[35:], WEIGHT[35:]), epochs=3,
        sample_weight=WEIGHT[:35], verbose=0,
    )  # fmt: skip
    assert split.history == given.history
    assert_same(one.get_weights(), other.get_weights())


def test_validation_does_not_change_training(backend):
    one, other = twins("adam")
    one.fit(X, Y, epochs=3, verbose=0)
    other.fit(X, Y, epochs=3, validation_data=(X, Y), validation_batch_size=7, verbose=0)
    assert_same(one.get_weights(), other.get_weights())


def test_validation_freq(backend):
    history = mlp().fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0)
    assert len(history.history["loss"]) == 5
    assert len(history.history["val_loss"]) == 2


def test_initial_epoch_counts_from_there(backend):
    one, other = twins()
    history = one.fit(X, Y, initial_epoch=3, epochs=5, verbose=0)
    assert history.epoch == [3, 4]
    other.fit(X, Y, epochs=2, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    before = one.get_weights()
    assert one.fit(X, Y, initial_epoch=5, epochs=5, verbose=0).history == {}
    assert_same(one.get_weights(), before)


def test_train_on_batch_is_one_step_of_fit(backend):
    for optimizer in ("sgd", "adam", "rmsprop"):
        one, other = twins(optimizer, metrics=["mae"])
        before = one.evaluate(X, Y)
        for step in range(3):
            values = one.train_on_batch(X, Y, sample_weight=WEIGHT if step else None)
            history = other.fit(
                X, Y, batch_size=ROWS, shuffle=False, verbose=0,
                sample_weight=WEIGHT if step else None,
            ).history  # fmt: skip
            assert values == [history["loss"][0], history["mae"][0]]
            if step == 0:  # the loss from before the update
                np.testing.assert_allclose(values, before, rtol=1e-5)
            assert_same(one.get_weights(), other.get_weights())
    result = one.train_on_batch(X, Y, return_dict=True)
    assert list(result) == ["loss", "mae"]


def test_train_on_batch_of_several_sizes_keeps_the_optimizer_state(backend, dtype):
    model = mlp("adam")
    start, theirs = model.get_weights(), adam()
    weights = start
    for rows in (slice(0, 10), slice(10, 11), slice(11, 50), slice(0, 10)):
        model.train_on_batch(X[rows], Y[rows])
        weights, _ = train(weights, X[rows], Y[rows], theirs, ROWS, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_an_epoch_visits_each_row_once(backend):
    # At rate 0 row i has the loss 2^i, so the mean tells which rows were seen, and how often.
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(optimizers.SGD(0.0), "mae")
    model.set_weights([[[1.0]]])
    x = 2.0 ** np.arange(20)
    history = model.fit(x, np.zeros(20), batch_size=3, epochs=4, verbose=0)
    assert history.history["loss"] == [(2**20 - 1) / 20] * 4


class Orders(callbacks.Callback):
    """Notes the row of each batch of one, from the running mean of its losses 2^i."""

    def __init__(self):
        self.orders = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = 0.0
        self.orders.append([])

    def on_train_batch_end(self, batch, logs=None):
        total = logs["loss"] * (batch + 1)
        self.orders[-1].append(round(np.log2(total - self.seen)))
        self.seen = total


def orders_of(seed, shuffle=True, fits=(3,)):
    utils.set_random_seed(seed)
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(optimizers.SGD(0.0), "mae")
    model.set_weights([[[1.0]]])
    found = []
    for epochs in fits:
        watch = Orders()
        x = 2.0 ** np.arange(20)
        model.fit(
            x, np.zeros(20), batch_size=1, epochs=epochs, shuffle=shuffle, callbacks=watch,
            verbose=0,
        )  # fmt: skip
        found += watch.orders
    return found


def test_the_order_of_the_rows(backend):
    in_order = list(range(20))
    assert orders_of(1, shuffle=False) == [in_order] * 3
    shuffled = orders_of(1)
    assert all(sorted(order) == in_order for order in shuffled)
    assert len({tuple(order) for order in [in_order, *shuffled]}) == 4  # all differ
    assert orders_of(1) == shuffled
    assert orders_of(2) != shuffled
    # A second fit goes on: it does not repeat the orders of the first.
    assert orders_of(1, fits=(1, 1, 1)) == shuffled


@native_only
def test_both_executors_draw_the_same_orders(monkeypatch):
    found = []
    for name in ("native", "reference"):
        monkeypatch.setenv("FASTNN_BACKEND", name)
        found.append(orders_of(3))
    assert found[0] == found[1]


@native_only
@pytest.mark.parametrize("features", [255, 256, 301])
def test_both_executors_shuffle_long_rows(features):
    """Rows of a kilobyte and more are copied in a way of their own."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(23, features)) / 16).astype(np.float32)
    y = rng.normal(size=(23, 1)).astype(np.float32)
    weights = []
    for name in ("native", "reference"):
        utils.set_random_seed(1)
        model = Sequential([Dense(1, input_shape=(features,))])
        model.compile("sgd", "mse", backend=name)
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        weights.append(model.get_weights()[0])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-4, atol=1e-5)  # 12 steps in float32


def test_the_same_seed_gives_the_same_bits(backend):
    results = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        model = Sequential([Dense(8, "relu", input_shape=(4,)), Dropout(0.5), Dense(2)])
        model.compile("adam", "mse")
        history = model.fit(X, Y, epochs=3, validation_split=0.2, verbose=0)
        results.append((history.history, model.get_weights()))
    assert results[0][0] == results[1][0] != results[2][0]
    assert_same(results[0][1], results[1][1])
    assert_differ(results[0][1], results[2][1])


def test_set_random_seed_sets_numpy_and_random_too():
    import random

    draws = []
    for _ in range(2):
        utils.set_random_seed(4)
        draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_second_fit_continues(optimizer, backend):
    made = []
    for fits in ((4,), (1, 2, 1)):
        utils.set_random_seed(5)
        model = Sequential([Dense(8, "relu", input_shape=(4,)), Dropout(0.3), Dense(2)])
        model.compile(optimizer, "mse")
        values = []
        for epochs in fits:
            values += model.fit(X, Y, epochs=epochs, verbose=0).history["loss"]
        made.append((values, model.get_weights()))
    assert made[0][0] == made[1][0]
    assert_same(made[0][1], made[1][1])


def test_compile_starts_the_optimizer_anew(backend):
    model = mlp("adam")
    model.fit(X, Y, epochs=3, verbose=0)
    weights = model.get_weights()
    model.compile("adam", "mse")
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    want, _ = train(weights, X, Y, adam(), ROWS, 1)
    for got, value in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(got, value, **CLOSE["float32"])


def test_a_change_of_the_learning_rate_takes_effect(backend):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    model.optimizer.learning_rate = 0.0
    middle = model.get_weights()
    model.fit(X, Y, epochs=3, verbose=0)
    assert_same(model.get_weights(), middle)
    model.optimizer.learning_rate = np.float32(0.5)
    model.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0)
    weights, _ = train(start, X, Y, sgd(0.1), ROWS, 1)
    weights, _ = train(weights, X, Y, sgd(0.5), ROWS, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


def test_a_callback_can_change_the_learning_rate(backend):
    class Halve(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / 2**epoch

    model = mlp()
    start = model.get_weights()
    model.fit(X, Y, batch_size=16, epochs=3, shuffle=False, callbacks=[Halve()], verbose=0)
    weights = start
    for epoch in range(3):
        weights, _ = train(weights, X, Y, sgd(0.1 / 2**epoch), 16, 1)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


# --- small and odd data ---


@pytest.mark.parametrize("rows", [1, 2])
def test_very_few_rows(rows, backend, dtype):
    model = mlp(optimizers.SGD(0.1))
    start = model.get_weights()
    history = model.fit(X[:rows], Y[:rows], epochs=3, verbose=0)
    weights, losses_ = train(start, X[:rows], Y[:rows], sgd(0.1), 32, 3)
    np.testing.assert_allclose(history.history["loss"], losses_, **CLOSE[dtype])
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_one_class_only(backend):
    model = mlp(
        optimizers.Adam(0.05),
        "sparse_categorical_crossentropy",
        units=3,
        activation="softmax",
        metrics=["accuracy"],
    )
    history = model.fit(X, np.ones(ROWS, int), epochs=20, batch_size=5, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["accuracy"][-1] == 1


def test_a_model_without_weights(backend):
    model = Sequential([Flatten(input_shape=(2, 2)), Activation("relu")])
    model.compile("adam", "mse", metrics=["mae"])
    images = X.reshape(ROWS, 2, 2)
    np.testing.assert_array_equal(model.predict(images), np.maximum(X, 0).astype(np.float32))
    history = model.fit(images, X, epochs=2, verbose=0).history
    want = (np.minimum(X, 0) ** 2).mean()
    np.testing.assert_allclose(history["loss"], [want, want], rtol=1e-5)
    assert model.count_params() == 0


def test_values_that_overflow_give_infinity_without_a_word(backend):
    model = Sequential([Dense(2, use_bias=False, input_shape=(2,))])
    model.set_weights([[[1, 1], [1, -1]]])
    got = model.predict([[3e38, 3e38], [-3e38, -3e38]])  # warnings are errors here
    np.testing.assert_array_equal(got, [[np.inf, 0], [-np.inf, 0]])


@native_only
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="for x86-64 only")
def test_training_makes_no_denormal_numbers():
    """They are slow: what a long training leaves in the moments of Adam ends as 0."""
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.set_weights([[[1e-37]]])
    model.compile(optimizers.SGD(0.4999), "mse", backend="native")
    model.fit(np.ones((1, 1)), np.zeros((1, 1)), verbose=0)
    assert model.get_weights()[0] == 0  # not 2e-41
    assert np.float32(1e-37) * np.float32(1e-4) > 0  # nobody else notices


def test_a_training_that_diverges_says_so_in_its_history(backend):
    model = mlp(optimizers.SGD(1e6))
    losses_ = model.fit(X, Y, epochs=30, verbose=0).history["loss"]
    assert np.isfinite(losses_[0])
    assert not np.isfinite(losses_[-1])


def test_inputs_of_every_kind_give_the_bits_of_the_contiguous_copy(backend):
    base = RNG.integers(0, 2, (ROWS, 4))
    wide = np.zeros((ROWS * 2, 8), np.float32)
    wide[::2, ::2] = base
    frozen = base.astype(np.float32)
    frozen.flags.writeable = False
    kinds = {
        "float64": base.astype(np.float64),
        "float16": base.astype(np.float16),
        "longdouble": base.astype(np.longdouble),
        "bool": base.astype(bool),
        "uint8": base.astype(np.uint8),
        "int64": base.astype(np.int64),
        "big endian": base.astype(">f4"),
        "big endian int": base.astype(">i2"),
        "list": base.tolist(),
        "tuple of lists": tuple(base.tolist()),
        "Fortran": np.asfortranarray(base.astype(np.float32)),
        "strided": wide[::2, ::2],
        "reversed": base[::-1].astype(np.float32)[::-1],
        "read-only": frozen,
    }
    targets = {"y": base[:, :2].astype(np.float32), "w": (1 + base[:, 2]).astype(np.float32)}

    def run(x, y, w):
        utils.set_random_seed(2)
        model = mlp("adam")
        history = model.fit(x, y, sample_weight=w, epochs=2, validation_split=0.2, verbose=0)
        return [history.history["val_loss"], model.predict(x), model.evaluate(x, y)]

    want = run(base.astype(np.float32), targets["y"], targets["w"])
    for kind, x in kinds.items():
        y = [row[:2] for row in x] if isinstance(x, (list, tuple)) else x[:, :2]
        w = [1 + row[2] for row in x] if isinstance(x, (list, tuple)) else 1 + x[:, 2]
        before = [np.array(a, copy=True) for a in (x, y, w)]
        got = run(x, y, w)
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=kind)
        for a, b in zip(before, (x, y, w), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{kind} was changed")


def test_broadcast_and_memory_mapped_inputs(backend, tmp_path):
    model = mlp()
    row = X[0].astype(np.float32)
    repeated = np.broadcast_to(row, (ROWS, 4))  # rows of stride 0
    np.testing.assert_array_equal(model.predict(repeated), model.predict(np.array(repeated)))
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(model.predict(mapped), model.predict(X))
    assert model.fit(mapped, Y, verbose=0).epoch == [0]


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float64, bool, ">i4", "column"])
def test_labels_of_every_kind(kind, backend):
    labels = LABELS % 2
    model = mlp("sgd", "sparse_categorical_crossentropy", units=2, activation="softmax")
    given = labels[:, None] if kind == "column" else labels.astype(kind)
    assert model.evaluate(X, given) == model.evaluate(X, labels) == model.evaluate(X, list(labels))


def test_labels_of_a_sequence(backend):
    # Rows of three positions: one label and one loss for each.
    model = Sequential([Dense(3, "softmax", input_shape=(3, 4))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = RNG.normal(size=(10, 3, 4))
    labels = RNG.integers(0, 3, (10, 3))
    p = model.predict(x)
    assert p.shape == (10, 3, 3)
    want = -np.log(np.take_along_axis(p, labels[..., None], axis=-1)).mean()
    loss, accuracy = model.evaluate(x, labels)
    assert loss == pytest.approx(want, rel=1e-5)
    assert accuracy == pytest.approx((p.argmax(axis=-1) == labels).mean())
    assert model.evaluate(x, labels[..., None]) == [loss, accuracy]


# --- float64 ---


def test_floatx_of_new_models(backend):
    assert config.floatx() == "float32"
    single = mlp()
    config.set_floatx("float64")
    try:
        double = mlp()
    finally:
        config.set_floatx("float32")
    for model, kind in ((single, "float32"), (double, "float64")):
        model.fit(X, Y, verbose=0)
        assert {w.dtype.name for w in model.get_weights()} == {kind}
        assert model.predict(X).dtype == kind
        assert model.plan.dtype == kind
    by_layer = Sequential([Dense(2, dtype="float64", input_shape=(4,))])
    assert by_layer.predict(X).dtype == np.float64
