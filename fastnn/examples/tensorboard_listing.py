"""The course's TensorBoard listing: a dense network whose training is looked at in the browser.

`python -m fastnn.examples.tensorboard_listing` writes to `logs/fit/`, a folder per run; then
`tensorboard --logdir logs/fit` shows curves, histograms and the graph (`pip install tensorboard`).
MNIST is used if FASTNN_DATA has it, else the digits that ship, drawn as large as MNIST's.
"""

import os
from datetime import datetime

import numpy as np

from fastnn.datasets import digits, mnist
from fastnn.keras.callbacks import TensorBoard
from fastnn.keras.layers import Dense, Input
from fastnn.keras.models import Sequential


def load_data():
    """Images of 784 values from 0 to 1, and labels."""
    folder = os.path.join(os.environ.get("FASTNN_DATA", ""), "mnist")
    if os.environ.get("FASTNN_DATA") and os.path.isdir(folder):
        data, largest = mnist.load_data(folder), 255
    else:
        data, largest = digits.load_data(), 16
    return [(flat(images) / largest, labels) for images, labels in data]


def flat(images):
    """(rows, 28, 28) or (rows, 8, 8), which is enlarged, as (rows, 784)."""
    if images.shape[1:] == (8, 8):
        images = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    return images.reshape(len(images), 784)


def main(verbose=1):
    """Train for five epochs; return the folder of the logs, and the history."""
    (x_train, y_train), (x_test, y_test) = load_data()
    model = Sequential(
        [
            Input(shape=(784,)),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer="adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    log_dir = "logs/fit/" + datetime.now().strftime("%Y%m%d-%H%M%S")
    tensorboard_callback = TensorBoard(log_dir=log_dir, histogram_freq=1)
    history = model.fit(
        x_train,
        y_train,
        epochs=5,
        validation_data=(x_test, y_test),
        callbacks=[tensorboard_callback],
        verbose=verbose,
    )
    return log_dir, history


if __name__ == "__main__":
    main()
