"""PyTorch."""

import itertools

import torch
from torch import nn


class Torch:
    """PyTorch in eager mode, with the loop that its users write."""

    def __init__(self, workload, threads):
        self.workload, self.version = workload, torch.__version__
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x, y = workload.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)

    def build(self):
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
        for _ in range(self.workload.epochs):
            order = torch.randperm(len(self.x))
            for batch in order.split(self.workload.batch_size):
                self.optimizer.zero_grad(set_to_none=True)
                loss = self.loss(self.model(self.x[batch]), self.y[batch])
                loss.backward()
                self.optimizer.step()

    def predict(self):
        with torch.no_grad():
            outputs = self.model(self.x)
            return (outputs if self.workload.regression else outputs.softmax(1)).numpy()
