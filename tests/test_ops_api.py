"""`fastnn.ops`, the functions for one's own layers: NumPy's numbers at once, and inside a model.

Each public function has a row in `CALLS`: what it is called with, and the same in plain NumPy. It
is tried on arrays, on the tensors of a model on each executor, and its gradient by differences.
"""

import math

import numpy as np
import pytest
from gradient_check import batch, check_gradients
from test_backward import on_all_executors

from fastnn import Sequential, activations, backends, config, ops
from fastnn.engine.build import Program, Section, build
from fastnn.layers import Dense, Layer
from fastnn.model import Store
from fastnn.ops import Graph, Tensor

ROWS = 3
RNG = np.random.default_rng(8)


def away(*shape):
    """Numbers of both signs, away from 0 and from each other."""
    size = math.prod(shape)
    values = np.linspace(0.13, 2.87, size) * np.where(np.arange(size) % 2, 1, -1)
    return RNG.permutation(values).reshape(shape)


X = away(ROWS, 4)
Y = away(ROWS, 4)[::-1].copy()
P = np.abs(away(ROWS, 4)) + 0.2
T = away(ROWS, 2, 6)
W = away(4, 5)


def np_softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def real(condition):
    return np.asarray(condition, float)


np_erf = np.vectorize(math.erf)

# name: list of (call, the same in NumPy, inputs). A call is given tensors or arrays.
CALLS = {
    "abs": [(ops.abs, np.abs, [X])],
    "absolute": [(ops.absolute, np.abs, [X])],
    "exp": [(ops.exp, np.exp, [X])],
    "expm1": [(ops.expm1, np.expm1, [X])],
    "log": [(ops.log, np.log, [P])],
    "log1p": [(ops.log1p, np.log1p, [P])],
    "sqrt": [(ops.sqrt, np.sqrt, [P])],
    "rsqrt": [(ops.rsqrt, lambda x: 1 / np.sqrt(x), [P])],
    "square": [(ops.square, np.square, [X])],
    "negative": [(ops.negative, np.negative, [X])],
    "sign": [(ops.sign, np.sign, [X])],
    "reciprocal": [(ops.reciprocal, np.reciprocal, [X])],
    "sin": [(ops.sin, np.sin, [X])],
    "cos": [(ops.cos, np.cos, [X])],
    "erf": [(ops.erf, np_erf, [X])],
    "floor": [(ops.floor, np.floor, [X])],
    "round": [
        (ops.round, np.round, [X]),
        (lambda x: ops.round(x, 1), lambda x: np.round(x, 1), [X]),
    ],
    "add": [
        (ops.add, np.add, [X, Y]),
        (lambda x: ops.add(x, 2), lambda x: x + 2, [X]),
        (lambda x: ops.add(2, x), lambda x: 2 + x, [X]),
    ],
    "subtract": [
        (ops.subtract, np.subtract, [X, Y]),
        (lambda x: ops.subtract(x, 2), lambda x: x - 2, [X]),
        (lambda x: ops.subtract(2, x), lambda x: 2 - x, [X]),
    ],
    "multiply": [
        (ops.multiply, np.multiply, [X, Y]),
        (lambda x: ops.multiply(x, np.float32(2)), lambda x: x * 2, [X]),
        (lambda x: ops.multiply(2, x), lambda x: 2 * x, [X]),
    ],
    "divide": [
        (ops.divide, np.divide, [X, Y]),
        (lambda x: ops.divide(x, 3), lambda x: x / 3, [X]),
        (lambda x: ops.divide(3, x), lambda x: 3 / x, [X]),
    ],
    "power": [
        (ops.power, np.power, [P, Y]),
        *((lambda x, p=p: ops.power(x, p), lambda x, p=p: np.power(x, float(p)), [v])
          for p, v in ((2, X), (3, X), (-1, X), (0.5, P), (1.7, P), (0, P))),
        (lambda x: ops.power(2.0, x), lambda x: np.power(2.0, x), [X]),
    ],
    "maximum": [
        (ops.maximum, np.maximum, [X, Y]),
        (lambda x: ops.maximum(x, 0.5), lambda x: np.maximum(x, 0.5), [X]),
        (lambda x: ops.maximum(0.5, x), lambda x: np.maximum(0.5, x), [X]),
    ],
    "minimum": [
        (ops.minimum, np.minimum, [X, Y]),
        (lambda x: ops.minimum(x, 0.5), lambda x: np.minimum(x, 0.5), [X]),
    ],
    "clip": [(lambda x: ops.clip(x, -0.5, 1.0), lambda x: np.clip(x, -0.5, 1), [X])],
    "equal": [(ops.equal, lambda a, b: real(a == b), [np.sign(X), np.sign(Y)])],
    "not_equal": [(ops.not_equal, lambda a, b: real(a != b), [np.sign(X), np.sign(Y)])],
    "greater": [
        (ops.greater, lambda a, b: real(a > b), [X, Y]),
        (lambda x: ops.greater(x, 0.5), lambda x: real(x > 0.5), [X]),
        (lambda x: ops.greater(0.5, x), lambda x: real(x < 0.5), [X]),
    ],
    "greater_equal": [(ops.greater_equal, lambda a, b: real(a >= b), [np.sign(X), np.sign(Y)])],
    "less": [(ops.less, lambda a, b: real(a < b), [X, Y])],
    "less_equal": [(ops.less_equal, lambda a, b: real(a <= b), [np.sign(X), np.sign(Y)])],
    "logical_not": [(ops.logical_not, lambda x: real(x == 0), [np.maximum(X, 0)])],
    "logical_and": [
        (ops.logical_and, lambda a, b: real(np.logical_and(a, b)),
         [np.maximum(X, 0), np.maximum(Y, 0)]),
    ],
    "logical_or": [
        (ops.logical_or, lambda a, b: real(np.logical_or(a, b)),
         [np.maximum(X, 0), np.maximum(Y, 0)]),
    ],
    "where": [
        (lambda x, y: ops.where(ops.greater(x, y), x, y), np.maximum, [X, Y]),
        (lambda x: ops.where(ops.greater(x, 0), x, -1.5), lambda x: np.where(x > 0, x, -1.5), [X]),
        (lambda x: ops.where(ops.greater(x, 0), 0, x), lambda x: np.where(x > 0, 0, x), [X]),
        (lambda x: ops.where(ops.greater(x, 0), 2, 3), lambda x: np.where(x > 0, 2.0, 3.0), [X]),
    ],
    "matmul": [],
    "dot": [],
    "sum": [(lambda x, a=a, k=k: ops.sum(x, a, k),
             lambda x, a=a, k=k: np.sum(x, a, keepdims=k), [T])
            for a, k in ((1, False), (-1, True), ((1, 2), False), ((2, 1), True))],
    "mean": [(lambda x, k=k: ops.mean(x, -1, k), lambda x, k=k: np.mean(x, -1, keepdims=k), [T])
             for k in (False, True)],
    "max": [(lambda x: ops.max(x, axis=1), lambda x: np.max(x, axis=1), [T])],
    "min": [(lambda x: ops.min(x, axis=1), lambda x: np.min(x, axis=1), [T]),
            (lambda x: ops.min(x, axis=(1, 2), keepdims=True),
             lambda x: np.min(x, axis=(1, 2), keepdims=True), [T])],
    "prod": [(lambda x: ops.prod(x, axis=2), lambda x: np.prod(x, axis=2), [T]),
             (lambda x: ops.prod(x[:, :, :5], axis=(1, 2), keepdims=True),
              lambda x: np.prod(x[:, :, :5], axis=(1, 2), keepdims=True), [T]),
             (lambda x: ops.prod(x[:, :, :3], 2), lambda x: np.prod(x[:, :, :3], 2), [T])],
    "var": [(lambda x: ops.var(x, axis=-1), lambda x: np.var(x, axis=-1), [T]),
            (lambda x: ops.var(x, axis=(1, 2), keepdims=True),
             lambda x: np.var(x, axis=(1, 2), keepdims=True), [T])],
    "std": [(lambda x: ops.std(x, axis=1, keepdims=True),
             lambda x: np.std(x, axis=1, keepdims=True), [T])],
    "norm": [(lambda x, o=o: ops.norm(x, o, axis=-1), lambda x, o=o: np.linalg.norm(x, o, axis=-1),
              [T]) for o in (None, 1, 2, math.inf)],
    "logsumexp": [(lambda x, k=k: ops.logsumexp(x, 2, k),
                   lambda x, k=k: np.log(np.sum(np.exp(x), 2, keepdims=k)), [T])
                  for k in (False, True)],
    "shape": [],
    "reshape": [(lambda x: ops.reshape(x, (-1, 3, 4)), lambda x: x.reshape(-1, 3, 4), [T]),
                (lambda x: ops.reshape(x, (None, 12)), lambda x: x.reshape(-1, 12), [T])],
    "transpose": [(lambda x: ops.transpose(x, (0, 2, 1)), lambda x: x.transpose(0, 2, 1), [T])],
    "expand_dims": [(lambda x, a=a: ops.expand_dims(x, a), lambda x, a=a: np.expand_dims(x, a), [T])
                    for a in (1, 3, -1, -2)],
    "squeeze": [(lambda x: ops.squeeze(x), np.squeeze, [T[:, :1]]),
                (lambda x: ops.squeeze(x, -1), lambda x: np.squeeze(x, -1), [T[:, :, :1]])],
    "concatenate": [(lambda *x: ops.concatenate(x), lambda *x: np.concatenate(x, -1), [X, Y]),
                    (lambda *x: ops.concatenate(x, axis=1), lambda *x: np.concatenate(x, 1),
                     [T, T[:, :1]])],
    "stack": [(lambda *x, a=a: ops.stack(x, a), lambda *x, a=a: np.stack(x, a), [X, Y])
              for a in (1, 2, -1)],
    "split": [(lambda x: ops.split(x, 3, axis=2)[1], lambda x: np.split(x, 3, 2)[1], [T]),
              (lambda x: ops.split(x, [1, 4], axis=-1)[2],
               lambda x: np.split(x, [1, 4], -1)[2], [T])],
    "take": [(lambda x: ops.take(x, [3, 0, 0, -1], axis=1), lambda x: np.take(x, [3, 0, 0, -1], 1),
              [X]),
             (lambda x: ops.take(x, 2, axis=-1), lambda x: np.take(x, 2, -1), [X])],
    "full_like": [(lambda x: ops.full_like(x, 2.5), lambda x: np.full_like(x, 2.5), [X])],
    "zeros_like": [(ops.zeros_like, np.zeros_like, [X])],
    "ones_like": [(ops.ones_like, np.ones_like, [X])],
    "one_hot": [],
    "cast": [],
    "softmax": [(lambda x, a=a: ops.softmax(x, axis=a), lambda x, a=a: np_softmax(x, a), [T])
                for a in (-1, 1)],
    "log_softmax": [(lambda x, a=a: ops.log_softmax(x, axis=a),
                     lambda x, a=a: np.log(np_softmax(x, a)), [T]) for a in (-1, 1)],
    "leaky_relu": [(lambda x: ops.leaky_relu(x, 0.3), lambda x: np.where(x < 0, 0.3 * x, x), [X])],
    "relu": [(ops.relu, lambda x: np.maximum(x, 0), [X])],
    "elu": [(lambda x: ops.elu(x, 0.5), lambda x: np.where(x < 0, 0.5 * np.expm1(x), x), [X])],
    "gelu": [(ops.gelu, lambda x: x * (1 + np_erf(x / math.sqrt(2))) / 2, [X])],
    "relu6": [(ops.relu6, lambda x: np.clip(x, 0, 6), [X])],
    "selu": [(ops.selu, lambda x: 1.0507009873554805
              * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x), [X])],
    "sigmoid": [(ops.sigmoid, lambda x: 1 / (1 + np.exp(-x)), [X])],
    "silu": [(ops.silu, lambda x: x / (1 + np.exp(-x)), [X])],
    "swish": [(ops.swish, lambda x: x / (1 + np.exp(-x)), [X])],
    "softplus": [(ops.softplus, lambda x: np.log1p(np.exp(x)), [X])],
    "softsign": [(ops.softsign, lambda x: x / (1 + np.abs(x)), [X])],
    "hard_sigmoid": [(ops.hard_sigmoid, lambda x: np.clip(x + 3, 0, 6) / 6, [X])],
    "hard_tanh": [(ops.hard_tanh, lambda x: np.clip(x, -1, 1), [X])],
    "log_sigmoid": [(ops.log_sigmoid, lambda x: -np.log1p(np.exp(-x)), [X])],
    "mish": [(ops.mish, lambda x: x * np.tanh(np.log1p(np.exp(x))), [X])],
    "tanh": [(ops.tanh, np.tanh, [X])],
    "operators": [
        (lambda x, y: 2 * x + y / 3 - x * y + (1 - x) / 4, None, [X, Y]),
        (lambda x, y: -x**2 + abs(y) ** 1.5 + 1 / x, None, [X, Y]),
        (lambda x, y: (x > y) * x + (x <= 0.5) * y, lambda x, y: (x > y) * x + (x <= 0.5) * y,
         [X, Y]),
        (lambda x, y: (x < y) * x + (0.5 >= y) * y, lambda x, y: (x < y) * x + (0.5 >= y) * y,
         [X, Y]),
        (lambda x: 2.0**x, None, [X]),
        (lambda x: x[:, 0, 2:5] + x[:, -1, :3] * x[..., 1:2, 1], None, [T]),
    ],
}  # fmt: skip
ROWS_OF_CALLS = [
    pytest.param(call, plain, inputs, id=f"{name}-{i}")
    for name, calls in CALLS.items()
    for i, (call, plain, inputs) in enumerate(calls)
]
# Tried where both are equal, which is where they jump: no place for differences.
JUMPING = {
    "equal", "not_equal", "greater_equal", "less_equal", "logical_and", "logical_or", "logical_not",
}  # fmt: skip
SMOOTH = [row for row in ROWS_OF_CALLS if row.id.rpartition("-")[0] not in JUMPING]
TRIED_BELOW = {"matmul", "dot", "one_hot", "cast", "shape"}


def test_every_public_function_is_tried():
    assert set(CALLS) - {"operators"} == set(ops.PUBLIC)
    assert {name for name, calls in CALLS.items() if not calls} == TRIED_BELOW
    for name in ops.PUBLIC:
        assert getattr(ops, name).__doc__, name
        assert name in ops.__all__


@pytest.mark.parametrize(("call", "plain", "inputs"), ROWS_OF_CALLS)
def test_at_once_on_arrays(call, plain, inputs):
    expected = (plain or call)(*inputs)
    made = call(*inputs)
    assert isinstance(made, (np.ndarray, np.floating))
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-14)


def run_on(executor, call, inputs):
    """What a model's tensors become on an executor, in float64."""
    graph = Graph()
    feeds = [
        Tensor((None, *a.shape[1:]), "real" if a.dtype.kind == "f" else "int32", f"x{i}", "feed")
        for i, a in enumerate(inputs)
    ]
    with graph:
        y = ops.copy(call(*feeds))
    store = Store([], "float64")
    plan = build(Program("predict", [Section(graph)], feeds, [y]), store.layout, 5)
    out = np.empty((len(inputs[0]), *y.shape[1:]))
    executor(plan, store.block).predict([np.ascontiguousarray(a) for a in inputs], len(out), [out])
    return out


@on_all_executors
@pytest.mark.parametrize(("call", "plain", "inputs"), ROWS_OF_CALLS)
def test_on_the_tensors_of_a_model(call, plain, inputs, executor):
    expected = (plain or call)(*inputs)
    made = run_on(executor, call, inputs)
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-14)


@on_all_executors
@pytest.mark.parametrize(("call", "plain", "inputs"), SMOOTH)
def test_gradient(call, plain, inputs, executor):
    # What is flat gives no gradient by itself: the first input times it has one.
    def made(*tensors):
        y = call(*tensors)
        return y if y.shape != tensors[0].shape else y * tensors[0]

    check_gradients(made, [batch(a) for a in inputs], executor)


# --- what needs a weight, or ids ------------------------------------------------------------------


@pytest.fixture
def float64():
    before = config.floatx()
    config.set_floatx("float64")
    yield
    config.set_floatx(before)


def test_products_at_once():
    np.testing.assert_array_equal(ops.matmul(X, W), X @ W)
    np.testing.assert_array_equal(ops.matmul(X, X, transpose_b=True), X @ X.T)
    np.testing.assert_array_equal(ops.dot(X, W), X @ W)
    np.testing.assert_array_equal(ops.dot([1.0, 2.0], [3.0, 4.0]), 11.0)


class Attention(Layer):
    """A layer of one's own with a weight, operators and a reduction."""

    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], 5), name="w")
        self.scale = self.add_weight((5,), "ones", name="scale")

    def call(self, inputs):
        z = inputs @ self.w * self.scale[:5]
        gate = ops.softmax(z) / (1 + ops.sum(ops.square(self.w)))
        return ops.mean(gate * z, axis=-1, keepdims=True) - ops.dot(inputs, self.w)[:, 1:2] ** 2


def attention(x, w):
    z = x @ w
    return (np_softmax(z) / (1 + (w**2).sum()) * z).mean(-1, keepdims=True) - (x @ w)[:, 1:2] ** 2


@pytest.mark.parametrize("backend", backends.available())
def test_a_layer_of_ones_own_is_trained_by_its_gradient(backend, float64):
    layer = Attention(input_shape=(4,))
    model = Sequential([layer])
    model.compile("sgd", "mse", backend=backend)
    w = layer.w.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), attention(X, w), rtol=1e-12)
    target = away(ROWS, 1)
    model.fit(X, target, batch_size=ROWS, verbose=0)
    for index in np.ndindex(w.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = w.copy()
            moved[index] += step
            ends.append(((attention(X, moved) - target) ** 2).mean())
        slope = (ends[0] - ends[1]) / 2e-5
        assert layer.w.value[index] == pytest.approx(w[index] - 0.01 * slope, rel=1e-8)


@on_all_executors
def test_one_hot(executor):
    ids = np.array([[2, 0], [1, 5], [-1, 3]], np.int32)
    expected = np.eye(7)[ids][..., :4]
    expected[2, 0] = expected[1, 1] = 0  # -1 and 5 name no class
    np.testing.assert_array_equal(ops.one_hot(ids, 4), expected)
    np.testing.assert_array_equal(run_on(executor, lambda t: ops.one_hot(t, 4), [ids]), expected)
    with pytest.raises(ValueError, match="the new axis can only be the last one, got axis=0"):
        ops.one_hot(ids, 4, axis=0)


def test_types_and_shapes():
    assert ops.cast(X, "float32").dtype == np.float32
    assert ops.cast([1.7, 2.2], "int32").tolist() == [1, 2]
    assert ops.shape(X) == (3, 4) and ops.shape(Tensor((None, 2))) == (None, 2)
    with Graph() as graph:
        x = Tensor((None, 4), "real", "x", "feed")
        assert ops.cast(x, "float64") is x
        with pytest.raises(ValueError, match=r"cast: x\(rows, 4\) \(real\) cannot become int32"):
            ops.cast(x, "int32")
    assert graph.nodes == []


@on_all_executors
def test_ids_become_real_numbers(executor):
    ids = np.array([[3, -1], [0, 7]], np.int32)
    made = run_on(executor, lambda t: ops.cast(t, "float32") / 2, [ids])
    np.testing.assert_array_equal(made, ids / 2)


@on_all_executors
def test_the_gradient_of_a_power_of_0_is_0(executor):
    check_gradients(lambda x: x**0 + x**3 + x**2, [batch(np.array([[0.0, -1.5]]))], executor)


def test_variables_are_values_until_a_model_is_traced():
    layer = Dense(2, input_shape=(3,))
    Sequential([layer])
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(layer.kernel * 2 + 1, kernel * 2 + 1)
    np.testing.assert_array_equal(layer.kernel[0], kernel[0])
    np.testing.assert_array_equal(1 - layer.kernel, 1 - kernel)
    np.testing.assert_array_equal(kernel @ layer.kernel[:2], kernel @ kernel[:2])
    np.testing.assert_array_equal(ops.relu(layer.kernel), np.maximum(kernel, 0))
    with Graph():
        assert isinstance(layer.kernel * 2, Tensor)
        assert layer.kernel[:, 0].shape == (3,)


def test_activations_are_the_same_functions():
    for name in ("relu", "gelu", "softmax", "swish"):
        assert getattr(ops, name) is getattr(activations, name)


# --- what cannot be right -------------------------------------------------------------------------


def tensor(*shape):
    return Tensor((None, *shape), "real", "x", "feed")


MISTAKES = {
    "an array": (lambda x: x + np.ones(4), TypeError,
                 r"add: an array of shape \(4,\) stands beside a symbolic tensor, .*add_weight"),
    "an array first": (lambda x: np.ones(4) * x, TypeError, "multiply: an array of shape"),
    "a list": (lambda x: ops.maximum(x, [1, 2, 3, 4]), TypeError, "maximum: an array of shape"),
    "a string": (lambda x: x + "a", TypeError, "add takes tensors, arrays and numbers, got 'a'"),
    "if": (lambda x: 1 if x > 0 else 2, TypeError, "has no value yet, so no `if` can ask for it"),
    "a loop": (lambda x: [row for row in x], TypeError, "cannot be looped over"),
    "rows": (lambda x: x[0], IndexError, r"the rows of x\(rows, 4\) are only there as a whole"),
    "a step": (lambda x: x[:, ::2], IndexError, "whole numbers, and slices without a step, are"),
    "too far": (lambda x: x[:, 4], IndexError, "index 4 is out of range for axis 1 of x"),
    "too many": (lambda x: x[:, 0, 0], IndexError, "has 2 axes, but 3 are indexed"),
    "an axis": (lambda x: ops.sum(x, axis=2), ValueError, "sum: axis 2 is out of range for 2 axes"),
    "half an axis": (lambda x: ops.sum(x, axis=0.5), TypeError, "sum: axis must be an integer"),
    "stacked rows": (lambda x: ops.stack([x, x]), ValueError, "expand_dims: the rows of x"),
    "concatenated rows": (lambda x: ops.concatenate([x, x], 0), ValueError,
                          "concatenate: axis 0 of x.* is the rows of the batch"),
    "transposed rows": (lambda x: ops.transpose(x), ValueError, "the rows of x.* must stay"),
    "not each axis": (lambda x: ops.transpose(x, (0, 0)), ValueError, "does not name each axis"),
    "unequal parts": (lambda x: ops.split(x, 3, 1), ValueError, "cannot be split into 3 equal"),
    "another size": (lambda x: ops.reshape(x, (-1, 3)), ValueError, "reshape: x.* cannot become"),
    "not 1": (lambda x: ops.squeeze(x, 1), ValueError, "squeeze: axis 1 of x.* has not length 1"),
    "a batch of matrices": (lambda x: ops.expand_dims(x, 1) @ ops.expand_dims(x, 2), ValueError,
                            "must be one matrix"),
    "a norm": (lambda x: ops.norm(x, 3), ValueError, "norm: ord must be None, 1, 2 or inf, got 3"),
    "ids": (lambda x: ops.one_hot(x, 3), TypeError, "holds real numbers, expected whole ones"),
    "no axis": (lambda x: ops.take(x, [0]), ValueError, "take: give the axis"),
    "half an index": (lambda x: ops.take(x, [0.5], 1), TypeError, "indices must be whole numbers"),
    "far index": (lambda x: ops.take(x, [4], 1), IndexError, "take: index 4 is out of range"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_right(mistake):
    call, error, message = MISTAKES[mistake]
    with Graph(), pytest.raises(error, match=message):
        call(tensor(4))


def test_outside_of_tracing_a_symbolic_tensor_is_refused(monkeypatch):
    from fastnn.ops import contract

    monkeypatch.setattr(contract, "outside", None)
    with pytest.raises(RuntimeError, match="ops on symbolic tensors work only while a model"):
        ops.exp(tensor(4))
