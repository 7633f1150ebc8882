"""exp, log, tanh ... of the native kernels, in units in the last place; `ci/long` tries all floats.

The functions are the engine's own (vmath.h). float32 is compared with NumPy's float64 functions,
float64 with mpmath's 40 digits.
"""

import concurrent.futures

import numpy as np
import pytest

from fastnn import config, ops
from fastnn.engine.build import Program, Section, build
from fastnn.engine.memory import Layout, zeros
from fastnn.ops.contract import Graph
from fastnn.ops.tensor import Tensor

native = pytest.importorskip(
    "fastnn.backends.native", reason="the native executor is not compiled", exc_type=ImportError
)
ISAS = native.isas()
ROWS, PART = 1 << 16, 1 << 26
# ULP in float32; 4 in float64.
LARGEST_ERROR = {"exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 2.0, "tanh": 4.0}
WITHOUT_FMA = {"tanh": 4.2}  # the v2 build rounds after each multiplication


def largest_error(isa, name):
    return (isa == "v2" and WITHOUT_FMA.get(name)) or LARGEST_ERROR[name]


def function_of(isa, name, dtype):
    """`name` as an array function that runs the kernel of one build."""
    graph, x = Graph(), Tensor((None,), "real", "x", "feed")
    with graph:
        y = ops.apply_activation(name, x) if name == "tanh" else ops.unary(name, x)
    plan = build(Program("predict", [Section(graph)], [x], [y]), Layout(0, 0, dtype), ROWS)
    executor = native.executor_for(isa)(plan, zeros(0))

    def function(values):
        out = np.empty(values.shape, dtype)
        executor.predict([values], len(values), [out])
        return out

    return function


def ulps(got, exact):
    """Errors of normal float32 results in units in the last place of the exact float64 ones."""
    exponent = exact.astype(np.float32).view(np.int32) >> 23 & 0xFF
    scale = np.ldexp(1.0, 150 - np.arange(256))[exponent]  # 1 / unit: np.spacing is slow
    return np.abs(got - exact) * scale


def check_floats(name, functions, bits):
    """Compare on the floats with these bit patterns; returns the largest error of each function."""
    x = bits.astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.float64))
        rounded = exact.astype(np.float32)
    seen = []
    for function in functions:
        got = function(x)
        same = [error for other, error in seen if np.array_equal(got, other, equal_nan=True)]
        seen.append((got, same[0] if same else check_results(got, exact, rounded)))
    return [error for _, error in seen]


def check_results(got, exact, rounded):
    """Compare with the exact results, and those rounded to float32; returns the largest error."""
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    # Where the exact result lies within half a unit of overflow, infinity is right too.
    normal = np.isfinite(rounded) & np.isfinite(got) & (np.abs(rounded) >= 2.0**-126)
    infinite = np.isinf(rounded)
    np.testing.assert_array_equal(got[infinite], rounded[infinite])
    tiny = np.isfinite(rounded) & (np.abs(rounded) < 2.0**-126)  # denormal, or 0
    assert np.abs(got[tiny].astype(np.float64) - exact[tiny]).max(initial=0) < 1.2e-38
    assert (np.isfinite(got) | ~np.isfinite(rounded)).all()
    return ulps(got[normal], exact[normal]).max(initial=0)


@pytest.mark.parametrize("name", LARGEST_ERROR)
@pytest.mark.parametrize("isa", ISAS)
def test_float32_on_every_2053rd_float(isa, name):
    function = function_of(isa, name, "float32")
    bits = np.arange(0, 2**32, 2053, dtype=np.uint64)
    assert check_floats(name, [function], bits)[0] <= largest_error(isa, name)


def largest_errors(name, first):
    """Those of each build on the floats of one part, which a process of its own checks."""
    functions = [function_of(isa, name, "float32") for isa in ISAS]
    worst = [0.0] * len(ISAS)
    for start in range(first, first + PART, ROWS):  # so few that all arrays stay in the cache
        bits = np.arange(start, start + ROWS, dtype=np.uint64)
        worst = list(map(max, worst, check_floats(name, functions, bits)))
    return worst


@pytest.mark.long
@pytest.mark.parametrize("name", LARGEST_ERROR)
def test_float32_on_all_floats(name):
    parts = range(0, 2**32, PART)
    with concurrent.futures.ProcessPoolExecutor(config.cores()) as pool:
        worst = np.max(list(pool.map(largest_errors, [name] * len(parts), parts)), axis=0)
    for isa, error in zip(ISAS, worst, strict=True):
        print(f"\n{name} on {isa}: at most {error:.3f} ULP over all floats")
        assert error <= largest_error(isa, name)


@pytest.mark.parametrize("name", LARGEST_ERROR)
@pytest.mark.parametrize("isa", ISAS)
def test_float64_against_mpmath(isa, name):
    mpmath = pytest.importorskip("mpmath", reason="mpmath is the reference in float64")
    rng = np.random.default_rng(0)
    size = 10.0 ** rng.uniform(-8, 2.8, 1500)
    other = {"log": 1 + size / 1e6, "log1p": -size[size < 1]}.get(name, -size)
    x = np.concatenate([size, other])
    got = function_of(isa, name, "float64")(x)
    with mpmath.workdps(40):
        for value, result in zip(x.tolist(), got.tolist(), strict=True):
            exact = getattr(mpmath, name)(mpmath.mpf(value))
            unit = np.spacing(abs(float(exact)))
            if np.isfinite(unit) and abs(float(exact)) > 1e-300:
                assert abs(mpmath.mpf(result) - exact) <= 4 * mpmath.mpf(unit), value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", ISAS)
def test_special_values(isa, dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e-30], dtype)
    exp = function_of(isa, "exp", dtype)(x)
    np.testing.assert_array_equal(exp, np.array([np.nan, np.inf, 0, 1, 1, 1, 1], dtype))
    tanh = function_of(isa, "tanh", dtype)(x)
    np.testing.assert_array_equal(tanh, np.array([np.nan, 1, -1, 0, 0, 1e-30, -1e-30], dtype))
    expm1 = function_of(isa, "expm1", dtype)(x)
    np.testing.assert_array_equal(expm1, np.array([np.nan, np.inf, -1, 0, 0, 1e-30, -1e-30], dtype))
    log1p = function_of(isa, "log1p", dtype)(np.array([np.nan, np.inf, -2, -1, 1e-30, 0], dtype))
    np.testing.assert_array_equal(
        log1p, np.array([np.nan, np.inf, np.nan, -np.inf, 1e-30, 0], dtype)
    )
    log = function_of(isa, "log", dtype)(np.array([np.nan, np.inf, -1.0, 0.0, 1.0], dtype))
    np.testing.assert_array_equal(log, np.array([np.nan, np.inf, np.nan, -np.inf, 0], dtype))
