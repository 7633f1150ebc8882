"""The rows that all cases share: 23 of them, so that the second batch of 16 is a shorter one."""

import numpy as np

ROWS, FEATURES, STEPS = 23, 6, 4
RNG = np.random.default_rng(17)

X = RNG.normal(size=(ROWS, FEATURES))
X2 = RNG.normal(size=(ROWS, 5))
SEQUENCES = RNG.normal(size=(ROWS, STEPS, FEATURES))

VALUES = RNG.normal(size=(ROWS, 3))
VALUE = RNG.normal(size=(ROWS, 1))
POSITIVE = RNG.uniform(0.1, 3, (ROWS, 3))
COUNTS = RNG.poisson(2, (ROWS, 3)).astype(float)
LABELS = RNG.integers(0, 3, ROWS)
ONE_HOT = np.eye(3)[LABELS]
SHARES = RNG.dirichlet([1, 1, 1], ROWS)
BITS = RNG.integers(0, 2, (ROWS, 3)).astype(float)
BIT = RNG.integers(0, 2, (ROWS, 1)).astype(float)
SIGNS = 2 * BITS - 1

STEP_VALUES = RNG.normal(size=(ROWS, STEPS, 3))
STEP_LABELS = RNG.integers(0, 3, (ROWS, STEPS))
STEP_ONE_HOT = np.eye(3)[STEP_LABELS]

WEIGHT = RNG.uniform(0, 2, ROWS)
STEP_WEIGHT = RNG.uniform(0, 2, (ROWS, STEPS))
OTHER_X = RNG.normal(size=(9, FEATURES))
OTHER_VALUES = RNG.normal(size=(9, 3))
OTHER_LABELS = RNG.integers(0, 3, 9)
OTHER_WEIGHT = RNG.uniform(0, 2, 9)

# From far below to far above what the formulas branch on.
POINTS = np.concatenate(
    [-np.array([1000, 90, 50, 20, 6.5, 4, 2.6, 1.2, 0.7, 0.3, 1e-3]), [0.0],
     np.array([1e-3, 0.3, 0.7, 1.2, 2.6, 4, 6.5, 20, 50, 90, 1000])]
)  # fmt: skip
