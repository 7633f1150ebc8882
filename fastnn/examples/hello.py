"""Hello World: one neuron learns y = 2x - 1 from six points. `python -m fastnn.examples.hello`."""

import numpy as np

from fastnn.keras import Sequential
from fastnn.keras.layers import Dense


def main(verbose=0):
    """Train, and return what the neuron says of 10; the line through the points says 19."""
    model = Sequential([Dense(units=1, input_shape=[1])])
    model.compile(optimizer="sgd", loss="mean_squared_error")

    xs = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
    ys = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)

    model.fit(xs, ys, epochs=500, verbose=verbose)
    return model.predict([10.0])


if __name__ == "__main__":
    print(main())
