"""Fisher's iris flowers, 150 of them; they ship with fastnn."""

import os

import numpy as np

from fastnn.datasets._split import Split, hold_out_fifth


def load_data() -> Split:
    """Load Fisher's iris flowers.

    Four measurements in cm (sepal length, sepal width, petal length, petal width) of 50 flowers
    of each of three species: 0 setosa, 1 versicolor, 2 virginica. The last of every five
    flowers of each species is held out.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Measurements: float64, of shape (120, 4) and (30, 4). Labels: int64, 0 to 2.

    Notes
    -----
    R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7
    (1936), through the UCI Machine Learning Repository, https://doi.org/10.24432/C56C76. Licence:
    CC BY 4.0. UCI's file differs from Fisher's paper in two flowers; here, as in scikit-learn and
    R, they are as in the paper (see SOURCES.md).

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train[0], y_train[0]
    (array([5.1, 3.5, 1.4, 0.2]), np.int64(0))
    """
    path = os.path.join(os.path.dirname(__file__), "iris.csv")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return hold_out_fifth(table[:, :4], table[:, 4].astype(np.int64))
