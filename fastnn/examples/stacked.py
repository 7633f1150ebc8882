"""A deeper network, layer by layer with `add`: 20, 10 and 1 units learn a curve.

`python -m fastnn.examples.stacked`.
"""

import numpy as np

from fastnn.keras.layers import Dense
from fastnn.keras.models import Sequential


def main(verbose=0):
    """Train on y = sin(x); return the largest error between -3 and 3."""
    model = Sequential()
    model.add(Dense(20, activation="tanh", input_shape=(1,)))
    model.add(Dense(10, activation="tanh"))
    model.add(Dense(1))
    model.compile(optimizer="adam", loss="mse")

    x = np.linspace(-3, 3, 200)[:, None]
    model.fit(x, np.sin(x), epochs=600, batch_size=20, verbose=verbose)
    return float(np.abs(model.predict(x) - np.sin(x)).max())


if __name__ == "__main__":
    print(f"largest error: {main():.4f}")
