"""JAX at its best: a whole training is one compiled call."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

B1, B2, EPSILON = 0.9, 0.999, 1e-7  # of Adam


def forward(params, x):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def mean_loss(params, x, y, regression):
    outputs = forward(params, x)
    if regression:
        return jnp.mean((outputs - y) ** 2)
    right = jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1)
    return -jnp.mean(right)


def sgd(rate, params, state, grads):
    return jax.tree.map(lambda p, g: p - rate * g, params, grads), state


def adam(rate, params, state, grads):
    """As in Keras: epsilon is added to the root before its bias is corrected."""
    m, v, t = state
    t = t + 1
    rate = rate * jnp.sqrt(1 - B2**t) / (1 - B1**t)
    m = jax.tree.map(lambda m, g: m + (1 - B1) * (g - m), m, grads)
    v = jax.tree.map(lambda v, g: v + (1 - B2) * (g * g - v), v, grads)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), params, m, v)
    return params, (m, v, t)


def train(workload, params, x, y, key):
    """All epochs: a scan over the epochs, in it one over the batches, the last can be shorter."""
    rows, size = len(x), workload.batch_size
    whole = rows // size * size
    update = partial({"sgd": sgd, "adam": adam}[workload.optimizer], workload.learning_rate)
    zeros = jax.tree.map(jnp.zeros_like, params)

    def step(carry, batch):
        params, state = carry
        grads = jax.grad(mean_loss)(params, x[batch], y[batch], workload.regression)
        return update(params, state, grads), None

    def epoch(carry, key):
        order = jax.random.permutation(key, rows)
        if whole:
            carry, _ = lax.scan(step, carry, order[:whole].reshape(-1, size))
        if whole < rows:
            carry, _ = step(carry, order[whole:])
        return carry, None

    start = params, (zeros, zeros, jnp.float32(0))
    (params, _), _ = lax.scan(epoch, start, jax.random.split(key, workload.epochs))
    return params


class Jax:
    """All epochs jitted in nested scans. It is compiled when the peer is made."""

    def __init__(self, workload, threads):
        self.workload, self.version = workload, jax.__version__
        self.x, self.y = map(jnp.asarray, workload.data())
        self.key = jax.random.key(0)
        self.build()
        run = jax.jit(partial(train, workload))
        self.run = run.lower(self.params, self.x, self.y, self.key).compile()

    def build(self):
        weights = list(map(jnp.asarray, self.workload.weights()))
        self.params = list(zip(weights[::2], weights[1::2]))

    def train(self):
        self.key, key = jax.random.split(self.key)
        self.params = jax.block_until_ready(self.run(self.params, self.x, self.y, key))

    def predict(self):
        outputs = forward(self.params, self.x)
        return jax.device_get(outputs if self.workload.regression else jax.nn.softmax(outputs))
