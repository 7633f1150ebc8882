"""Keras 3 on PyTorch."""

import keras
from keras import layers, optimizers


class Keras:
    """`fit` of Keras."""

    def __init__(self, workload, threads):
        import torch  # Keras has no setting of its own

        torch.set_num_threads(threads)
        keras.utils.set_random_seed(0)
        self.workload = workload
        self.version = f"{keras.__version__} on torch {torch.__version__}"
        self.x, self.y = workload.data()

    def build(self):
        w = self.workload
        *hidden, last = w.sizes[1:]
        output = None if w.regression else "softmax"
        self.model = keras.Sequential(
            [layers.Input(shape=(w.sizes[0],))]
            + [layers.Dense(units, activation="relu") for units in hidden]
            + [layers.Dense(last, activation=output)]
        )
        self.model.set_weights(w.weights())
        optimizer = {"sgd": optimizers.SGD, "adam": optimizers.Adam}[w.optimizer]
        loss = "mean_squared_error" if w.regression else "sparse_categorical_crossentropy"
        self.model.compile(optimizer(w.learning_rate), loss)

    def train(self):
        w = self.workload
        self.model.fit(self.x, self.y, batch_size=w.batch_size, epochs=w.epochs, verbose=0)

    def predict(self):
        return self.model.predict(self.x, verbose=0)
