"""The oracle: every op on every executor, type and ISA build does what its NumPy definition says.

The inputs are in `op_cases`, the memory and the comparison in `op_runner`. What is not compared is
declared here: the lists of ops and functions are closed, and so are the gaps of an executor.
"""

import numpy as np
import pytest
from op_cases import CASES, SIZES, cases
from op_runner import DTYPES, check_all, executors

from fastnn.backends.reference import ReferenceExecutor
from fastnn.engine.build import Program, Section, build
from fastnn.model import Store
from fastnn.ops import ACTIVATIONS, LOSSES, ROW_LOSSES, Graph, Tensor, registry, reshape, unary
from fastnn.ops.elementary import BINARY, REDUCTIONS, UNARY, product_workspace

EXECUTORS = executors()
NATIVE = {name: cls for name, cls in EXECUTORS.items() if name != "reference"}

ELEMENTARY = """
    affine assign binary binary_number broadcast concatenate copy gather matmul reduce
    reshape scatter_add slice take_rows transpose unary unslice weighted_sum weighted_sum_backward
    where
""".split()
FUSED = """
    accumulate activation activation_backward adadelta adagrad adam adamax average batch_norm
    batch_norm_backward batch_norm_inference batch_weights binary_accuracy categorical_accuracy
    class_counts clear clip clip_norm confusion_matrix count crossentropy crossentropy_backward
    dropout elementwise_loss elementwise_loss_backward keep_labels l1_l2_gradient l1_l2_penalty
    layer_norm layer_norm_backward limit_norm linear linear_dw linear_dx lion log_softmax
    log_softmax_backward loss_scale momentum nadam noise one_hot real_labels rmsprop row_loss
    row_loss_backward sgd softmax softmax_backward softmax_crossentropy
    softmax_crossentropy_backward square_sum r2_sums threshold_counts top_k_accuracy
    top_k_only value_penalty value_penalty_gradient whole_labels
""".split()

VIEWS = {"reshape"}  # the same bytes under another shape: no step, so no kernel


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("op", CASES)
def test_op(op, executor, dtype):
    assert check_all(cases(op), EXECUTORS[executor], dtype) >= len(SIZES)


def test_native_builds_are_tested():
    if not NATIVE:
        pytest.skip("the native executor was not compiled here")
    from fastnn.backends import native

    assert list(NATIVE) == [f"native-{isa}" for isa in native.isas()]
    assert native.Default.isa in native.isas()
    for cls in NATIVE.values():
        expected = {"v2": 16, "v3": 32, "v4": 64}.get(cls.isa)
        assert expected is None or cls.kernels.vector_bytes() == expected


@pytest.mark.parametrize("isa", list(NATIVE))
def test_the_workspace_of_products_has_room_for_their_largest_blocks(isa):
    assert product_workspace(1000, 1000) >= NATIVE[isa].kernels.product_needs()


def test_every_op_has_cases_and_every_case_an_op():
    assert set(CASES) == set(registry()) - VIEWS
    for op in CASES:
        assert {case.op for case in cases(op)} == {op}


def test_the_lists_of_ops_are_closed():
    tiers = {name: op.tier for name, op in registry().items()}
    assert sorted(n for n, tier in tiers.items() if tier == "elementary") == sorted(ELEMENTARY)
    assert sorted(n for n, tier in tiers.items() if tier == "fused") == sorted(FUSED)
    assert set(tiers.values()) == {"elementary", "fused"}
    assert {name for name, op in registry().items() if op.view} == VIEWS


def test_the_lists_of_functions_are_closed():
    # Activations are meant to be added, with nothing to change here; none may get lost.
    assert set(ACTIVATIONS) >= {"gelu", "gelu_tanh", "linear", "relu", "sigmoid", "step", "tanh"}
    assert sorted(UNARY) == (
        "absolute cos erf exp expm1 floor log log1p negative reciprocal round sign sin sqrt square"
    ).split()
    assert sorted(BINARY) == (
        "add divide equal greater greater_equal less less_equal maximum minimum multiply not_equal "
        "power subtract"
    ).split()
    assert sorted(REDUCTIONS) == "max mean sum".split()
    assert sorted(LOSSES) == (
        "absolute_error binary_crossentropy binary_crossentropy_logits binary_focal "
        "categorical_focal hinge huber kl_divergence log_cosh percentage_error poisson "
        "squared_error squared_hinge squared_logarithmic_error".split()
    )
    assert sorted(ROW_LOSSES) == "categorical_hinge cosine_similarity root_squared_error".split()


@pytest.mark.parametrize(
    ("op", "attribute", "functions"),
    [
        ("activation", "activation", ACTIVATIONS),
        ("activation_backward", "activation", ACTIVATIONS),
        ("linear", "activation", ACTIVATIONS),
        ("linear_dx", "activation", ACTIVATIONS),
        ("unary", "function", UNARY),
        ("binary", "function", BINARY),
        ("binary_number", "function", BINARY),
        ("reduce", "function", REDUCTIONS),
        ("elementwise_loss", "function", LOSSES),
        ("elementwise_loss_backward", "function", LOSSES),
        ("row_loss", "function", ROW_LOSSES),
        ("row_loss_backward", "function", ROW_LOSSES),
    ],
)
def test_every_function_of_an_op_has_cases(op, attribute, functions):
    assert {case.attrs[attribute] for case in cases(op)} == set(functions)


def test_optional_inputs_are_present_and_absent():
    for name, op in registry().items():
        for i, given in enumerate(op.inputs):
            if given.endswith("?"):
                assert {case.inputs[i] is None for case in cases(name)} == {True, False}, (
                    name,
                    given,
                )


@pytest.mark.parametrize(
    "executor", NATIVE or [pytest.param("", marks=pytest.mark.skip("native was not compiled here"))]
)
def test_native_functions_are_those_of_the_definitions(executor):
    functions = NATIVE[executor].kernels.functions()
    expected = {"activation": ACTIVATIONS, "unary": UNARY, "binary": BINARY,
                "reduce": REDUCTIONS, "loss": LOSSES, "row_loss": ROW_LOSSES}  # fmt: skip
    assert {kind: sorted(names) for kind, names in functions.items()} == {
        kind: sorted(names) for kind, names in expected.items()
    }


@pytest.mark.parametrize("executor", EXECUTORS)
def test_gaps_of_an_executor_are_declared(executor):
    """Only views have no kernel, and no kernel belongs to no op."""
    cls = EXECUTORS[executor]
    assert {name for name, op in registry().items() if not cls.has(op)} <= VIEWS
    if executor in NATIVE:
        kernels = {kernel for kernel, _ in cls.kernels.addresses()}
        wanted = {op.kernel for name, op in registry().items() if name not in VIEWS}
        assert kernels == wanted | {"gather", "permutation"}  # the executor's own
        assert {(k, d) for k in kernels for d in DTYPES} == set(cls.kernels.addresses())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_reshape_is_a_view(executor, dtype):
    graph, x = Graph(), Tensor((None, 3, 4), "real", "x", "feed")
    ids = Tensor((None, 2, 3), "int32", "ids", "feed")
    with graph:
        y = reshape(x, (None, 12))
        z = unary("negative", reshape(y, (None, 2, 6)))
        flat_ids = reshape(ids, (None, 6))
    store = Store([], dtype)
    program = Program("predict", [Section(graph)], [x, ids], [y, z, flat_ids])
    plan = build(program, store.layout, 7)
    assert [step.op.name for step in plan.steps] == ["unary"]
    data, numbers = np.arange(60, dtype=dtype).reshape(5, 3, 4), np.arange(30, dtype=np.int32)
    outputs = [np.empty((5, *b.shape[1:]), b.dtype) for b in plan.outputs]
    EXECUTORS[executor](plan, store.block).predict([data, numbers.reshape(5, 2, 3)], 5, outputs)
    np.testing.assert_array_equal(outputs[0], data.reshape(5, 12))
    np.testing.assert_array_equal(outputs[1], -data.reshape(5, 2, 6))
    np.testing.assert_array_equal(outputs[2], numbers.reshape(5, 6))


def test_a_missing_kernel_is_an_error_that_names_op_and_executor():
    class Poor(ReferenceExecutor):
        name = "poor"

        @classmethod
        def has(cls, op):
            return op.name != "unary"

    graph, x = Graph(), Tensor((None, 3), "real", "x", "feed")
    with graph:
        y = unary("exp", x)
    plan = build(Program("predict", [Section(graph)], [x], [y]), Store([], "float32").layout, 5)
    with pytest.raises(NotImplementedError, match="the poor executor has no kernel for: unary"):
        Poor(plan, np.empty(0, np.uint8))
