"""Initializers: limits, mean and variance of their values, seeds, names."""

import json
import math

import numpy as np
import pytest

from fastnn import initializers, utils

SHAPE = (400, 250)  # fan in 400, fan out 250; 100,000 values


def check_moments(values, mean, variance):
    """Mean and variance are within five standard errors of what is expected."""
    n = values.size
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / n)
    # The variance of a sample variance is at most 2 variance^2 / n for these distributions.
    assert abs(values.var() - variance) < 5 * variance * math.sqrt(2 / n)


UNIFORM = {
    "glorot_uniform": math.sqrt(6 / 650),
    "he_uniform": math.sqrt(6 / 400),
    "lecun_uniform": math.sqrt(3 / 400),
    "uniform": 0.05,
}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name):
    utils.set_random_seed(1)
    values = initializers.get(name)(SHAPE, "float64")
    limit = UNIFORM[name]
    assert 0.999 * limit < values.max() <= limit
    assert -limit <= values.min() < -0.999 * limit
    check_moments(values, 0, limit**2 / 3)


# Variance of a standard normal truncated at 2: 1 - 4 phi(2) / (2 Phi(2) - 1).
TRUNCATED = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2))
NORMAL = {
    "glorot_normal": (2 / 650, True),
    "he_normal": (2 / 400, True),
    "lecun_normal": (1 / 400, True),
    "truncated_normal": (0.05**2 * TRUNCATED, True),
    "random_normal": (0.05**2, False),
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name):
    utils.set_random_seed(2)
    variance, truncated = NORMAL[name]
    values = initializers.get(name)(SHAPE, "float64")
    check_moments(values, 0, variance)
    furthest = np.abs(values).max() / math.sqrt(variance)
    if truncated:
        assert 1.99 < furthest * math.sqrt(TRUNCATED) <= 2
    else:
        assert furthest > 3.5


def test_arguments():
    check_moments(initializers.RandomNormal(3.0, 2.0, seed=1)(SHAPE, "float64"), 3, 4)
    values = initializers.RandomUniform(1.0, 3.0, seed=1)(SHAPE, "float64")
    assert values.min() >= 1 and values.max() <= 3
    check_moments(values, 2, 1 / 3)
    kept = initializers.TruncatedNormal(1.0, 0.5, seed=1)(SHAPE, "float64")
    assert kept.min() >= 0 and kept.max() <= 2
    scaled = initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=1)
    check_moments(scaled(SHAPE, "float64"), 0, 3 / 250)


@pytest.mark.parametrize("shape", [(7, 7), (12, 5), (5, 12), (3, 4, 6), (2, 2, 20)])
def test_orthogonal(shape):
    values = initializers.Orthogonal(gain=1.5, seed=3)(shape, "float64")
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1])
    rows, columns = matrix.shape
    product = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
    np.testing.assert_allclose(product, 2.25 * np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_is_uniform():
    """The sign of the first entry is as often positive as negative (Haar measure)."""
    first = [initializers.Orthogonal(seed=s)((3, 3))[0, 0] for s in range(400)]
    assert abs(np.mean(np.sign(first))) < 5 / math.sqrt(400)
    assert abs(np.mean(first)) < 5 / math.sqrt(3 * 400)


def test_identity():
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize("cls", ["RandomNormal", "RandomUniform", "TruncatedNormal", "Orthogonal"])
def test_seed(cls):
    make = getattr(initializers, cls)
    one = make(seed=4)
    np.testing.assert_array_equal(one((5, 6)), one((5, 6)))
    np.testing.assert_array_equal(one((5, 6)), make(seed=4)((5, 6)))
    assert not np.array_equal(one((5, 6)), make(seed=5)((5, 6)))
    utils.set_random_seed(6)
    free = make()((5, 6))
    assert not np.array_equal(free, make()((5, 6)))
    utils.set_random_seed(6)
    np.testing.assert_array_equal(free, make()((5, 6)))


@pytest.mark.parametrize(
    "made",
    [
        initializers.Constant(0.5), initializers.Identity(2.0), initializers.Orthogonal(0.5, 3),
        initializers.RandomNormal(1.0, 0.5, 7), initializers.RandomUniform(0.0, 1.0, 7),
        initializers.TruncatedNormal(0.0, 1.0, 7), initializers.LecunNormal(7),
        initializers.VarianceScaling(2.0, "fan_avg", "uniform", 7),
    ],
    ids=lambda made: type(made).__name__,
)  # fmt: skip
def test_described_and_made_again(made):
    again = initializers.get(json.loads(json.dumps(initializers.serialize(made))))
    assert type(again) is type(made)
    np.testing.assert_array_equal(again((3, 4)), made((3, 4)))


@pytest.mark.parametrize(
    ("alias", "cls"),
    [("normal", "RandomNormal"), ("uniform", "RandomUniform"), ("zero", "Zeros"), ("one", "Ones"),
     ("Orthogonal", "Orthogonal"), ("identity", "Identity"), ("LecunUniform", "LecunUniform")],
)  # fmt: skip
def test_names_of_keras(alias, cls):
    assert type(initializers.get(alias)) is getattr(initializers, cls)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.RandomUniform(1.0, 0.0), "maxval must be a finite number of 1"),
        (lambda: initializers.RandomNormal(stddev=-1), "RandomNormal: stddev"),
        (lambda: initializers.TruncatedNormal(mean="a"), "TruncatedNormal: mean"),
        (lambda: initializers.Orthogonal(seed=-1), "Orthogonal: seed must be an integer"),
        (lambda: initializers.Orthogonal()((3,)), "two or more axes"),
        (lambda: initializers.Identity()((3,)), "Identity makes matrices"),
        (lambda: initializers.get("orthogonale"), "unknown initializer 'orthogonale'.*orthogonal"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
