"""The oracle is tested: kernels, executors and backward rules that are wrong must not pass it.

Each mistake is one that somebody could make. Wrong definitions run on the reference executor in
place of the right ones; wrong executors tamper with plan, table or memory.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
from gradient_check import WrongGradient, check_gradients
from op_cases import CASES, cases
from op_mistakes import MISTAKES, right
from op_runner import DTYPES, Case, Wrong, check, check_all, executors
from test_backward import RULES, SHARED, batch, parameter

from fastnn import ops
from fastnn.backends.reference import ReferenceExecutor
from fastnn.ops import ACTIVATIONS, emit, random, registry
from fastnn.ops import elementary as elementary_ops

EXECUTORS = executors()
NATIVE = [cls for name, cls in EXECUTORS.items() if name != "reference"]


def changed(plan, change):
    """A plan with every step changed."""
    groups = tuple(
        g._replace(steps=tuple(map(change, g.steps)), updates=tuple(map(change, g.updates)))
        for g in plan.groups
    )
    return replace(plan, groups=groups)


def with_steps(change, base=ReferenceExecutor):
    """An executor that runs changed steps."""

    class Changed(base):
        def __init__(self, plan, model, training=None):
            super().__init__(changed(plan, change), model, training)

    return Changed


def defined_as(define):
    """An executor on which an op is something else."""

    def change(step):
        op = copy.copy(step.op)
        op.define = define
        return step._replace(op=op)

    return with_steps(change)


# --- wrong formulas -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_formula_is_found(mistake, dtype):
    op, define = MISTAKES[mistake]
    with pytest.raises(Wrong, match=f"^{op}"):
        check_all(cases(op), defined_as(define), dtype)


@pytest.mark.parametrize("op", CASES)
def test_right_formula_passes_the_same_way(op):
    assert check_all(cases(op)[::7], defined_as(registry()[op].define), "float32")


def test_every_op_has_a_mistake():
    assert {op for op, _ in MISTAKES.values()} == set(CASES)


@pytest.mark.parametrize("op", ["linear", "softmax", "reduce", "adam", "crossentropy"])
def test_float32_precision_does_not_pass_as_float64(op):
    def define(*inputs, **attrs):
        narrow = [
            x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for x in inputs
        ]
        return right(op, *narrow, **attrs)

    with pytest.raises(Wrong):
        check_all(cases(op), defined_as(define), "float64")


# --- wrong executors: any op ----------------------------------------------------------------------


def tampering(tamper):
    """An executor that spoils memory after each batch."""

    class Tampering(ReferenceExecutor):
        def gradients(self, feeds, **place):
            sums = super().gradients(feeds, **place)
            step = self.plan.groups[0].steps[0]
            tamper(self, step, len(feeds[0]) if feeds else self.plan.capacity)
            return sums

    return Tampering


def last_element_not_computed(run, step, rows):
    run.view(step.outputs[0], rows).reshape(-1)[-1:] = np.nan


def last_element_a_bit_off(run, step, rows):
    run.view(step.outputs[0], rows).reshape(-1)[-1:] += 2e-4


def not_overwritten(run, step, rows):
    run.view(step.outputs[0], rows)[...] = np.nan


def one_element_beyond_the_end(run, step, rows):
    out = step.outputs[0]
    view = run.view(out, rows)
    start = out.offset + view.nbytes
    run.blocks[out.block][start : start + view.itemsize].view(view.dtype)[:] += 1


def one_element_before_the_start(run, step, rows):
    out = step.outputs[0]
    run.blocks[out.block][out.offset - 8 : out.offset] = 0


def one_row_too_many(run, step, rows):
    run.view(step.outputs[0])[rows:] = 0


def input_changed(run, step, rows):
    run.view(step.inputs[-1], rows).reshape(-1)[:1] += 1


SPOILERS = [
    last_element_not_computed, last_element_a_bit_off, not_overwritten, one_element_beyond_the_end,
    one_element_before_the_start, input_changed,
]  # fmt: skip
PLAIN_OPS = {  # one of each shape that operands have; the others run through the same code
    "copy": Case("copy", [np.ones((3, 5))]),
    "broadcast": Case("broadcast", [np.ones(5), np.ones((3, 5))], batched=[False, True]),
    "take_rows": Case("take_rows", [np.ones((7, 5)), np.ones((3, 1))], batched=[False, True]),
    "weighted_sum_backward": Case(
        "weighted_sum_backward", [np.ones((3, 5)), np.ones(3), np.ones(1)]),
    "linear_dw": Case("linear_dw", [np.ones((3, 5)), np.ones((3, 2))]),
    "matmul": Case("matmul", [np.ones((3, 5)), np.ones((5, 2))],
                   {"transpose_a": False, "transpose_b": False}, [True, False]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", PLAIN_OPS)
@pytest.mark.parametrize("tamper", SPOILERS)
def test_spoiled_memory_is_found(tamper, op, dtype):
    case = PLAIN_OPS[op]
    executor = tampering(tamper)
    for variant in case.variants():
        if variant.startswith("in place") and tamper is input_changed:
            continue  # that input is the output
        for spare in (0, 3):
            for guards in ("nan", "numbers"):
                check(case, ReferenceExecutor, dtype, variant, spare=spare, guards=guards)
                if tamper is one_element_beyond_the_end and guards == "nan":
                    continue  # NaN + 1 is the same NaN: this is why there are two kinds of guards
                with pytest.raises(Wrong):
                    check(case, executor, dtype, variant, spare=spare, guards=guards)


@pytest.mark.parametrize("op", ["copy", "broadcast", "take_rows", "matmul"])
def test_a_row_too_many_is_found(op):
    with pytest.raises(Wrong, match="bytes of scratch changed that belong to no output"):
        check(PLAIN_OPS[op], tampering(one_row_too_many), "float32", "plain", spare=3)


def test_messages_tell_what_is_wrong_and_where():
    case = PLAIN_OPS["matmul"]
    with pytest.raises(Wrong) as error:
        check(case, tampering(last_element_not_computed), "float32", "plain")
    for part in ("matmul(", "float32", "inputs (3, 5), (5, 2)", "1 of 6", "(2, 1)", "nan", "5.0"):
        assert part in str(error.value)
    with pytest.raises(Wrong, match=r"from the start of y\[rows,2\] \(24 in use\)"):
        check(case, tampering(one_element_beyond_the_end), "float32", "plain", guards="numbers")


def without_add(step):
    return step._replace(add=(False,) * len(step.add))


def always_added(step):
    return step._replace(add=(True,) * len(step.add))


def added_to():
    """(op, executor) wherever something can be added to, and the executor is told by the flag."""
    for op in CASES:
        accumulates = "accumulator" in registry()[op].storages.values()
        if any("add" in case.variants() for case in cases(op)):
            for executor in ("reference",) if accumulates else EXECUTORS:
                yield op, executor


@pytest.mark.parametrize(("op", "executor"), list(added_to()))
def test_ignored_add_flag_is_found(op, executor):
    case = next(c for c in cases(op) if "add" in c.variants())
    wrong = with_steps(without_add, EXECUTORS[executor])
    with pytest.raises(Wrong):
        check(case, wrong, "float32", "add")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_adding_where_an_output_should_be_overwritten_is_found(executor):
    for op in ("copy", "linear_dw", "matmul", "broadcast"):
        with pytest.raises(Wrong, match="nan, expected"):
            check(PLAIN_OPS[op], with_steps(always_added, EXECUTORS[executor]), "float32", "plain")


# --- wrong native executors -----------------------------------------------------------------------

native_only = pytest.mark.skipif(not NATIVE, reason="the native executor was not compiled here")
each_build = pytest.mark.parametrize("base", NATIVE, ids=[cls.isa for cls in NATIVE])


def with_kernel(base, name, other):
    """A native executor on which a kernel is another one of the same signature."""
    table = dict(base._table)
    for dtype in DTYPES:
        table[name, dtype] = base._table[other, dtype]
    return type("Wrong", (base,), {"_table": table})


@native_only
@each_build
@pytest.mark.parametrize(
    ("op", "other"),
    [
        ("activation_backward", "activation"),
        ("softmax_backward", "softmax"),
        ("softmax_crossentropy_backward", "crossentropy_backward"),
        ("crossentropy", "categorical_accuracy"),
        ("categorical_accuracy", "crossentropy"),
        ("sgd", "clear"),
        ("accumulate", "affine"),
    ],
)
def test_another_kernel_is_found(base, op, other):
    with pytest.raises(Wrong):
        check_all(cases(op), with_kernel(base, op, other), "float32")


@native_only
@each_build
@pytest.mark.parametrize(
    ("op", "kind", "one", "two"),
    [
        ("activation", "activation", "relu", "linear"),
        ("activation_backward", "activation", "sigmoid", "tanh"),
        ("linear", "activation", "tanh", "sigmoid"),
        ("linear_dx", "activation", "sigmoid", "tanh"),
        ("unary", "unary", "sqrt", "square"),
        ("binary", "binary", "add", "subtract"),
        ("binary", "binary", "greater", "less"),
        ("reduce", "reduce", "sum", "mean"),
        ("elementwise_loss", "loss", "squared_error", "absolute_error"),
        ("elementwise_loss_backward", "loss", "squared_error", "absolute_error"),
    ],
)
def test_swapped_functions_are_found(base, op, kind, one, two):
    """As if the lists of names and of functions did not agree."""
    names = [{one: two, two: one}.get(name, name) for name in base._functions[kind]]
    wrong = type("Wrong", (base,), {"_functions": {**base._functions, kind: names}})
    with pytest.raises(Wrong):
        check_all(cases(op), wrong, "float32")


@native_only
@each_build
@pytest.mark.parametrize(
    "op", ["activation", "softmax", "copy", "dropout", "weighted_sum_backward"]
)
def test_kernel_of_the_other_type_is_found(base, op):
    table = {key: base._table[key[0], "float32"] for key in base._table}
    with pytest.raises(Wrong):
        check_all(cases(op), type("Wrong", (base,), {"_table": table}), "float64")


@native_only
@each_build
@pytest.mark.parametrize("op", ["activation", "linear", "concatenate", "softmax", "reduce"])
def test_rows_of_the_capacity_are_found(base, op):
    """As if a plan ran all rows that it has room for, whatever the batch has."""

    class Wide(base):
        def _lower(self, *args):
            run, pointers, sizes, *rest = super()._lower(*args)
            full = [s[0] * self.plan.capacity if isinstance(s, tuple) else s for s in sizes]
            return run, pointers, full, *rest

    with pytest.raises(Wrong):
        check_all(cases(op), Wide, "float32")


@native_only
@each_build
def test_inputs_in_the_wrong_order_are_found(base):
    class Swapped(base):
        def _lower(self, *args):
            run, pointers, sizes, *rest = super()._lower(*args)
            pointers[1], pointers[2] = pointers[2], pointers[1]
            return run, pointers, sizes, *rest

    for op in ("activation_backward", "softmax_backward", "elementwise_loss_backward"):
        with pytest.raises(Wrong):
            check_all(cases(op), Swapped, "float32")


# --- wrong backward rules -------------------------------------------------------------------------


def check_rule(op, executor=ReferenceExecutor):
    for label, make, given in RULES[op](np.random.default_rng(11), 3):
        check_gradients(
            make, given, executor, label=label, weighted=True, scaled="penalty" not in op
        )


def swapped(op):
    backward = type(registry()[op]).backward

    def wrong(self, node, grads, wants):
        made = backward(self, node, grads, [True] * len(wants))
        first = [i for i, g in enumerate(made) if g is not None][:2]
        if len(first) == 2 and made[first[0]].shape == made[first[1]].shape:
            made[first[0]], made[first[1]] = made[first[1]], made[first[0]]
        return made

    return wrong


def scaled(op, factor):
    backward = type(registry()[op]).backward

    def wrong(self, node, grads, wants):
        made = backward(self, node, grads, wants)
        return [None if g is None else ops.affine(g, factor) for g in made]

    return wrong


def nothing(self, node, grads, wants):
    return [None] * len(wants)


def passed_through(self, node, grads, wants):
    return [grads[0]] + [None] * (len(wants) - 1)


def dropout_of_another_stream(self, node, grads, wants):
    return [emit("dropout", grads[0], **{**node.attrs, "stream": node.attrs["stream"] + 1})]


def weights_forgotten(self, node, grads, wants):
    return [emit("weighted_sum_backward", node.inputs[0], None, grads[0]), None]


RULE_MISTAKES = [
    ("binary", "swapped", swapped("binary")),
    ("where", "swapped", swapped("where")),
    ("softmax", "passed through", passed_through),
    ("affine", "passed through", passed_through),
    ("reduce", "twice", scaled("reduce", 2.0)),
    ("l1_l2_penalty", "half of it", scaled("l1_l2_penalty", 0.5)),
    ("matmul", "minus", scaled("matmul", -1.0)),
    ("elementwise_loss", "off by a thousandth", scaled("elementwise_loss", 1.001)),
    ("dropout", "another mask", dropout_of_another_stream),
    ("weighted_sum", "weights forgotten", weights_forgotten),
    *((op, "nothing", nothing) for op in sorted(RULES)),
]


@pytest.mark.parametrize(
    ("op", "backward"), [(op, b) for op, _, b in RULE_MISTAKES],
    ids=[f"{op}: {what}" for op, what, _ in RULE_MISTAKES],
)  # fmt: skip
def test_wrong_backward_rule_is_found(op, backward, monkeypatch):
    monkeypatch.setattr(type(registry()[op]), "backward", backward)
    with pytest.raises(WrongGradient):
        check_rule(op)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"step"}))
def test_wrong_derivative_is_found(name, monkeypatch):
    entry = ACTIVATIONS[name]
    for factor in (0, 1.01):

        def wrong(saved, factor=factor, **parameters):
            return factor * entry.derivative(saved, **parameters)

        monkeypatch.setitem(ACTIVATIONS, name, entry._replace(derivative=wrong))
        with pytest.raises(WrongGradient, match=name):
            check_rule("activation")


def test_missing_factor_in_a_unary_rule_is_found(monkeypatch):
    monkeypatch.setitem(
        elementary_ops._UNARY_GRADIENT, "square", lambda x, y, dy: ops.multiply(dy, x)
    )
    with pytest.raises(WrongGradient, match="square"):
        check_rule("unary")


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", SHARED)
def test_gradients_that_do_not_add_up_are_found(name, executor):
    def change(step):  # accumulators of losses stay as they are
        return step if "sums" in step.op.outputs else without_add(step)

    rng = np.random.default_rng(5)
    given = [batch(rng.normal(size=(3, 4))), parameter(rng.normal(size=(4, 4))),
             parameter(rng.normal(size=4))]  # fmt: skip
    with pytest.raises(WrongGradient):
        check_gradients(SHARED[name], given, with_steps(change, EXECUTORS[executor]), label=name)


def test_other_random_numbers_are_found(monkeypatch):
    """The four draws of a counter in another order."""
    philox, case = random.philox, cases("dropout")[0]
    case.answer("float32")  # by the definition as it is
    monkeypatch.setattr(random, "philox", lambda *args: np.roll(philox(*args), 1, axis=-1))
    with pytest.raises(Wrong):
        check(case, ReferenceExecutor, "float32", "plain")
