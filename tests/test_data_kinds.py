"""Every kind of data gives the bits of the contiguous float32 copy, and is not changed.

First the gather alone: what an executor copies out of an array of any type and layout is what
NumPy's astype makes of it. Then what users pass to fit, evaluate and predict.
"""

import tracemalloc

import numpy as np
import pytest

from fastnn import Sequential, arrays, backends, config, data, utils
from fastnn.layers import Activation, Dense, Flatten, Rescaling

RNG = np.random.default_rng(5)
TYPES = ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
TYPES += [">f4", ">f8", ">f2", ">i2", ">i8", ">u4"]


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


# --- what users pass ---

X = RNG.normal(size=(60, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 60)
WEIGHT = RNG.uniform(0.2, 2, 60).astype(np.float32)


def trained(x, y=LABELS, weight=None, **settings):
    """Weights and history after two shuffled epochs."""
    utils.set_random_seed(1)
    model = Sequential([Dense(6, "tanh", input_shape=(5,)), Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    given = {"batch_size": 32, "epochs": 2, "verbose": 0, **settings}
    history = model.fit(x, y, sample_weight=weight, validation_data=(x, y), **given)
    made = [*model.get_weights(), model.predict(x)]
    return [w.tobytes() for w in made], history.history


@pytest.fixture(params=["at once", "by batch"])
def converting(request, monkeypatch, backend):
    """Whether small arrays are converted before training, or all by the gather."""
    if request.param == "by batch":
        monkeypatch.setattr(data, "CONVERTED_AT_ONCE", 0)
    elif backend == "reference":
        monkeypatch.setattr(data, "CONVERTED_AT_ONCE", 1000)  # labels and weights only


@pytest.mark.parametrize("dtype", TYPES)
def test_training_on_any_type_and_layout_gives_the_same_bits(dtype, backend, converting):
    small = RNG.integers(0, 100, (60, 5))
    x = (small % 2 if dtype == "?" else small).astype(dtype)
    wanted = trained(np.ascontiguousarray(x, np.float32))
    for layout, given in layouts(x).items():
        before = given.tobytes()
        assert trained(given) == wanted, layout
        assert given.tobytes() == before


@pytest.mark.parametrize("dtype", [t for t in TYPES if t != "?"])
def test_labels_and_weights_of_any_type_and_layout(dtype, backend, converting):
    weight = RNG.integers(0, 5, 60)
    wanted = trained(X, LABELS.astype(np.int32), weight.astype(np.float32))
    labels, weights = layouts(LABELS.astype(dtype)), layouts(weight.astype(dtype))
    for layout, given in labels.items():
        assert trained(X, given, weights[layout]) == wanted, layout
    assert trained(X, LABELS.astype(dtype)[:, None], weight.astype(dtype)[:, None]) == wanted


def test_lists_and_nested_lists(backend):
    x = RNG.integers(0, 9, (60, 5)) / 4
    wanted = trained(x.astype(np.float32))
    tuples = [tuple(row) for row in x.tolist()]
    for given in (x.tolist(), [list(row) for row in x], tuples, list(x)):
        assert trained(given, LABELS.tolist()) == wanted


def test_a_memory_map(backend, tmp_path, converting):
    for dtype in ("u1", "f4", "f8", ">f4"):
        x = RNG.integers(0, 200, (60, 5)).astype(dtype)
        x.tofile(tmp_path / "x.bin")
        given = np.memmap(tmp_path / "x.bin", dtype, mode="r", shape=x.shape)
        assert trained(given) == trained(x.astype(np.float32))


# --- frames and tensors ---


def frame(library, **changes):
    columns = {
        "a": X[:, 0],
        "b": X[:, 1].astype(np.float64),
        "c": RNG.integers(0, 9, 60).astype(np.int16),
        "d": RNG.integers(0, 2, 60).astype(bool),
        "e": RNG.integers(0, 9, 60).astype(np.uint8),
        **changes,
    }
    return pytest.importorskip(library).DataFrame(columns), columns


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library, backend):
    x, columns = frame(library)
    plain = np.stack([np.asarray(c, np.float64) for c in columns.values()], axis=1)
    series = pytest.importorskip(library).Series(LABELS)
    weight = pytest.importorskip(library).Series(WEIGHT)
    wanted = trained(plain.astype(np.float32), weight=WEIGHT)
    assert trained(x, LABELS, WEIGHT) == wanted
    assert trained(x, series, weight) == wanted


def test_a_frame_of_one_type_is_not_copied():
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(X)
    assert np.shares_memory(arrays.array_of(x, "x"), x.to_numpy())


def test_pandas_types_with_masks(backend):
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(RNG.integers(0, 9, (60, 5)))
    wanted = trained(x.to_numpy().astype(np.float32))
    assert trained(x.astype("Int32")) == wanted
    assert trained(x.astype("Float64")) == wanted
    assert trained(x, pandas.Series(LABELS, dtype="Int64")) == wanted


BAD_COLUMNS = {
    "text": (["u"] * 60, ["column 'c'", "expected numbers", "one-hot"]),
    "missing": ([None] + [1.5] * 59, ["column 'c'", "1 missing value", "first in row 0", "fill"]),
    "NaN": ([1.5, float("nan")] * 30, ["column 'c'", "30 missing values", "first in row 1"]),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_that_are_no_numbers_are_named(library, case):
    values, parts = BAD_COLUMNS[case]
    x, _ = frame(library, c=values)
    with pytest.raises(ValueError) as caught:
        trained(x)
    for part in ["x, ", *parts]:
        assert part in str(caught.value)
    y = pytest.importorskip(library).Series("c", values) if library == "polars" else x["c"]
    with pytest.raises(ValueError) as caught:
        trained(X, y)
    for part in ["y, ", *parts]:
        assert part in str(caught.value)


def test_categories_and_dates_are_no_numbers():
    pandas = pytest.importorskip("pandas")
    for column in (
        pandas.Series([1, 2] * 30, dtype="category"),
        pandas.date_range("2024-01-01", periods=60),
        pandas.Series([1, None] * 30, dtype="Int64"),
    ):
        x, _ = frame("pandas", c=column)
        with pytest.raises(ValueError, match="x, column 'c', has"):
            trained(x)


class Tensor:
    """What a tensor of another library can do: __array__, and detach and cpu as PyTorch's."""

    def __init__(self, value, device="cpu"):
        self.value, self.device = value, type("Device", (), {"type": device})

    def detach(self):
        return self

    def cpu(self):
        return Tensor(self.value)

    def __array__(self, dtype=None, copy=None):
        if self.device.type != "cpu":
            raise TypeError("can't convert device tensor to numpy")
        return np.asarray(self.value, dtype)

    def __len__(self):
        return len(self.value)

    def __getitem__(self, i):
        return Tensor(self.value[i])


class Column:
    """An object with to_numpy and nothing else."""

    def __init__(self, value):
        self.value = value

    def to_numpy(self):
        return self.value


def test_tensors_of_other_libraries(backend):
    wanted = trained(X, weight=WEIGHT)
    assert trained(Tensor(X), Tensor(LABELS), Tensor(WEIGHT)) == wanted
    assert trained(Column(X), Column(LABELS), Column(WEIGHT)) == wanted
    with pytest.raises(ValueError, match=r"x is a tensor on device 'cuda'; move it with .cpu\(\)"):
        trained(Tensor(X, "cuda"))


# --- no copy ---


@pytest.mark.parametrize("dtype", ["u1", "f8", "f2", ">f4"])
@pytest.mark.parametrize("layout", ["contiguous", "memmap", "every other row"])
def test_a_large_array_is_never_copied(layout, dtype, backend, tmp_path):
    """12,000 images of 28 x 28: what is allocated is less than a tenth of them as floats."""
    rows, shape = 12_000, (28, 28)
    if layout == "memmap":
        x = np.memmap(tmp_path / "x.bin", dtype, mode="w+", shape=(rows, *shape))
        x[:] = RNG.integers(0, 255, shape, dtype=np.uint8)
    else:
        x = np.zeros((rows * (1 if layout == "contiguous" else 2), *shape), dtype)
        x[:] = RNG.integers(0, 255, shape, dtype=np.uint8)
        x = x if layout == "contiguous" else x[::2]
    y = np.arange(rows) % 10
    model = Sequential(
        [Rescaling(1 / 255, input_shape=shape), Flatten(), Dense(10, activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.predict(x[:256])
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=64, validation_split=0.5, verbose=0)
        model.predict(x, steps=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    floats = rows * 28 * 28 * 4
    assert peak < floats / 10


def test_values_are_checked_block_by_block(monkeypatch):
    monkeypatch.setattr(data, "BLOCK", 64)
    monkeypatch.setattr(data, "CONVERTED_AT_ONCE", 0)
    x = np.zeros((1000, 5))
    x[[700, 900], 3] = np.nan
    with pytest.raises(ValueError, match=r"x has 2 values .* the first at index \(700, 3\)"):
        trained(x, np.zeros(1000))
    x[:] = 1
    x[815, 2] = 1e300
    with pytest.raises(ValueError, match=r"too large for float32, the first at index \(815, 2\)"):
        trained(x, np.zeros(1000))
    labels = np.zeros(1000)
    labels[600] = 0.5
    with pytest.raises(ValueError, match="row 600 has 0.5"):
        trained(np.ones((1000, 5)), labels)
    labels[600] = 7
    with pytest.raises(ValueError, match="the first label outside is in row 600"):
        trained(np.ones((1000, 5)), labels)
    weight = np.ones(1000)
    weight[999] = -2
    with pytest.raises(ValueError, match="row 999 has -2.0"):
        trained(np.ones((1000, 5)), np.zeros(1000), weight)
