"""BatchNormalization, LayerNormalization, UnitNormalization, Normalization: Keras' and own numbers.

Figures marked Keras are from Keras 3.15.1 on torch, float32, for the arrays below.
"""

import itertools

import numpy as np
import pytest

from fastnn import Input, Model, Sequential, layers
from fastnn.layers import (
    BatchNormalization,
    Dense,
    LayerNormalization,
    Normalization,
    UnitNormalization,
)

X = (np.arange(12).reshape(4, 3) ** 1.5 / 10).astype(np.float32)
X3 = (np.arange(24).reshape(2, 3, 4) ** 1.5 / 10).astype(np.float32)
RNG = np.random.default_rng(5)


def check(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


# --- BatchNormalization --------------------------------------------------------------------------


def test_batch_normalization_is_that_of_keras():
    layer = BatchNormalization(momentum=0.9)
    for _ in range(3):
        y = layer(X, training=True)
    check(y, [[-1.1404691, -1.1932198, -1.2217256], [-0.6349745, -0.58733815, -0.5613461],
              [0.28928563, 0.3232378, 0.34376568], [1.486158, 1.45732, 1.439306]])  # fmt: skip
    gamma, beta, mean, variance = layer.get_weights()
    np.testing.assert_array_equal([gamma, beta], [[1, 1, 1], [0, 0, 0]])
    check(mean, [0.3177007, 0.40069407, 0.49538165])
    check(variance, [1.0150807, 1.0904633, 1.1621941])


def test_batch_normalization_over_another_axis_is_that_of_keras():
    layer = BatchNormalization(axis=1)
    y = layer(X3, training=True)
    check(y[0], [[-1.07517, -1.0338062, -0.9581755, -0.86023724],
                 [-1.1490049, -1.04522, -0.9304619, -0.80569446],
                 [-1.1729459, -1.0507894, -0.9216431, -0.78586686]])  # fmt: skip
    check(layer.get_weights()[2], [0.02599299, 0.04320962, 0.0646129])
    check(layer.get_weights()[3], [1.0484364, 1.083893, 1.1181175])


def test_batch_normalization_of_one_row_is_that_of_keras():
    layer = BatchNormalization()
    np.testing.assert_array_equal(layer(X[:1], training=True), np.zeros((1, 3)))
    check(layer.get_weights()[2], [0.0, 0.001, 0.00282843])
    check(layer.get_weights()[3], [0.99, 0.99, 0.99])


def normal_model(backend, **settings):
    model = Sequential([BatchNormalization(**settings, dtype="float64", input_shape=(3,))])
    model.compile("sgd", "mse", backend=backend)
    return model


def batch_norm(x, gamma, beta):
    centred = x - x.mean(0)
    return centred / np.sqrt((centred**2).mean(0) + 1e-3) * gamma + beta


def test_training_follows_central_differences(backend):
    model = normal_model(backend)
    layer = model.layers[0]
    x, y = RNG.normal(2, 3, size=(10, 3)), RNG.normal(size=(10, 3))
    gamma, beta = RNG.normal(size=3), RNG.normal(size=3)
    model.set_weights([gamma, beta, np.zeros(3), np.ones(3)])
    model.fit(x, y, batch_size=10, epochs=1, verbose=0)

    def loss(g, b):
        return np.square(batch_norm(x, g, b) - y).mean()

    for weight, at in ((layer.gamma, 0), (layer.beta, 1)):
        for i in range(3):
            step = np.zeros((2, 3))
            step[at, i] = 1e-6
            up, down = (loss(gamma + s[0], beta + s[1]) for s in (step, -step))
            expected = (gamma, beta)[at][i] - 0.01 * (up - down) / 2e-6
            np.testing.assert_allclose(weight[i], expected, rtol=1e-7)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance, 0.99 + 0.01 * x.var(0), rtol=1e-12)


def test_inference_uses_the_moving_statistics(backend):
    model = normal_model(backend)
    model.set_weights([[2, 1, 1], [0, 1, 0], [1, 2, 3], [4, 1, 9]])
    x = RNG.normal(size=(5, 3))
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([4, 1, 9]) + 1e-3) * [2, 1, 1] + [0, 1, 0]
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)
    assert model.evaluate(x, expected) < 1e-20
    np.testing.assert_array_equal(model.get_weights()[2], [1, 2, 3])


def test_frozen_it_uses_the_moving_statistics_in_training_too(backend):
    model = Sequential([BatchNormalization(input_shape=(3,)), Dense(1)])
    model.compile("sgd", "mse", backend=backend)
    x, y = RNG.normal(5, 2, size=(8, 3)), RNG.normal(size=(8, 1))
    model.fit(x, y, epochs=2, verbose=0)
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    error = model.evaluate(x, y)
    history = model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [error], rtol=1e-5)
    for was, now in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    model.layers[0].trainable = True
    model.fit(x, y, epochs=1, verbose=0)
    assert not np.array_equal(before[2], model.layers[0].get_weights()[2])


def test_without_scale_and_center(backend):
    model = normal_model(backend, center=False, scale=False)
    assert [w.shape for w in model.get_weights()] == [(3,), (3,)]
    x = RNG.normal(size=(6, 3))
    model.fit(x, x, epochs=1, verbose=0)
    np.testing.assert_allclose(model.layers[0](x, training=True), batch_norm(x, 1, 0), rtol=1e-9)


def test_large_means_do_not_cost_the_variance():
    x = (RNG.normal(size=(1000, 4)) + 1e4).astype(np.float32)
    wide = x.astype(np.float64)
    y = BatchNormalization()(x, training=True)
    np.testing.assert_allclose(y, batch_norm(wide, 1, 0), atol=5e-3)  # x has steps of 1e-3
    assert abs(y.std() - 1) < 1e-3


def test_a_batch_is_never_cut(backend):
    """A second fit with a larger batch still takes its mean over all of it."""
    model = normal_model(backend)
    x = RNG.normal(size=(40, 3))
    model.fit(x[:4], x[:4], batch_size=4, epochs=1, verbose=0)
    before = model.layers[0].moving_mean.numpy()
    model.fit(x, x, batch_size=40, epochs=1, verbose=0)
    np.testing.assert_allclose(
        model.layers[0].moving_mean, 0.99 * before + 0.01 * x.mean(0), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNormalization(axis="x"), "axis must be an integer, got 'x'"),
        (lambda: BatchNormalization(momentum=1.5), "momentum must be at most 1, got 1.5"),
        (lambda: BatchNormalization(epsilon=-1), "BatchNormalization: epsilon"),
        (lambda: BatchNormalization(renorm=True), "renorm, synchronized"),
        (lambda: BatchNormalization(synchronized=True), "renorm, synchronized"),
        (lambda: BatchNormalization(axis=0)(X), "axis 0 is none of"),
        (lambda: BatchNormalization(axis=2)(X), "axis 2 is none of"),
        (lambda: LayerNormalization(axis=1)(X3), "must be the last axis"),
        (lambda: LayerNormalization(axis=(0, 1))(X), "axis 0 is none of"),
        (lambda: UnitNormalization(axis=2)(X), "axis 2 is none of"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- LayerNormalization, UnitNormalization -------------------------------------------------------


def test_layer_normalization_is_that_of_keras():
    check(LayerNormalization()(X), [
        [-1.052022, -0.22764535, 1.2796673], [-1.1883689, -0.05091152, 1.2392802],
        [-1.204147, -0.02907854, 1.233226], [-1.2103714, -0.02036401, 1.2307347]])  # fmt: skip
    check(LayerNormalization(axis=(1, 2))(X3)[0], [
        [-1.2608491, -1.1763961, -1.0219799, -0.82201856],
        [-0.5852252, -0.31663606, -0.01964879, 0.30324194],
        [0.6501038, 1.0193814, 1.4097887, 1.8202381]])  # fmt: skip


def test_layer_normalization_trains(backend):
    model = Sequential([LayerNormalization(dtype="float64", input_shape=(5,))])
    model.compile("sgd", "mse", backend=backend)
    x, y = RNG.normal(size=(6, 5)), RNG.normal(size=(6, 5))
    n = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
    model.fit(x, y, batch_size=6, epochs=1, verbose=0)
    slope = 2 * (n - y) / y.size
    gamma, beta = model.get_weights()
    np.testing.assert_allclose(gamma, 1 - 0.01 * (slope * n).sum(0), rtol=1e-12)
    np.testing.assert_allclose(beta, -0.01 * slope.sum(0), rtol=1e-12)


def test_unit_normalization_is_that_of_keras():
    check(UnitNormalization()(X), [
        [0.0, 0.33333334, 0.94280905], [0.35355335, 0.544331, 0.76072574],
        [0.44908872, 0.5659164, 0.69141734], [0.48809353, 0.57166195, 0.6595205]])  # fmt: skip
    np.testing.assert_array_equal(UnitNormalization()(np.zeros((2, 3))), np.zeros((2, 3)))


def test_both_have_gradients(backend):
    x = RNG.normal(size=(5, 4))
    inputs = Input((4,))
    for layer in (LayerNormalization(), UnitNormalization(), BatchNormalization()):
        model = Model(inputs, Dense(1)(layer(Dense(4, activation="tanh")(inputs))))
        model.compile("adam", "mse", backend=backend)
        losses = model.fit(x, x[:, :1], epochs=60, batch_size=5, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


# --- Normalization -------------------------------------------------------------------------------


def test_normalization_is_that_of_keras():
    layer = Normalization()
    layer.adapt(X)
    check(layer(X), [[-1.1410092, -1.1936668, -1.2221075], [-0.6352752, -0.5875582, -0.56152165],
                     [0.28942263, 0.3233589, 0.34387314], [1.4868618, 1.4578661, 1.439756]])
    mean, variance, count = layer.get_weights()
    check(mean, [1.1723273, 1.478576, 1.8279765])
    check(variance, [1.0556488, 1.3338133, 1.5985023])
    assert count == 0
    layer = Normalization(axis=1)
    layer.adapt(X3)
    check(layer(X3)[0], [[-1.0752621, -1.0338948, -0.9582575, -0.86031085],
                         [-1.149066, -1.0452757, -0.9305114, -0.8057373],
                         [-1.1729919, -1.0508306, -0.92167926, -0.7858977]])  # fmt: skip


def frame(x):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x)


def stored(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", ["array", "list", "frame", "memmap", "batches", "generator",
                                  "pairs", "integers"])  # fmt: skip
def test_adapt_on_every_kind_of_data(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("fastnn.layers.normalization.ROWS_AT_ONCE", 7)
    x = RNG.normal(3, 2, size=(50, 3))
    x = np.rint(x) if kind == "integers" else x
    data = {
        "array": lambda: x,
        "list": lambda: x.tolist(),
        "frame": lambda: frame(x),
        "memmap": lambda: stored(x, tmp_path),
        "batches": lambda: [x[:20], x[20:21], x[21:]],
        "generator": lambda: (x[i : i + 9] for i in range(0, 50, 9)),
        "pairs": lambda: ((x[i : i + 9], x[i : i + 9, 0]) for i in range(0, 50, 9)),
        "integers": lambda: x.astype(np.uint8 if x.min() >= 0 else np.int16),
    }[kind]()
    layer = Normalization(dtype="float64")
    layer.adapt(data)
    np.testing.assert_allclose(layer.adapt_mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.adapt_variance, x.var(0), rtol=1e-12)
    np.testing.assert_allclose(layer(x), (x - x.mean(0)) / x.std(0), rtol=1e-9, atol=1e-12)


def test_adapt_again_and_inside_a_model(backend):
    layer = Normalization()
    model = Sequential([layer, Dense(1)])
    x = RNG.normal(size=(20, 3))
    layer.adapt(x * 5)
    model.compile("sgd", "mse", backend=backend)
    model.fit(x, x[:, :1], epochs=1, verbose=0)
    layer.adapt(x)  # another time: the model's plans see the new values
    kernel, bias = model.layers[1].get_weights()
    expected = (x - x.mean(0)) / x.std(0) @ kernel + bias
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4, atol=1e-5)
    assert layer.trainable_variables == []


def test_given_mean_and_variance_and_the_inverse():
    layer = Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.0])
    expected = (X - [1, 2, 3]) / [2, 1, 1e-7]
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5)
    back = Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.0], invert=True)
    np.testing.assert_allclose(back(expected), X, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(Normalization(mean=1.0, variance=4.0)(X), (X - 1) / 2, rtol=1e-6)
    whole = Normalization(axis=None, dtype="float64")
    whole.adapt(X)
    np.testing.assert_allclose(whole(X), (X - X.mean()) / X.std(), rtol=1e-5, atol=1e-6)
    again = Normalization.from_config(layer.get_config())
    np.testing.assert_array_equal(again(X), layer(X))


def test_adapt_refuses_what_cannot_be_right():
    with pytest.raises(ValueError, match="both mean and variance"):
        Normalization(mean=1.0)
    with pytest.raises(ValueError, match="mean has shape"):
        Normalization(mean=[1.0], variance=[1.0, 2.0])
    with pytest.raises(ValueError, match="was given mean and variance"):
        Normalization(mean=1.0, variance=1.0).adapt(X)
    with pytest.raises(ValueError, match="no rows"):
        Normalization().adapt(itertools.chain())
    with pytest.raises(ValueError, match="NaN or infinite"):
        Normalization().adapt(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="expected numbers"):
        Normalization().adapt(np.array([["a", "b"]]))
    with pytest.raises(TypeError, match="iterable of batches, got int"):
        Normalization().adapt(3)
    layer = Normalization()
    layer.adapt(X)
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"features of shape \(3,\), adapt got data of shape"):
        layer.adapt(X[:, :2])
    for was, now in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    with pytest.raises(ValueError, match=r"mean has shape \(2,\), expected \(3,\)"):
        Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(X)
    assert layers.Normalization is Normalization
