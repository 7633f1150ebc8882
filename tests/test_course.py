"""The examples of an introductory course, run as a student would, and checked by hand."""

import inspect

import numpy as np
import pytest

from fastnn import Sequential, layers, utils
from fastnn.examples import digits, hello, stacked, two_neurons

pytestmark = pytest.mark.usefixtures("backend")


def test_hello_world_says_about_19():
    utils.set_random_seed(1)
    answer = hello.main()
    assert answer.shape == (1, 1)
    assert answer[0, 0] == pytest.approx(19, abs=0.1)


def test_hello_world_differs_from_the_keras_listing_in_its_imports_only():
    body = inspect.getsource(hello.main)
    for line in (
        "Sequential([Dense(units=1, input_shape=[1])])",
        'model.compile(optimizer="sgd", loss="mean_squared_error")',
        "np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)",
        "np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)",
        "model.fit(xs, ys, epochs=500",
        "model.predict([10.0])",
    ):
        assert line in body


def test_stacked_layers_learn_a_curve():
    utils.set_random_seed(0)
    assert stacked.main() < 0.1


def test_two_neurons_forward():
    model = two_neurons.make()
    assert model.predict([[10.0, 20.0]])[0, 0] == pytest.approx(0.321, rel=1e-6)
    hidden = Sequential([layers.Dense(1, activation="relu", input_shape=(2,))])
    hidden.set_weights([[[0.01], [0.02]], [0.2]])
    assert hidden.predict([[10.0, 20.0]])[0, 0] == pytest.approx(0.7, rel=1e-6)


def test_two_neurons_first_step_as_worked_by_hand(capsys):
    first, _ = two_neurons.main()
    assert "0.321" in capsys.readouterr().out
    np.testing.assert_allclose(first, [0.45148, 0.90296, 0.244148, 1.06012, 1.7716], rtol=2e-6)


def by_hand(weights, x, target, rate=0.2):
    """The same step in plain Python."""
    w, b, w2, b2 = weights[:2], weights[2], weights[3], weights[4]
    z = w[0] * x[0] + w[1] * x[1] + b
    h = max(z, 0.0)
    dy = 2 * (w2 * h + b2 - target)
    dz = dy * w2 if z > 0 else 0.0
    steps = [dz * x[0], dz * x[1], dz, dy * h, dy]
    return [old - rate * step for old, step in zip(weights, steps, strict=True)]


def test_two_neurons_second_row(capsys):
    start = [0.01, 0.02, 0.2, 0.03, 0.3]
    first = by_hand(start, (10, 20), 4)
    both = two_neurons.main()
    np.testing.assert_allclose(both[1], by_hand(first, (20, 30), 5), rtol=1e-5)
    model = two_neurons.make()  # and as a first step of its own
    model.train_on_batch([[20.0, 30.0]], [5.0])
    got = np.concatenate([w.ravel() for w in model.get_weights()])
    np.testing.assert_allclose(got, by_hand(start, (20, 30), 5), rtol=1e-5)


def test_digits_reaches_97_percent_and_prints_the_plan(capsys):
    accuracy = digits.main(verbose=2)
    assert accuracy >= 0.97
    out = capsys.readouterr().out
    assert "train plan: up to 32 rows, float32" in out
    assert f"accuracy {accuracy:.4f}" in out
