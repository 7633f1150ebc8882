"""Data of more than 2^31 numbers: every row is reached, and the data set is never copied."""

import resource

import numpy as np
import pytest

from fastnn import Sequential, layers

pytestmark = pytest.mark.long

WIDTH = 1024
ROWS = 2**21 + 5  # times WIDTH: more than 2^31


def test_the_last_row_of_more_than_two_billion_numbers(backend):
    if backend == "reference":
        pytest.skip("minutes on the reference executor; indices there are NumPy's own")
    x = np.zeros((ROWS, WIDTH), np.uint8)  # memory that is never written takes no room
    x[-1] = 3
    model = Sequential([layers.Dense(1, use_bias=False, input_shape=(WIDTH,))])
    model.set_weights([np.ones((WIDTH, 1))])
    model.compile("sgd", "mse")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = model.predict(x)
    assert made.shape == (ROWS, 1)
    assert made[-1] == 3 * WIDTH
    assert not made[:-1].any()
    # Only the last row has a loss, 3 WIDTH squared, so only its batch of 5 changes the weights.
    model.optimizer.learning_rate = 2.0**-16
    model.fit(x, np.zeros(ROWS, np.float32), batch_size=2**16, shuffle=False, verbose=0)
    step = 2.0**-16 * 2 * 3 * WIDTH * 3 / (ROWS % 2**16)
    np.testing.assert_allclose(model.get_weights()[0], 1 - step, rtol=1e-6)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**20  # KiB: a copy as floats would be eight times as much
