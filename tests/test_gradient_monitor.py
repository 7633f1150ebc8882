"""GradientMonitor: vanishing and exploding gradients and dead units, by the name of the layer."""

import warnings

import numpy as np
import pytest
from api_tools import LABELS, X, Y, assert_same, gradients, mlp, twins

from fastnn import Input, Model, Sequential, layers, optimizers
from fastnn.callbacks import GradientMonitor
from fastnn.layers import Dense


def test_norms_are_those_of_the_gradients(backend):
    model = mlp(optimizers.SGD(0.0))
    watch = GradientMonitor()
    model.fit(X, Y, batch_size=20, epochs=2, shuffle=False, callbacks=[watch], verbose=0)
    weights = model.get_weights()
    x, y = X[40:], Y[40:]  # the last batch
    error = np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3] - y
    want = gradients(weights, x, 2 * error / error.size)
    assert list(watch.report) == ["dense", "dense_1"]
    for name, parts in (("dense", want[:2]), ("dense_1", want[2:])):
        flat = np.concatenate([part.ravel() for part in parts])
        found = watch.report[name]
        assert found["epoch"] == [0, 1]
        assert found["norm"] == pytest.approx([np.linalg.norm(flat)] * 2, rel=1e-4)
        assert found["rms"] == pytest.approx([np.sqrt((flat**2).mean())] * 2, rel=1e-4)
        assert (found["dead"], found["troubles"]) == ([], [])


def test_it_does_not_change_training(backend):
    one, other = twins("adam")
    history = one.fit(X, Y, epochs=3, callbacks=[GradientMonitor(X[:9])], verbose=0).history
    assert history == other.fit(X, Y, epochs=3, verbose=0).history
    assert_same(one.get_weights(), other.get_weights())


def test_a_deep_sigmoid_network_vanishes_at_its_first_layers(backend):
    model = Sequential(
        [Dense(8, "sigmoid", input_shape=(4,), name="first")]
        + [Dense(8, "sigmoid") for _ in range(8)]
        + [Dense(3, "softmax", name="last")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    watch = GradientMonitor()
    with pytest.warns(UserWarning) as said:
        model.fit(X, LABELS, epochs=3, callbacks=[watch], verbose=0)
    texts = [str(warning.message) for warning in said]
    assert len(texts) == len(set(texts))
    about = [text for text in texts if text.startswith("layer 'first': the gradient vanishes:")]
    assert len(about) == 1  # once, not every epoch
    assert "try relu or gelu instead of sigmoid" in about[0]
    assert not any("'last'" in text for text in texts)
    assert len(watch.report["first"]["troubles"]) == 3
    assert watch.report["last"]["troubles"] == []
    rms = [watch.report[layer.name]["rms"][0] for layer in model.layers]
    assert rms == sorted(rms)


def test_explosion(backend):
    watch = GradientMonitor(exploding=100, vanishing=0)
    with pytest.warns(UserWarning) as said:
        mlp(optimizers.SGD(0.0)).fit(X, 1e4 * Y, callbacks=[watch], verbose=0)
    texts = [str(warning.message) for warning in said]
    assert [text[:38] for text in texts] == [
        "layer 'dense': the gradient explodes: ",
        "layer 'dense_1': the gradient explodes",
    ]
    assert "after epoch 0; try a smaller learning rate, clipnorm=1.0" in texts[0]
    with pytest.warns(UserWarning, match="explodes"):  # it diverges
        mlp(optimizers.SGD(1e6)).fit(X, Y, epochs=30, callbacks=[watch], verbose=0)
    assert not np.isfinite(watch.report["dense_1"]["norm"][-1])
    assert len(watch.report["dense_1"]["norm"]) == 30
    assert "its norm is nan after epoch 29" in watch.report["dense_1"]["troubles"][-1]


def test_dead_units_are_counted(backend):
    model = Sequential(
        [
            Input((4,)),
            Dense(4, "relu", name="half"),
            Dense(3, name="linear"),
            layers.Activation("relu", name="all"),
            Dense(3, "softmax", name="last"),
        ]
    )
    model.compile(optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    kernel, bias = np.eye(4), np.array([100.0, 100.0, -100.0, -100.0])
    model.get_layer("half").set_weights([kernel, bias])
    linear = model.get_layer("linear")
    linear.set_weights([np.zeros((4, 3)), np.full(3, -1.0)])
    watch = GradientMonitor(X[:7], vanishing=0)
    with pytest.warns(UserWarning) as said:
        model.fit(X, LABELS, epochs=2, callbacks=[watch], verbose=0)
    texts = [str(warning.message) for warning in said]
    assert len(texts) == 2
    assert texts[0].startswith("layer 'half': 50% of its units are dead after epoch 0: they answer")
    assert "to all 7 rows; try a smaller learning rate, leaky_relu" in texts[0]
    assert texts[1].startswith("layer 'all': 100% of its units are dead")
    assert {name: part["dead"] for name, part in watch.report.items()} == {
        "half": [0.5, 0.5], "linear": [0.0, 0.0], "all": [1.0, 1.0], "last": [0.0, 0.0],
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patient = GradientMonitor(X[:7], vanishing=0, dead=1.1)
        model.fit(X, LABELS, callbacks=[patient], verbose=0)


def test_a_model_with_two_inputs_and_frozen_layers(backend):
    a, b = Input((4,)), Input((4,))
    joined = Dense(2, name="a")(a), Dense(2, name="b")(b)
    model = Model([a, b], list(joined))
    model.get_layer("a").trainable = False
    model.compile("sgd", "mse")
    watch = GradientMonitor([X[:5], X[:5]], freq=2)
    model.fit([X, X], [Y, Y], epochs=4, callbacks=[watch], verbose=0)
    assert watch.report["b"]["epoch"] == [0, 2]
    assert watch.report["b"]["dead"] == [0.0, 0.0]
    assert watch.report["a"]["norm"] == []  # nothing is learned there
    assert watch.report["a"]["dead"] == [0.0, 0.0]


def test_rows_that_do_not_fit_are_an_error_before_training():
    model = mlp()
    before = model.get_weights()
    with pytest.raises(ValueError, match="x"):
        model.fit(X, Y, callbacks=[GradientMonitor(X[:, :3])], verbose=0)
    assert_same(model.get_weights(), before)


def test_a_model_with_a_call_of_its_own(backend):
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.out = Dense(2)

        def call(self, inputs):
            return self.out(inputs)

    model = Own()
    model.compile("sgd", "mse")
    watch = GradientMonitor()
    model.fit(X, Y, callbacks=[watch], verbose=0)
    assert len(watch.report[model.out.name]["norm"]) == 1
    with pytest.raises(ValueError, match="not made of layer calls.*leave x out"):
        model.fit(X, Y, callbacks=[GradientMonitor(X)], verbose=0)


def test_activation_layers_are_watched():
    model = Sequential(
        [
            Dense(3, input_shape=(4,)),
            layers.BatchNormalization(),
            layers.Activation("relu", name="act"),
            Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    watch = GradientMonitor(X)
    model.fit(X, Y, callbacks=[watch], verbose=0)
    assert [len(part["dead"]) for part in watch.report.values()] == [1, 1, 1, 1]
    assert "act" in watch.report


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"vanishing": -1}, "vanishing must be a finite number of 0 or more, got -1"),
        ({"exploding": "big"}, "exploding must be a finite number of 0 or more, got 'big'"),
        ({"dead": None}, "dead must be a finite number of 0 or more, got None"),
        ({"freq": 0}, "freq must be an integer of 1 or more, got 0"),
    ],
)
def test_wrong_arguments(settings, expected):
    with pytest.raises(ValueError, match=f"GradientMonitor: {expected}"):
        GradientMonitor(**settings)
