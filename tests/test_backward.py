"""Backward rules against central differences in float64, on both executors.

Every differentiable op, with all its functions, masks, a single row and odd sizes; then graphs in
which gradients add up, and fusion, which must not change any result. Inputs keep away from kinks.
"""

from functools import partial

import numpy as np
import pytest
from gradient_check import Problem, batch, check_gradients, fixed, parameter
from op_cases import PARAMETERS, away, cases, labels, positive, softmax

from fastnn import ops
from fastnn.backends.reference import ReferenceExecutor
from fastnn.engine import build as compiler
from fastnn.engine.backward import differentiate
from fastnn.engine.build import Program, Section, build
from fastnn.model import Store
from fastnn.ops import ACTIVATIONS, LOSSES, ROW_LOSSES, Graph, Op, Tensor, Variable, emit, registry
from fastnn.ops.elementary import BINARY, REDUCTIONS, UNARY

EXECUTORS = {"reference": ReferenceExecutor}
try:
    from fastnn.backends.native import Default
except ImportError:  # installed without a compiler
    pass
else:
    EXECUTORS["native"] = Default

on_all_executors = pytest.mark.parametrize("executor", EXECUTORS.values(), ids=EXECUTORS)

# --- every differentiable op ---------------------------------------------------------------------
#
# A rule yields (label, function of tensors, inputs); the gradient of each input that is not `fixed`
# is checked, together and alone.

RULES = {}


def rule(op):
    def add(generate):
        RULES[op] = generate
        return generate

    return add


def distinct(rng, *shape):
    """Numbers that are far apart, so that the largest one stays the largest."""
    size = int(np.prod(shape, dtype=int))
    return (rng.permutation(size) - size / 2).reshape(shape) * 0.37


@rule("activation")
def _(rng, rows):
    for name in ACTIVATIONS:
        x = batch(away(rng, rows, 5))
        yield name, lambda x, f=name: emit("activation", x, activation=f), [x]
    for name, parameters in PARAMETERS:
        attrs = {"activation": name, "parameters": parameters}
        x = batch(away(rng, rows, 5))
        yield (name, parameters), partial(emit, "activation", **attrs), [x]


@rule("softmax")
def _(rng, rows):
    for shape in ((rows, 5), (rows, 2, 3), (rows, 1)):
        yield shape, lambda x: emit("softmax", x), [batch(away(rng, *shape))]


@rule("log_softmax")
def _(rng, rows):
    for shape in ((rows, 5), (rows, 2, 3), (rows, 1)):
        yield shape, lambda x: emit("log_softmax", x), [batch(away(rng, *shape))]


COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
FLAT = ("sign", "floor", "round")  # what they choose has a gradient


def chosen_by(function):
    return lambda a, *b: ops.multiply(function(a, *b), a)


@rule("unary")
def _(rng, rows):
    for name in UNARY:
        if name in FLAT:
            yield name, chosen_by(partial(ops.unary, name)), [batch(away(rng, rows, 5))]
            continue
        low = name in ("log", "log1p", "sqrt")
        x = positive(rng, rows, 5) + 0.2 if low else away(rng, rows, 5)
        yield name, lambda x, f=name: ops.unary(f, x), [batch(x)]


@rule("affine")
def _(rng, rows):
    yield "", lambda x: ops.affine(x, -1.5, 0.3), [batch(away(rng, rows, 5))]
    yield "parameter", lambda x: ops.affine(x, 2.0), [parameter(away(rng, 5))]


@rule("binary")
def _(rng, rows):
    for name in BINARY:
        if name in COMPARISONS:  # flat: what they choose has a gradient
            a, b = away(rng, rows, 5), away(rng, rows, 5)
            yield name, chosen_by(partial(ops.binary, name)), [batch(a), fixed(b)]
            continue
        make = partial(ops.binary, name)
        if name == "power":
            yield name, make, [batch(positive(rng, rows, 5)), batch(away(rng, rows, 5))]
            row = parameter(np.array([2.0, -1.5, 0.5, 3, 1]))
            yield f"{name} row", make, [batch(positive(rng, rows, 5)), row]
            whole = fixed(np.array([2.0, 3, -2, -1, 1]), False)
            yield f"{name} of negative ones", make, [batch(away(rng, rows, 5)), whole]
            continue
        a = away(rng, rows, 5)
        b = a * rng.choice([0.7, 1.4], a.shape)  # larger in some places, smaller in others
        yield name, make, [batch(a), batch(b)]
        row = np.array([4.5, -4, 3.5, 5, -5])
        yield f"{name} row", make, [batch(a), parameter(row)]
        yield f"{name} row first", make, [parameter(row), batch(a)]
        yield f"{name} number", make, [batch(a), parameter(np.array(3.7))]
        outer = [distinct(rng, rows, 3, 1) + 0.11, distinct(rng, rows, 1, 5) + 0.23]
        yield f"{name} outer", make, [batch(x) for x in outer]


@rule("binary_number")
def _(rng, rows):
    for name in BINARY:
        for first in (False, True):
            make = partial(ops.binary_number, name, value=1.7, first=first)
            low = name == "power" and not first
            x = positive(rng, rows, 5) if low else away(rng, rows, 5)
            if name in COMPARISONS:
                make = chosen_by(make)
            yield (name, first), make, [batch(x)]


@rule("where")
def _(rng, rows):
    condition = rng.choice([0.0, 1.0], (rows, 5))
    x, y = away(rng, rows, 5), away(rng, rows, 5)
    yield "", ops.where, [fixed(condition), batch(x), batch(y)]
    yield "column", ops.where, [fixed(condition[:, :1]), parameter(away(rng, 5)), batch(y)]
    yield "row", ops.where, [fixed(condition[0], False), batch(x), parameter(away(rng, 1))]


@rule("matmul")
def _(rng, rows):
    a, b = away(rng, rows, 4), away(rng, 4, 5)
    yield "", ops.matmul, [batch(a), parameter(b)]
    yield "b", lambda a, b: ops.matmul(a, b, False, True), [batch(a), parameter(b.T)]
    yield "a", lambda a, b: ops.matmul(a, b, True), [batch(a), batch(away(rng, rows, 5))]
    both = [parameter(away(rng, 3, 4)), parameter(away(rng, 5, 3))]
    yield "a b", lambda a, b: ops.matmul(a, b, True, True), both
    a = away(rng, rows, 2, 4)
    yield "rank 3", ops.matmul, [batch(a), parameter(b)]
    yield "rank 3 b", lambda a, b: ops.matmul(a, b, False, True), [batch(a), parameter(b.T)]
    yield "rank 3 a", lambda a, b: ops.matmul(a, b, True), [batch(a), batch(away(rng, rows, 2, 3))]


@rule("reduce")
def _(rng, rows):
    for name in REDUCTIONS:
        for axes in ((0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)):
            for keep in (False, True):
                make = partial(ops.reduce, name, axes=axes, keepdims=keep)
                yield (name, axes, keep), make, [batch(distinct(rng, rows, 3, 5))]
        x = parameter(distinct(rng, 3, 5))
        yield (name, "parameter"), partial(ops.reduce, name, axes=1), [x]


@rule("reshape")
def _(rng, rows):
    yield "", lambda x: ops.reshape(x, (None, 3, 2)), [batch(away(rng, rows, 6))]
    yield "parameter", lambda x: ops.reshape(x, (2, 3)), [parameter(away(rng, 6))]


@rule("copy")
def _(rng, rows):
    yield "", ops.copy, [batch(away(rng, rows, 5))]


@rule("broadcast")
def _(rng, rows):
    like = fixed(away(rng, rows, 5))
    yield "row", ops.broadcast_to, [parameter(away(rng, 5)), like]
    yield "column", ops.broadcast_to, [batch(away(rng, rows, 1)), like]
    yield "number", ops.broadcast_to, [parameter(away(rng)), like]


@rule("transpose")
def _(rng, rows):
    for axes in ((0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1)):
        yield axes, lambda x, a=axes: ops.transpose(x, a), [batch(away(rng, rows, 2, 3, 4))]
    yield "parameter", lambda x: ops.transpose(x, (1, 0)), [parameter(away(rng, 2, 3))]


@rule("slice")
def _(rng, rows):
    whole = None
    for slices in (
        (whole, (1, 3), whole),
        (whole, (2, 3), (0, 3)),
        (whole, whole, (1, 4)),
        (whole, (1, 3)),
    ):
        yield slices, lambda x, s=slices: ops.slice_(x, s), [batch(away(rng, rows, 3, 4))]
    yield "parameter", lambda x: ops.slice_(x, ((1, 3), None)), [parameter(away(rng, 4, 2))]


@rule("unslice")
def _(rng, rows):
    make = partial(emit, "unslice", slices=(None, (1, 6)), shape=(None, 7))
    yield "", make, [batch(away(rng, rows, 5))]


@rule("concatenate")
def _(rng, rows):
    for axis, shapes in ((1, ((5,), (1,), (2,))), (1, ((2, 3), (1, 3))), (2, ((2, 3), (2, 1)))):
        parts = [batch(away(rng, rows, *shape)) for shape in shapes]
        yield (axis, shapes), lambda *x, a=axis: ops.concatenate(x, a), parts
    parts = [parameter(away(rng, n, 3)) for n in (2, 1)]
    yield "parameters", lambda *x: ops.concatenate(x, 0), parts


@rule("gather")
def _(rng, rows):
    table = parameter(away(rng, 4, 3))
    yield "", ops.gather, [table, fixed(labels(rng, 4, rows))]
    yield "rank 2", ops.gather, [table, fixed(labels(rng, 4, rows, 5))]


def one_layer(activation, parameters=()):
    attrs = {"activation": activation, "parameters": parameters}
    return lambda x, w, b: emit("activation", ops.linear(x, w, b), **attrs)


@rule("linear")
def _(rng, rows):
    x, w, b = batch(away(rng, rows, 5)), parameter(away(rng, 5, 3)), parameter(away(rng, 3))
    yield "", ops.linear, [x, w, b]
    yield "no bias", ops.linear, [x, w]
    yield "rank 3", ops.linear, [batch(away(rng, rows, 2, 5)), w, b]
    yield "one unit", ops.linear, [x, parameter(away(rng, 5, 1)), parameter(away(rng, 1))]
    for name in ACTIVATIONS:
        # Whole numbers times quarters plus b: no pre-activation is within 0.1 of a kink.
        whole = [batch(np.rint(away(rng, rows, 5))), parameter(np.rint(away(rng, 5, 3)) / 4)]
        yield name, one_layer(name), [*whole, parameter(np.array([0.1, -0.1, 0.12]))]
    for name, parameters in PARAMETERS:
        whole = [batch(np.rint(away(rng, rows, 5))), parameter(np.rint(away(rng, 5, 3)) / 4)]
        given = [*whole, parameter(np.array([0.1, -0.1, 0.12]))]
        yield (name, parameters), one_layer(name, parameters), given


def loss(op, **attrs):
    """A function that emits a loss, with weights or without, and returns its sums."""

    def make(p, t, weight=None):
        made = emit(op, p, t, weight, **attrs)
        return made[0] if isinstance(made, tuple) else made

    return make


def weighings(rng, rows):
    """Shapes of a prediction with the weights that go with it, as an input or none."""
    yield (rows, 5), []
    for weight, shape in (((rows,), (rows, 5)), ((rows,), (rows, 2, 3)), ((rows, 2), (rows, 2, 3))):
        values = rng.uniform(0.5, 2, weight)
        values.flat[1:2] = 0  # a masked one
        yield shape, [fixed(values)]


PROBABLE = ("binary_crossentropy", "binary_focal", "categorical_focal", "kl_divergence")
POSITIVE = ("poisson", "squared_logarithmic_error", "percentage_error")


@rule("elementwise_loss")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for name in LOSSES:
            p, t = away(rng, *shape), rng.choice([0.0, 1.0, 0.3], shape)
            if name in PROBABLE:
                p = rng.uniform(0.1, 0.9, shape)
            if name in POSITIVE:
                p, t = rng.uniform(0.5, 2, shape), rng.uniform(0.5, 2, shape)
            if name in ("absolute_error", "huber", "percentage_error"):
                t = p + np.where(rng.random(shape) < 0.5, 1, -1) * rng.uniform(0.1, 0.8, shape)
            if "hinge" in name:  # 1 - t p is at least 0.1 from 0
                t = rng.choice([0.0, 1.0, -1.0], shape)
                p = np.where(np.abs(np.abs(p) - 1) < 0.1, 0.5, p)
            usual = LOSSES[name].parameters
            for parameters in {usual, (0.5, 0.7, 0.2)[: len(usual)]}:
                make = loss("elementwise_loss", function=name, parameters=parameters)
                yield (name, shape, len(weight)), make, [batch(p), fixed(t), *weight]


@rule("row_loss")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for name in ROW_LOSSES:
            p, t = away(rng, *shape), away(rng, *shape)
            if name == "categorical_hinge":  # no two predictions are close, all margins are wide
                steps = np.linspace(0.1, 0.9, shape[-1])
                p = rng.permuted(np.tile(steps, (*shape[:-1], 1)), axis=-1)
                t = np.eye(shape[-1])[labels(rng, shape[-1], *shape[:-1])]
            given = [batch(p), fixed(t), *weight]
            yield (name, shape, len(weight)), loss("row_loss", function=name), given


def class_targets(rng, shape):
    yield "sparse", labels(rng, shape[-1], *shape[:-1])
    yield "dense", softmax(away(rng, *shape))
    yield "sum is not 1", rng.uniform(0.1, 1, shape)


@rule("softmax_crossentropy")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for kind, t in class_targets(rng, shape):
            given = [batch(away(rng, *shape)), fixed(t), *weight]
            yield (kind, shape), loss("softmax_crossentropy"), given


@rule("crossentropy")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for kind, t in class_targets(rng, shape):
            given = [batch(rng.uniform(0.2, 1, shape)), fixed(t), *weight]
            yield (kind, shape), loss("crossentropy"), given


@rule("weighted_sum")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        given = [batch(away(rng, *shape)), *weight]
        yield shape, lambda values, w=None: emit("weighted_sum", values, w), given


@rule("l1_l2_penalty")
def _(rng, rows):
    make = partial(emit, "l1_l2_penalty", l1=0.2, l2=0.3)
    yield "weight", make, [parameter(away(rng, 3, 5)), fixed(away(rng, rows, 2))]


@rule("value_penalty")
def _(rng, rows):
    def make(w, x):
        return emit("value_penalty", ops.reduce("sum", ops.unary("exp", w)), x, mean=False)

    yield "weight", make, [parameter(away(rng, 3, 5)), fixed(away(rng, rows, 2))]


@rule("batch_norm")
def _(rng, rows):
    make = partial(ops.batch_norm, epsilon=1e-3, momentum=0.9)
    for shape, axis in (((rows, 5), 1), ((rows, 3, 4), 1), ((rows, 4, 3), 2)):
        # Not one row by itself: then nothing is left of x, and dx is a rounding error.
        n = shape[axis]
        moving = [fixed(away(rng, n), False), fixed(positive(rng, n), False)]
        gamma, beta = parameter(away(rng, n)), parameter(away(rng, n))
        x = batch(away(rng, *shape))
        yield shape, partial(make, axis=axis), [x, gamma, beta, *moving]
        if axis == 2:
            bare = partial(lambda x, m, v, axis: make(x, None, None, m, v, axis=axis), axis=axis)
            yield "bare", bare, [x, *moving]


@rule("batch_norm_inference")
def _(rng, rows):
    make = partial(ops.batch_norm, epsilon=1e-3)
    for shape, axis in (((rows, 5), 1), ((rows, 3, 4), 1)):
        n = shape[axis]
        given = [batch(away(rng, *shape)), parameter(away(rng, n)), parameter(away(rng, n)),
                 fixed(away(rng, n), False), fixed(positive(rng, n), False)]  # fmt: skip
        yield shape, partial(make, axis=axis), given


@rule("layer_norm")
def _(rng, rows):
    make = partial(ops.layer_norm, epsilon=1e-3)
    for shape, axes in (((rows, 5), 1), ((rows, 3, 4), 1), ((rows, 3, 4), 2)):
        inner = shape[len(shape) - axes :]
        given = [batch(away(rng, *shape)), parameter(away(rng, *inner)),
                 parameter(away(rng, *inner))]  # fmt: skip
        yield (shape, axes), partial(make, axes=axes), given
    bare = partial(lambda x: make(x, None, None, axes=1))
    yield "bare", bare, [batch(away(rng, rows, 6))]


@rule("noise")
def _(rng, rows):
    for function, seed in (("add", 5), ("multiply", 6), ("multiply", None)):
        make = partial(ops.noise, function=function, stddev=0.5, stream=4, seed=seed)
        yield (function, seed), make, [batch(away(rng, rows, 9))]


@rule("dropout")
def _(rng, rows):
    for rate, seed in ((0.5, 5), (0.2, None)):
        make = partial(ops.dropout, rate=rate, stream=4, seed=seed)
        yield (rate, seed), make, [batch(away(rng, rows, 9))]


@pytest.mark.parametrize("rows", [1, 3])
@on_all_executors
@pytest.mark.parametrize("op", RULES)
def test_gradient(op, executor, rows):
    for label, make, given in RULES[op](np.random.default_rng(11), rows):
        problem = check_gradients(
            make, given, executor, label=label, weighted=rows > 1, scaled="penalty" not in op
        )
        assert op in problem.forward  # the op itself was tested, not something in its place


def differentiable():
    return {name for name, op in registry().items() if type(op).backward is not Op.backward}


def test_every_differentiable_op_has_a_rule_here():
    assert set(RULES) == differentiable()


@pytest.mark.parametrize("op", sorted(set(registry()) - differentiable()))
def test_other_ops_say_that_they_have_no_gradient(op):
    node = cases(op)[0].node()
    with pytest.raises(ValueError, match=f"op {op} has no gradient, but .* needs one"):
        node.op.backward(node, [None], [True] * len(node.inputs))


# --- gradients that add up -----------------------------------------------------------------------


def tanh(x):
    return ops.apply_activation("tanh", x)


def three_readers(x, w, b):
    h = tanh(ops.linear(x, w, b))
    return ops.add(ops.add(ops.affine(h, 2.0), ops.unary("square", h)), ops.unary("exp", h))


def residual(x, w, b):
    h = ops.linear(x, w, b)
    return ops.add(ops.add(h, tanh(h)), h)


def parameter_used_twice(x, w, b):
    return ops.linear(tanh(ops.linear(x, w, b)), w, b)


def views_of_one(x, w, b):
    h = ops.linear(x, w, b)
    as_matrix = ops.reshape(h, (None, 2, 2))
    again = ops.reshape(ops.reshape(as_matrix, (None, 4, 1)), (None, 4))
    return ops.multiply(ops.multiply(h, again), ops.reshape(tanh(as_matrix), (None, 4)))


def slices_of_one(x, w, b):
    h = ops.linear(x, w, b)  # as the gates of a recurrent layer
    left, right = ops.slice_(h, (None, (0, 2))), ops.slice_(h, (None, (2, 4)))
    return ops.multiply(tanh(left), ops.add(left, right))


def tied_weights(x, w, b):
    return ops.matmul(tanh(ops.linear(x, w, b)), w, transpose_b=True)


def bias_alone(x, w, b):
    return ops.add(ops.linear(x, w, b), ops.multiply(b, tanh(ops.add(x, b))))


SHARED = {
    "three readers": three_readers,
    "residual": residual,
    "parameter used twice": parameter_used_twice,
    "reshaped views": views_of_one,
    "slices": slices_of_one,
    "tied weights": tied_weights,
    "bias used twice": bias_alone,
    "x + x": lambda x, w, b: ops.add(h := ops.linear(x, w, b), h),
    "x - x / 2": lambda x, w, b: ops.subtract(h := ops.linear(x, w, b), ops.affine(h, 0.5)),
    "x * x": lambda x, w, b: ops.multiply(h := ops.linear(x, w, b), h),
    "x / x": lambda x, w, b: ops.divide(h := ops.linear(x, w, b), h),
    "x beside x": lambda x, w, b: ops.concatenate([h := ops.linear(x, w, b), h]),
    "where": lambda x, w, b: ops.where(ops.binary("greater", x, b), h := ops.linear(x, w, b),
                                       ops.affine(h, -3.0)),
    "Gram matrix": lambda x, w, b: ops.matmul(h := ops.linear(x, w, b), h, transpose_a=True),
    "input and output": lambda x, w, b: ops.multiply(x, ops.linear(x, w, b)),
}  # fmt: skip


@pytest.mark.parametrize("rows", [1, 3])
@on_all_executors
@pytest.mark.parametrize("name", SHARED)
def test_gradients_of_what_is_used_twice_add_up(name, executor, rows):
    rng = np.random.default_rng(5)
    given = [batch(away(rng, rows, 4)), parameter(away(rng, 4, 4) / 2), parameter(away(rng, 4) / 2)]
    problem = check_gradients(SHARED[name], given, executor, label=name, weighted=rows > 1)
    added = [
        buffer
        for step in problem.plan.steps
        for buffer, add in zip(step.outputs, step.add)
        if add and buffer not in problem.plan.accumulators
    ]
    assert added, "no step adds to a gradient: this graph does not test it"


@on_all_executors
def test_tied_embedding(executor):
    """A table that is looked up in and multiplied by: scattered and dense parts in one gradient."""
    rng = np.random.default_rng(6)

    def make(table, w, ids):
        h = tanh(ops.matmul(ops.gather(table, ids), w))
        return ops.matmul(h, table, transpose_b=True)

    given = [parameter(away(rng, 5, 3)), parameter(away(rng, 3, 3)), fixed(labels(rng, 5, 4, 2))]
    check_gradients(make, given, executor)


@on_all_executors
def test_a_loss_and_a_penalty_on_the_same_parameter(executor):
    rng = np.random.default_rng(7)
    x, t = (Tensor((None, n), "real", name, "feed") for n, name in ((3, "x"), (2, "t")))
    w = Variable(away(rng, 3, 2), "w")
    graph = Graph()
    with graph:
        y = ops.matmul(x, w)
        error = emit("elementwise_loss", y, t, None, function="squared_error")
        scale = emit("loss_scale", None, factor=1.0)
        penalty = emit("l1_l2_penalty", w, x, l1=0.2, l2=0.1)
        second = emit("l1_l2_penalty", w, x, l1=0.0, l2=0.03)
    section = Section(graph, [(error, scale), (penalty, None), (second, None)], [w])
    program = Program("train", [section], [x, t], [], [error, penalty, second])
    store = Store([w], "float64")
    run = executor(build(program, store.layout, 5), store.block)
    run.gradient[:] = np.nan
    xs, ts = away(rng, 4, 3), away(rng, 4, 2)
    run.gradients([xs, ts])
    value = w.numpy()
    expected = xs.T @ (2 * (xs @ value - ts)) / 4 + 0.2 * np.sign(value) + 0.26 * value
    np.testing.assert_allclose(run.gradient[:6].reshape(3, 2), expected, rtol=1e-13)


@on_all_executors
def test_gradient_of_an_input_that_no_loss_depends_on_is_zero(executor):
    rng = np.random.default_rng(8)
    x, w = away(rng, 3, 2), away(rng, 2)
    given = [batch(x), batch(np.full((3, 2), np.inf)), parameter(w), parameter(away(rng, 3))]
    problem = Problem(lambda x, other, w, unused: ops.multiply(x, w), given, executor)
    found = problem.gradients()
    assert (found[1] == 0).all() and (found[3] == 0).all()
    assert (found[0] != 0).all() and (found[2] != 0).all()


def test_only_what_somebody_needs_is_differentiated():
    graph, x = Graph(), Tensor((None, 3), name="x", storage="feed")
    below, above = Variable(np.ones((3, 4)), "below"), Variable(np.ones((4, 2)), "above")
    with graph:
        y = ops.linear(tanh(ops.linear(x, below)), above)
        total = emit("weighted_sum", y, None)
        scale = emit("loss_scale", None, factor=1.0)
    forward = len(graph.nodes)
    differentiate(graph, [(total, scale)], [above])
    assert [n.op.name for n in graph.nodes[forward:]] == ["weighted_sum_backward", "matmul"]


# --- fusion: fewer steps, the same results --------------------------------------------------------


def two_layers(activation):
    def make(x, w, b, v, c):
        h = ops.apply_activation(activation, ops.linear(x, w, b))
        return ops.apply_activation(activation, ops.linear(h, v, c))

    return make


def solve(make, given, executor, monkeypatch, fused):
    """Names of the steps, the loss and the gradients, with or without fusion."""
    with monkeypatch.context() as patch:
        if not fused:
            patch.setattr(compiler, "fuse", lambda graph, keep: None)
        problem = Problem(make, given, executor)
        gradients = problem.gradients()
    return [step.name for step in problem.plan.steps], [problem.loss(), *gradients.values()]


@on_all_executors
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(activation, executor, monkeypatch):
    rng = np.random.default_rng(9)
    given = [parameter(away(rng, *shape)) for shape in ((7, 17), (17,), (17, 9), (9,))]
    given.insert(0, batch(away(rng, 5, 7)))
    make = two_layers(activation)
    fused, results = solve(make, given, executor, monkeypatch, True)
    plain, expected = solve(make, given, executor, monkeypatch, False)
    if activation == "linear":
        assert fused == plain
    elif ACTIVATIONS[activation].saves == "output":
        assert fused.count(f"linear {activation}") == 2
        assert f"linear_dx {activation}" in fused
        assert f"activation {activation}" not in fused
        assert len(fused) == len(plain) - 3  # the last activation_backward has no product before it
    else:  # its derivative needs what a fused product would not keep
        assert fused.count(f"activation {activation}") == 2 and "linear" in fused
        assert f"linear_dx {activation}" in fused
    tolerance = 0 if executor is ReferenceExecutor else 1e-13
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@on_all_executors
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"linear"}))
def test_every_activation_is_fused_in_prediction(activation, executor):
    rng = np.random.default_rng(10)
    x, w, b = (
        Tensor((None, 7), "real", "x", "feed"),
        *map(Variable, (away(rng, 7, 17), away(rng, 17))),
    )
    graph = Graph()
    with graph:
        y = ops.apply_activation(activation, ops.linear(x, w, b))
    store = Store([w, b], "float64")
    plan = build(Program("predict", [Section(graph)], [x], [y]), store.layout, 5)
    assert [step.name for step in plan.steps] == [f"linear {activation}"]
    data, result = away(rng, 5, 7), np.empty((5, 17))
    executor(plan, store.block).predict([data], 5, [result])
    expected = ACTIVATIONS[activation].formula(data @ w.value + b.value)
    np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


@on_all_executors
def test_what_others_read_is_not_fused_away(executor):
    """The product is read by its activation and by the sum: it must stay."""
    rng = np.random.default_rng(11)

    def make(x, w, b):
        h = ops.linear(x, w, b)
        return ops.add(tanh(h), h)

    given = [batch(away(rng, 3, 4)), parameter(away(rng, 4, 5)), parameter(away(rng, 5))]
    steps = [step.name for step in check_gradients(make, given, executor).plan.steps]
    assert "linear" in steps and "activation tanh" in steps


@on_all_executors
def test_softmax_and_its_crossentropy_share_a_step(executor, monkeypatch):
    rng = np.random.default_rng(12)
    x, t = Tensor((None, 4), "real", "x", "feed"), Tensor((None,), "int32", "t", "feed")
    w = Variable(away(rng, 4, 6), "w")
    data, target = away(rng, 5, 4), labels(rng, 6, 5)
    results = []
    for fused in (True, False):
        graph = Graph()
        with graph, monkeypatch.context() as patch:
            if not fused:
                patch.setattr(compiler, "fuse", lambda graph, keep: None)
            z = ops.matmul(x, w)
            p = ops.apply_activation("softmax", z)
            error, _ = emit("softmax_crossentropy", z, t, None)
            right = emit("categorical_accuracy", p, t, None)
            scale = emit("loss_scale", None, factor=1.0)
            section = Section(graph, [(error, scale)], [w])
            program = Program("train", [section], [x, t], [p], [error, right])
            store = Store([w], "float64")
            plan = build(program, store.layout, 5)
        names = [step.name for step in plan.steps]
        assert names.count("softmax") == (not fused)
        assert names.count("softmax_crossentropy") == 1
        run = executor(plan, store.block)
        sums = run.gradients([data, target])
        results.append([sums, run.gradient.copy(), run.view(plan.outputs[0]).copy()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
