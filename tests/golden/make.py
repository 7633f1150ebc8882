"""Makes the model files of this folder: `PYTHONPATH=. python tests/golden/make.py NAME`.

Each was made once, by the version that its description names, and stays: what a user has saved
must load for ever. A new format, or something new in the description, gets a file of its own here.
"""

import json
import pathlib
import sys

import numpy as np

from fastnn import Input, Model, Sequential, callbacks, optimizers, saving, utils
from fastnn.layers import Add, BatchNormalization, Concatenate, Dense, Dropout

FOLDER = pathlib.Path(__file__).parent
N = 40
X = np.sin(np.arange(N * 4)).reshape(N, 4)
LABELS = np.arange(N) % 3
Y = np.cos(np.arange(N * 2)).reshape(N, 2)
A, B = X[:, :3], X[:, 2:]


def sequential():
    """Dense, BatchNormalization and Dropout with Adam's state."""
    model = Sequential(
        [
            Dense(6, "relu", kernel_regularizer="l2", input_shape=(4,)),
            BatchNormalization(),
            Dropout(0.25),
            Dense(3, "softmax"),
        ]
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0)
    return model


def functional():
    """Two inputs, a layer that is used twice, two outputs with losses and metrics by name."""
    a, b = Input((3,), name="a"), Input((2,), name="b")
    hidden = Dense(4, "tanh", name="hidden")(Concatenate(name="both")([a, b]))
    shared = Dense(4, "gelu", name="shared")
    left = Dense(2, name="left")(Add(name="sum")([shared(hidden), shared(shared(hidden))]))
    right = Dense(3, "softmax", name="right")(hidden)
    model = Model([a, b], [left, right], name="two")
    rates = optimizers.schedules.ExponentialDecay(0.05, 4, 0.9)
    model.compile(
        optimizers.SGD(rates, momentum=0.9, nesterov=True, clipnorm=1.0),
        {"left": "huber", "right": "sparse_categorical_crossentropy"},
        loss_weights={"left": 0.5},
        metrics={"left": ["mae"], "right": ["accuracy"]},
    )
    model.fit([A, B], [Y, LABELS], batch_size=8, epochs=3, verbose=0)
    return model


def state_model():
    model = Sequential([Dense(4, "tanh", input_shape=(4,)), Dropout(0.5), Dense(2)])
    model.compile(optimizers.RMSprop(0.01, momentum=0.5), "mse", metrics=["mae"])
    return model


def state_callbacks():
    return [callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)]


def expected(model, inputs):
    """What the file must give back, as JSON: floats by their shortest exact decimals."""
    predictions = model.predict(inputs)
    several = predictions if isinstance(predictions, list) else [predictions]
    return {
        "iterations": model.optimizer.iterations,
        "learning_rate": model.optimizer.learning_rate,
        "weights": {v.path: v.numpy().tolist() for v in model.variables},
        "slots": {
            slot: {path: part.tolist() for path, part in parts.items()}
            for slot, parts in model._executors.slots().items()
        },
        "predictions": [p[:5].tolist() for p in several],
    }


def main(name):
    utils.set_random_seed(1)
    path = FOLDER / f"{name}.fastnn"
    if name == "state":
        model, inputs = state_model(), X
        stopping = state_callbacks()
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=stopping)
        saving.save_state(model, path, stopping, epoch=3)
        more = {"history": model.history.history, "wait": stopping[0].wait}
    else:
        model = {"sequential": sequential, "functional": functional}[name]()
        inputs = {"sequential": X, "functional": [A, B]}[name]
        model.save(path, overwrite=False)
        more = {"architecture": json.loads(model.to_json())}
    text = json.dumps({**expected(model, inputs), **more})
    path.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
