"""The oracle is tested: kernels, executors and backward rules that are wrong must not pass it.

Each mistake is one that somebody could make. Wrong definitions run on the reference executor in
place of the right ones; wrong executors tamper with plan, table or memory.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
from gradient_check import WrongGradient, check_gradients
from op_cases import cases
from op_runner import DTYPES, Case, Trial, Wrong, check, check_all, executors
from test_backward import RULES, SHARED, batch, parameter

from fastnn import ops
from fastnn.backends.reference import ReferenceExecutor
from fastnn.ops import ACTIVATIONS, Op, emit, random, registry
from fastnn.ops import elementary as elementary_ops

EXECUTORS = executors()
NATIVE = [cls for name, cls in EXECUTORS.items() if name != "reference"]


def changed(plan, change):
    """A plan with every step changed."""
    groups = tuple(
        replace(g, steps=tuple(map(change, g.steps)), updates=tuple(map(change, g.updates)))
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
        return replace(step, op=op)

    return with_steps(change)


def right(op):
    return registry()[op].define


# --- wrong formulas: (op, what is wrong, the wrong definition) ------------------------------------


def last_column_without_bias(x, w, b, activation):
    y = x @ w
    if b is not None:
        y[..., :-1] += b[:-1]
    return ACTIVATIONS[activation].formula(y)


def first_vectors_only(x, **attrs):
    """As a kernel without a tail: whole vectors of 8, and what is left stays as it was."""
    y = right("activation")(x, **attrs).reshape(-1)
    y[len(y) // 8 * 8 :] = np.nan
    return y.reshape(x.shape)


def without_duplicates(x, ids, shape):
    y = np.zeros(shape, x.dtype)
    y[ids] = x
    return y


def shifted_stream(x, control, rate, stream, seed):
    return right("dropout")(x, control, rate=rate, stream=stream + 1, seed=seed)


def same_mask_for_every_part(x, control, **attrs):
    control = control.copy()
    control["first_row"] = 0
    return right("dropout")(x, control, **attrs)


def not_scaled(x, control, rate, **attrs):
    return np.asarray(right("dropout")(x, control, rate=rate, **attrs) * (1 - rate), x.dtype)


def adam_without_correction(w, g, m, v, control, rate_factor, beta_1, beta_2, epsilon):
    later = control.copy()
    later["iteration"] = 10**9
    attrs = {"rate_factor": rate_factor, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    return right("adam")(w, g, m, v, later, **attrs)


def adam_one_step_late(w, g, m, v, control, **attrs):
    control = control.copy()
    control["iteration"] += 1
    return right("adam")(w, g, m, v, control, **attrs)


def weights_ignored(p, t, weight, **attrs):
    return right("elementwise_loss")(p, t, None, **attrs)


def weights_of_next_row(p, t, weight, **attrs):
    return right("elementwise_loss")(p, t, None if weight is None else np.roll(weight, 1), **attrs)


def rounded(x):
    """To 10 bits, as the short floats of some hardware."""
    return x.astype(np.float16).astype(x.dtype)


MISTAKES = [
    ("activation", "dead relu", lambda x, activation: np.zeros_like(x)),
    ("activation", "relu that leaks", lambda x, activation: (
        np.where(x < 0, 1e-3 * x, x) if activation == "relu"
        else right("activation")(x, activation=activation))),
    ("activation", "no tail", first_vectors_only),
    ("activation", "other gelu", lambda x, activation: right("activation")(
        x, activation="gelu_tanh" if activation == "gelu" else activation)),
    ("activation_backward", "slope at 0 of relu", lambda dy, saved, activation: (
        np.where(saved >= 0, dy, 0) if activation == "relu"
        else right("activation_backward")(dy, saved, activation=activation))),
    ("activation_backward", "arguments swapped", lambda dy, saved, activation:
        right("activation_backward")(saved, dy, activation=activation)),
    ("softmax", "not shifted", lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    ("softmax", "over the wrong axis", lambda x: right("softmax")(x.T).T),
    ("softmax_backward", "no sum", lambda dy, y: dy * y),
    ("unary", "exp with an error of 0.1%", lambda x, function: (
        np.exp(x) * x.dtype.type(1.001) if function == "exp" else right("unary")(x, function=function))),
    ("affine", "offset left out", lambda x, factor, offset: x * x.dtype.type(factor)),
    ("binary", "operands swapped", lambda a, b, function: right("binary")(b, a, function=function)),
    ("where", "condition turned round", lambda c, a, b: np.where(c == 0, a, b)),
    ("where", "only 1 is true", lambda c, a, b: np.where(c == 1, a, b)),
    ("matmul", "last product left out", lambda a, b, transpose_a, transpose_b: (
        right("matmul")(a[..., :-1], b[:-1], transpose_a=False, transpose_b=False)
        if not (transpose_a or transpose_b)
        else right("matmul")(a, b, transpose_a=transpose_a, transpose_b=transpose_b))),
    ("matmul", "short floats", lambda a, b, **attrs: right("matmul")(rounded(a), rounded(b), **attrs)),
    ("linear", "weights transposed", lambda x, w, b, **attrs: right("linear")(
        x, np.ascontiguousarray(w.T).reshape(w.shape), b, **attrs)),
    ("linear", "no bias in the last column", last_column_without_bias),
    ("linear", "bias after the activation", lambda x, w, b, activation: (
        ACTIVATIONS[activation].formula(x @ w) + (0 if b is None else b))),
    ("linear_dx", "weights not transposed", lambda dy, w, saved, activation:
        right("linear_dx")(dy, np.ascontiguousarray(w.T).reshape(w.shape), saved, activation=activation)),
    ("linear_dx", "activation left out", lambda dy, w, saved, activation: dy @ w.T),
    ("linear_dw", "mean over the rows", lambda x, dy: tuple(
        g / len(x) for g in right("linear_dw")(x, dy))),
    ("linear_dw", "last row left out of the bias", lambda x, dy: (
        right("linear_dw")(x, dy)[0], right("linear_dw")(x, dy)[1] - dy.reshape(-1, dy.shape[-1])[-1])),
    ("reduce", "maximum begins at 0", lambda x, function, **attrs: (
        np.maximum(right("reduce")(x, function=function, **attrs), 0) if function == "max"
        else right("reduce")(x, function=function, **attrs))),
    ("reduce", "mean over rows of the capacity", lambda x, function, **attrs: (
        right("reduce")(x, function=function, **attrs) * x.dtype.type(
            len(x) / (len(x) + 3) if function == "mean" and 0 in attrs["axes"] else 1))),
    ("transpose", "bytes as they are", lambda x, axes: x.reshape([x.shape[i] for i in axes])),
    ("slice", "one too early", lambda x, slices: right("slice")(np.roll(x, 1, -1), slices=slices)),
    ("unslice", "rest not cleared", lambda x, slices, shape: np.where(
        right("unslice")(np.ones_like(x), slices=slices, shape=shape) == 1,
        right("unslice")(x, slices=slices, shape=shape), np.nan)),
    ("concatenate", "wrong order", lambda *x, axis: np.concatenate(x[::-1], axis=axis)),
    ("gather", "next id", lambda table, ids: table[(ids + 1) % len(table)]),
    ("scatter_add", "equal ids not added", without_duplicates),
    ("assign", "rest of the state cleared", lambda state, x: np.concatenate(
        [x, np.zeros_like(state[len(x):])])),
    ("elementwise_loss", "weights ignored", weights_ignored),
    ("elementwise_loss", "weight of another row", weights_of_next_row),
    ("elementwise_loss_backward", "prediction and target swapped", lambda p, t, weight, scale, function:
        right("elementwise_loss_backward")(t, p, weight, scale, function=function)),
    ("elementwise_loss_backward", "factor 2 missing", lambda p, t, weight, scale, function:
        right("elementwise_loss_backward")(p, t, weight, scale, function=function)
        / (2 if function == "squared_error" else 1)),
    ("elementwise_loss_backward", "scale left out", lambda p, t, weight, scale, function:
        right("elementwise_loss_backward")(p, t, weight, np.ones(1), function=function)),
    ("softmax_crossentropy", "probabilities instead of their sum", lambda z, t, weight: (
        right("crossentropy")(right("softmax")(z) * 0.999, t, weight), np.zeros_like(z))),
    ("softmax_crossentropy_backward", "sum of the target taken for 1", lambda p, t, weight, scale:
        right("softmax_crossentropy_backward")(
            p, np.eye(p.shape[-1])[p.argmax(-1)] if t.dtype.kind == "f" else t, weight, scale)),
    ("crossentropy", "not divided by the sum", lambda p, t, weight: right("crossentropy")(
        np.concatenate([p, p.max() + 1 - p.sum(-1, keepdims=True)], -1),
        t if t.dtype.kind == "i" else np.concatenate([t, 0 * t[..., :1]], -1), weight)),
    ("crossentropy_backward", "as if the sum were fixed", lambda p, t, weight, scale: (
        right("crossentropy_backward")(p, t, weight, scale) * p.dtype.type(1.01))),
    ("weighted_sum", "mean of a row", lambda values, weight: right("weighted_sum")(
        values / max(values.shape[-1:] + (2,)), weight)),
    ("loss_scale", "rows of this part only", lambda mask, control, factor: np.array(
        [factor / max(1.0, control["batch_rows"] - 9.0 if mask is None else mask.sum())])),
    ("count", "mask ignored", lambda x, mask: np.array([float(len(x))])),
    ("l2_penalty", "half of it", lambda w, x, factor: right("l2_penalty")(w, x, factor=factor / 2)),
    ("categorical_accuracy", "last of equal ones", lambda p, t, weight: right("categorical_accuracy")(
        p[..., ::-1], p.shape[-1] - 1 - t if t.dtype.kind == "i" else t[..., ::-1], weight)),
    ("binary_accuracy", "threshold included", lambda p, t, weight, threshold: right("binary_accuracy")(
        p, t, weight, threshold=np.nextafter(np.float32(threshold), np.float32(0)))),
    ("confusion_matrix", "transposed", lambda p, t, weight: right("confusion_matrix")(p, t, weight).T),
    ("sgd", "uphill", lambda w, g, control, rate_factor: 2 * w - right("sgd")(
        w, g, control, rate_factor=rate_factor)),
    ("sgd", "rate factor ignored", lambda w, g, control, rate_factor: right("sgd")(
        w, g, control, rate_factor=1.0)),
    ("momentum", "never Nesterov's", lambda w, g, v, control, nesterov, **attrs: right("momentum")(
        w, g, v, control, nesterov=False, **attrs)),
    ("rmsprop", "epsilon beside the root", lambda w, g, v, a, m, control, **attrs: right("rmsprop")(
        w, g, v + w.dtype.type(2e-3), a, m, control, **attrs)),
    ("adam", "bias not corrected", adam_without_correction),
    ("adam", "one step late", adam_one_step_late),
    ("accumulate", "not divided by k", lambda total, g, factor: total + g),
    ("accumulate", "the last one only", lambda total, g, factor: g * g.dtype.type(factor)),
    ("clear", "not done", lambda w: w),
    ("dropout", "shifted stream", shifted_stream),
    ("dropout", "place in the batch ignored", same_mask_for_every_part),
    ("dropout", "not scaled", not_scaled),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("op", "define"), [(op, d) for op, _, d in MISTAKES], ids=[f"{op}: {m}" for op, m, _ in MISTAKES]
)
def test_wrong_formula_is_found(op, define, dtype):
    with pytest.raises(Wrong, match=f"^{op}"):
        check_all(cases(op), defined_as(define), dtype)


def test_all_ops_have_a_mistake():
    """But those that only move whole arrays, which the wrong executors below get wrong."""
    left = set(registry()) - {op for op, _, _ in MISTAKES}
    assert left == {"reshape", "copy", "broadcast", "take_rows", "weighted_sum_backward"}


@pytest.mark.parametrize("op", ["linear", "softmax", "reduce", "adam", "crossentropy"])
def test_float32_precision_does_not_pass_as_float64(op):
    def define(*inputs, **attrs):
        def narrow(x):
            return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x

        made = right(op)(*map(narrow, inputs), **attrs)
        return made

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
    run.view(step.outputs[0], rows).reshape(-1)[-1:] += 2e-5 * 10


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
    "weighted_sum_backward": Case("weighted_sum_backward", [np.ones((3, 5)), np.ones(3), np.ones(1)]),
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
    with pytest.raises(Wrong, match=r"4 bytes|24 bytes from the start of y\[rows,2\] \(24 in use\)"):
        check(case, tampering(one_element_beyond_the_end), "float32", "plain", guards="numbers")


def without_add(step):
    return replace(step, add=(False,) * len(step.add))


def always_added(step):
    return replace(step, add=(True,) * len(step.add))


ADDED_TO = [op for op in sorted(registry()) if op != "reshape"
            and any("add" in case.variants() for case in cases(op))]  # fmt: skip


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("op", ADDED_TO)
def test_ignored_add_flag_is_found(op, executor):
    case = next(c for c in cases(op) if "add" in c.variants())
    if "accumulator" in case.definition.storages.values() and executor != "reference":
        return  # those kernels know no other way
    wrong = with_steps(without_add, EXECUTORS[executor])
    check(case, wrong, "float32", "plain") if not case.definition.storages else None
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
        ("clear", "sgd"),
        ("accumulate", "sgd"),
    ],
)
def test_another_kernel_is_found(base, op, other):
    if (op, other) in (("clear", "sgd"), ("accumulate", "sgd")):
        other = "affine"  # reads no control record: it is given none
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
        ("linear_dx", "activation", "relu", "linear"),
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
@pytest.mark.parametrize("op", ["activation", "softmax", "copy", "dropout", "weighted_sum_backward"])
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
        def _lower(self, step, control):
            run, pointers, sizes, constants = super()._lower(step, control)
            full = [s[0] * self.plan.capacity if isinstance(s, tuple) else s for s in sizes]
            return run, pointers, full, constants

    with pytest.raises(Wrong):
        check_all(cases(op), Wide, "float32")


@native_only
@each_build
def test_inputs_in_the_wrong_order_are_found(base):
    class Swapped(base):
        def _lower(self, step, control):
            run, pointers, sizes, constants = super()._lower(step, control)
            pointers[1], pointers[2] = pointers[2], pointers[1]
            return run, pointers, sizes, constants

    for op in ("activation_backward", "softmax_backward", "elementwise_loss_backward"):
        with pytest.raises(Wrong):
            check_all(cases(op), Swapped, "float32")


# --- wrong backward rules -------------------------------------------------------------------------


def check_rule(op, executor=ReferenceExecutor):
    for label, make, given in RULES[op](np.random.default_rng(11), 3):
        check_gradients(make, given, executor, label=label, weighted=True, scaled=op != "l2_penalty")


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
        return [None if g is None else ops.affine(g, factor)
                for g in backward(self, node, grads, wants)]  # fmt: skip

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
    ("linear", "nothing", nothing),
    ("softmax", "passed through", passed_through),
    ("affine", "passed through", passed_through),
    ("reduce", "twice", scaled("reduce", 2.0)),
    ("l2_penalty", "factor 2 missing", scaled("l2_penalty", 0.5)),
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
    for wrong in (np.zeros_like, lambda saved: 1.01 * entry.derivative(saved)):
        monkeypatch.setitem(ACTIVATIONS, name, replace(entry, derivative=wrong))
        with pytest.raises(WrongGradient, match=name):
            check_rule("activation")


def test_missing_factor_in_a_unary_rule_is_found(monkeypatch):
    monkeypatch.setitem(elementary_ops._UNARY_GRADIENT, "square", lambda x, y, dy: ops.multiply(dy, x))
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


def test_philox_with_a_round_too_few_is_found(monkeypatch):
    """Executors that draw other numbers than the definition do not pass for dropout."""
    def fewer(counter, key):
        return np.roll(philox(counter, key), 1, axis=-1)

    philox = random.philox
    case = cases("dropout")[0]
    case.answer("float32")  # by the definition as it is
    monkeypatch.setattr(random, "philox", fewer)
    with pytest.raises(Wrong):
        check(case, ReferenceExecutor, "float32", "plain")
