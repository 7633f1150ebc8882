"""SwapEMAWeights: evaluating with the moving averages of the weights."""

import numpy as np
import pytest
from api_tools import X, Y, assert_same, mlp

from fastnn import optimizers, utils
from fastnn.callbacks import Callback, LambdaCallback, SwapEMAWeights

FIT = {"batch_size": 20, "epochs": 3, "validation_data": (X, Y), "verbose": 0}


def averaged():
    return optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75)


def averaged_twins():
    made = []
    for _ in range(2):
        utils.set_random_seed(5)
        made.append(mlp(averaged()))
    return made


class Averages(Callback):
    """The averages by hand, and the weights that are seen at the ends of epochs and in tests."""

    def __init__(self):
        self.average, self.in_tests, self.at_ends, self.averages = None, [], [], []

    def on_train_batch_end(self, batch, logs=None):
        weights = self.model.get_weights()
        if self.average is None:
            self.average = weights
        self.average = [
            0.75 * a + 0.25 * w for a, w in zip(self.average, weights, strict=True)
        ]  # fmt: skip

    def on_test_begin(self, logs=None):
        self.in_tests.append(self.model.get_weights())
        self.averages.append(self.average)

    def on_epoch_end(self, epoch, logs=None):
        self.at_ends.append(self.model.get_weights())


def assert_close(weights, others):
    for got, want in zip(weights, others, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_the_averages_are_evaluated_and_training_goes_on_from_the_weights(swap_on_epoch, backend):
    one, other = averaged_twins()
    watch = Averages()
    with_averages = one.fit(X, Y, callbacks=[SwapEMAWeights(swap_on_epoch), watch], **FIT).history
    plain = Averages()
    without = other.fit(X, Y, callbacks=[plain], **FIT).history
    assert with_averages["loss"] == without["loss"]
    assert with_averages["val_loss"] != without["val_loss"]
    for epoch in range(3):
        assert_close(watch.in_tests[epoch], watch.averages[epoch])
        assert_same(plain.in_tests[epoch], plain.at_ends[epoch])
        seen = watch.averages if swap_on_epoch else plain.at_ends
        assert_close(watch.at_ends[epoch], seen[epoch])
    assert_same(one.get_weights(), other.get_weights())
    # The averages are what fit leaves.
    assert_close(one.get_weights(), watch.average)
    assert one.evaluate(X, Y) == pytest.approx(with_averages["val_loss"][-1], rel=1e-6)


def test_evaluate_and_predict_after_a_training_that_was_interrupted(backend):
    def stop(epoch, logs):
        raise RuntimeError

    model = mlp(averaged())
    watch = Averages()
    with pytest.raises(RuntimeError):
        model.fit(X, Y, callbacks=[watch, LambdaCallback(on_epoch_end=stop)], **FIT)
    weights = model.get_weights()
    swap = SwapEMAWeights()
    by_averages = model.predict(X, callbacks=[swap])
    assert_same(model.get_weights(), weights)
    assert np.abs(by_averages - model.predict(X)).max() > 1e-4
    loss = model.evaluate(X, Y, callbacks=[swap])
    assert loss == pytest.approx(((by_averages - Y) ** 2).mean(), rel=1e-5)
    assert_same(model.get_weights(), weights)
    model.set_weights(watch.averages[0])
    np.testing.assert_allclose(model.predict(X), by_averages, rtol=1e-5, atol=1e-6)


def test_a_fit_that_was_interrupted_between_epochs_goes_on_from_the_weights(backend):
    def stop(epoch, logs):
        raise RuntimeError

    one, other = averaged_twins()
    swap = SwapEMAWeights(swap_on_epoch=True)
    for model, given in ((one, [swap]), (other, [])):
        with pytest.raises(RuntimeError):
            model.fit(X, Y, callbacks=[*given, LambdaCallback(on_epoch_end=stop)], **FIT)
    assert (
        one.fit(X, Y, callbacks=swap, **FIT).history["loss"]
        == (other.fit(X, Y, **FIT).history["loss"])
    )
    assert_same(one.get_weights(), other.get_weights())


def test_an_optimizer_without_averages_is_refused_before_training():
    model = mlp()
    before = model.get_weights()
    with pytest.raises(
        ValueError, match="SwapEMAWeights: the optimizer keeps no averages.*use_ema"
    ):
        model.fit(X, Y, callbacks=[SwapEMAWeights()], verbose=0)
    assert_same(model.get_weights(), before)
