"""Data, small models and NumPy programs that several tests of the public API share."""

import numpy as np
import pytest

from fastnn import (
    Sequential,
    backends,
    utils,
)
from fastnn.layers import Dense

ROWS = 50
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, 4))
Y = RNG.normal(size=(ROWS, 2))
LABELS = RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3)[LABELS]
WEIGHT = RNG.uniform(0.1, 2, ROWS)

# Against float64 programs. In float64 only the order of sums differs; in float32 each value carries
# a rounding of 6e-8, and the updates of a test add up a few dozen of them.
CLOSE = {"float32": {"rtol": 1e-5, "atol": 1e-6}, "float64": {"rtol": 1e-12, "atol": 1e-14}}

native_only = pytest.mark.skipif(
    "native" not in backends.available(), reason="the native executor is not compiled"
)


def builds():
    """The ISA builds that run here; none without the native executor."""
    if "native" not in backends.available():
        return []
    from fastnn.backends import native

    return native.isas()


def mlp(optimizer="sgd", loss="mse", hidden=8, units=2, activation=None, **settings):
    """4 inputs, a tanh layer, `units` outputs."""
    model = Sequential(
        [Dense(hidden, activation="tanh", input_shape=(4,)), Dense(units, activation=activation)]
    )
    model.compile(optimizer, loss, **settings)
    return model


def assert_same(weights, others):
    """Equal bit for bit."""
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_differ(weights, others):
    assert any((a != b).any() for a, b in zip(weights, others, strict=True))


def twins(*args, **settings):
    """Two models that start from the same weights and the same seed."""
    made = []
    for _ in range(2):
        utils.set_random_seed(5)
        made.append(mlp(*args, **settings))
    assert_same(made[0].get_weights(), made[1].get_weights())
    return made


# --- formulas, in NumPy ---


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def forward(weights, x):
    """The network of `mlp`: (hidden, output before its activation)."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    return hidden, hidden @ w2 + b2


def gradients(weights, x, slope):
    """Gradients of the network of `mlp`, given dloss/d(output before its activation)."""
    hidden, _ = forward(weights, x)
    dz = (slope @ weights[2].T) * (1 - hidden**2)
    return [x.T @ dz, dz.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


def train(weights, x, y, optimizer, batch_size, epochs, weight=None, l2=0.0, every=1, frozen=()):
    """Mean squared error, batches in order; returns (weights, loss of each epoch)."""
    weights = [np.array(w, np.float64) for w in weights]
    weight = np.ones(len(x)) if weight is None else weight
    history, total, steps = [], None, 0
    for _ in range(epochs):
        epoch_loss = 0.0
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            n = len(x[rows])
            error = forward(weights, x[rows])[1] - y[rows]
            penalty = l2 * (weights[0] ** 2).sum()
            loss = (weight[rows] * (error**2).mean(axis=1)).sum() / n + penalty
            epoch_loss += n * loss
            slope = 2 * error * weight[rows, None] / error.size
            grads = gradients(weights, x[rows], slope)
            grads[0] = grads[0] + 2 * l2 * weights[0]
            total = grads if total is None else [a + b for a, b in zip(total, grads, strict=True)]
            steps += 1
            if steps % every == 0:
                mean = [None if i in frozen else g / every for i, g in enumerate(total)]
                optimizer(mean, weights)
                total = None
        history.append(epoch_loss / len(x))
    return weights, history


def sgd(rate=0.01, momentum=0.0, nesterov=False):
    velocity = {}

    def step(grads, weights):
        for i, g in enumerate(grads):
            velocity[i] = momentum * velocity.get(i, 0) - rate * g
            weights[i] += momentum * velocity[i] - rate * g if nesterov else velocity[i]

    return step


def rmsprop(rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    square, mean, moved = {}, {}, {}

    def step(grads, weights):
        for i, g in enumerate(grads):
            square[i] = rho * square.get(i, 0) + (1 - rho) * g**2
            spread = square[i]
            if centered:
                mean[i] = rho * mean.get(i, 0) + (1 - rho) * g
                spread = spread - mean[i] ** 2
            moved[i] = momentum * moved.get(i, 0) + rate * g / np.sqrt(spread + epsilon)
            weights[i] -= moved[i]

    return step


def adam(rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = {}, {}
    count = [0]

    def step(grads, weights):
        count[0] += 1
        alpha = rate * np.sqrt(1 - beta_2 ** count[0]) / (1 - beta_1 ** count[0])
        for i, g in enumerate(grads):
            if g is None:
                continue
            m[i] = beta_1 * m.get(i, 0) + (1 - beta_1) * g
            v[i] = beta_2 * v.get(i, 0) + (1 - beta_2) * g**2
            weights[i] -= alpha * m[i] / (np.sqrt(v[i]) + epsilon)

    return step
