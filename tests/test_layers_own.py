"""A user's own layers and models: built, trained, called on arrays, cloned; errors that help."""

import json
import threading

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, layers, ops, utils
from fastnn.layers import BatchNormalization, Dense, Dropout, Lambda, Layer
from fastnn.model import clone_model

RNG = np.random.default_rng(2)
X = RNG.normal(size=(30, 4)).astype(np.float32)
Y = RNG.normal(size=(30, 1)).astype(np.float32)


class Scale(Layer):
    """x * factor, with an argument."""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        first = lambda shape, dtype: np.full(shape, self.start)  # noqa: E731
        self.factor = self.add_weight((input_shape[-1],), first, name="factor")

    def call(self, inputs):
        return ops.multiply(inputs, self.factor)


class Gated(Layer):
    """Two inputs, layers inside in a list and a dictionary, another way in training."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.parts = [Dense(units), Dense(units, activation="sigmoid")]
        self.more = {"drop": Dropout(0.5), "norm": BatchNormalization()}

    def call(self, first, second, training=False):
        y = ops.multiply(self.parts[0](first), self.parts[1](second))
        y = self.more["norm"](y)
        return self.more["drop"](y) if training else y


class Counter(Layer):
    """Adds the mean of its state to x; the state follows the batches' means."""

    def build(self, input_shape):
        self.total = self.add_weight((input_shape[-1],), "zeros", name="total", trainable=False)
        self.calls = self.add_weight((), "zeros", name="calls", trainable=False)

    def call(self, inputs, training=False):
        y = ops.add(inputs, self.total)
        if training:
            self.total.assign(ops.add(self.total, ops.reduce("sum", inputs, 0)))
            self.calls.assign(ops.affine(self.calls, 1.0, 1.0))
        return y


class Net(Model):
    def __init__(self, units=8):
        super().__init__()
        self.units = units
        self.hidden = Dense(units, activation="tanh")
        self.drop = Dropout(0.4)
        self.out = Dense(1)

    def call(self, inputs, training=False):
        return self.out(self.drop(self.hidden(inputs)))


class Pair(Model):
    """A dictionary in, a dictionary out, a model inside."""

    def __init__(self):
        super().__init__()
        self.body = Net(5)
        self.blocks = [Dense(3), Dense(3)]

    def call(self, inputs):
        h = layers.add([block(inputs[name]) for block, name in zip(self.blocks, "ab", strict=True)])
        return {"sum": h, "deep": self.body(h)}


# --- own layers ----------------------------------------------------------------------------------


def test_an_own_layer_trains(backend):
    model = Sequential([Scale(2.0, dtype="float64", input_shape=(4,))])
    model.compile("sgd", "mse", backend=backend)
    x = X.astype(np.float64)
    model.fit(x, x, batch_size=30, epochs=1, verbose=0)
    expected = 2 - 0.01 * (2 * (2 * x - x) * x / x.size).sum(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-12)
    assert model.layers[0].factor.path == "scale/factor"


def test_layers_inside_are_found_and_told_of_training(backend):
    a, b = Input((4,)), Input((4,))
    gated = Gated(6)
    model = Model([a, b], Dense(1)(gated(a, b)))
    assert len(gated.weights) == 8
    assert len(gated.trainable_weights) == 6
    model.compile("adam", "mse", backend=backend)
    assert any(step.op.name == "dropout" for step in model.plan.steps)
    assert any(step.op.name == "batch_norm" for step in model.plan.steps)
    losses = model.fit([X, X], Y, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert not any(s.op.name == "dropout" for s in model._executor("predict", 8, ())[0].plan.steps)
    gated.trainable = False
    assert [layer.trainable for layer in gated.parts] == [False, False]
    assert gated.trainable_weights == []
    assert len(model.trainable_weights) == 2
    assert gated.count_params() == 2 * (4 * 6 + 6) + 4 * 6


def test_states_are_assigned_in_training(backend):
    model = Sequential([Counter(dtype="float64", input_shape=(4,))])
    model.compile("sgd", "mse", backend=backend)
    x = X.astype(np.float64)
    model.fit(x, x, batch_size=10, epochs=2, shuffle=False, verbose=0)
    total, calls = model.get_weights()
    np.testing.assert_allclose(total, 2 * x.sum(axis=0), rtol=1e-12)
    assert calls == 6
    np.testing.assert_allclose(model.predict(x), x + total, rtol=1e-12)
    np.testing.assert_array_equal(model.get_weights()[1], 6)


class Remembers(Layer):
    """The gradient of x is that of the state before it is assigned."""

    def build(self, input_shape):
        self.state = self.add_weight((4,), "ones", name="state", trainable=False)

    def call(self, inputs, training=False):
        y = ops.multiply(inputs, self.state)
        if training:
            self.state.assign(ops.affine(self.state, 3.0))
        return y


def test_gradients_know_the_state_from_before(backend):
    model = Sequential([Dense(4, use_bias=False, dtype="float64", input_shape=(4,)),
                        Remembers(dtype="float64")])  # fmt: skip
    model.compile("sgd", "mse", backend=backend)
    kernel = RNG.normal(size=(4, 4))
    model.set_weights([kernel, np.full(4, 2.0)])
    x = X.astype(np.float64)
    model.fit(x, x, batch_size=30, epochs=1, verbose=0)
    slope = x.T @ (2 * (2 * x @ kernel - x) * 2) / x.size
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.01 * slope, rtol=1e-9)
    np.testing.assert_array_equal(model.get_weights()[1], 6)


def test_own_layers_are_described_by_convention():
    layer = Scale(3.0, name="mine", trainable=False)
    config = json.loads(json.dumps(layer.get_config()))
    again = Scale.from_config(config)
    assert (again.start, again.name, again.trainable) == (3.0, "mine", False)
    gated = Gated.from_config({**Gated(3).get_config(), "name": "other"})
    assert (gated.units, gated.name) == (3, "other")  # its constructor knows no name


class Forgets(Layer):
    def __init__(self):
        self.size = 3


class ReturnsNothing(Layer):
    def call(self, inputs):
        ops.affine(inputs, 2.0)


class ReturnsNumPy(Layer):
    def call(self, inputs):
        return np.ones(3)


class WrongShape(Layer):
    def build(self, input_shape):
        self.w = self.add_weight((7, 2), name="w")

    def call(self, inputs):
        return ops.matmul(inputs, self.w)


class AssignsParameter(Layer):
    def build(self, input_shape):
        self.w = self.add_weight((4,), name="w")

    def call(self, inputs):
        self.w.assign(ops.reduce("sum", inputs, 0))
        return inputs


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (Forgets(), RuntimeError, r"Forgets.__init__ did not call super\(\).__init__\(\)"),
        (ReturnsNothing(), TypeError, "returns_nothing.*call returned None; did you forget"),
        (ReturnsNumPy(), TypeError, "call returned ndarray; compute with fastnn.ops"),
        (WrongShape(), ValueError, "cannot multiply"),
        (AssignsParameter(), ValueError, r"assign: .*w.* is trained"),
        (Layer(), NotImplementedError, "Layer defines no call"),
    ],
)
def test_mistakes_in_own_layers(layer, error, message):
    with pytest.raises(error, match=message):
        layer(Input((4,)))


def test_arrays_beside_tensors_are_refused():
    with pytest.raises(TypeError, match="was called on ndarray, expected tensors"):
        layers.Add()([Input((4,)), X])


# --- calls on arrays -----------------------------------------------------------------------------


def test_a_layer_on_arrays():
    layer = Dense(3, activation="relu")
    y = layer(X)
    kernel, bias = layer.get_weights()
    np.testing.assert_allclose(y, np.maximum(X @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
    for same in (X.tolist(), X.astype(np.float64), X[:, ::-1][:, ::-1], list(map(list, X))):
        np.testing.assert_array_equal(layer(same), y)
    np.testing.assert_array_equal(layer(X[:1]), y[:1])
    big = np.tile(X, (40, 1))
    np.testing.assert_allclose(layer(big), np.tile(y, (40, 1)), rtol=1e-6)
    layer.set_weights([kernel * 2, bias])
    np.testing.assert_allclose(layer(X), 2 * y, rtol=1e-6)
    assert isinstance(y, np.ndarray) and y.dtype == np.float32
    np.testing.assert_array_equal(Gated(2)(X, X).shape, (30, 2))
    np.testing.assert_allclose(Lambda(lambda x: ops.affine(x, 2.0))(X), 2 * X)


def test_a_layer_goes_on_in_a_model():
    layer = Dense(3)
    before = layer(X)
    model = Sequential([layer])
    model.compile("sgd", "mse")
    model.build((None, 4))
    np.testing.assert_array_equal(model.predict(X), before)
    model.fit(X, np.zeros((30, 3)), epochs=2, verbose=0)
    after = layer(X)
    np.testing.assert_array_equal(model.predict(X), after)
    assert np.abs(after).mean() < np.abs(before).mean()


def test_a_model_on_arrays(backend):
    model = Net()
    y = model(X)  # built by it
    assert y.shape == (30, 1)
    np.testing.assert_array_equal(model.predict(X), y)
    model.compile("adam", "mse", backend=backend)
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_allclose(model(X), model.predict(X), rtol=1e-5, atol=1e-6)
    drawn = [model(X, training=True) for _ in range(2)]
    assert not np.array_equal(*drawn)
    many = np.mean([model(X, training=True) for _ in range(400)], axis=0)
    assert np.abs(many - model(X)).max() < 0.2  # dropout at prediction averages out


def test_calls_from_many_threads():
    model = Net()
    expected = model(X)
    wrong = []

    def work():
        for n in (1, 7, 30, 13) * 20:
            if not np.array_equal(model(X[:n]), expected[:n]):
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_has_no_rows_cannot_be_computed_at_once():
    class Total(Layer):
        def call(self, inputs):
            return ops.reduce("sum", inputs)

    with pytest.raises(ValueError, match="has no rows"):
        Total()(X)


# --- subclassed models ---------------------------------------------------------------------------


def test_an_own_model_trains_like_the_same_sequential(backend):
    results = []
    for make in (
        Net,
        lambda: Sequential([Dense(8, activation="tanh"), Dropout(0.4), Dense(1)]),
    ):
        utils.set_random_seed(3)
        model = make()
        model.compile("adam", "mse", metrics=["mae"], backend=backend)
        history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.2)
        results.append((history.history, model.evaluate(X, Y), model.predict(X)))
    assert results[0][0] == results[1][0]
    assert results[0][1] == results[1][1]
    np.testing.assert_array_equal(results[0][2], results[1][2])


def test_dictionaries_in_and_out(backend):
    model = Pair()
    model.compile("adam", {"sum": "mse", "deep": "mse"}, backend=backend)
    data = {"a": X, "b": X[:, :2]}
    targets = {"sum": np.zeros((30, 3)), "deep": Y}
    losses = model.fit(data, targets, epochs=30, verbose=0).history
    assert {"loss", "sum_loss", "deep_loss"} <= set(losses)
    assert losses["loss"][-1] < losses["loss"][0]
    made = model(data)
    assert {key: value.shape for key, value in made.items()} == {"sum": (30, 3), "deep": (30, 1)}
    assert len(model.weights) == 8
    assert model.get_layer("net").hidden.units == 5


def test_built_by_a_shape():
    model = Net(3)
    assert model.weights == []
    model.build((None, 4))
    assert [w.shape for w in model.get_weights()] == [(4, 3), (3,), (3, 1), (1,)]
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 1)
    lines = []
    model.summary(print_fn=lines.append)
    assert any("dense (Dense)" in line for line in lines)
    assert "19" in lines[-1]


def test_an_own_model_as_a_layer(backend):
    x = Input((4,))
    net = Net(6)
    model = Model(x, layers.add([net(x), Dense(1)(x)]))
    model.compile("sgd", "mse", backend=backend)
    model.fit(X, Y, epochs=2, verbose=0)
    assert len(model.weights) == 6
    direct = model.layers[1] if isinstance(model.layers[1], Dense) else model.layers[0]
    np.testing.assert_allclose(model.predict(X), net(X) + direct(X), rtol=1e-4, atol=1e-5)


# --- configs and clones --------------------------------------------------------------------------


def graph():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = Dense(5, activation="tanh", name="shared")
    inner = Sequential([Dense(3, input_shape=(5,)), Dense(2)], name="inner")
    p, q = shared(a), shared(b)
    joined = layers.concatenate([layers.add([p, q]), p])
    dropped = Dropout(0.5)(joined, training=True)
    return Model([a, b], [Dense(1, name="left")(dropped), inner(q)], name="graph")


def test_a_graph_is_made_again_from_its_config():
    model = graph()
    config = json.loads(json.dumps(model.get_config()))
    again = Model.from_config(config)
    assert again.get_config() == model.get_config()
    assert again.name == "graph"
    assert [t.call.layer.name for t in again.inputs] == ["a", "b"]
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert len(again.weights) == 8  # the shared layer has one kernel
    again.set_weights(model.get_weights())
    data = {"a": X, "b": X[::-1].copy()}
    np.testing.assert_array_equal(again.predict(data)[1], model.predict(data)[1])


def test_training_true_in_a_graph_stays():
    x = Input((4,))
    model = Model(x, Dropout(0.5)(x, training=True))
    assert any(s.op.name == "dropout" for s in model._executor("predict", 8, ())[0].plan.steps)


@pytest.mark.parametrize("make", [
    graph, Net, lambda: Sequential([Dense(3), BatchNormalization(), Dense(1)], name="chain"),
], ids=["graph", "own", "sequential"])  # fmt: skip
def test_clone(make):
    model = make()
    data = [X, X] if model.name == "graph" else X
    model(data)
    clone = clone_model(model)
    assert type(clone) is type(model)
    shapes = [w.shape for w in model.get_weights()]
    assert [w.shape for w in clone.get_weights()] == shapes
    assert not set(map(id, clone.variables)) & set(map(id, model.variables))
    kernels = [i for i, shape in enumerate(shapes) if len(shape) == 2]
    assert any(
        not np.array_equal(clone.get_weights()[i], model.get_weights()[i]) for i in kernels
    )
    clone.set_weights(model.get_weights())
    if model.name != "graph":
        np.testing.assert_array_equal(clone(data), model(data))


def test_clone_with_a_function_for_layers():
    model = Sequential([Dense(3, input_shape=(4,)), Dense(1)])

    def wider(layer):
        return Dense(7) if layer.units == 3 else type(layer).from_config(layer.get_config())

    clone = clone_model(model, clone_function=wider)
    clone.build((None, 4))
    assert clone.get_weights()[0].shape == (4, 7)
    with pytest.raises(ValueError, match="expects a Model, got Dense"):
        clone_model(Dense(3))


def test_an_own_layer_in_a_graph_is_cloned():
    x = Input((4,))
    model = Model(x, Scale(3.0)(x))
    np.testing.assert_array_equal(clone_model(model)(X), 3 * X)


def test_trainable_of_a_model_sets_that_of_its_layers():
    model = graph()
    model.trainable = False
    assert model.trainable_weights == []
    assert not any(layer.trainable for layer in model.layers)
    model.get_layer("shared").trainable = True
    model.trainable = True
    assert len(model.trainable_weights) == 8


def test_weights_inside_of_layers_have_paths_of_their_own():
    paths = [weight.path for weight in graph().weights]
    assert paths[:2] == ["shared/kernel", "shared/bias"]
    assert {"inner/dense/kernel", "inner/dense_1/kernel", "left/kernel"} < set(paths)
    assert len(set(paths)) == len(paths)


def test_constraints_of_layers(backend):
    model = Sequential(
        [Dense(3, kernel_constraint="non_neg", bias_constraint="non_neg", input_shape=(4,)),
         BatchNormalization(gamma_constraint="non_neg"), Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse", backend=backend)
    model.fit(X, Y, epochs=2, verbose=0)
    for weight in model.layers[0].get_weights():
        assert weight.min() >= 0
    again = Dense.from_config(json.loads(json.dumps(model.layers[0].get_config())))
    assert type(again.kernel_constraint) is type(model.layers[0].kernel_constraint)


# --- ops between layers --------------------------------------------------------------------------


def with_ops():
    a, b = Input((4,)), Input((4,))
    h = ops.apply_activation("tanh", ops.add(Dense(4)(a), b))
    h = ops.concatenate([h, ops.affine(ops.slice_(b, (None, (1, 3))), 2.0)])
    scaled = ops.divide(h, ops.unary("exp", ops.reduce("max", h, 1, keepdims=True)))
    return Model([a, b], [Dense(1)(scaled), ops.reshape(ops.transpose(
        ops.reshape(b, (None, 2, 2)), (0, 2, 1)), (None, 4))])  # fmt: skip


def test_a_graph_uses_ops(backend):
    model = with_ops()
    names = [layer.name for layer in model.layers]
    assert {"dense", "add", "tanh", "slice", "concatenate", "divide"} <= set(names)
    first, second = model([X, X * 2])
    kernel, bias = model.layers[0].get_weights()
    h = np.tanh(X @ kernel + bias + 2 * X)
    h = np.concatenate([h, 4 * X[:, 1:3]], axis=1)
    last, offset = model.get_weights()[2:]
    expected = h / np.exp(h.max(axis=1, keepdims=True)) @ last + offset
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(second, 2 * X[:, [0, 2, 1, 3]])
    again = Model.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again([X, X * 2])[0], first)
    trained = Model(model.inputs, model.outputs[0])
    trained.compile("adam", "mse", backend=backend)
    losses = trained.fit([X, X], Y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_ops_that_are_none_between_layers():
    x, layer = Input((4,)), Dense(3)
    layer(x)
    with pytest.raises(ValueError, match="op 'dropout' cannot be used between layers"):
        ops.dropout(x, 0.5, 1)
    with pytest.raises(RuntimeError, match="dense/kernel.* only inside a layer's call"):
        ops.linear(x, layer.kernel)
    with pytest.raises(ValueError, match="transpose: axis 3 is out of range"):
        ops.transpose(x, (0, 3))


# --- summary -------------------------------------------------------------------------------------


def lines_of(model, **settings):
    lines = []
    model.summary(print_fn=lines.append, **settings)
    return lines


def test_summary_of_an_own_model_knows_the_shapes():
    model = Net(3)
    model.build((None, 4))
    assert lines_of(model)[3].split() == ["dense", "(Dense)", "(None,", "3)", "15", "15"]


def test_summary_expands_and_chooses():
    model = graph()
    plain = lines_of(model)
    assert not any("(Dense)" in line and line.startswith("    ") for line in plain)
    nested = lines_of(model, expand_nested=True)
    assert [line.split()[0] for line in nested if line.startswith("    ")] == ["dense", "dense_1"]
    part = lines_of(model, layer_range=("shared", "concat.*"))
    names = [line.split()[0] for line in part[3:-1]]
    assert names == ["shared", "add", "concatenate"]
    wide = lines_of(model, line_length=100, positions=[0.5, 0.7, 0.85, 1.0])
    assert wide[1].index("Output shape") == 52
    with pytest.raises(ValueError, match="no layer fits 'nowhere'; this model has: .*shared"):
        model.summary(layer_range=("nowhere", "shared"))
    with pytest.raises(ValueError, match="positions must be three or four growing"):
        model.summary(positions=[0.5, 0.2, 0.9])
