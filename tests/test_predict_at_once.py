"""The short way of predict, for an array of numbers that fits: the same bits and the same errors.

A `batch_size` makes predict go the usual way; the first call of a model does too.
"""

import numpy as np
import pytest
from api_tools import native_only

import fastnn.executors
from fastnn import Input, Model, Sequential, ops
from fastnn.layers import Dense, Dropout, Flatten, Layer

pytestmark = native_only

RNG = np.random.default_rng(5)
X = (4 * RNG.normal(size=(9, 6))).astype(np.float32)
LABELS = RNG.integers(0, 3, 9)


def classifier():
    model = Sequential(
        [Dense(33, "relu", input_shape=(6,)), Dropout(0.5), Dense(3, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture
def taken(monkeypatch):
    """For each prediction so far, whether it went the short way."""
    ways = []
    short = fastnn.executors.Executors.predict_at_once

    def noted(self, store, x):
        made = short(self, store, x)
        ways.append(made is not None)
        return made

    monkeypatch.setattr(fastnn.executors.Executors, "predict_at_once", noted)
    return ways


def usual(model, x):
    return model.predict(x, batch_size=256)


def swapped(array):
    return array.astype(array.dtype.newbyteorder())


FITTING = {
    "contiguous": lambda: X,
    "one row": lambda: X[4:5],
    "float64": lambda: X.astype(np.float64),
    "float16": lambda: X.astype(np.float16),
    "int64": lambda: X.astype(np.int64),
    "uint8": lambda: abs(X).astype(np.uint8),
    "bool": lambda: X > 0,
    "Fortran order": lambda: np.asfortranarray(X),
    "every other row": lambda: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda: X[::-1, ::-1],
    "one row again and again": lambda: np.broadcast_to(X[0], X.shape),
    "swapped bytes": lambda: swapped(X),
    "not aligned": lambda: np.frombuffer(b"!" + X.tobytes(), np.float32, offset=1).reshape(X.shape),
    "huge": lambda: X * np.float32(1e37),
    "denormal": lambda: X * np.float32(1e-40),
}


@pytest.mark.parametrize("case", FITTING)
@pytest.mark.parametrize("call", ["predict", "predict_on_batch"])
def test_the_short_way_gives_the_bits_of_the_usual_one(case, call, dtype, taken):
    model, x = classifier(), FITTING[case]()
    want = usual(model, x)
    assert taken == []
    got = getattr(model, call)(x)
    assert taken == [True]
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert got.tobytes() == want.tobytes()
    assert got.flags.owndata and got.flags.writeable


def test_a_row_has_the_same_bits_in_any_number_of_rows(taken):
    for width in (1, 3, 8, 16, 17, 33, 48, 65, 100, 128, 129, 144, 260):
        model = Sequential([Dense(width, "tanh", input_shape=(37,)), Dense(3)])
        x = RNG.normal(size=(11, 37)).astype(np.float32)
        whole = usual(model, x)
        taken.clear()
        for n in (1, 2, 5):
            assert model.predict(x[:n]).tobytes() == whole[:n].tobytes(), width
        assert all(taken)


def with_value(value):
    def make():
        x = X.astype(np.float64)
        x[3, 2] = value
        return x

    return make


WRONG = {
    "NaN": with_value(np.nan),
    "infinite": with_value(-np.inf),
    "too large for the model": with_value(1e300),
    "too many features": lambda: np.ones((2, 7), np.float32),
    "a row alone": lambda: X[0],
    "three axes": lambda: X[None],
    "no rows": lambda: X[:0],
    "no axes": lambda: np.float32(3),
    "objects": lambda: X.astype(object),
    "text": lambda: X.astype(str),
    "complex": lambda: X.astype(complex),
    "dates": lambda: X.astype("M8[s]"),
    "masked": lambda: np.ma.masked_less(X, 0),
    "ragged": lambda: [[1, 2], [3]],
    "a name": lambda: "x",
    "nothing": lambda: None,
    "a set": lambda: {1, 2},
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("call", ["predict", "predict_on_batch"])
def test_what_does_not_fit_raises_what_it_always_raises(case, call, taken):
    model = classifier()
    before = usual(model, X)
    with pytest.raises((ValueError, TypeError)) as want:
        usual(model, WRONG[case]())
    with pytest.raises(type(want.value)) as got:
        getattr(model, call)(WRONG[case]())
    assert str(got.value) == str(want.value)
    assert taken == [False]
    assert model.predict(X).tobytes() == before.tobytes()


NOT_PLAIN = {
    "a list": lambda: X.tolist(),
    "a list of one array": lambda: [X],
    "a dictionary": lambda: {"input_layer": X},
    "a subclass of arrays": lambda: X.view(type("Mine", (np.ndarray,), {})),
    "long double": lambda: X.astype(np.longdouble),
    "a batch of a stream": lambda: iter([(X,)]),
}


@pytest.mark.parametrize("case", NOT_PLAIN)
def test_what_is_no_plain_array_goes_the_usual_way(case, taken):
    model = Sequential([Input((6,), name="input_layer"), Dense(3)])
    want = usual(model, X)
    assert model.predict(NOT_PLAIN[case]()).tobytes() == want.tobytes()
    assert taken == [False]


def test_more_rows_than_the_plan_has_room_for(taken):
    model = classifier()
    model.predict(X[:2])
    model.predict(X)
    model.predict(X)
    model.predict(X[:1])
    assert taken == [False, False, True, True]


MANY = RNG.normal(size=(1001, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "given",
    [MANY, MANY.astype(np.float64), MANY[::-1], np.asfortranarray(MANY), MANY[1:], MANY[:256]],
    ids=["contiguous", "float64", "backwards", "Fortran order", "not the first", "one chunk"],
)
def test_many_rows_come_in_chunks(given, dtype, taken):
    model = classifier()
    want, before = usual(model, given), given.copy()
    got = model.predict(given)
    assert taken == [True]
    assert got.tobytes() == want.tobytes()
    assert given.tobytes() == before.tobytes()
    # The plan reads its own memory again.
    assert usual(model, X).tobytes() == model.predict(X).tobytes()


def test_not_a_number_in_a_later_chunk(taken):
    model, wrong = classifier(), MANY.copy()
    model.predict(MANY)
    wrong[900, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinite, the first at index \(900, 2\)"):
        model.predict(wrong)
    assert model.predict(MANY).tobytes() == usual(model, MANY).tobytes()


def test_an_input_that_is_read_twice_or_through_a_view(taken):
    inputs = Input((6,))
    for outputs in (ops.add(Dense(6)(inputs), inputs), Dense(3)(Flatten()(inputs))):
        model = Model(inputs, outputs)
        want = usual(model, MANY)
        assert model.predict(MANY).tobytes() == want.tobytes()
        assert taken.pop()


def test_options_are_heeded(taken):
    model = classifier()
    model.predict(X)
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        model.predict(X, batch_size=0)
    assert len(model.predict(X, batch_size=2, steps=3)) == 6
    with pytest.raises(TypeError, match="callbacks must be a list"):
        model.predict(X, callbacks=[3])
    assert taken == [False]


def retrained(model):
    model.fit(X, LABELS, epochs=2, verbose=0)
    return model


def set_anew(model):
    model.set_weights([w + 1 for w in model.get_weights()])
    return model


def recompiled(model):
    model.compile("adam", "sparse_categorical_crossentropy", backend="reference")
    return model


def longer(model):
    model.add(Dense(5, "tanh"))
    return model


def shorter(model):
    model.pop()
    return model


def shared(model):
    """Another model over a layer of this one moves its weights."""
    inputs = Input((6,))
    other = Model(inputs, Dense(2)(model.layers[0](inputs)))
    other.layers[0].set_weights([w + 1 for w in other.layers[0].get_weights()])
    return model


@pytest.mark.parametrize("change", [retrained, set_anew, recompiled, longer, shorter, shared])
def test_what_changes_the_model_changes_its_predictions(change):
    model = classifier()
    model.predict(X)
    model.predict(X)
    change(model)
    got = [model.predict(X) for _ in range(2)]
    assert got[0].tobytes() == got[1].tobytes() == usual(model, X).tobytes()
    fresh = Sequential.from_config(model.get_config())
    fresh.set_weights(model.get_weights())
    np.testing.assert_allclose(got[0], fresh.predict(X), rtol=1e-5, atol=1e-7)


def test_the_plan_shown_is_the_one_used_last(taken):
    model = classifier()
    model.predict(X)
    model.fit(X, LABELS, verbose=0)
    assert model.plan.mode == "train"
    model.predict(X)
    assert taken == [False, True]
    assert model.plan.mode == "predict"


class RealOf(Layer):
    def call(self, inputs):
        return ops.cast(inputs, "float32")


def test_several_inputs_and_outputs_and_integers_go_the_usual_way(taken):
    a, b = Input((6,)), Input((6,))
    model = Model([a, b], [Dense(2)(a), Dense(3)(b)])
    first = model.predict([X, X])
    again = model.predict([X, X])
    assert [m.tobytes() for m in first] == [m.tobytes() for m in again]
    ids = Input((6,), dtype="int32")
    model = Model(ids, RealOf()(ids))
    model.predict(LABELS[:6][None])
    with pytest.raises(ValueError, match="whole numbers"):
        model.predict(X)
    assert not any(taken)


def test_a_call_gives_what_predict_gives(taken):
    model = classifier()
    want = usual(model, X)
    for n in (9, 1, 4):
        got = model(X[:n])
        assert got.tobytes() == want[:n].tobytes()
        assert got.flags.owndata and got.flags.writeable
    assert taken == [True, True, True]
    with pytest.raises(ValueError, match="NaN or infinite, the first at index"):
        model(WRONG["NaN"]())
    assert model(X, training=True).tobytes() != want.tobytes()
    assert model(X).tobytes() == want.tobytes()


class AlwaysDropped(Layer):
    def __init__(self):
        super().__init__()
        self.dropout = Dropout(0.5)

    def call(self, inputs):
        return self.dropout(inputs, training=True)


def test_a_call_draws_anew_where_a_layer_draws_at_prediction_too(taken):
    model = Sequential([Dense(40, input_shape=(6,)), AlwaysDropped()])
    first, second, third = (model(X) for _ in range(3))
    assert first.tobytes() != second.tobytes() != third.tobytes()
    assert (first == 0).any()
    assert not any(taken)


def test_images_go_the_short_way(taken):
    model = Sequential([Flatten(input_shape=(2, 3)), Dense(4)])
    images = X.reshape(9, 2, 3)
    want = usual(model, images)
    assert model.predict(images).tobytes() == want.tobytes()
    assert model.predict(images.transpose(0, 2, 1).copy().transpose(0, 2, 1)).tobytes() == (
        want.tobytes()
    )
    assert taken == [True, True]


def test_the_output_of_a_layer_of_the_users_own(taken):
    class Twice(Layer):
        def call(self, inputs):
            return 2 * inputs

    model = Sequential([Twice(input_shape=(6,))])
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(X), 2 * X)
    assert taken == [False, True]
