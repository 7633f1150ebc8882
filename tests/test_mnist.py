"""MNIST as the textbooks train it; slow, so `ci/long` runs it where the data is at hand."""

import json

import numpy as np
import pytest

from benchmarks import mnist_optimizers
from fastnn import Sequential, utils
from fastnn.callbacks import EarlyStopping
from fastnn.datasets import mnist
from fastnn.layers import Dense, Dropout, Flatten, Rescaling


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


@pytest.mark.long
def test_dropout_and_early_stopping_reach_98_3_percent(data):
    """784-512-512-10; dropout as in Srivastava et al. (JMLR 2014), a tenth of the rows held out."""
    (x_train, y_train), (x_test, y_test) = data
    utils.set_random_seed(0)
    model = Sequential(
        [
            Rescaling(1 / 255), Flatten(), Dropout(0.2),
            Dense(512, "relu"), Dropout(0.5),
            Dense(512, "relu"), Dropout(0.5),
            Dense(10, "softmax"),
        ]
    )  # fmt: skip
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend="native"
    )
    stop = EarlyStopping("val_accuracy", patience=10, restore_best_weights=True)
    history = model.fit(
        x_train, y_train, batch_size=128, epochs=60, validation_split=0.1, callbacks=[stop],
        verbose=0,
    ).history  # fmt: skip
    loss, accuracy = model.evaluate(x_test, y_test)
    epochs = len(history["loss"])
    print(f"\nMNIST 784-512-512-10, {epochs} epochs: loss {loss:.4f}, accuracy {accuracy:.4f}")
    assert 10 < epochs < 60, "the callback stops it"
    assert model.evaluate(x_train[54_000:], y_train[54_000:])[1] == pytest.approx(
        max(history["val_accuracy"])
    )
    assert accuracy >= 0.983


def test_the_readmes_table_of_optimizers_is_that_of_the_figures():
    figures = json.loads(mnist_optimizers.FIGURES.read_text())
    assert list(figures["optimizers"]) == list(mnist_optimizers.OPTIMIZERS)
    assert len(figures["optimizers"]) == 10
    assert mnist_optimizers.table(figures) in mnist_optimizers.README.read_text()
