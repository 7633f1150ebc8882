"""The main job: handwritten digits, trained and tested in a second.

`python -m fastnn.examples.digits` prints the plan that the model became, and the accuracy on
digits that were held out.
"""

import fastnn
from fastnn import Sequential
from fastnn.datasets import digits
from fastnn.layers import Dense, Dropout, Flatten, Rescaling


def main(verbose=1, seed=0):
    """Train on the 1,442 training digits; return the accuracy on the 355 others."""
    fastnn.utils.set_random_seed(seed)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    model = Sequential(
        [
            Rescaling(1 / 16),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.3),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=32, epochs=60, verbose=verbose)
    if verbose:
        model.summary()
        print(model.plan)
    loss, accuracy = model.evaluate(x_test, y_test)
    if verbose:
        print(f"held-out digits: loss {loss:.4f}, accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main()
