"""How each library trains a workload: one class a library, fastnn first.

A peer is made once in its own process, with data in the form its library likes best; nothing of
that is timed. `build` makes a fresh model with the workload's initial weights, `train` is what is
timed, and `predict` returns outputs (rows, outputs) for the rows it was trained on.
"""

import itertools


class FastNN:
    """`fit` of fastnn."""

    module = "fastnn"

    def __init__(self, workload, threads):
        import fastnn

        if threads != fastnn.config.num_threads():
            raise SystemExit("fastnn runs on one thread so far; use --threads 1")
        self.workload, self.version = workload, fastnn.__version__
        fastnn.utils.set_random_seed(0)
        self.x, self.y = workload.data()

    def build(self):
        from fastnn import Sequential, layers, optimizers

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
        self.model.compile(optimizer=optimizer(w.learning_rate), loss=loss)

    def train(self):
        w = self.workload
        self.model.fit(self.x, self.y, batch_size=w.batch_size, epochs=w.epochs, verbose=0)

    def predict(self):
        return self.model.predict(self.x, verbose=0)


class Torch:
    """PyTorch in eager mode, with the loop that its users write."""

    module = "torch"

    def __init__(self, workload, threads):
        import torch

        self.workload, self.version = workload, torch.__version__
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x, y = workload.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def build(self):
        import torch
        from torch import nn

        w = self.workload
        dense = [nn.Linear(n_in, n_out) for n_in, n_out in zip(w.sizes, w.sizes[1:])]
        weights = iter(w.weights())
        with torch.no_grad():
            for layer in dense:
                layer.weight.copy_(torch.from_numpy(next(weights).T))
                layer.bias.copy_(torch.from_numpy(next(weights)))
        layers = itertools.chain.from_iterable((layer, nn.ReLU()) for layer in dense)
        self.model = nn.Sequential(*list(layers)[:-1])  # no ReLU at the end
        self.loss = nn.MSELoss() if w.regression else nn.CrossEntropyLoss()
        if w.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(self.model.parameters(), w.learning_rate)
        else:
            self.optimizer = torch.optim.Adam(self.model.parameters(), w.learning_rate, eps=1e-7)

    def train(self):
        import torch

        for _ in range(self.workload.epochs):
            order = torch.randperm(len(self.x))
            for batch in order.split(self.workload.batch_size):
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.loss(self.model(self.x[batch]), self.y[batch])
                loss.backward()
                self.optimizer.step()

    def predict(self):
        import torch

        with torch.no_grad():
            outputs = self.model(self.x)
            return (outputs if self.workload.regression else outputs.softmax(1)).numpy()


PEERS = {"fastnn": FastNN, "torch": Torch}
