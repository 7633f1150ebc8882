"""MNIST as the textbooks train it; slow, so `ci/long` runs it where the data is at hand."""

import numpy as np
import pytest

from fastnn import Sequential, utils
from fastnn.datasets import mnist
from fastnn.layers import Dense, Flatten, Rescaling


@pytest.fixture(scope="module")
def data():
    try:
        return mnist.load_data()
    except OSError as error:
        pytest.skip(f"MNIST is not at hand: {error}")


@pytest.mark.long
def test_784_128_10_reaches_97_5_percent_in_10_epochs(data):
    (x_train, y_train), (x_test, y_test) = data
    utils.set_random_seed(0)
    model = Sequential(
        [Rescaling(1 / 255), Flatten(), Dense(128, activation="relu"), Dense(10, "softmax")]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend="native"
    )
    history = model.fit(x_train, y_train, batch_size=128, epochs=10, verbose=0).history
    assert np.all(np.diff(history["loss"]) < 0)
    loss, accuracy = model.evaluate(x_test, y_test)
    print(f"\nMNIST 784-128-10, 10 epochs: loss {loss:.4f}, accuracy {accuracy:.4f}")
    assert accuracy >= 0.975
