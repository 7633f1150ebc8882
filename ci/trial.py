"""What an installed fastnn does anywhere: imports, fits, predicts.

    python ci/trial.py native|reference

The argument is the executor that must run; `reference` must say once that it is the slow one.
Called by ci/wheels and by cibuildwheel, with nothing installed but fastnn and what it needs.
"""

import sys
import warnings

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")

    from fastnn import Sequential, backends
    from fastnn.datasets import digits
    from fastnn.layers import Dense, Flatten, Rescaling

    (x, y), (x_test, y_test) = digits.load_data()
    model = Sequential([Rescaling(1 / 16), Flatten(), Dense(32, "relu"), Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=20, verbose=0)
    right = (model.predict(x_test, verbose=0).argmax(axis=1) == y_test).mean()

messages = [str(warning.message) for warning in said]
wanted = ["fastnn runs on its slow reference executor"] if sys.argv[1] == "reference" else []
assert backends.available()[0] == sys.argv[1], backends.available()
assert [message.partition(":")[0] for message in messages] == wanted, messages
assert right > 0.9, right
print(f"{sys.argv[1]}: {right:.1%} of the digits")
