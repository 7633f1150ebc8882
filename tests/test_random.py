"""Random numbers: Philox's published vectors, and the same draws wherever they are made.

Permutations and dropout masks must not depend on executor, ISA build, float type or on how the
rows of a batch are divided. Statistics use fixed seeds: such a test passes or fails for good.
"""

import numpy as np
import pytest
from op_runner import DTYPES, executors

from fastnn.backends.base import Job
from fastnn.engine.build import Program, Section, build
from fastnn.engine.memory import zeros
from fastnn.model import Store
from fastnn.ops import Graph, Tensor, dropout, emit
from fastnn.ops.random import draws, permutation, philox, threshold

EXECUTORS = executors()

# Known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_known_answers(counter, key, expected):
    got = philox(np.array(words(counter), np.uint64), tuple(words(key)))
    assert got.dtype == np.uint32
    assert [f"{int(word):08x}" for word in got] == expected.split()
    many = philox(np.array([[words(counter)] * 3] * 2, np.uint64), tuple(words(key)))
    assert (many == got).all() and many.shape == (2, 3, 4)


def test_a_draw_depends_on_seed_stream_step_row_and_element_only():
    whole = draws(seed=5, stream=2, step=9, rows=6, width=11)
    assert whole.shape == (6, 11)
    np.testing.assert_array_equal(draws(5, 2, 9, 4, 11, first_row=2), whole[2:])
    np.testing.assert_array_equal(draws(5, 2, 9, 6, 7), whole[:, :7])
    assert len(np.unique(whole)) == whole.size
    for other in (draws(6, 2, 9, 6, 11), draws(5, 3, 9, 6, 11), draws(5, 2, 8, 6, 11),
                  draws(5 + 2**32, 2, 9, 6, 11)):  # fmt: skip
        assert not np.isin(other, whole).any()


# --- permutations --------------------------------------------------------------------------------


def orders(executor, rows, seed, epochs, batch_size=None):
    """The order of the rows in each epoch, as training draws and uses it."""
    graph, x = Graph(), Tensor((None,), "real", "x", "feed")
    with graph:
        total = emit("weighted_sum", x, None)
    program = Program("train", [Section(graph)], [x], [], [total])
    store = Store([], "float64")
    batch_size = batch_size or rows
    plan = build(program, store.layout, batch_size)
    run = executor(plan, store.block, zeros(plan.sizes["training"]))
    run.control["seed"] = seed
    found = []
    for epoch in range(epochs):
        sums = np.zeros((1, 2))
        job = Job(
            [np.arange(rows, dtype=float)], rows, batch_size, 1, True, sums, past_epochs=epoch
        )
        job.seconds = 1e9
        run.train(job)
        assert sums[0].tolist() == [rows * (rows - 1) / 2, rows]  # each row was seen once
        found.append(job.order.copy())
    return found


@pytest.mark.parametrize("executor", EXECUTORS)
def test_permutations_are_those_of_the_definition(executor):
    for n in [*range(1, 51), 1000]:
        for seed in (0, 1, n * 977, 2**63 - n):
            for epoch, order in enumerate(orders(EXECUTORS[executor], n, seed, 3)):
                np.testing.assert_array_equal(order, permutation(seed, epoch, n))
    for order in orders(EXECUTORS[executor], 65537, 12345, 1, batch_size=4096):
        np.testing.assert_array_equal(order, permutation(12345, 0, 65537))


def test_permutation_is_one():
    for n in [0, *range(1, 51), 1000, 65537]:
        order = permutation(7, 3, n)
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_permutations_differ_between_seeds_and_epochs():
    found = {tuple(permutation(seed, epoch, 20)) for seed in range(20) for epoch in range(20)}
    assert len(found) == 400


def test_permutations_are_uniform():
    """Chi-square at the 0.1% level: all 24 orders of 4 rows, and who stands where among 9."""
    fours = np.array([permutation(3, epoch, 4) for epoch in range(4800)])
    counts = np.unique(fours @ [64, 16, 4, 1], return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 200) ** 2 / 200).sum() < 49.73  # 23 degrees of freedom
    nines = np.array([permutation(seed, 5, 9) for seed in range(3600)])
    counts = np.array([np.bincount(column, minlength=9) for column in nines.T])
    assert ((counts - 400) ** 2 / 400).sum() < 104.72  # 64 degrees of freedom


@pytest.mark.parametrize("executor", EXECUTORS)
def test_without_shuffle_the_rows_keep_their_order(executor):
    graph, x = Graph(), Tensor((None,), "real", "x", "feed")
    with graph:
        total = emit("weighted_sum", x, None)
    store = Store([], "float64")
    plan = build(Program("train", [Section(graph)], [x], [], [total]), store.layout, 4)
    job = Job([np.arange(10.0)], 10, 4, 1, False, np.zeros((1, 2)))
    EXECUTORS[executor](plan, store.block, zeros(plan.sizes["training"])).train(job)
    np.testing.assert_array_equal(job.order, np.arange(10))


# --- dropout -------------------------------------------------------------------------------------


def masks(executor, dtype, rows, width, rate=0.5, seed=99, step=3, stream=6, own=None, parts=()):
    """What dropout makes of ones; `parts` are the rows at which the batch is divided."""
    graph, x = Graph(), Tensor((None, width), "real", "x", "feed")
    with graph:
        y = dropout(x, rate, stream, own)
        total = emit("weighted_sum", y, None)
    store = Store([], dtype)
    program = Program("train", [Section(graph)], [x], [y], [total])
    plan = build(program, store.layout, rows)
    run = executor(plan, store.block, zeros(plan.sizes["training"]))
    run.control["seed"], run.control["step"] = seed, step
    ones, found = np.ones((rows, width), dtype), []
    for start, stop in zip((0, *parts), (*parts, rows), strict=True):
        run.gradients([ones[start:stop]], first_row=start, batch_rows=rows)
        found.append(run.view(plan.outputs[0], stop - start).copy())
    return np.concatenate(found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_dropout_masks_are_the_same_everywhere(executor, dtype):
    for width in (1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100):
        for rate in (0.1, 0.5, 0.9):
            kept = draws(99, 6, 3, 9, width) >= threshold(rate)
            expected = np.where(kept, dtype_of(dtype, 1 / (1 - rate)), 0)
            got = masks(EXECUTORS[executor], dtype, 9, width, rate)
            np.testing.assert_array_equal(got, expected)


def dtype_of(dtype, value):
    return np.dtype(dtype).type(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_dropout_does_not_depend_on_how_rows_are_divided(executor, dtype):
    for width in (1, 7, 16, 50):
        whole = masks(EXECUTORS[executor], dtype, 23, width)
        for parts in ((5,), (1, 2, 20), (16, 17)):
            np.testing.assert_array_equal(
                masks(EXECUTORS[executor], dtype, 23, width, parts=parts), whole
            )


@pytest.mark.parametrize("executor", EXECUTORS)
def test_dropout_masks_differ_between_seeds_steps_and_streams(executor):
    def mask(**settings):
        return masks(EXECUTORS[executor], "float32", 20, 20, **settings)

    first = mask()
    for settings in ({"seed": 98}, {"seed": 99 + 2**40}, {"step": 4}, {"stream": 7}, {"own": 98}):
        same = (mask(**settings) == first).mean()
        assert 0.35 < same < 0.65, settings  # as often as two coins agree
    # A seed of its own makes it independent of the run's, and equal to a run with that seed.
    np.testing.assert_array_equal(mask(own=99, seed=1), first)
    np.testing.assert_array_equal(mask(own=99, seed=2), first)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_dropout_keeps_as_many_as_it_should(executor):
    for rate in (0.5, 0.2):
        y = masks(EXECUTORS[executor], "float32", 500, 200, rate)
        deviation = np.sqrt(rate * (1 - rate) / y.size)
        assert abs((y == 0).mean() - rate) < 4 * deviation
        assert abs((y == 0).mean(axis=0) - rate).max() < 5 * np.sqrt(rate * (1 - rate) / 500)
        np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)
        assert abs(y.mean() - 1) < 4 * deviation / (1 - rate)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_dropout_of_rate_0_keeps_all(executor):
    assert (masks(EXECUTORS[executor], "float32", 50, 50, rate=0.0) == 1).all()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_each_step_of_training_draws_new_masks(executor):
    """The sums over three batches are those of the definition at steps 0, 1 and 2."""
    graph, x = Graph(), Tensor((None, 10), "real", "x", "feed")
    with graph:
        total = emit("weighted_sum", dropout(x, 0.5, 1), None)
    store = Store([], "float64")
    plan = build(Program("train", [Section(graph)], [x], [], [total]), store.layout, 4)
    run = EXECUTORS[executor](plan, store.block, zeros(plan.sizes["training"]))
    run.control["seed"] = 77
    sums = np.zeros((2, 2))
    run.train(Job([np.ones((10, 10))], 10, 4, 2, False, sums, seconds=1e9))
    kept = [
        (draws(77, 1, step, rows, 10) >= threshold(0.5)).sum() * 2.0
        for step, rows in enumerate((4, 4, 2, 4, 4, 2))
    ]
    assert sums.tolist() == [[sum(kept[:3]), 10], [sum(kept[3:]), 10]]
