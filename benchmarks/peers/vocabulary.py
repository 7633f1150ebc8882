"""What fastnn and Keras have in common: their vocabulary. The base of both peers."""


class WithFit:
    """`fit` of a library that speaks as Keras does: `library` is its module of that."""

    library = None
    settings = {}  # more arguments of compile

    def build(self):
        w, layers, optimizers = self.workload, self.library.layers, self.library.optimizers
        *hidden, last = w.sizes[1:]
        output = None if w.regression else "softmax"
        self.model = self.library.Sequential(
            [layers.Input(shape=(w.sizes[0],))]
            + [layers.Dense(units, activation="relu") for units in hidden]
            + [layers.Dense(last, activation=output)]
        )
        self.model.set_weights(w.weights())
        optimizer = {"sgd": optimizers.SGD, "adam": optimizers.Adam}[w.optimizer]
        loss = "mean_squared_error" if w.regression else "sparse_categorical_crossentropy"
        self.model.compile(optimizer(w.learning_rate), loss, **self.settings)

    def train(self):
        w = self.workload
        self.model.fit(self.x, self.y, batch_size=w.batch_size, epochs=w.epochs, verbose=0)

    def predict(self):
        return self.model.predict(self.x, verbose=0)
