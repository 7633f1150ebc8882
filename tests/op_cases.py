"""The cases of the oracle: for each op a generator of inputs and attributes.

Sizes lie around the widths of vectors, one axis at a time, then random triples, then a few beyond
the blocks in which kernels work. `CASES` must name every op of the registry that has a kernel; a
test counts. Values keep away from jumps of a function only where rounding could cross the jump.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from op_runner import Case

from fastnn.ops import ACTIVATIONS, LOSSES, ROW_LOSSES, registry
from fastnn.ops.elementary import BINARY, REDUCTIONS, UNARY

SIZES = (1, 2, 3, 7, 8, 15, 16, 17, 33, 64, 100)

Rng = np.random.Generator
CASES: dict[str, Callable[[Rng], Iterator[Case]]] = {}


@functools.lru_cache(maxsize=1)
def cases(op: str) -> tuple[Case, ...]:
    """All cases of an op, the same ones each time."""
    return tuple(CASES[op](np.random.default_rng(zlib.crc32(op.encode()))))


def of(op: str) -> Callable[[Any], Any]:
    """Register the decorated generator as the cases of `op`."""

    def add(generate: Callable[[Rng], Iterator[Case]]) -> Callable[[Rng], Iterator[Case]]:
        CASES[op] = generate
        return generate

    return add


# --- sizes and values ----------------------------------------------------------------------------


def pairs(rng: Rng, few: bool = False) -> list[tuple[int, int]]:
    """(rows, width): either one through all sizes beside an odd one, then random pairs."""
    found = [(n, 5) for n in SIZES] + [(3, n) for n in SIZES]
    if not few:
        found += [(n, 1) for n in SIZES]
        found += [tuple(int(n) for n in rng.choice(SIZES, 2)) for _ in range(5)]
    return [*found, (5, 300)]  # beyond the chunks of 256 in which functions are added


def triples(rng: Rng) -> list[tuple[int, int, int]]:
    """(m, k, n): each through all sizes beside odd ones, then random triples."""
    found = []
    for axis in range(3):
        for size in SIZES:
            triple = [5, 11, 21]
            triple[axis] = size
            found.append(tuple(triple))
    return found + [tuple(int(n) for n in rng.choice(SIZES, 3)) for _ in range(12)]


# Beyond what a product keeps in registers, packs, or takes at once: deep, wide, tall, narrow ones.
BLOCKS = (
    (1, 1030, 530), (7, 1030, 37), (130, 20, 771), (33, 40, 513), (300, 5, 3), (130, 200, 5),
    (70, 300, 1), (1, 300, 1), (400, 350, 9), (65, 129, 15), (5, 9, 64), (10, 9, 50), (14, 9, 80),
    (21, 13, 130), (33, 256, 130), (400, 512, 130), (450, 350, 130), (800, 40, 130), (40, 259, 513),
)  # fmt: skip


def normal(rng: Rng, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers, some of them exactly zero."""
    values = rng.normal(0, scale, shape)
    return np.where(rng.random(shape) < 0.05, 0.0, values)


def positive(rng: Rng, *shape: int) -> np.ndarray:
    """Numbers from 0.05 to 5."""
    return rng.uniform(0.05, 5, shape)


def away(rng: Rng, *shape: int) -> np.ndarray:
    """Numbers of both signs whose size is from 0.1 to 3."""
    return rng.uniform(0.1, 3, shape) * rng.choice([-1, 1], shape)


def integers(rng: Rng, *shape: int, low: int = -3, high: int = 4) -> np.ndarray:
    """Small whole numbers: sums of their products are exact, and many are equal."""
    return rng.integers(low, high, shape).astype(np.float64)


def labels(rng: Rng, classes: int, *shape: int) -> np.ndarray:
    """int32 below `classes`."""
    return rng.integers(0, classes, shape).astype(np.int32)


def weights(rng: Rng, *shape: int) -> np.ndarray:
    """Weights of 0 and more, whole zeros among them: masks are weights."""
    return np.where(rng.random(shape) < 0.3, 0.0, rng.uniform(0.2, 2, shape))


def extremes(*more: float) -> np.ndarray:
    """NaN, infinities, both zeros, denormals, the largest and smallest numbers, as one row."""
    ends = [np.nan, np.inf, 0.0, 1e-310, 1e-42, 1e-30, 1e10, 1e30, 3e38, 88.8, 104.0, 710.0, *more]
    return np.array([[sign * x for x in ends for sign in (1, -1)]])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# --- functions of one number ---------------------------------------------------------------------


def activation_input(rng: Rng, name: str, *shape: int) -> np.ndarray:
    x = normal(rng, *shape, scale=2.0)
    big = rng.random(shape) < 0.05
    return np.where(big, np.sign(x) * rng.uniform(10, 60, shape), x)


# Other parameters than an activation's defaults.
PARAMETERS = (
    ("leaky_relu", (0.3,)), ("elu", (0.7,)), ("relu_general", (0.1, 2.5, 0.5)),
    ("relu_general", (-0.2, np.inf, 0.0)), ("relu_general", (0.0, np.inf, 1.5)),
    ("relu_general", (0.0, 3.0, 0.0)),
)  # fmt: skip


@of("activation")
def _(rng: Rng) -> Iterator[Case]:
    for name in ACTIVATIONS:
        for shape in [*pairs(rng), (4, 3, 7), (2, 3, 4, 5)]:
            x = activation_input(rng, name, *shape)
            yield Case("activation", [x], {"activation": name})
        yield Case("activation", [activation_input(rng, name, 37)], {"activation": name}, [False])
        yield Case("activation", [extremes()], {"activation": name}, own_type=True)
    for name, parameters in PARAMETERS:
        attrs = {"activation": name, "parameters": parameters}
        for shape in ((3, 5), (2, 300)):
            yield Case("activation", [activation_input(rng, name, *shape)], attrs)
        yield Case("activation", [extremes()], attrs, own_type=True)


def saved_by(
    rng: Rng, name: str, *shape: int, parameters: tuple[float, ...] = ()
) -> np.ndarray:
    """What the activation keeps for its derivative."""
    x = activation_input(rng, name, *shape)
    return ACTIVATIONS[name].y(x, parameters) if ACTIVATIONS[name].saves == "output" else x


@of("activation_backward")
def _(rng: Rng) -> Iterator[Case]:
    for name in ACTIVATIONS:
        for shape in [*pairs(rng), (4, 3, 7)]:
            dy, saved = normal(rng, *shape), saved_by(rng, name, *shape)
            yield Case("activation_backward", [dy, saved], {"activation": name})
    for name, parameters in PARAMETERS:
        for shape in ((3, 5), (2, 300)):
            saved = saved_by(rng, name, *shape, parameters=parameters)
            attrs = {"activation": name, "parameters": parameters}
            yield Case("activation_backward", [normal(rng, *shape), saved], attrs)
    # Where they are flat even an infinite gradient stops.
    for name in ("relu", "relu6", "relu_general", "step"):
        dy, saved = np.meshgrid([np.inf, -np.inf, np.nan, 3e38, 1.0], [0.0, 1.0])
        yield Case("activation_backward", [dy, saved], {"activation": name}, own_type=True)


def extreme_logits(undefined: bool) -> np.ndarray:
    """Rows of huge logits; with `undefined` also rows whose softmax is NaN."""
    rows = [[1e4, 0, -1e4], [3e38, -3e38, 0], [-np.inf, 1, 2]]
    if undefined:
        rows += [[np.inf, 1, 2], [-np.inf] * 3, [1, np.nan, 2]]
    return np.array(rows, float)


@of("softmax")
def _(rng: Rng) -> Iterator[Case]:
    for shape in [*pairs(rng), (3, 4, 7), (2, 2100), (400, 10), (2, 1)]:
        yield Case("softmax", [normal(rng, *shape, scale=3.0)], terms=shape[-1])
    yield Case("softmax", [normal(rng, 4, 9)], batched=[False], terms=9)
    # Shifted by the largest: no overflow, and far ones vanish.
    yield Case("softmax", [normal(rng, 4, 9, scale=300.0)], terms=9)
    yield Case("softmax", [extreme_logits(True)], own_type=True)


@of("softmax_backward")
def _(rng: Rng) -> Iterator[Case]:
    def size(dy: Any, y: Any) -> Any:
        return np.abs(y) * (np.abs(dy) + np.abs(dy * y).sum(-1, keepdims=True))

    for shape in [*pairs(rng), (3, 4, 7)]:
        y = softmax(normal(rng, *shape, scale=2.0))
        yield Case("softmax_backward", [normal(rng, *shape), y], terms=shape[-1], magnitude=size)


@of("log_softmax")
def _(rng: Rng) -> Iterator[Case]:
    def size(x: Any) -> Any:  # the largest is subtracted: its rounding is what counts
        return np.abs(x) + np.abs(x).max(-1, keepdims=True)

    for shape in [*pairs(rng), (3, 4, 7), (2, 2100), (400, 10), (2, 1)]:
        yield Case("log_softmax", [normal(rng, *shape, scale=3.0)], magnitude=size)
    yield Case("log_softmax", [normal(rng, 4, 9)], batched=[False], magnitude=size)
    yield Case("log_softmax", [normal(rng, 4, 9, scale=300.0)], magnitude=size)
    yield Case("log_softmax", [extreme_logits(True)], own_type=True)


@of("log_softmax_backward")
def _(rng: Rng) -> Iterator[Case]:
    def size(dy: Any, y: Any) -> Any:
        return np.abs(dy) + np.exp(y) * np.abs(dy).sum(-1, keepdims=True)

    for shape in [*pairs(rng), (3, 4, 7)]:
        y = np.log(softmax(normal(rng, *shape, scale=2.0)))
        given = [normal(rng, *shape), y]
        yield Case("log_softmax_backward", given, terms=shape[-1], magnitude=size)


@of("unary")
def _(rng: Rng) -> Iterator[Case]:
    value = {"log": positive, "log1p": positive, "sqrt": positive, "reciprocal": away}
    for name in UNARY:
        make = value.get(name, normal)
        for shape in [*pairs(rng), (4, 3, 7), (2, 3, 4, 5)]:
            yield Case("unary", [make(rng, *shape)], {"function": name})
        yield Case("unary", [make(rng, 37)], {"function": name}, [False])
        yield Case("unary", [extremes()], {"function": name}, own_type=True)
    halves = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 8388607.5, -0.25]])
    for name in ("floor", "round"):
        yield Case("unary", [halves], {"function": name})
    small = rng.choice([-1, 1], (5, 33)) * 10 ** rng.uniform(-8, 0, (5, 33))
    for name in ("expm1", "log1p"):
        yield Case("unary", [0.9 * small], {"function": name})
    # log loses its largest part to cancellation near 1, exp overflows beside nothing.
    yield Case("unary", [1 + normal(rng, 5, 33, scale=1e-3)], {"function": "log"})
    yield Case("unary", [normal(rng, 5, 33, scale=25.0).clip(-87, 11)], {"function": "exp"})


@of("affine")
def _(rng: Rng) -> Iterator[Case]:
    for shape in pairs(rng):
        for factor, offset in ((1.0, 0.7), (-2.5, 0.0), (0.0, 1.0)):
            yield Case("affine", [normal(rng, *shape)], {"factor": factor, "offset": offset},
                       magnitude=lambda x, f=factor, o=offset: abs(f * x) + abs(o))  # fmt: skip
    yield Case("affine", [normal(rng, 37)], {"factor": 3.0, "offset": -1.0}, [False])


# --- functions of two and three numbers ----------------------------------------------------------

# Shapes that broadcast; "r" marks what begins with the rows of the batch.
BROADCASTS = (
    ("r 6 9", "9"), ("9", "r 6 9"), ("r 6 9", "1"), ("r 6 9", ""), ("", "r 6 9"), ("r 6 9", "1 9"),
    ("r 6 1", "r 6 9"), ("r 6 9", "r 6 1"), ("r 6 1", "9"), ("9", "r 6 1"), ("1 1", "r 6 9"),
    ("r 6", "r 6"), ("r 4 3 17", "17"), ("r 4 3 17", "3 1"), ("r 4 3 1", "17"), ("r 4 1 1", "3 17"),
    ("r 4 3 17", "r 4 1 17"), ("r 4 1 17", "r 4 3 1"), ("r 4 2 3 5", "3 1"), ("r 4 2 3 5", "2 1 5"),
    ("r 4 1 3 1", "r 4 2 1 5"), ("r 4 2 3 5", "r 4 1 1 1"), ("1 2 3 5", "r 4 1 3 1"),
    ("6 9", "9"), ("6 9", "6 1"), ("2 3 4", "3 1"), ("r 5 300", "300"), ("r 5 300", "r 5 1"),
    ("r 5 1", "r 5 300"), ("r 3 1 300", "r 3 4 1"),
)  # fmt: skip


def shape_of(text: str) -> tuple[tuple[int, ...], bool]:
    """The sizes of a shape in `BROADCASTS`, and whether it has rows."""
    return tuple(int(n) for n in text.split() if n != "r"), text.startswith("r")


JUMPS = (
    "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum",
)  # fmt: skip


def first_operand(function: str) -> Callable[..., np.ndarray]:
    return integers if function in JUMPS else positive if function == "power" else normal


def second_operand(function: str) -> Callable[..., np.ndarray]:
    return integers if function in JUMPS else away if function == "divide" else normal


@of("binary")
def _(rng: Rng) -> Iterator[Case]:
    for name in BINARY:
        make = first_operand(name)
        divisor = second_operand(name)
        for shape in [*pairs(rng), (4, 3, 7)]:
            yield Case("binary", [make(rng, *shape), divisor(rng, *shape)], {"function": name},
                       magnitude=lambda a, b, f=BINARY[name]: _size(f, a, b))  # fmt: skip
        pair = np.meshgrid(extremes(1.0, 3.0), extremes(1.0, 2.0, 3.0, 0.5))
        yield Case("binary", list(pair), {"function": name}, own_type=True)
        for left, right in BROADCASTS:
            (a, a_rows), (b, b_rows) = shape_of(left), shape_of(right)
            yield Case(
                "binary", [make(rng, *a), divisor(rng, *b)], {"function": name}, [a_rows, b_rows],
                magnitude=lambda a, b, f=BINARY[name]: _size(f, a, b),
            )  # fmt: skip


@of("binary_number")
def _(rng: Rng) -> Iterator[Case]:
    for name in BINARY:
        for first in (False, True):
            make = (second_operand if first else first_operand)(name)
            number = 2.0 if name in JUMPS or first else -1.3
            attrs = {"function": name, "value": number, "first": first}

            def size(x: Any, f: Any = BINARY[name], v: float = number, first: bool = first) -> Any:
                v = np.full((), v, x.dtype)
                return _size(f, v, x) if first else _size(f, x, v)

            for shape in [*pairs(rng), (4, 3, 7)]:
                yield Case("binary_number", [make(rng, *shape)], attrs, magnitude=size)
            yield Case("binary_number", [make(rng, 37)], attrs, [False], magnitude=size)
            for value in (number, 0.0, 1.0, np.inf, np.nan):
                attrs = {"function": name, "value": value, "first": first}
                yield Case("binary_number", [extremes()], attrs, own_type=True)


def _size(function: Any, a: Any, b: Any) -> Any:
    """|a| f |b| of a function of two numbers: of a difference it is the sum."""
    if function in (np.add, np.subtract):
        return np.abs(a) + np.abs(b)
    return np.abs(function(a, b))


@of("where")
def _(rng: Rng) -> Iterator[Case]:
    def condition(*shape: int) -> np.ndarray:
        return rng.choice([0.0, 1.0, -2.0], shape)

    for shape in [*pairs(rng), (4, 3, 7)]:
        yield Case("where", [condition(*shape), normal(rng, *shape), normal(rng, *shape)])
    for first, second in BROADCASTS:
        for texts in ((first, second, second), (second, first, second), (second, second, first)):
            (c, c_rows), (a, a_rows), (b, b_rows) = map(shape_of, texts)
            inputs = [condition(*c), normal(rng, *a), normal(rng, *b)]
            yield Case("where", inputs, batched=[c_rows, a_rows, b_rows])


# --- products ------------------------------------------------------------------------------------


@of("matmul")
def _(rng: Rng) -> Iterator[Case]:
    for m, k, n in (*triples(rng), *BLOCKS):
        for ta, tb in ((False, False), (False, True), (True, False), (True, True)):
            a = normal(rng, k, m) if ta else normal(rng, m, k)
            b = normal(rng, n, k) if tb else normal(rng, k, n)
            # Rows of the batch: those of y, or with a transposed the terms of the sums.
            rows = [not (ta and tb), ta and not tb]
            yield _matmul(a, b, ta, tb, rows, k)
            if m * k * n < 5000:
                yield _matmul(a, b, ta, tb, [False, False], k)
    for ta, tb in ((False, False), (False, True), (True, False)):
        a, b = normal(rng, 5, 3, 9), normal(rng, *((5, 3, 7) if ta else (7, 9) if tb else (9, 7)))
        yield _matmul(a, b, ta, tb, [True, ta], 15 if ta else 9)


def _matmul(a: Any, b: Any, ta: bool, tb: bool, rows: list[bool], terms: int) -> Case:
    attrs = {"transpose_a": ta, "transpose_b": tb}
    return Case("matmul", [a, b], attrs, rows, terms, absolute("matmul", **attrs))


def absolute(op: str, **attrs: Any) -> Callable[..., Any]:
    """The op itself on absolute values: the magnitude of a sum of products."""

    def size(*inputs: Any) -> Any:
        case = Case(op, list(inputs), attrs)
        return case.definition.define(*(None if x is None else np.abs(x) for x in inputs), **attrs)

    return size


def _linear_size(x: Any, w: Any, b: Any) -> Any:
    return np.abs(x) @ np.abs(w) + (0 if b is None else np.abs(b))


@of("linear")
def _(rng: Rng) -> Iterator[Case]:
    def one(
        name: str, biased: bool, *shape: int, n: int, parameters: tuple[float, ...] = ()
    ) -> Case:
        # A step jumps: its sums must be exact.
        make = integers if name == "step" else normal
        k = shape[-1]
        scale = 1.0 if name == "step" else 1 / np.sqrt(k)
        inputs = [make(rng, *shape), make(rng, k, n) * scale, make(rng, n) if biased else None]
        # Only a plain product is ever added: fusion refuses an output with a second writer.
        attrs = {"activation": name, "parameters": parameters}
        return Case("linear", inputs, attrs, [True, False, False], k + 1,
                    _linear_size, add=name == "linear")  # fmt: skip

    for name in ACTIVATIONS:
        for m, k, n in triples(rng):
            for biased in (False, True):
                yield one(name, biased, m, k, n=n)
    for m, k, n in BLOCKS:
        for name, biased in (("linear", True), ("relu", True), ("tanh", False)):
            yield one(name, biased, m, k, n=n)
    for name in ACTIVATIONS:
        yield one(name, True, 3, 4, 9, n=17)
    for name, parameters in PARAMETERS:
        yield one(name, True, 9, 5, n=17, parameters=parameters)


@of("linear_dx")
def _(rng: Rng) -> Iterator[Case]:
    def size(dy: Any, w: Any, saved: Any) -> Any:
        return np.abs(dy) @ np.abs(w).T

    def one(name: str, k: int, *shape: int, parameters: tuple[float, ...] = ()) -> Case:
        n = shape[-1]
        dy, w = normal(rng, *shape), normal(rng, k, n)
        saved = None
        if name != "linear":
            saved = saved_by(rng, name, *shape[:-1], k, parameters=parameters)
        attrs = {"activation": name, "parameters": parameters}
        return Case("linear_dx", [dy, w, saved], attrs, [True, False, True], n, size,
                    add=name == "linear")  # fmt: skip

    for name in ACTIVATIONS:
        for m, k, n in triples(rng):
            yield one(name, k, m, n)
        yield one(name, 17, 3, 4, 9)
    for name, parameters in PARAMETERS:
        yield one(name, 17, 9, 5, parameters=parameters)
    for m, k, n in BLOCKS:
        for name in ("linear", "relu", "sigmoid"):
            yield one(name, k, m, n)


@of("linear_dw")
def _(rng: Rng) -> Iterator[Case]:
    def size(x: Any, dy: Any) -> Any:
        x, dy = np.abs(x).reshape(-1, x.shape[-1]), np.abs(dy).reshape(-1, dy.shape[-1])
        return x.T @ dy, dy.sum(axis=0)

    for m, k, n in (*triples(rng), *BLOCKS, *((m, k, n) for k, m, n in BLOCKS)):
        yield Case("linear_dw", [normal(rng, m, k), normal(rng, m, n)], terms=m, magnitude=size)
    yield Case("linear_dw", [normal(rng, 3, 4, 9), normal(rng, 3, 4, 17)], terms=12, magnitude=size)


# --- reductions ----------------------------------------------------------------------------------


@of("reduce")
def _(rng: Rng) -> Iterator[Case]:
    def one(name: str, x: np.ndarray, axes: tuple[int, ...], keep: bool, rows: bool) -> Case:
        attrs = {"function": name, "axes": axes, "keepdims": keep}
        terms = int(np.prod([x.shape[i] for i in axes], dtype=int))
        size = None if name == "max" else absolute("reduce", **attrs)
        return Case("reduce", [x], attrs, [rows], terms, size)

    for name in REDUCTIONS:
        for shape in [*pairs(rng), (2, 1030), (1030, 2), (300, 300), (520, 20)]:
            for axes in ((0,), (1,), (0, 1)):
                yield one(name, normal(rng, *shape), axes, False, True)
        for shape in [(4, 5, 6), (3, 17, 2), (2, 3, 4, 5), (3, 2, 17, 4), (3, 1, 5, 1)]:
            axes = range(len(shape))
            for chosen in range(1, 2 ** len(shape)):
                over = tuple(i for i in axes if chosen >> i & 1)
                keep, rows = bool(rng.integers(2)), bool(rng.integers(2))
                # All values negative: a maximum must not start from 0.
                yield one(name, -positive(rng, *shape), over, keep, rows)
        yield one(name, normal(rng, 37), (0,), False, False)
        yield one(name, normal(rng, 37), (0,), True, True)
    # A NaN wins, and the maximum of nothing but -inf is -inf, in short rows and long ones.
    for times in (1, 10):
        x = np.array([[np.nan, 1, 2], [-np.inf] * 3, [1, np.inf, 2], [-np.inf, 1, -3]])
        for axes in ((0,), (1,), (0, 1)):
            yield one("max", np.tile(x, times), axes, False, True)


# --- moving data ---------------------------------------------------------------------------------
#
# Integers (ids, labels) are moved too, whatever the float type; nothing adds to them.


def moves_of_integers(
    rng: Rng, op: str, attrs: dict[str, Any], *shapes: tuple[int, ...]
) -> Iterator[Case]:
    for shape in shapes:
        yield Case(op, [labels(rng, 1000, *shape)], attrs, add=False)


@of("copy")
def _(rng: Rng) -> Iterator[Case]:
    for shape in [*pairs(rng), (4, 3, 7), (2, 3, 4, 5), (9,)]:
        yield Case("copy", [normal(rng, *shape)])
        yield Case("copy", [normal(rng, *shape)], batched=[False])
    yield Case("copy", [normal(rng)], batched=[False])
    yield from moves_of_integers(rng, "copy", {}, (5, 7), (9,))


@of("broadcast")
def _(rng: Rng) -> Iterator[Case]:
    for left, right in BROADCASTS:
        for small, large in ((left, right), (right, left)):
            (a, a_rows), (b, b_rows) = shape_of(small), shape_of(large)
            if len(a) <= len(b) and np.broadcast_shapes(a, b) == b and a_rows <= b_rows:
                yield Case(
                    "broadcast", [normal(rng, *a), normal(rng, *b)], batched=[a_rows, b_rows]
                )
    for n in SIZES:
        yield Case("broadcast", [normal(rng, n), normal(rng, 3, n)], batched=[False, True])
        yield Case("broadcast", [normal(rng, 3, 1), normal(rng, 3, n)], batched=[True, True])
        yield Case("broadcast", [normal(rng, n, 1), normal(rng, n, 5)], batched=[True, True])
    yield Case("broadcast", [labels(rng, 99, 5, 1), normal(rng, 5, 7)], add=False)


@of("transpose")
def _(rng: Rng) -> Iterator[Case]:
    for m, n in pairs(rng):
        yield Case("transpose", [normal(rng, m, n)], {"axes": (1, 0)}, [False])
        yield Case("transpose", [normal(rng, 3, m, n)], {"axes": (0, 2, 1)}, [True])
    for axes in ((0, 1, 3, 2), (0, 3, 1, 2), (0, 2, 3, 1), (0, 3, 2, 1)):
        yield Case("transpose", [normal(rng, 3, 4, 5, 18)], {"axes": axes}, [True])
    for axes in ((3, 2, 1, 0), (2, 0, 3, 1), (1, 0, 2, 3)):
        yield Case("transpose", [normal(rng, 3, 17, 2, 20)], {"axes": axes}, [False])
    yield Case("transpose", [normal(rng, 5, 7)], {"axes": (0, 1)}, [True])
    yield from moves_of_integers(rng, "transpose", {"axes": (0, 2, 1)}, (3, 17, 20))


# (shape, slices): the rows stay whole, None for the whole of any other axis.
SLICES = (
    ((4, 9), (None, (0, 1))), ((4, 9), (None, (8, 9))), ((4, 9), (None, (2, 7))),
    ((4, 9), (None, (0, 9))), ((4, 9), (None, None)), ((3, 100), (None, (1, 100))),
    ((3, 100), (None, (17, 33))), ((5, 6, 7), (None, (1, 3), None)),
    ((5, 6, 7), (None, None, (2, 6))), ((5, 6, 7), (None, (5, 6), (0, 3))),
    ((5, 6, 7), (None, (1, 2))),
    ((3, 4, 5, 6), (None, (1, 3), None, (2, 5))), ((3, 4, 5, 6), (None, (3, 4), (1, 4), (0, 6))),
)  # fmt: skip


@of("slice")
def _(rng: Rng) -> Iterator[Case]:
    for shape, slices in SLICES:
        yield Case("slice", [normal(rng, *shape)], {"slices": slices})
    for n in SIZES:
        yield Case("slice", [normal(rng, 3, n + 2)], {"slices": (None, (1, n + 1))})
        yield Case("slice", [normal(rng, n, 6)], {"slices": (None, (2, 5))})
        yield Case("slice", [normal(rng, n + 2, 6)], {"slices": ((1, n + 1), (2, 5))}, [False])
    yield from moves_of_integers(rng, "slice", {"slices": (None, (1, 6))}, (5, 9))


@of("unslice")
def _(rng: Rng) -> Iterator[Case]:
    def one(shape: tuple[int, ...], slices: Any, rows: bool) -> Case:
        whole = np.zeros(shape)[tuple(slice(None) if s is None else slice(*s) for s in slices)]
        given = (None, *shape[1:]) if rows else shape
        return Case(
            "unslice", [normal(rng, *whole.shape)], {"slices": slices, "shape": given}, [rows]
        )

    for shape, slices in SLICES:
        yield one(shape, slices, True)
        yield one(shape, slices, False)
    for n in SIZES:
        yield one((3, n + 2), (None, (1, n + 1)), True)
        yield one((n, 6), (None, (2, 5)), True)
        yield one((n + 2, 6), ((1, n + 1), (2, 5)), False)
    attrs = {"slices": (None, (1, 6)), "shape": (None, 9)}
    yield from moves_of_integers(rng, "unslice", attrs, (4, 5))


@of("take_rows")
def _(rng: Rng) -> Iterator[Case]:
    for rows, width in pairs(rng):
        for extra in (0, 3):
            state = normal(rng, rows + 4 + extra, width)
            yield Case("take_rows", [state, normal(rng, rows, 2)], batched=[False, True])
    state = normal(rng, 9, 3, 4)
    yield Case("take_rows", [state, normal(rng, 5, 1)], batched=[False, True])
    state = labels(rng, 99, 9, 4)
    yield Case("take_rows", [state, normal(rng, 5, 1)], batched=[False, True], add=False)


@of("concatenate")
def _(rng: Rng) -> Iterator[Case]:
    for rows, width in pairs(rng):
        other = int(rng.choice(SIZES))
        parts = [normal(rng, rows, width), normal(rng, rows, other), normal(rng, rows, 2)]
        yield Case("concatenate", parts, {"axis": 1})
    for axis in (1, 2, 3):
        shapes = [[3, 4, 5, 6] for _ in range(3)]
        for i, shape in enumerate(shapes):
            shape[axis] = i + 1
        yield Case("concatenate", [normal(rng, *s) for s in shapes], {"axis": axis})
    static = [normal(rng, n, 6) for n in (1, 4, 7)]
    yield Case("concatenate", static, {"axis": 0}, [False] * 3)
    yield Case("concatenate", [normal(rng, 3, 5)], {"axis": 1})
    ids = [labels(rng, 99, 3, 5), labels(rng, 99, 3, 8)]
    yield Case("concatenate", ids, {"axis": 1}, add=False)
    yield Case("concatenate", [normal(rng, 3, i % 4 + 1) for i in range(20)], {"axis": 1})


@of("gather")
def _(rng: Rng) -> Iterator[Case]:
    for rows, width in pairs(rng):
        ids = labels(rng, 7, rows)
        yield Case("gather", [normal(rng, 7, width), ids], batched=[False, True])
    yield Case("gather", [normal(rng, 7, 9), labels(rng, 7, 4, 3)], batched=[False, True])
    yield Case("gather", [normal(rng, 5, 3, 4), labels(rng, 5, 6)], batched=[False, True])
    yield Case("gather", [normal(rng, 5), labels(rng, 5, 6)], batched=[False, True])
    yield Case("gather", [normal(rng, 5, 9), labels(rng, 5, 6)], batched=[False, False])


@of("scatter_add")
def _(rng: Rng) -> Iterator[Case]:
    def one(x: np.ndarray, ids: np.ndarray, *shape: int) -> Case:
        attrs = {"shape": shape}

        def size(x: Any, ids: Any) -> Any:
            y = np.zeros(shape)
            np.add.at(y, ids, np.abs(x))
            return y

        return Case("scatter_add", [x, ids], attrs, terms=ids.size, magnitude=size)

    for rows, width in pairs(rng):
        yield one(normal(rng, rows, width), labels(rng, 7, rows), 9, width)
    yield one(normal(rng, 4, 3, 9), labels(rng, 7, 4, 3), 7, 9)
    yield one(normal(rng, 6, 3, 4), labels(rng, 5, 6), 5, 3, 4)


@of("assign")
def _(rng: Rng) -> Iterator[Case]:
    for rows, width in pairs(rng):
        yield Case("assign", [normal(rng, rows + 5, width), normal(rng, rows, width)],
                   batched=[False, True])  # fmt: skip
    yield Case("assign", [normal(rng, 4, 5), normal(rng, 4, 5)], batched=[False, False])
    yield Case("assign", [labels(rng, 99, 9, 5), labels(rng, 99, 4, 5)], batched=[False, True])


# --- losses and metrics --------------------------------------------------------------------------


def loss_shapes(rng: Rng) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]]:
    """(shape of the prediction, shape of the weights or None)."""
    found: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = []
    for shape in [*pairs(rng, few=True), (300, 3)]:
        found += [(shape, None), (shape, shape[:1])]
    return [*found, ((4, 3, 7), None), ((4, 3, 7), (4,)), ((4, 3, 7), (4, 3))]


def optional_weights(rng: Rng, shape: tuple[int, ...] | None) -> Any:
    return None if shape is None else weights(rng, *shape)


def loss_inputs(rng: Rng, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target of an elementwise loss."""
    if name in ("binary_crossentropy", "binary_focal", "categorical_focal", "kl_divergence"):
        return rng.uniform(0.02, 0.98, shape), rng.choice([0.0, 1.0, 0.3], shape)
    if name == "binary_crossentropy_logits":
        return normal(rng, *shape, scale=4.0), rng.choice([0.0, 1.0, 0.3], shape)
    if name in ("poisson", "squared_logarithmic_error", "percentage_error"):
        return rng.uniform(0.1, 3, shape), rng.uniform(0.1, 3, shape)
    if name in ("hinge", "squared_hinge"):
        return normal(rng, *shape), rng.choice([0.0, 1.0, -1.0], shape)
    p, t = normal(rng, *shape), normal(rng, *shape)
    return p, np.where(rng.random(shape) < 0.1, p, t)


def loss_attrs(name: str) -> Iterator[dict[str, Any]]:
    """The function with its usual parameters, and with others."""
    usual = LOSSES[name].parameters
    yield {"function": name, "parameters": usual}
    if usual:
        yield {"function": name, "parameters": (0.5, 0.7, 0.2)[: len(usual)]}


def clipped_inputs() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 0 and 1 with every target. What is left of 1 - p depends on the type."""
    p = np.array([[0.0, 1.0, 0.0, 1.0, 0.5, 1e-8, 0.25]])
    return p, np.array([[0.0, 0.0, 1.0, 1.0, 0.5, 1.0, 1.0]])


@of("elementwise_loss")
def _(rng: Rng) -> Iterator[Case]:
    for name in LOSSES:
        for attrs in loss_attrs(name):
            for shape, weighted in loss_shapes(rng):
                p, t = loss_inputs(rng, name, shape)
                inputs = [p, t, optional_weights(rng, weighted)]
                yield Case("elementwise_loss", inputs, attrs, terms=p.size,
                           magnitude=partial(loss_size, **attrs))
        pair = np.meshgrid([np.nan, np.inf, -np.inf, 3e38, -1e4, 0.0, 1.0], [0.0, 1.0, 0.5])
        for row in np.transpose(pair, (1, 2, 0)).reshape(-1, 1, 2):  # one sum each
            yield Case("elementwise_loss", [row[:, :1], row[:, 1:], None], attrs, own_type=True)
    for name in ("binary_crossentropy", "binary_focal", "categorical_focal", "kl_divergence"):
        for attrs in loss_attrs(name):
            yield Case("elementwise_loss", [*clipped_inputs(), None], attrs, own_type=True)


def loss_size(p: Any, t: Any, weight: Any, *, function: str, parameters: Any) -> Any:
    """What the sums of a loss are made of, without regard to signs."""
    lead = p.shape[:1] if weight is None else weight.shape
    loss = np.abs(LOSSES[function].formula(p, t, *parameters)).reshape(*lead, -1).sum(-1)
    weight = np.ones(lead) if weight is None else weight
    return np.array([(weight * loss).sum(), weight.sum()])


@of("elementwise_loss_backward")
def _(rng: Rng) -> Iterator[Case]:
    for name in LOSSES:
        for attrs in loss_attrs(name):
            for shape, weighted in loss_shapes(rng):
                inputs = [*loss_inputs(rng, name, shape), optional_weights(rng, weighted)]
                yield Case("elementwise_loss_backward", [*inputs, rng.uniform(0.1, 2, 1)], attrs)
        pair = np.meshgrid([np.nan, np.inf, -np.inf, 3e38, -1e4, 0.0, 1.0], [0.0, 1.0, 0.5])
        yield Case("elementwise_loss_backward", [*pair, None, np.ones(1)], attrs, own_type=True)
    for name in ("binary_crossentropy", "binary_focal", "categorical_focal", "kl_divergence"):
        for attrs in loss_attrs(name):
            inputs = [*clipped_inputs(), None, np.ones(1)]
            yield Case("elementwise_loss_backward", inputs, attrs, own_type=True)


def row_inputs(rng: Rng, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target of a loss of rows."""
    p, t = normal(rng, *shape), normal(rng, *shape)
    if name == "categorical_hinge":
        t = np.eye(shape[-1])[labels(rng, shape[-1], *shape[:-1])]
    return p, t


def special_rows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A row of zeros, equal rows, equally wrong predictions, NaN."""
    p = np.array([[0.0, 0, 0], [1, 2, 3], [-2, 0.5, 0.5], [np.nan, 1, 2], [1, np.nan, 0]])
    t = np.array([[0.0, 1, 0], [1, 2, 3], [1, 0, 0], [0, 1, 0], [1, 0, 0]])
    for i in range(len(p)):
        yield p[i : i + 1], t[i : i + 1]
    yield p[:1], np.zeros((1, 3))


@of("row_loss")
def _(rng: Rng) -> Iterator[Case]:
    for name in ROW_LOSSES:
        attrs = {"function": name}
        for shape, weighted in loss_shapes(rng):
            inputs = [*row_inputs(rng, name, shape), optional_weights(rng, weighted)]
            yield Case("row_loss", inputs, attrs, terms=inputs[0].size, magnitude=row_loss_size)
        for p, t in special_rows():
            yield Case("row_loss", [p, t, None], attrs, own_type=True)


def row_loss_size(p: Any, t: Any, weight: Any) -> Any:
    rows = np.abs(p).reshape(-1, p.shape[-1]).sum(-1) + np.abs(t).reshape(-1, p.shape[-1]).sum(-1)
    weight = np.ones(len(p)) if weight is None else weight
    each = np.repeat(weight.ravel(), len(rows) // weight.size)
    return np.array([(each * (1 + rows)).sum(), weight.sum() * len(rows) // weight.size])


@of("row_loss_backward")
def _(rng: Rng) -> Iterator[Case]:
    for name in ROW_LOSSES:
        attrs = {"function": name}
        for shape, weighted in loss_shapes(rng):
            inputs = [*row_inputs(rng, name, shape), optional_weights(rng, weighted)]
            inputs.append(rng.uniform(0.1, 2, 1))
            yield Case("row_loss_backward", inputs, attrs, terms=shape[-1])
        for p, t in special_rows():
            yield Case("row_loss_backward", [p, t, None, np.ones(1)], attrs, own_type=True)


def class_targets(rng: Rng, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Targets of a cross-entropy: class indices, one-hot rows, distributions, any numbers."""
    classes = shape[-1]
    yield labels(rng, classes, *shape[:-1])
    yield np.eye(classes)[labels(rng, classes, *shape[:-1])]
    yield softmax(normal(rng, *shape))
    yield weights(rng, *shape)


def class_shapes(rng: Rng) -> list[tuple[tuple[int, ...], tuple[int, ...] | None]]:
    return [*loss_shapes(rng), ((2, 2100), None), ((2, 2100), (2,))]


@of("softmax_crossentropy")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in class_shapes(rng):
        for t in class_targets(rng, shape):
            z = normal(rng, *shape, scale=3.0)
            inputs = [z, t, optional_weights(rng, weighted)]
            yield Case("softmax_crossentropy", inputs, terms=z.size)
    for t in (np.array([1, 0, 1], np.int32), np.eye(3)[[1, 0, 1]]):
        for row in range(3):
            inputs = [extreme_logits(False)[row : row + 1], t[row : row + 1], None]
            yield Case("softmax_crossentropy", inputs, own_type=True)


@of("softmax_crossentropy_backward")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in class_shapes(rng):
        for t in class_targets(rng, shape):
            p = softmax(normal(rng, *shape, scale=3.0))
            inputs = [p, t, optional_weights(rng, weighted), rng.uniform(0.1, 2, 1)]
            yield Case("softmax_crossentropy_backward", inputs, terms=shape[-1])


@of("crossentropy")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in class_shapes(rng):
        for t in class_targets(rng, shape):
            p = rng.uniform(0.1, 1, shape)
            yield Case("crossentropy", [p, t, optional_weights(rng, weighted)], terms=p.size)
    p = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    yield Case("crossentropy", [p, np.array([0, 1], np.int32), None], own_type=True)
    yield Case("crossentropy", [p, np.array([[0.2, 0.3, 0.5], [1, 0, 0]]), None], own_type=True)


@of("crossentropy_backward")
def _(rng: Rng) -> Iterator[Case]:
    def size(p: Any, t: Any, weight: Any, scale: Any) -> Any:
        flat = p.reshape(-1, p.shape[-1])
        total = flat.sum(-1, keepdims=True)
        if t.dtype.kind == "i":
            t = np.eye(flat.shape[1])[t]
        dq = t.reshape(flat.shape) * total / flat
        factor = (
            np.ones(1) if weight is None else np.repeat(weight.ravel(), len(flat) // weight.size)
        )
        slope = (dq + (dq * flat / total).sum(-1, keepdims=True)) / total
        return (slope * factor[:, None] * scale).reshape(p.shape)

    for shape, weighted in class_shapes(rng):
        for t in class_targets(rng, shape):
            p = rng.uniform(0.1, 1, shape)
            inputs = [p, t, optional_weights(rng, weighted), rng.uniform(0.1, 2, 1)]
            yield Case("crossentropy_backward", inputs, terms=shape[-1], magnitude=size)
    p = np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    yield Case("crossentropy_backward", [p, np.array([0, 1], np.int32), None, np.ones(1)],
               own_type=True)  # fmt: skip


@of("weighted_sum")
def _(rng: Rng) -> Iterator[Case]:
    def size(values: Any, weight: Any) -> Any:
        lead = 1 if weight is None else weight.ndim
        rows = np.abs(values).reshape(*values.shape[:lead], -1).sum(-1)
        weight = np.ones(rows.shape) if weight is None else weight
        return np.array([(rows * weight).sum(), weight.sum()])

    for shape, weighted in [*loss_shapes(rng), ((2, 1030), None), ((2, 1030), (2,))]:
        values = normal(rng, *shape)
        inputs = [values, optional_weights(rng, weighted)]
        yield Case("weighted_sum", inputs, terms=values.size, magnitude=size)
    for shape in ((), (5,), (3, 4)):  # computed without rows
        yield Case("weighted_sum", [normal(rng, *shape), None], batched=[False, False], terms=12)


@of("weighted_sum_backward")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        inputs = [normal(rng, *shape), optional_weights(rng, weighted), rng.uniform(0.1, 2, 1)]
        yield Case("weighted_sum_backward", inputs)
    for shape in ((), (5,), (3, 4)):
        inputs = [normal(rng, *shape), None, np.array([0.7])]
        yield Case("weighted_sum_backward", inputs, batched=[False] * 3)


@of("loss_scale")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        attrs = {"factor": float(rng.uniform(0.1, 2))}
        yield Case("loss_scale", [None], attrs, control={"batch_rows": rows + 9})
        yield Case("loss_scale", [rng.choice([0.0, 1.0], rows)], attrs)
        yield Case("loss_scale", [rng.choice([0.0, 1.0], (rows, 3))], attrs)
    yield Case("loss_scale", [np.zeros(5)], {"factor": 0.5})  # all masked: no division by 0
    yield Case("loss_scale", [rng.choice([0.0, 1.0], (3, 1030))], {"factor": 0.5})


@of("top_k_accuracy")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        for t in class_targets(rng, shape):
            for k in (1, 2, 5):
                inputs = [integers(rng, *shape), t, optional_weights(rng, weighted)]
                yield Case("top_k_accuracy", inputs, {"k": k}, terms=shape[0])
    p = np.array([[np.nan, 1.0, 2.0], [3.0, np.nan, 1.0]])
    yield Case("top_k_accuracy", [p, np.array([0, 3], np.int32), None], {"k": 2})
    yield Case("top_k_accuracy", [p, np.array([2, -1], np.int32), None], {"k": 1})


@of("top_k_only")
def _(rng: Rng) -> Iterator[Case]:
    for shape in [*pairs(rng), (4, 3, 7)]:
        for k in (1, 3):
            yield Case("top_k_only", [integers(rng, *shape)], {"k": k}, add=False)


@of("threshold_counts")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        for thresholds in ((0.5,), (0.0, 0.25, 0.5, 1.0), 2, 5, 200):
            # Quarters: many are equal to a threshold, and some lie outside of 0 to 1.
            p = integers(rng, *shape, low=-1, high=7) / 4
            t = integers(rng, *shape, low=0, high=3) / 2
            inputs = [p, t, optional_weights(rng, weighted)]
            yield Case("threshold_counts", inputs, {"thresholds": thresholds}, terms=p.size)
    p = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0, 0.5]])
    for thresholds in ((0.25, 0.5), 5):
        yield Case("threshold_counts", [p, np.ones((1, 6)), None], {"thresholds": thresholds})


@of("class_counts")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        for threshold in (None, 0.5):
            p = integers(rng, *shape, low=-1, high=4) / 4
            t = integers(rng, *shape, low=0, high=3) / 2
            inputs = [p, t, optional_weights(rng, weighted)]
            yield Case("class_counts", inputs, {"threshold": threshold}, terms=p.size)
    zeros = np.zeros((2, 3))
    yield Case("class_counts", [zeros, np.eye(3)[:2], None], {"threshold": None})


@of("r2_sums")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        p, t = normal(rng, *shape), normal(rng, *shape)
        inputs = [p, t, optional_weights(rng, weighted)]
        yield Case("r2_sums", inputs, terms=p.size, magnitude=square_size)


def square_size(p: Any, t: Any, weight: Any) -> Any:
    return registry()["r2_sums"].define(-np.abs(p), np.abs(t), weight)


@of("batch_weights")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        x = normal(rng, rows, 2)
        for function in ("sum", "mean"):
            for weight in (None, weights(rng, rows), weights(rng, rows, 3), np.zeros(rows)):
                yield Case("batch_weights", [x, weight], {"function": function}, add=False)


@of("keep_labels")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        for shape in ((rows,), (rows, 3)):
            for ignored in (-1, 0, 255):
                t = rng.choice(np.array([0, 1, 2, ignored], np.int32), shape)
                yield Case("keep_labels", [t], {"ignored": ignored}, add=False)


@of("one_hot")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        for shape in ((rows,), (rows, 3)):
            t = rng.integers(-1, 6, shape).astype(np.int32)
            yield Case("one_hot", [t], {"classes": 5})


@of("real_labels")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        yield Case("real_labels", [labels(rng, 9, rows) - np.int32(3)])
        yield Case("real_labels", [labels(rng, 9, rows, 2)])


@of("whole_labels")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        yield Case("whole_labels", [integers(rng, rows) + 0.25], add=False)


@of("count")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        x = normal(rng, rows, 2, 3)
        yield Case("count", [x, None])
        yield Case("count", [x, rng.choice([0.0, 1.0], rows)])
        yield Case("count", [x, rng.choice([0.0, 1.0], (rows, 2))])


PENALTIES = ((0.01, 0.0), (0.0, 2.0), (0.3, 0.02))  # l1, l2


@of("l1_l2_penalty")
def _(rng: Rng) -> Iterator[Case]:
    for n, width in pairs(rng):
        for l1, l2 in PENALTIES:
            attrs = {"l1": l1, "l2": l2}
            w, x = normal(rng, n, width), normal(rng, 3, 2)
            yield Case("l1_l2_penalty", [w, x], attrs, [False, True], terms=n * width)
            yield Case("l1_l2_penalty", [w, None], attrs, [True, True], terms=n * width)


@of("l1_l2_gradient")
def _(rng: Rng) -> Iterator[Case]:
    for n, width in pairs(rng):
        for l1, l2 in PENALTIES:
            attrs, control = {"l1": l1, "l2": l2}, {"batch_rows": int(rng.integers(3, 50))}
            w, x = normal(rng, n, width), normal(rng, 3, 2)
            yield Case("l1_l2_gradient", [w, x], attrs, [False, True], control=control)
            yield Case("l1_l2_gradient", [w, None], attrs, [True, True], control=control)


@of("value_penalty")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        for mean in (False, True):
            inputs = [normal(rng), away(rng, rows, 2)]
            yield Case("value_penalty", inputs, {"mean": mean}, [False, True])


@of("value_penalty_gradient")
def _(rng: Rng) -> Iterator[Case]:
    for rows in SIZES:
        control = {"batch_rows": rows + int(rng.integers(5))}
        yield Case("value_penalty_gradient", [away(rng, rows, 2)], {}, [True], control=control)
    yield Case("value_penalty_gradient", [None], {}, [False], control={"batch_rows": 7})


@of("categorical_accuracy")
def _(rng: Rng) -> Iterator[Case]:
    yield from _class_metric(rng, "categorical_accuracy")


@of("confusion_matrix")
def _(rng: Rng) -> Iterator[Case]:
    yield from _class_metric(rng, "confusion_matrix")


def _class_metric(rng: Rng, op: str) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        for t in class_targets(rng, shape):
            # Whole numbers: of equally large predictions the first one counts.
            p = integers(rng, *shape)
            yield Case(op, [p, t, optional_weights(rng, weighted)], terms=shape[0])


@of("binary_accuracy")
def _(rng: Rng) -> Iterator[Case]:
    for shape, weighted in loss_shapes(rng):
        for threshold in (0.5, 0.25):
            p, t = integers(rng, *shape, low=0, high=5) / 4, integers(rng, *shape, low=0, high=2)
            inputs = [p, t, optional_weights(rng, weighted)]
            yield Case("binary_accuracy", inputs, {"threshold": threshold}, terms=shape[0])


# --- optimizers: w, g and slots, no rows ---------------------------------------------------------

LENGTHS = (*SIZES, 1030)


def _update(op: str, arrays: list[Any], hyper: dict[str, Any], **control: Any) -> Iterator[Case]:
    for factor in (1.0, 0.25):
        row = {"rate_factor": factor, "decay": 2.0 - 2 * factor}
        control = {"rate": 0.05, **control}
        yield Case(op, arrays, {**row, **hyper}, [False] * len(arrays), control=control)


@of("sgd")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        yield from _update("sgd", [normal(rng, n), normal(rng, n)], {})


@of("momentum")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        for nesterov in (False, True):
            arrays = [normal(rng, n) for _ in range(3)]
            yield from _update("momentum", arrays, {"momentum": 0.9, "nesterov": nesterov})


@of("rmsprop")
def _(rng: Rng) -> Iterator[Case]:
    hyper = {"rho": 0.9, "epsilon": 1e-7, "momentum": 0.8}
    for n in LENGTHS:
        for centered in (False, True):
            for velocity in (False, True):
                w, g, a, m = (normal(rng, n) for _ in range(4))
                v = a * a + positive(rng, n)  # a mean of squares is above the square of the mean
                arrays = [w, g, v, a if centered else None, m if velocity else None]
                yield from _update("rmsprop", arrays, hyper)


@of("adagrad")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        arrays = [normal(rng, n), normal(rng, n), positive(rng, n)]
        yield from _update("adagrad", arrays, {"epsilon": 1e-7})


@of("adadelta")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        arrays = [normal(rng, n), normal(rng, n), positive(rng, n), positive(rng, n)]
        yield from _update("adadelta", arrays, {"rho": 0.9, "epsilon": 1e-7})


@of("adam")
def _(rng: Rng) -> Iterator[Case]:
    hyper = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    for n in LENGTHS:
        for iteration in (0, 1, 1000, 10**6):
            arrays = [normal(rng, n), normal(rng, n), normal(rng, n), positive(rng, n)]
            for largest in (None, positive(rng, n)):
                yield from _update("adam", [*arrays, largest], hyper, iteration=iteration)
        zeros = [normal(rng, n), normal(rng, n), np.zeros(n), np.zeros(n), None]
        yield from _update("adam", zeros, {**hyper, "beta_1": 0.5})


@of("adamax")
def _(rng: Rng) -> Iterator[Case]:
    hyper = {"beta_1": 0.9, "beta_2": 0.8, "epsilon": 1e-7}
    for n in LENGTHS:
        for iteration in (0, 1, 1000):
            arrays = [normal(rng, n), normal(rng, n), normal(rng, n), positive(rng, n)]
            yield from _update("adamax", arrays, hyper, iteration=iteration)


@of("nadam")
def _(rng: Rng) -> Iterator[Case]:
    hyper = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    for n in LENGTHS:
        for iteration in (0, 1, 7, 300, 10**5):
            arrays = [normal(rng, n), normal(rng, n), normal(rng, n), positive(rng, n)]
            yield from _update("nadam", arrays, hyper, iteration=iteration)
        yield from _update("nadam", arrays, {**hyper, "beta_1": 0.5}, iteration=2)
        yield from _update("nadam", arrays, {**hyper, "beta_1": 0.0}, iteration=2)


@of("lion")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        for zero in (False, True):  # the sign of 0 is 0
            arrays = [normal(rng, n), *(np.zeros(n) if zero else away(rng, n) for _ in range(2))]
            arrays[2] = np.copysign(arrays[2], arrays[1] if n % 2 else -arrays[1])
            yield from _update("lion", arrays, {"beta_1": 0.9, "beta_2": 0.8})


# --- updates beside the optimizer: no rows either ------------------------------------------------


@of("accumulate")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        yield Case(
            "accumulate", [normal(rng, n), normal(rng, n)], {"factor": 1 / 3}, [False, False]
        )


@of("clear")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        yield Case("clear", [normal(rng, n)], batched=[False])


@of("clip")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        for low, high in ((-0.5, 0.75), (0.0, np.inf)):
            w = normal(rng, n)
            w[n // 2] = rng.choice([np.nan, np.inf, -np.inf, 0.1])
            for between, step in ((0, 3), (4, 2), (4, 3)):
                attrs = {"low": low, "high": high, "between": between}
                yield Case("clip", [w], attrs, [False], control={"step": step})


@of("square_sum")
def _(rng: Rng) -> Iterator[Case]:
    for n in (*LENGTHS, 5000):
        for before in (None, np.array([3.5])):
            yield Case("square_sum", [normal(rng, n), before], batched=[False, False], terms=n)


@of("clip_norm")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        for total in (0.0, 3.0, 4.5, 1e6, np.inf, np.nan):
            arrays = [normal(rng, n), np.array([total])]
            yield Case("clip_norm", arrays, {"limit": 2.0}, [False, False])


@of("average")
def _(rng: Rng) -> Iterator[Case]:
    for n in LENGTHS:
        for iteration, overwrite, between, step in (
            (0, 0, 0, 0), (0, 1, 0, 0), (4, 0, 0, 4), (4, 5, 0, 4), (4, 3, 0, 4), (4, 5, 3, 13),
            (4, 5, 3, 14),
        ):  # fmt: skip
            yield Case(
                "average", [normal(rng, n), normal(rng, n)],
                {"momentum": 0.75, "overwrite": overwrite, "between": between}, [False, False],
                control={"iteration": iteration, "step": step},
            )  # fmt: skip


@of("limit_norm")
def _(rng: Rng) -> Iterator[Case]:
    limits = [
        {"low": 0.0, "high": 2.0, "rate": 1.0},
        {"low": 1.0, "high": 1.0, "rate": 1.0},
        {"low": 1.5, "high": 2.5, "rate": 0.25},
    ]
    shapes = [((n,), (0,)) for n in SIZES]
    shapes += [((3, n), (0,)) for n in SIZES] + [((n, 5), (-1,)) for n in SIZES]
    shapes += [((2, 3, 4, 17), (0, 1, 2)), ((2, 3, 4, 5), (1, 2)), ((4, 5), (0, 1))]
    for i, (shape, axes) in enumerate(shapes):
        terms = int(np.prod([shape[a] for a in axes]))
        for w in (normal(rng, *shape), np.zeros(shape)):
            for between, step in ((0, 3), (4, 2), (4, 3)):
                attrs = {"axes": axes, **limits[i % 3], "between": between}
                control = {"step": step}
                yield Case("limit_norm", [w], attrs, [False], terms=terms, control=control)


# --- random numbers ------------------------------------------------------------------------------


def channels(rng: Rng) -> Iterator[tuple[np.ndarray, int]]:
    """Inputs of a normalization with the axis of their channels; means far from 0 among them."""
    for shape in [*pairs(rng), (400, 33)]:
        yield normal(rng, *shape) + rng.choice([0.0, 20.0]), len(shape) - 1
    for shape, axis in (((4, 3, 7), 1), ((4, 3, 17), 2), ((5, 6, 2, 9), 1), ((2, 3, 5, 4), 2)):
        yield normal(rng, *shape) * 3 - 1, axis


def gamma_and_beta(rng: Rng, i: int, *shape: int) -> list[Any]:
    """Both, one of them, or none."""
    return [
        away(rng, *shape) if i % 4 in (0, 1) else None,
        normal(rng, *shape) if i % 4 in (0, 2) else None,
    ]


def _spread(x: np.ndarray, mean: Any, factor: Any) -> Any:
    """The size of what is subtracted in (x - mean) factor."""
    return (np.abs(x) + np.abs(mean)) * np.abs(factor)


@of("batch_norm")
def _(rng: Rng) -> Iterator[Case]:
    for i, (x, axis) in enumerate(channels(rng)):
        n, others = x.shape[axis], tuple(j for j in range(x.ndim) if j != axis)
        gamma, beta = gamma_and_beta(rng, i, n)
        moving = [normal(rng, n), positive(rng, n)]

        def size(x, gamma, beta, mean, variance, others=others, axis=axis):
            at = [1] * x.ndim
            at[axis] = -1
            rstd = 1 / np.sqrt(x.var(axis=others) + 1e-3)
            large = np.abs(x).mean(axis=others)
            factor = (rstd if gamma is None else rstd * gamma).reshape(at)
            y = _spread(x, large.reshape(at), factor)
            y = y + (0 if beta is None else np.abs(beta).reshape(at))
            square = np.square(x).mean(axis=others)
            return y, large, rstd, np.abs(mean) + large, np.abs(variance) + square

        attrs = {"axis": axis, "epsilon": 1e-3, "momentum": 0.9}
        rows = [True, False, False, False, False]
        yield Case("batch_norm", [x, gamma, beta, *moving], attrs, rows, x.size // n, size)


@of("batch_norm_backward")
def _(rng: Rng) -> Iterator[Case]:
    for i, (x, axis) in enumerate(channels(rng)):
        n, others = x.shape[axis], tuple(j for j in range(x.ndim) if j != axis)
        mean, rstd = x.mean(axis=others), 1 / np.sqrt(x.var(axis=others) + 1e-3)
        gamma = gamma_and_beta(rng, i, n)[0]

        def size(dy, x, mean, rstd, gamma, others=others, axis=axis):
            at = [1] * x.ndim
            at[axis] = -1
            far = _spread(x, mean.reshape(at), rstd.reshape(at))
            dgamma, dbeta = (np.abs(dy) * far).sum(axis=others), np.abs(dy).sum(axis=others)
            per = x.size // x.shape[axis]
            dx = np.abs(dy) + (dbeta.reshape(at) + far * dgamma.reshape(at)) / per
            factor = rstd if gamma is None else rstd * np.abs(gamma)
            return dx * factor.reshape(at), dgamma, dbeta

        inputs = [normal(rng, *x.shape), x, mean, rstd, gamma]
        rows = [True, True, False, False, False]
        yield Case("batch_norm_backward", inputs, {"axis": axis}, rows, x.size // n, size)


@of("batch_norm_inference")
def _(rng: Rng) -> Iterator[Case]:
    for i, (x, axis) in enumerate(channels(rng)):
        n = x.shape[axis]

        def size(x, gamma, beta, mean, variance, axis=axis):
            at = [1] * x.ndim
            at[axis] = -1
            factor = (1 if gamma is None else gamma) / np.sqrt(variance + 1e-3)
            y = _spread(x, mean.reshape(at), factor.reshape(at))
            return y + (0 if beta is None else np.abs(beta).reshape(at))

        inputs = [x, *gamma_and_beta(rng, i, n), normal(rng, n), positive(rng, n)]
        rows = [True, False, False, False, False]
        yield Case("batch_norm_inference", inputs, {"axis": axis, "epsilon": 1e-3}, rows,
                   magnitude=size)  # fmt: skip


def row_blocks(rng: Rng) -> Iterator[tuple[np.ndarray, int]]:
    """Inputs of a layer normalization with the number of axes that make a row."""
    for shape in [*pairs(rng), (2, 2100)]:
        yield normal(rng, *shape) + rng.choice([0.0, 20.0]), 1
    for shape, axes in (((4, 3, 7), 1), ((4, 3, 7), 2), ((3, 2, 5, 4), 3)):
        yield normal(rng, *shape) * 3 - 1, axes


def _moments(x: np.ndarray, axes: int) -> tuple[Any, Any]:
    last = tuple(range(x.ndim - axes, x.ndim))
    return x.mean(axis=last), 1 / np.sqrt(x.var(axis=last) + 1e-3)


@of("layer_norm")
def _(rng: Rng) -> Iterator[Case]:
    for i, (x, axes) in enumerate(row_blocks(rng)):
        inner = x.shape[x.ndim - axes :]

        def size(x, gamma, beta, axes=axes):
            at = x.shape[: x.ndim - axes] + (1,) * axes
            large, rstd = _moments(np.abs(x), axes)[0], _moments(x, axes)[1]
            y = _spread(x, large.reshape(at), rstd.reshape(at))
            y = y * (1 if gamma is None else np.abs(gamma)) + (0 if beta is None else np.abs(beta))
            return y, large, rstd

        inputs = [x, *gamma_and_beta(rng, i, *inner)]
        attrs = {"axes": axes, "epsilon": 1e-3}
        yield Case("layer_norm", inputs, attrs, [True, False, False], int(np.prod(inner)), size)


@of("layer_norm_backward")
def _(rng: Rng) -> Iterator[Case]:
    for i, (x, axes) in enumerate(row_blocks(rng)):
        inner = x.shape[x.ndim - axes :]
        gamma = gamma_and_beta(rng, i, *inner)[0]

        def size(dy, x, mean, rstd, gamma, axes=axes):
            at = x.shape[: x.ndim - axes] + (1,) * axes
            last = tuple(range(x.ndim - axes, x.ndim))
            lead = tuple(range(x.ndim - axes))
            far = _spread(x, mean.reshape(at), rstd.reshape(at))
            g = np.abs(dy) * (1 if gamma is None else np.abs(gamma))
            dx = g + g.mean(last, keepdims=True) + far * (g * far).mean(last, keepdims=True)
            return dx * rstd.reshape(at), (np.abs(dy) * far).sum(lead), np.abs(dy).sum(lead)

        inputs = [normal(rng, *x.shape), x, *_moments(x, axes), gamma]
        rows = [True, True, True, True, False]
        yield Case("layer_norm_backward", inputs, {"axes": axes}, rows, x.size, size)


@of("noise")
def _(rng: Rng) -> Iterator[Case]:
    for shape in [*pairs(rng), (4, 3, 7)]:
        for function in ("add", "multiply"):
            own = int(rng.integers(2**62)) if rng.integers(2) else None
            attrs = {"function": function, "stddev": float(rng.uniform(0.1, 2)),
                     "stream": int(rng.integers(1, 50)), "seed": own}  # fmt: skip
            control = {"seed": int(rng.integers(2**62)), "step": int(rng.integers(10**6)),
                       "first_row": int(rng.integers(1000)), "batch_rows": 5000}  # fmt: skip
            yield Case("noise", [away(rng, *shape)], attrs, control=control,
                       magnitude=lambda x: np.abs(x) + 1 + 5 * np.abs(x))  # fmt: skip


@of("dropout")
def _(rng: Rng) -> Iterator[Case]:
    for shape in [*pairs(rng), (4, 3, 7)]:
        for rate in (0.5, 0.1, 0.0):
            own = int(rng.integers(2**62)) if rng.integers(2) else None
            attrs = {"rate": rate, "stream": int(rng.integers(1, 50)), "seed": own}
            control = {"seed": int(rng.integers(2**62)), "step": int(rng.integers(10**6)),
                       "first_row": int(rng.integers(1000)), "batch_rows": 5000}  # fmt: skip
            yield Case("dropout", [away(rng, *shape)], attrs, control=control)
