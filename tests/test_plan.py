"""Plans: how they print (golden files), that unsafe ones are refused, and random graphs.

Run `python tests/test_plan.py` to write the golden files anew after a change that is meant.
"""

import dataclasses
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn.engine
from fastnn import Input, Model, Sequential, backends, layers, ops, optimizers
from fastnn.backends import Job
from fastnn.engine.build import Program, Section, build
from fastnn.engine.memory import zeros
from fastnn.engine.plan import Buffer, Group, PlanError
from fastnn.heads import Kind
from fastnn.layers import Activation, Dense, Dropout, Flatten, Rescaling
from fastnn.model import Store
from fastnn.ops.contract import Graph, emit
from fastnn.ops.tensor import Tensor, Variable

GOLDEN = pathlib.Path(__file__).parent / "golden"


def hello():
    model = Sequential([Dense(1, input_shape=(1,))])
    model.compile("sgd", loss="mse")
    return model, "train", 6


def digits():
    model = Sequential(
        [
            Rescaling(1 / 16, input_shape=(8, 8)),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, "train", 32


def digits_predict():
    return digits()[0], "predict", 32


def frozen():
    """Only the last layer is trained: nothing is computed for the layers below."""
    model = Sequential([Dense(8, activation="tanh", input_shape=(4,)), Dense(3), Dense(2)])
    model.layers[0].trainable = model.layers[1].trainable = False
    model.compile(optimizers.SGD(momentum=0.9), loss="mse")
    return model, "train", 16


def gelu():
    """An activation whose gradient needs its input: a step of its own in training."""
    model = Sequential([Dense(8, activation="gelu", input_shape=(4,)), Dropout(0.5), Dense(1)])
    model.compile("rmsprop", loss="binary_crossentropy")
    return model, "train", 16


def gelu_predict():
    return gelu()[0], "predict", 16


def two_outputs():
    x = Input((4,))
    body = Dense(8, activation="relu", kernel_regularizer="l2")(x)
    model = Model(x, [Dense(1, name="size")(body), Dense(3, "softmax", name="kind")(body)])
    adam = optimizers.Adam(gradient_accumulation_steps=4)
    model.compile(adam, loss=["mse", "categorical_crossentropy"], loss_weights=[1.0, 0.5])
    return model, "train", 16


CASES = [hello, digits, digits_predict, frozen, gelu, gelu_predict, two_outputs]


def plan_of(case):
    model, mode, capacity = case()
    return model._executor(mode, capacity, (Kind(),) * len(model.outputs))[0].plan


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_golden(case):
    printed = str(plan_of(case)) + "\n"
    assert printed == (GOLDEN / f"{case.__name__}.txt").read_text()
    assert len(printed.splitlines()) <= 60  # a page


def test_every_step_prints_shapes_bytes_and_flops():
    plan = plan_of(digits)
    text = str(plan)
    products = [s for s in plan.steps if s.op.name.startswith("linear")]
    # forward, dw and dx of 64-64-10: 2 flops per weight and row; the first dx is not needed
    assert [s.flops.at(32) for s in products] == [
        2 * 32 * n for n in (64 * 64, 64 * 10, 64 * 10, 64 * 10, 64 * 64)
    ]
    assert plan.flops() == sum(s.flops.at(32) for s in products)
    for step in products:
        assert re.search(rf"{step.name} .*\b{step.flops.at(32):,}\b", text)


def test_the_plan_in_the_readme_of_the_engine_is_the_real_one():
    page = pathlib.Path(fastnn.engine.__file__).with_name("README.md").read_text()
    model = Sequential([Dense(3, activation="relu", input_shape=(4,)), Dense(1)])
    model.compile("adam", loss="mse")
    assert f"```\n{model.plan}\n```" in page


# --- validate ---


def changed(plan, number, **changes):
    """The plan with other operands in one step of its first group."""
    group = plan.groups[0]
    steps = list(group.steps)
    steps[number] = steps[number]._replace(**changes)
    replaced = Group(tuple(steps), group.updates, group.every)
    return dataclasses.replace(plan, groups=(replaced, *plan.groups[1:]))


def moved(buffer, **changes):
    return buffer._replace(**changes)


def test_an_output_outside_its_block_is_refused():
    plan = plan_of(hello)
    out = plan.steps[0].outputs[0]
    broken = changed(plan, 0, outputs=(moved(out, offset=plan.sizes["scratch"]),))
    with pytest.raises(PlanError, match=r"covers bytes \d+ to \d+ of block 'scratch', which has"):
        broken.validate()


def test_an_unknown_block_is_refused():
    plan = plan_of(hello)
    out = plan.steps[0].outputs[0]
    with pytest.raises(PlanError, match="unknown block 'heap'"):
        changed(plan, 0, outputs=(moved(out, block="heap"),)).validate()


def test_a_buffer_too_small_for_its_rows_is_refused():
    plan = plan_of(hello)
    out = plan.steps[0].outputs[0]
    with pytest.raises(PlanError, match=r"has 20 bytes but needs 24 for 6 rows"):
        changed(plan, 0, outputs=(moved(out, nbytes=20),)).validate()


def test_a_misaligned_buffer_is_refused():
    plan = plan_of(hello)
    out = plan.steps[0].outputs[0]
    with pytest.raises(PlanError, match="not aligned"):
        changed(plan, 0, outputs=(moved(out, offset=out.offset + 2),)).validate()


def test_an_output_over_an_input_that_the_op_does_not_allow_is_refused():
    plan = plan_of(digits)
    step = plan.steps[1]  # linear: its output must not be its input
    x = step.inputs[0]
    broken = changed(plan, 1, outputs=(moved(step.outputs[0], offset=x.offset),))
    with pytest.raises(PlanError, match="step 1 .linear relu.: output .* overlaps input"):
        broken.validate()


def test_two_outputs_of_a_step_that_overlap_are_refused():
    plan = plan_of(digits)
    number, step = next(
        (i, s) for i, s in enumerate(plan.steps) if s.op.name == "softmax_crossentropy"
    )
    sums, p = step.outputs
    broken = changed(plan, number, outputs=(sums, moved(p, offset=0)))
    with pytest.raises(PlanError, match="outputs .* overlap"):
        broken.validate()


def test_a_read_of_memory_that_was_used_again_is_refused():
    plan = plan_of(digits)
    relu = plan.steps[1].outputs[0]
    number, step = next((i, s) for i, s in enumerate(plan.steps) if i > 1 and relu not in s.inputs)
    broken = changed(plan, number, outputs=(moved(step.outputs[0], offset=relu.offset),))
    with pytest.raises(PlanError):
        broken.validate()


def test_a_read_before_the_write_is_refused():
    plan = plan_of(digits)
    group = plan.groups[0]
    swapped = (group.steps[1], group.steps[0], *group.steps[2:])
    broken = dataclasses.replace(plan, groups=(Group(swapped, group.updates),))
    with pytest.raises(PlanError, match="not written or was overwritten"):
        broken.validate()


def test_adding_to_what_nothing_wrote_is_refused():
    plan = plan_of(hello)
    with pytest.raises(PlanError, match="adds to .* which nothing wrote before"):
        changed(plan, 0, add=(True,)).validate()


def test_overlapping_feeds_are_refused():
    plan = plan_of(hello)
    twice = (plan.feeds[0], moved(plan.feeds[1], offset=plan.feeds[0].offset))
    with pytest.raises(PlanError, match="overlaps another feed"):
        dataclasses.replace(plan, feeds=twice).validate()


def test_an_output_that_is_overwritten_is_refused():
    plan = plan_of(digits_predict)
    feed = plan.feeds[0]
    lost = Buffer("lost", (None, 10), "float32", "scratch", feed.offset, feed.nbytes, value=99)
    with pytest.raises(PlanError, match="overwritten before the end"):
        dataclasses.replace(plan, outputs=(lost,)).validate()


# --- random graphs ---


@st.composite
def random_graphs(draw):
    """A recipe: each entry makes a tensor from recent ones; which are trained; which are summed."""
    size = draw(st.integers(3, 12))
    kinds = ["linear", "linear", "add", "add", "multiply", "subtract", "tanh", "square", "reshape"]
    recipe = [
        (draw(st.sampled_from([*kinds, "where"])), *draw(st.tuples(recent(i), recent(i))))
        for i in range(size)
    ]
    recipe = [("linear", 0, 0), *((kind, i + 1, j + 1) for kind, i, j in recipe)]
    outputs = [size, *draw(st.lists(st.integers(1, size - 1), max_size=2, unique=True))]
    return recipe, outputs, [True, *draw(st.lists(st.booleans(), min_size=size, max_size=size))]


def recent(i):
    return st.integers(max(0, i - 3), i)


WIDTH = 3


def graph_of(recipe, outputs, trained):
    """The program of a recipe, and its parameters."""
    rng = np.random.default_rng(len(recipe))
    x = Tensor((None, WIDTH), "real", "x", "feed")
    graph, made, parameters = Graph(), [x], []
    with graph:
        for (kind, i, j), train in zip(recipe, trained, strict=True):
            a, b = made[i], made[j]
            if kind == "linear":
                w = Variable(rng.normal(size=(WIDTH, WIDTH)) / 2, f"w{len(parameters)}", train)
                parameters.append(w)
                made.append(ops.linear(a, w))
            elif kind == "tanh":
                made.append(ops.apply_activation("tanh", a))
            elif kind == "square":
                made.append(ops.affine(ops.unary("square", a), 0.25))
            elif kind == "reshape":
                made.append(ops.reshape(ops.reshape(a, (None, WIDTH, 1)), (None, WIDTH)))
            elif kind == "where":
                made.append(ops.where(ops.binary("greater", a, b), a, b))
            else:
                made.append(ops.binary(kind, a, b))
        losses = [
            (emit("weighted_sum", made[k], None), emit("loss_scale", None, factor=1.0))
            for k in outputs
        ]
    chosen = [p for p in parameters if p.trainable]
    section = Section(graph, losses if chosen else [], chosen, optimizers.SGD(1.0))
    accumulators = [loss for loss, _ in losses]
    return Program("train", [section], [x], accumulators=accumulators), parameters, chosen


@settings(max_examples=120, deadline=None, derandomize=True)
@given(random_graphs())
def test_random_graphs_are_valid_and_right(case):
    """Both executors agree with central differences, whatever shares memory with whatever."""
    x = np.random.default_rng(0).uniform(-1, 1, (4, WIDTH))
    slopes = {}
    for name in backends.available():
        program, parameters, chosen = graph_of(*case)
        variables = parameters or [Variable(np.zeros(1))]
        store = Store(variables)
        plan = build(program, store.layout, 5)  # one row more than is used
        machine = backends.get(name)(plan, store.block, zeros(plan.sizes["training"]))
        machine.blocks["scratch"][:] = 255  # NaN: nothing may be read before it is written
        total = machine.gradients([x])[0::2].sum() / len(x)
        gradient = machine.gradient.copy()
        slopes[name] = [gradient[p.offset // 8 :][: p.value.size] for p in chosen]
        if name != "reference" or abs(total) > 1e6:
            continue
        for p, slope in zip(chosen, slopes[name], strict=True):
            for k in range(p.value.size):
                old = p.value.flat[k]
                values = []
                for shift in (1e-5, -1e-5):
                    p.value.flat[k] = old + shift
                    values.append(machine.gradients([x])[0::2].sum() / len(x))
                p.value.flat[k] = old
                central = (values[0] - values[1]) / 2e-5
                # `where` has kinks; close to one the difference straddles it
                assert slope[k] == pytest.approx(central, rel=1e-4, abs=1e-5 * (1 + abs(total)))
    for mine in slopes.values():
        for got, wanted in zip(mine, slopes["reference"], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", backends.available())
def test_arrays_that_do_not_fit_the_feeds_never_reach_a_kernel(name):
    model = hello()[0]
    whole = dataclasses.replace(plan_of(hello), chunks=False)
    machine = backends.get(name)(whole, model.store.block)
    x = np.zeros((6, 1), np.float32)
    for feeds, message in (
        ([x], "1 arrays, the plan has 2 feeds"),
        (
            [x, x[:5]],
            r"feed dense/target\[rows,1\] needs an array of numbers of shape \(6, 1\)",
        ),
        ([x, x.astype(str)], "got <U"),
        ([x, x.astype(complex)], "got complex128"),
        ([x, x.astype(object)], "got object"),
        ([np.zeros((7, 1), np.float32)] * 2, "7 rows in a batch, the plan has room for 6"),
    ):
        with pytest.raises(ValueError, match=message):
            machine.gradients(feeds)
    job = Job([np.zeros((9, 1), np.float32)] * 2, 9, 8, 1, False, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="8 rows in a batch"):
        machine.train(job)
    with pytest.raises(ValueError, match="needs an array of numbers"):
        machine.predict([x, x], 5, [])


def test_memory_is_shared_by_what_does_not_live_at_the_same_time():
    deep = Sequential([Dense(64, activation="relu", input_shape=(64,)) for _ in range(20)])
    plan = deep._executor("predict", 32, ())[0].plan
    row = 32 * 64 * 4
    activations = plan.sizes["scratch"] - plan.workspace.nbytes
    assert activations == 2 * row  # in and out, turn by turn


def test_an_activation_layer_is_fused_into_the_product_before_it():
    model = Sequential([Dense(4, input_shape=(3,)), Activation("sigmoid"), layers.Dense(1)])
    plan = model._executor("predict", 8, ())[0].plan
    assert [s.name for s in plan.steps] == ["linear sigmoid", "linear"]


def test_a_plan_that_is_made_before_the_first_fit():
    x, y = np.ones((10, 3), "float32"), np.arange(10) % 2
    model = Sequential([layers.Dense(4, "relu", input_shape=(3,)), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    made = model.make_plan(batch_size=5)
    assert (made.mode, made.capacity) == ("train", 5)
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    assert model.plan is made
    model.fit(x, y, batch_size=4, verbose=0)
    assert model.plan is not made


def test_no_plan_without_losses_or_with_one_that_depends_on_the_data():
    model = Sequential([layers.Dense(2, "softmax", input_shape=(3,))])
    with pytest.raises(RuntimeError, match="make_plan: compile the model first"):
        model.make_plan()
    model.compile("adam", "crossentropy")
    with pytest.raises(ValueError, match="make_plan: .* depends on the targets; name it"):
        model.make_plan()
    with pytest.raises(ValueError, match="batch_size must be"):
        model.make_plan(0)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for golden in CASES:
        (GOLDEN / f"{golden.__name__}.txt").write_text(str(plan_of(golden)) + "\n")
