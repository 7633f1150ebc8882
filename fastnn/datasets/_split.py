"""The split of the data sets that come without one: digits and iris."""

import numpy as np

Split = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def hold_out_fifth(x: np.ndarray, y: np.ndarray) -> Split:
    """Hold out the last of every five rows of each class; everything stays in file order."""
    test = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        test[np.flatnonzero(y == label)[4::5]] = True
    return (x[~test], y[~test]), (x[test], y[test])
