"""One step of back propagation, small enough to check by hand.

`python -m fastnn.examples.two_neurons`: a ReLU neuron with two inputs feeds a linear neuron;
squared error, gradient descent at rate 0.2. For x = (10, 20), target 4:

    forward     h = relu(0.01 * 10 + 0.02 * 20 + 0.2) = 0.7
                y = 0.03 * 0.7 + 0.3 = 0.321
    backward    dy = 2 (0.321 - 4) = -7.358
                dw2 = dy h = -5.1506        db2 = dy
                dh = dy 0.03 = -0.22074     dw1 = dh x, db1 = dh
    update      w2 = 1.06012    b2 = 1.7716    w1 = (0.45148, 0.90296)    b1 = 0.244148
"""

import numpy as np

from fastnn import Sequential, layers, optimizers

ROWS = [((10.0, 20.0), 4.0), ((20.0, 30.0), 5.0)]


def make():
    """The two neurons with their first weights."""
    model = Sequential([layers.Dense(1, activation="relu", input_shape=(2,)), layers.Dense(1)])
    model.set_weights([[[0.01], [0.02]], [0.2], [[0.03]], [0.3]])
    model.compile(optimizer=optimizers.SGD(0.2), loss="mean_squared_error")
    return model


def main():
    """Take one step for each row; print and return the weights after each."""
    model = make()
    print("prediction before:", model.predict([ROWS[0][0]])[0, 0])
    history = []
    for x, target in ROWS:
        model.train_on_batch([x], [target])
        weights = [w.ravel() for w in model.get_weights()]
        history.append(np.concatenate(weights))
        print(
            f"after {x} -> {target}: w1 {weights[0]}, b1 {weights[1]}, "
            f"w2 {weights[2]}, b2 {weights[3]}"
        )
    return history


if __name__ == "__main__":
    main()
