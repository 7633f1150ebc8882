"""fastnn, with its native and its reference executor."""

import fastnn
from fastnn import Sequential, layers, optimizers


class FastNN:
    """`fit` of fastnn."""

    backend = None

    def __init__(self, workload, threads):
        fastnn.config.set_num_threads(threads)
        self.workload, self.version = workload, fastnn.__version__
        fastnn.utils.set_random_seed(0)
        self.x, self.y = workload.data()

    def build(self):
        w = self.workload
        *hidden, last = w.sizes[1:]
        output = None if w.regression else "softmax"
        self.model = Sequential(
            [layers.Input(shape=(w.sizes[0],))]
            + [layers.Dense(units, activation="relu") for units in hidden]
            + [layers.Dense(last, activation=output)]
        )
        self.model.set_weights(w.weights())
        optimizer = {"sgd": optimizers.SGD, "adam": optimizers.Adam}[w.optimizer]
        loss = "mean_squared_error" if w.regression else "sparse_categorical_crossentropy"
        self.model.compile(optimizer(w.learning_rate), loss, backend=self.backend)

    def train(self):
        w = self.workload
        self.model.fit(self.x, self.y, batch_size=w.batch_size, epochs=w.epochs, verbose=0)

    def predict(self):
        return self.model.predict(self.x, verbose=0)


class Reference(FastNN):
    """The plans of fastnn with each op's NumPy definition."""

    backend = "reference"
