"""Models: how they are built, their weights, freezing, and layers that several of them share."""

import re

import numpy as np
import pytest
from api_tools import (
    CLOSE,
    LABELS,
    ONE_HOT,
    ROWS,
    WEIGHT,
    X,
    Y,
    adam,
    assert_differ,
    assert_same,
    mlp,
    softmax,
    train,
    twins,
)

from fastnn import (
    Input,
    Model,
    Sequential,
    optimizers,
    utils,
)
from fastnn.layers import Dense, Dropout

# --- building models ---


def test_the_ways_to_make_a_sequential_agree(backend):
    first = Sequential([Dense(5, "relu", input_shape=(4,)), Dense(2)])
    weights = first.get_weights()

    added = Sequential(name="added")
    added.add(Dense(5, "relu", input_shape=[4]))
    added.add(Dense(2))

    with_input = Sequential([Input((4,)), Dense(5, "relu"), Dense(2)])
    with_dim = Sequential([Dense(5, "relu", input_dim=4), Dense(2)])
    by_number = Sequential([Dense(5, "relu", input_shape=4), Dense(2)])
    built = Sequential([Dense(5, "relu"), Dense(2)])
    built.build((None, 4))
    built_for_32 = Sequential([Dense(5, "relu"), Dense(2)])
    built_for_32.build((32, 4))
    batch_shape = Sequential([Input(batch_shape=(None, 4)), Dense(5, "relu"), Dense(2)])
    nested = Sequential([Sequential([Dense(5, "relu", input_shape=(4,))]), Dense(2)])
    nested.build((None, 4))
    x = Input((4,))
    graph = Model(x, Dense(2)(Dense(5, "relu")(x)))

    for model in (
        added, with_input, with_dim, by_number, built, built_for_32, batch_shape, nested, graph,
    ):  # fmt: skip
        assert model.input_shape == (None, 4)
        assert model.output_shape == (None, 2)
        assert [w.shape for w in model.get_weights()] == [w.shape for w in weights]
        model.set_weights(weights)
        np.testing.assert_array_equal(model.predict(X), first.predict(X))


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_on_batch"])
def test_a_model_without_input_shape_is_built_by_its_first_data(call, backend):
    model = Sequential([Dense(5, "relu"), Dense(2)])
    model.compile("sgd", "mse")
    assert not model.built
    getattr(model, call)(X, Y)
    assert model.built
    assert [w.shape for w in model.get_weights()] == [(4, 5), (5,), (5, 2), (2,)]


def test_a_vector_is_one_feature_per_row(backend):
    model = Sequential([Dense(1)])
    model.compile(optimizers.SGD(0.1), "mse")
    xs = np.arange(6.0)
    model.fit(xs, 2 * xs - 1, epochs=300, verbose=0)
    np.testing.assert_allclose(model.predict([10.0]), [[19]], rtol=0.05)


def test_add_and_pop_after_training_keep_the_weights_of_the_layers(backend):
    model = mlp()
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.add(Dense(3))
    assert model.output_shape == (None, 3)
    assert_same(model.get_weights()[:4], weights)
    want = model.predict(X)
    assert want.shape == (ROWS, 3)
    assert isinstance(model.pop(), Dense)
    np.testing.assert_array_equal(model.predict(X), mlp_with(weights).predict(X))


def mlp_with(weights):
    model = mlp()
    model.set_weights(weights)
    return model


def test_names_layers_and_counts():
    model = Sequential(
        [Dense(8, input_shape=(4,)), Dense(8), Dropout(0.5), Dense(2, name="last")], name="mine"
    )
    assert model.name == "mine"
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dropout", "last"]
    assert model.get_layer("last") is model.layers[-1] is model.get_layer(index=3)
    assert model.get_layer(index=-1).units == 2
    assert model.count_params() == 4 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2
    assert model.layers[1].count_params() == 72
    assert [v.path for v in model.weights] == [
        "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias", "last/kernel", "last/bias",
    ]  # fmt: skip
    assert len(model.trainable_variables) == 6
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 4
    assert [v.path for v in model.non_trainable_weights] == ["dense/kernel", "dense/bias"]


def test_summary(capsys):
    model = Sequential([Dense(8, input_shape=(4,)), Dropout(0.5), Dense(2, name="last")])
    model.layers[0].trainable = False
    lines = []
    model.summary(print_fn=lines.append)
    assert lines == [
        'Model: "sequential"',
        "Layer (type)       Output shape  Params  Trainable",
        "--------------------------------------------------",
        "dense (Dense)      (None, 8)         40          0",
        "dropout (Dropout)  (None, 8)          0          0",
        "last (Dense)       (None, 2)         18         18",
        "Total params: 58 (232 bytes), trainable 18",
    ]
    model.summary()
    assert capsys.readouterr().out == "\n".join(lines) + "\n"
    model.summary(line_length=80, print_fn=lines.append)
    assert len(lines[9]) == 80


# --- several inputs and outputs ---


def two_by_two(**settings):
    """Inputs a and b, a shared layer, outputs p (regression) and q (classes)."""
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = Dense(6, "tanh", name="shared")
    p = Dense(2, name="p")(shared(a))
    q = Dense(3, "softmax", name="q")(shared(b))
    model = Model([a, b], [p, q])
    settings = {"loss": ["mse", "sparse_categorical_crossentropy"]} | settings
    model.compile("sgd", **settings)
    return model


A, B = X, X[::-1] * 0.5


def test_the_summary_in_a_notebook():
    model = Sequential([Dense(3, input_shape=(4,), name="a<b"), Dense(1)], name="a&b")
    shown = model._repr_html_()
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in shown.split("<tr>")[1:]]
    assert cells == [
        ["Layer (type)", "Output shape", "Params", "Trainable"],
        ["a&lt;b (Dense)", "(None, 3)", "15", "15"],
        ["dense (Dense)", "(None, 1)", "4", "4"],
    ]
    assert "<b>a&amp;b</b>" in shown
    assert "Total params: 19 (76 bytes), trainable 19" in shown
    # The text says the same.
    lines = []
    model.summary(print_fn=lines.append)
    assert [line.split()[-1] for line in lines[3:-1]] == ["15", "4"]


def test_a_graph_with_two_inputs_and_outputs(backend, dtype):
    model = two_by_two(loss_weights=[0.25, 2.0], metrics=[["mae"], ["accuracy"]])
    w, b, wp, bp, wq, bq = (v.astype(np.float64) for v in model.get_weights())
    want_p = np.tanh(A @ w + b) @ wp + bp
    want_q = softmax(np.tanh(B @ w + b) @ wq + bq)
    p, q = model.predict([A, B])
    np.testing.assert_allclose(p, want_p, **CLOSE[dtype])
    np.testing.assert_allclose(q, want_q, **CLOSE[dtype])
    p_loss = ((want_p - Y) ** 2).mean()
    q_loss = -np.log(want_q[np.arange(ROWS), LABELS]).mean()
    result = model.evaluate([A, B], [Y, LABELS], return_dict=True)
    assert list(result) == ["loss", "p_loss", "q_loss", "p_mae", "q_accuracy"]
    assert list(result) == model.metrics_names
    want = [
        0.25 * p_loss + 2 * q_loss, p_loss, q_loss, abs(want_p - Y).mean(),
        (want_q.argmax(axis=1) == LABELS).mean(),
    ]  # fmt: skip
    np.testing.assert_allclose(list(result.values()), want, **CLOSE[dtype])
    assert model.input_shape == [(None, 4), (None, 4)]
    assert model.output_shape == [(None, 2), (None, 3)]


def test_training_a_shared_layer_adds_the_gradients_of_its_uses(backend, dtype):
    model = two_by_two(loss_weights=[0.25, 2.0])
    w, b, wp, bp, wq, bq = (v.astype(np.float64) for v in model.get_weights())
    model.fit([A, B], [Y, LABELS], batch_size=ROWS, shuffle=False, verbose=0)
    ha, hb = np.tanh(A @ w + b), np.tanh(B @ w + b)
    dp = 0.25 * 2 * (ha @ wp + bp - Y) / Y.size
    dq = 2.0 * (softmax(hb @ wq + bq) - ONE_HOT) / ROWS
    da, db = (dp @ wp.T) * (1 - ha**2), (dq @ wq.T) * (1 - hb**2)
    want = [
        w - 0.01 * (A.T @ da + B.T @ db), b - 0.01 * (da + db).sum(axis=0),
        wp - 0.01 * ha.T @ dp, bp - 0.01 * dp.sum(axis=0),
        wq - 0.01 * hb.T @ dq, bq - 0.01 * dq.sum(axis=0),
    ]  # fmt: skip
    for got, value in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(got, value, **CLOSE[dtype])


def test_lists_and_dictionaries_mean_the_same(backend):
    results = []
    for form in (list, dict):
        utils.set_random_seed(9)

        def per(names, *values, form=form):
            return list(values) if form is list else dict(zip(names, values, strict=True))

        outputs, inputs = ("p", "q"), ("a", "b")
        model = two_by_two(
            loss=per(outputs, "mse", "sparse_categorical_crossentropy"),
            loss_weights=per(outputs, 0.25, 2.0),
            metrics=per(outputs, ["mae"], ["accuracy"]),
            weighted_metrics=per(outputs, ["mse"], ["accuracy"]),
        )
        x, y = per(inputs, A, B), per(outputs, Y, LABELS)
        history = model.fit(
            x, y, sample_weight=per(outputs, WEIGHT, WEIGHT[::-1]), epochs=2, verbose=0,
            validation_data=(x, y),
        )  # fmt: skip
        results.append((history.history, model.evaluate(x, y), model.get_weights()))
        np.testing.assert_array_equal(model.predict(x)[0], model.predict([A, B])[0])
    assert results[0][0] == results[1][0]
    assert results[0][1] == results[1][1]
    assert_same(results[0][2], results[1][2])


def test_one_loss_weight_and_metric_for_all_outputs(backend):
    x = Input((4,))
    model = Model(x, [Dense(2, name="p")(x), Dense(2, name="q")(x)])
    model.compile("sgd", loss="mse", metrics=["mae"])
    result = model.evaluate(X, [Y, -Y], sample_weight=WEIGHT, return_dict=True)
    assert list(result) == ["loss", "p_loss", "q_loss", "p_mae", "q_mae"]
    rows = ((model.predict(X)[0] - Y) ** 2).mean(axis=1)
    assert result["p_loss"] == pytest.approx((WEIGHT * rows).mean(), rel=1e-5)


def test_keras_forms_of_data_for_one_input_and_output(backend):
    plain = mlp().evaluate(X, Y)
    model = mlp_with(mlp_weights := mlp().get_weights())
    plain = model.evaluate(X, Y)
    name_in, name_out = "input_layer", model.layers[-1].name
    assert model.evaluate([X], [Y]) == plain
    assert model.evaluate({name_in: X}, {name_out: Y}) == plain
    assert model.evaluate([X], [Y], sample_weight=[np.ones(ROWS)]) == plain
    lazy = Sequential([Dense(8, "tanh"), Dense(2)])
    lazy.compile("sgd", "mse")
    lazy.fit([X], [Y], verbose=0)
    lazy.set_weights(mlp_weights)
    assert lazy.evaluate(X, Y) == plain


def test_an_output_twice_and_an_input_as_output(backend):
    x = Input((4,))
    y = Dense(2)(x)
    model = Model(x, [y, y, x])
    one, two, three = model.predict(X)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(three, X.astype(np.float32))


# --- weights ---


def test_get_weights_are_copies_and_set_weights_copies(backend):
    model = mlp()
    before = model.predict(X)
    for array in model.get_weights():
        array[:] = 99
    np.testing.assert_array_equal(model.predict(X), before)
    given = [np.ones_like(w) for w in model.get_weights()]
    model.set_weights(given)
    after = model.predict(X)
    assert (after != before).any()
    given[0][:] = 5
    np.testing.assert_array_equal(model.predict(X), after)


def test_a_kernel_is_a_live_view(backend):
    model = mlp()
    kernel = np.asarray(model.layers[1].kernel)
    model.predict(X)
    kernel[:] = 0
    np.asarray(model.layers[1].bias)[:] = [1, 2]
    np.testing.assert_array_equal(model.predict(X), np.tile([1.0, 2.0], (ROWS, 1)))
    model.fit(X, Y, verbose=0)
    assert (kernel != 0).any()
    np.testing.assert_array_equal(kernel, model.get_weights()[2])
    kernel[:] = 0  # and still after training
    model.layers[1].bias.assign([1, 2])
    np.testing.assert_array_equal(model.predict(X), np.tile([1.0, 2.0], (ROWS, 1)))
    assert np.asarray(model.layers[1].kernel).base is not None


def test_weights_of_one_layer(backend):
    model = mlp()
    layer = model.layers[1]
    layer.set_weights([np.zeros((8, 2)), [3, 4]])
    np.testing.assert_array_equal(model.predict(X), np.tile([3.0, 4.0], (ROWS, 1)))
    assert_same(layer.get_weights(), model.get_weights()[2:])


# --- frozen layers ---


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("frozen", [[0], [1], [2], [0, 2], [0, 1], [0, 1, 2]])
def test_trainable_false_freezes_exactly_those_layers(frozen, optimizer, backend):
    model = Sequential([Dense(8, "tanh", input_shape=(4,)), Dense(5, "tanh"), Dense(2)])
    model.compile(optimizer, "mse")
    for i in frozen:
        model.layers[i].trainable = False
    before = [layer.get_weights() for layer in model.layers]
    model.fit(X, Y, epochs=2, verbose=0)
    for i, layer in enumerate(model.layers):
        if i in frozen:
            assert_same(layer.get_weights(), before[i])
        else:
            assert all((a != b).any() for a, b in zip(layer.get_weights(), before[i], strict=True))


def test_a_frozen_model_and_a_frozen_layer_from_the_start(backend):
    model = Sequential([Dense(8, trainable=False, input_shape=(4,)), Dense(2)])
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert_same(model.get_weights()[:2], before[:2])
    assert_differ(model.get_weights()[2:], before[2:])
    whole = Sequential([Dense(2, input_shape=(4,))], trainable=False)
    whole.compile("adam", "mse")
    before = whole.get_weights()
    whole.fit(X, Y, verbose=0)
    assert_same(whole.get_weights(), before)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1]])
def test_the_optimizer_state_survives_a_time_in_which_layers_are_frozen(frozen, backend, dtype):
    model = mlp("adam")
    weights, theirs = model.get_weights(), adam()
    for phase in ([], frozen, []):
        for i, layer in enumerate(model.layers):
            layer.trainable = i not in phase
        model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        if len(phase) < 2:  # with all layers frozen there is no update at all
            still = [n for i in phase for n in (2 * i, 2 * i + 1)]
            weights, _ = train(weights, X, Y, theirs, 16, 2, frozen=still)
        for got, want in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(got, want, **CLOSE[dtype])


def test_a_model_frozen_at_first_can_be_thawed(backend):
    model = mlp("adam")
    start = model.get_weights()
    model.trainable = False
    model.fit(X, Y, verbose=0)
    assert_same(model.get_weights(), start)
    model.trainable = True
    model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    weights, _ = train(start, X, Y, adam(), 16, 2)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, **CLOSE["float32"])


# --- models that share layers ---


def test_two_models_that_share_a_layer_stay_in_sync(backend):
    shared = Dense(6, "tanh")
    a, b = Input((4,)), Input((4,))
    one = Model(a, Dense(2)(shared(a)))
    two = Model(b, Dense(3)(shared(b)))
    one.compile("sgd", "mse")
    two.compile("adam", "mse")
    before = shared.get_weights()
    one.fit(X, Y, verbose=0)
    after = shared.get_weights()
    assert_differ(before, after)
    assert_same(two.get_weights()[:2], after)
    hidden = np.tanh(X @ after[0] + after[1])
    kernel, bias = two.get_weights()[2:]
    np.testing.assert_allclose(two.predict(X), hidden @ kernel + bias, rtol=1e-4, atol=1e-5)
    two.fit(X, ONE_HOT, verbose=0)
    assert_same(one.get_weights()[:2], shared.get_weights())
    assert_differ(after, shared.get_weights())


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", optimizers.SGD(0.1, momentum=0.9)])
def test_a_model_made_of_trained_layers_does_not_disturb_their_training(optimizer, backend):
    # The new model moves the weights elsewhere; the optimizer's state must move along.
    one, other = twins(optimizer)
    one.fit(X, Y, epochs=2, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    x = Input((4,))
    second = Model(x, Dense(3)(Dense(5)(one.layers[0](x))))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    one.fit(X, Y, epochs=2, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    assert_same(one.get_weights(), other.get_weights())
    second.compile("sgd", "mse")
    second.fit(X, ONE_HOT, verbose=0)
    assert_same(one.get_weights()[:2], second.get_weights()[:2])
    assert_same(one.get_weights()[2:], other.get_weights()[2:])


def test_a_model_sees_its_weights_whatever_newer_models_share_them(backend):
    # Each new model moves the shared weights; the first must never go on with an old place.
    shared = Dense(2, use_bias=False)
    x = Input((4,))
    first = Model(x, shared(x))
    for value in range(60):
        x = Input((4,))
        newer = Model(x, Dense(3)(shared(x)))
        shared.kernel.assign(np.full((4, 2), float(value)))
        want = X.astype(np.float32) @ np.full((4, 2), value, np.float32)
        np.testing.assert_allclose(first.predict(X), want, rtol=1e-4, atol=1e-5)
    kernel, bias = newer.layers[1].get_weights()
    np.testing.assert_allclose(newer.predict(X), want @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_a_newer_model_does_not_rename_the_layers_of_an_older_one():
    first = Sequential([Dense(3, input_shape=(4,)), Dense(2)])
    x = Input((4,))
    second = Model(x, first.layers[0](Dense(4)(x)))
    assert [layer.name for layer in first.layers] == ["dense", "dense_1"]
    assert [layer.name for layer in second.layers] == ["dense_1", "dense"]
    assert [v.path for v in first.weights][::2] == ["dense/kernel", "dense_1/kernel"]
    # Where two older models use one name, the newer one tells its layers apart all the same.
    third = Sequential([Dense(3, input_shape=(2,))])
    x = Input((4,))
    both = Model(x, third.layers[0](first.layers[1](first.layers[0](x))))
    names = [layer.name for layer in both.layers]
    assert len(set(names)) == 3
    assert names[:2] == ["dense", "dense_1"]


def test_a_model_as_a_layer(backend):
    inner = Sequential([Dense(5, "tanh", input_shape=(4,)), Dense(3)])
    outer = Sequential([inner, Dense(2)])
    outer.build((None, 4))
    outer.compile("sgd", "mse")
    w1, b1, w2, b2, w3, b3 = outer.get_weights()
    want = (np.tanh(X @ w1 + b1) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(outer.predict(X), want, rtol=1e-4, atol=1e-5)
    outer.fit(X, Y, verbose=0)
    assert_same(inner.get_weights(), outer.get_weights()[:4])
    assert_differ(inner.get_weights(), [w1, b1, w2, b2])
    x = Input((4,))
    two = Model(x, [Dense(3)(x), Dense(2)(x)])
    p, q = two(y := Input((4,)))
    wrapped = Model(y, [q, p])
    for got, want in zip(wrapped.predict(X), reversed(two.predict(X)), strict=True):
        np.testing.assert_array_equal(got, want)
