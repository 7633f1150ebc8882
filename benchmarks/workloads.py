"""What is trained: seven dense networks, from one unit to 1.9 million parameters.

Peers read a workload and train it; the initial weights and the measure of the final loss come from
here, so that all peers start at the same point and are judged by the same formula.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A dense network with ReLU between its layers, its data, and how it is trained.

    With one output it is a regression (linear output, mean squared error), else a classification
    (softmax, cross-entropy).
    """

    name: str
    sizes: tuple[int, ...]  # inputs, hidden units, outputs
    batch_size: int
    epochs: int
    data: Callable[[], tuple[np.ndarray, np.ndarray]]  # x (rows, inputs) float32, y
    optimizer: str = "adam"
    learning_rate: float = 1e-3

    @property
    def regression(self):
        return self.sizes[-1] == 1

    def weights(self):
        """The initial weights: for each layer a Glorot uniform kernel (inputs, units), a bias."""
        rng = np.random.default_rng(0)
        weights = []
        for n_in, n_out in zip(self.sizes, self.sizes[1:]):
            limit = np.sqrt(6 / (n_in + n_out))
            weights.append(rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32))
            weights.append(np.zeros(n_out, np.float32))
        return weights

    def loss(self, predictions, y):
        """The mean loss of predictions (rows, outputs): values, or probabilities of the classes."""
        predictions = predictions.astype(np.float64)
        if self.regression:
            return float(np.mean((predictions - y) ** 2))
        right = predictions[np.arange(len(y)), y]
        return float(np.mean(-np.log(np.maximum(right, 1e-30))))


def hello():
    """Y = 2x - 1 at six points."""
    x = np.arange(-1, 5, dtype=np.float32)[:, None]
    return x, 2 * x - 1


def iris():
    from fastnn.datasets import iris

    (x_train, y_train), (x_test, y_test) = iris.load_data()
    return np.concatenate([x_train, x_test]).astype(np.float32), np.concatenate([y_train, y_test])


def digits():
    from fastnn.datasets import digits

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x = np.concatenate([x_train, x_test]).reshape(-1, 64).astype(np.float32) / 16
    return x, np.concatenate([y_train, y_test]).astype(np.int64)


def clouds(rows, features):
    """Ten overlapping clouds of points; their centres are about 4 standard deviations apart."""

    def make():
        rng = np.random.default_rng(0)
        centres = 4 / np.sqrt(2 * features) * rng.standard_normal((10, features))
        y = rng.integers(0, 10, rows)
        x = centres[y] + rng.standard_normal((rows, features))
        return (0.5 * x).astype(np.float32), y

    return make


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hello", (1, 1), 32, 500, hello, "sgd", 0.01),
        Workload("iris", (4, 16, 3), 16, 100, iris),
        Workload("digits", (64, 64, 10), 32, 10, digits),
        Workload("deep", (64, *[64] * 8, 10), 64, 1, clouds(8192, 64)),
        Workload("seed784", (784, 64, 10), 32, 1, clouds(10_000, 784)),
        Workload("mnist128", (784, 128, 10), 128, 1, clouds(20_000, 784)),
        Workload("wide", (784, 1024, 1024, 10), 256, 1, clouds(4096, 784)),
    )
}
