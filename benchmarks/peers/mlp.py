"""scikit-learn."""

import warnings

import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # max_iter is meant


class Given:
    """Mixed into an MLP: it starts from the weights that it was given."""

    def _initialize(self, y, layer_units, dtype):
        super()._initialize(y, layer_units, dtype)
        self.coefs_ = [w.copy() for w in self.given[::2]]
        self.intercepts_ = [b.copy() for b in self.given[1::2]]


class Classifier(Given, MLPClassifier):
    pass


class Regressor(Given, MLPRegressor):
    pass


class ScikitLearn:
    """`fit` of an MLP, without early stopping."""

    def __init__(self, workload, threads):
        self.workload, self.version = workload, sklearn.__version__
        x, y = workload.data()
        self.x, self.y = x, y.ravel()

    def build(self):
        w = self.workload
        # Its squared error is half of the mean squared error, so SGD needs twice the rate.
        double = w.regression and w.optimizer == "sgd"
        self.model = (Regressor if w.regression else Classifier)(
            hidden_layer_sizes=w.sizes[1:-1],
            solver=w.optimizer,
            alpha=0,
            batch_size=min(w.batch_size, len(self.x)),
            learning_rate_init=w.learning_rate * (2 if double else 1),
            max_iter=w.epochs,
            n_iter_no_change=w.epochs + 1,
            momentum=0,
            epsilon=1e-7,
            random_state=0,
        )
        self.model.given = w.weights()

    def train(self):
        self.model.fit(self.x, self.y)

    def predict(self):
        if self.workload.regression:
            return self.model.predict(self.x)[:, None]
        return self.model.predict_proba(self.x)
