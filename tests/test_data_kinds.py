"""Every kind of data gives the bits of the contiguous float32 copy, and is not changed.

First the gather alone: what an executor copies out of an array of any type and layout is what
NumPy's astype makes of it. Then what users pass to fit, evaluate and predict.
"""

import numpy as np
import pytest

from fastnn import Sequential, backends, config
from fastnn.layers import Activation

RNG = np.random.default_rng(5)
TYPES = ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
TYPES += [f">{t}" for t in TYPES if t[-1] in "248"]


def numbers(dtype, shape):
    """All kinds of values of a type: small and large, of both signs, subnormal."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        exponent = RNG.uniform(-8 if kind.itemsize == 2 else -30, 4, shape)
        return (RNG.choice([-1, 1], shape) * 10.0**exponent).astype(kind)
    if kind.kind == "b":
        return RNG.integers(0, 2, shape).astype(kind)
    limits = np.iinfo(kind)
    made = RNG.integers(limits.min, limits.max, shape, dtype=kind.newbyteorder("="), endpoint=True)
    return made.astype(kind)


def layouts(array):
    """{name: an array of the same values}; the rows are at least 2, the first axis."""
    rows = len(array)
    wide = np.zeros((2 * rows, *(2 * n for n in array.shape[1:])), array.dtype)
    inside = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    inside[...] = array
    raw = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    return {
        "contiguous": array,
        "Fortran": np.asfortranarray(array),
        "strided": inside,
        "reversed": array[::-1].copy()[::-1],
        "reversed in all axes": np.flip(np.flip(array).copy()),
        "unaligned": unaligned,
        "read-only": read_only,
    }


class Copier:
    """An executor whose plan copies its feed: what the gather makes of an array."""

    def __init__(self, name, shape, dtype, capacity):
        config.set_floatx(dtype)
        try:
            model = Sequential([Activation("linear", input_shape=shape)])
            model.compile("sgd", "mse", backend=name)
            self.executor, _ = model._executor("predict", capacity, ())
        finally:
            config.set_floatx("float32")
        self.dtype = dtype

    def __call__(self, array):
        made = np.full(array.shape, 7, self.dtype)
        self.executor.predict([array], len(array), [made])
        return made


@pytest.mark.parametrize("target", ["float32", "float64"])
@pytest.mark.parametrize("name", backends.available())
@pytest.mark.parametrize("shape", [(1,), (3,), (19,), (70,), (2, 3, 5), (4, 1, 9)])
def test_the_gather_converts_as_numpy_does(shape, name, target):
    copier = Copier(name, shape, target, 8)
    for dtype in TYPES:
        array = numbers(dtype, (21, *shape))
        with np.errstate(over="ignore"):
            wanted = array.astype(target)
        for layout, given in layouts(array).items():
            assert given.dtype == array.dtype
            before = given.tobytes()
            np.testing.assert_array_equal(copier(given), wanted, err_msg=f"{dtype} {layout}")
            assert given.tobytes() == before
        repeated = np.broadcast_to(array[3], array.shape)
        np.testing.assert_array_equal(copier(repeated), np.broadcast_to(wanted[3], array.shape))
        one = np.broadcast_to(array.ravel()[0], array.shape)
        np.testing.assert_array_equal(copier(one), np.broadcast_to(wanted.ravel()[0], array.shape))


@pytest.mark.parametrize("name", backends.available())
def test_every_half_is_converted_exactly(name):
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)[:, None]
    made = Copier(name, (1,), "float32", 2**16)(halves)
    np.testing.assert_array_equal(made, halves.astype(np.float32))
    assert np.signbit(made[2**15]).all()
