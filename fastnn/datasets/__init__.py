"""Small real data sets: digits and iris ship with fastnn, MNIST is downloaded once.

Each module has one function, `load_data()`, which returns what Keras' data sets return:
`(x_train, y_train), (x_test, y_test)`. SOURCES.md states sources, licences and checksums.
"""

from fastnn.datasets import digits, iris, mnist

__all__ = ["digits", "iris", "mnist"]
