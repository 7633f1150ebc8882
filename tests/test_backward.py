"""Backward rules against central differences in float64, on both executors.

Every differentiable op, with all its functions, masks, a single row and odd sizes; then graphs in
which gradients add up, and fusion, which must not change any result. Inputs keep away from kinks.
"""

import numpy as np
import pytest
from gradient_check import Problem, batch, check_gradients, fixed, parameter
from op_cases import CASES, away, cases, labels, positive, softmax

from fastnn import ops
from fastnn.backends.reference import ReferenceExecutor
from fastnn.engine import build as compiler
from fastnn.engine.backward import differentiate
from fastnn.engine.build import Program, Section, build
from fastnn.model import Store
from fastnn.ops import ACTIVATIONS, LOSSES, Graph, Op, Tensor, Variable, emit, registry
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


@rule("softmax")
def _(rng, rows):
    for shape in ((rows, 5), (rows, 2, 3), (rows, 1)):
        yield shape, lambda x: emit("softmax", x), [batch(away(rng, *shape))]


@rule("unary")
def _(rng, rows):
    for name in UNARY:
        x = positive(rng, rows, 5) + 0.2 if name in ("log", "sqrt") else away(rng, rows, 5)
        yield name, lambda x, f=name: ops.unary(f, x), [batch(x)]


@rule("affine")
def _(rng, rows):
    yield "", lambda x: ops.affine(x, -1.5, 0.3), [batch(away(rng, rows, 5))]
    yield "parameter", lambda x: ops.affine(x, 2.0), [parameter(away(rng, 5))]


@rule("binary")
def _(rng, rows):
    for name in BINARY:
        if name in ("greater", "less", "equal"):  # flat: what they choose has a gradient
            a, b = away(rng, rows, 5), away(rng, rows, 5)
            make = lambda a, b, f=name: ops.multiply(ops.binary(f, a, b), a)  # noqa: E731
            yield name, make, [batch(a), fixed(b)]
            continue
        make = lambda a, b, f=name: ops.binary(f, a, b)  # noqa: E731
        a = away(rng, rows, 5)
        b = a * rng.choice([0.7, 1.4], a.shape)  # larger in some places, smaller in others
        yield name, make, [batch(a), batch(b)]
        row = np.array([4.5, -4, 3.5, 5, -5])
        yield f"{name} row", make, [batch(a), parameter(row)]
        yield f"{name} row first", make, [parameter(row), batch(a)]
        yield f"{name} number", make, [batch(a), parameter(np.array(3.7))]
        outer = [distinct(rng, rows, 3, 1) + 0.11, distinct(rng, rows, 1, 5) + 0.23]
        yield f"{name} outer", make, [batch(x) for x in outer]


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
                make = lambda x, f=name, a=axes, k=keep: ops.reduce(f, x, a, k)  # noqa: E731
                yield (name, axes, keep), make, [batch(distinct(rng, rows, 3, 5))]
        yield (name, "parameter"), lambda x, f=name: ops.reduce(f, x, 1), [parameter(distinct(rng, 3, 5))]


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
    for slices in ((None, (1, 3), None), (None, (2, 3), (0, 3)), (None, None, (1, 4)), (None, (1, 3))):
        yield slices, lambda x, s=slices: ops.slice_(x, s), [batch(away(rng, rows, 3, 4))]
    yield "parameter", lambda x: ops.slice_(x, ((1, 3), None)), [parameter(away(rng, 4, 2))]


@rule("unslice")
def _(rng, rows):
    make = lambda x: emit("unslice", x, slices=(None, (1, 6)), shape=(None, 7))  # noqa: E731
    yield "", make, [batch(away(rng, rows, 5))]


@rule("concatenate")
def _(rng, rows):
    for axis, shapes in ((1, ((5,), (1,), (2,))), (1, ((2, 3), (1, 3))), (2, ((2, 3), (2, 1)))):
        make = lambda *x, a=axis: ops.concatenate(x, a)  # noqa: E731
        yield (axis, shapes), make, [batch(away(rng, rows, *shape)) for shape in shapes]
    parts = [parameter(away(rng, n, 3)) for n in (2, 1)]
    yield "parameters", lambda *x: ops.concatenate(x, 0), parts


@rule("gather")
def _(rng, rows):
    table = parameter(away(rng, 4, 3))
    yield "", ops.gather, [table, fixed(labels(rng, 4, rows))]
    yield "rank 2", ops.gather, [table, fixed(labels(rng, 4, rows, 5))]


@rule("linear")
def _(rng, rows):
    x, w, b = batch(away(rng, rows, 5)), parameter(away(rng, 5, 3)), parameter(away(rng, 3))
    yield "", ops.linear, [x, w, b]
    yield "no bias", ops.linear, [x, w]
    yield "rank 3", ops.linear, [batch(away(rng, rows, 2, 5)), w, b]
    yield "one unit", ops.linear, [x, parameter(away(rng, 5, 1)), parameter(away(rng, 1))]
    for name in ACTIVATIONS:
        make = lambda x, w, b, f=name: emit("activation", ops.linear(x, w, b), activation=f)  # noqa: E731
        # No pre-activation lies at a kink: x is of whole numbers, w too, b is a half.
        whole = [batch(np.rint(away(rng, rows, 5))), parameter(np.rint(away(rng, 5, 3)) / 4)]
        yield name, make, [*whole, parameter(np.array([0.1, -0.1, 0.12]))]


def weighings(rng, rows):
    """Shapes of a prediction with the weights that go with it, as an input or none."""
    yield (rows, 5), []
    for weight, shape in (((rows,), (rows, 5)), ((rows,), (rows, 2, 3)), ((rows, 2), (rows, 2, 3))):
        values = rng.uniform(0.5, 2, weight)
        values.flat[1:2] = 0  # a masked one
        yield shape, [fixed(values)]


@rule("elementwise_loss")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for name in LOSSES:
            p, t = away(rng, *shape), rng.choice([0.0, 1.0, 0.3], shape)
            if name == "binary_crossentropy":
                p = rng.uniform(0.1, 0.9, shape)
            if name == "absolute_error":
                t = p + away(rng, *shape)
            make = lambda p, t, w=None, f=name: emit("elementwise_loss", p, t, w, function=f)  # noqa: E731
            yield (name, shape, len(weight)), make, [batch(p), fixed(t), *weight]


def class_targets(rng, shape):
    yield "sparse", labels(rng, shape[-1], *shape[:-1])
    yield "dense", softmax(away(rng, *shape))
    yield "sum is not 1", rng.uniform(0.1, 1, shape)


@rule("softmax_crossentropy")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for kind, t in class_targets(rng, shape):
            make = lambda z, t, w=None: emit("softmax_crossentropy", z, t, w)[0]  # noqa: E731
            yield (kind, shape), make, [batch(away(rng, *shape)), fixed(t), *weight]


@rule("crossentropy")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        for kind, t in class_targets(rng, shape):
            make = lambda p, t, w=None: emit("crossentropy", p, t, w)  # noqa: E731
            yield (kind, shape), make, [batch(rng.uniform(0.2, 1, shape)), fixed(t), *weight]


@rule("weighted_sum")
def _(rng, rows):
    for shape, weight in weighings(rng, rows):
        make = lambda v, w=None: emit("weighted_sum", v, w)  # noqa: E731
        yield shape, make, [batch(away(rng, *shape)), *weight]


@rule("l2_penalty")
def _(rng, rows):
    make = lambda w, x: emit("l2_penalty", w, x, factor=0.3)  # noqa: E731
    yield "", make, [parameter(away(rng, 3, 5)), fixed(away(rng, rows, 2))]


@rule("dropout")
def _(rng, rows):
    for rate, seed in ((0.5, 5), (0.2, None)):
        make = lambda x, r=rate, s=seed: ops.dropout(x, r, 4, s)  # noqa: E731
        yield (rate, seed), make, [batch(away(rng, rows, 9))]


@pytest.mark.parametrize("rows", [1, 3])
@on_all_executors
@pytest.mark.parametrize("op", RULES)
def test_gradient(op, executor, rows):
    for label, make, given in RULES[op](np.random.default_rng(11), rows):
        problem = check_gradients(
            make, given, executor, label=label, weighted=rows > 1, scaled=op != "l2_penalty"
        )
        assert op in problem.forward  # the op itself was tested, not something in its place


def differentiable():
    return {name for name, op in registry().items() if type(op).backward is not Op.backward}


def test_every_differentiable_op_has_a_rule_here():
    assert set(RULES) == differentiable()


@pytest.mark.parametrize("op", sorted(set(registry()) - differentiable()))
def test_other_ops_say_that_they_have_no_gradient(op):
    case = cases(op)[0]
    graph = Graph()
    with graph:
        emit(op, *case.tensors(), **case.attrs)
    (node,) = graph.nodes
    with pytest.raises(ValueError, match=f"op {op} has no gradient, but .* needs one"):
        node.op.backward(node, [None], [True] * len(node.inputs))
