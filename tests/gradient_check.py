"""Central differences: does a gradient made by `engine.backward` fit the loss that it is of?

A check builds a small graph whose loss is the tested output times a fixed random tensor, summed
(or a loss op itself), differentiates it, and runs it on an executor in float64, from memory full of
NaN. Then every entry of every input is moved a little and the loss measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.backends.base import Executor
from fastnn.engine.backward import differentiate
from fastnn.engine.build import Program, Section, build
from fastnn.engine.plan import Plan
from fastnn.model import Store
from fastnn.ops.contract import Graph, emit
from fastnn.ops.tensor import Tensor, Variable

EPSILON = 1e-5
ABSOLUTE, RELATIVE = 1e-7, 1e-5


class WrongGradient(AssertionError):
    """A gradient does not fit its loss."""


@dataclass
class Given:
    """An input of the graph: a batch of rows or a parameter, and whether its gradient is wanted."""

    array: np.ndarray
    rows: bool = True
    wanted: bool = True


def batch(array: np.ndarray) -> Given:
    """Rows whose gradient is wanted."""
    return Given(np.asarray(array))


def parameter(array: np.ndarray) -> Given:
    """A parameter whose gradient is wanted."""
    return Given(np.asarray(array), rows=False)


def fixed(array: np.ndarray, rows: bool = True) -> Given:
    """Rows (targets, ids, masks) or values whose gradient nobody wants."""
    return Given(np.asarray(array), rows, wanted=False)


class Problem:
    """A graph with its loss and gradients on one executor.

    Parameters
    ----------
    make : callable
        From the inputs' tensors to the tested output, or to the accumulator of a loss.
    given : sequence of Given
    executor : type of Executor
    wanted : sequence of int, optional
        Which inputs to differentiate for; by default all that are marked.
    weighted : bool
        Whether the sum over the output's rows has weights, one of them 0.
    label : object
        Shown when it fails.
    scaled : bool
        Whether the loss has a normaliser; a penalty has none, and counts once per batch.
    """

    def __init__(
        self, make: Callable[..., Tensor], given: Sequence[Given], executor: type[Executor],
        wanted: Sequence[int] | None = None, weighted: bool = False, scaled: bool = True,
        label: object = "",
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(3)
        self.scaled, self.label = scaled, label
        batches = [g.array for g in given if g.rows]
        self.rows = len(batches[0]) if batches else 1
        self.feeds: list[np.ndarray] = []
        fed: list[Tensor] = []
        variables: list[Variable] = []

        def tensor_of(
            array: np.ndarray, rows: bool, name: str, storage: str = "parameter"
        ) -> Tensor:
            if not rows:
                variables.append(Variable(array, name, storage=storage))
                return variables[-1]
            self.feeds.append(np.array(array))
            dtype = "real" if array.dtype == np.float64 else array.dtype.name
            fed.append(Tensor((None, *array.shape[1:]), dtype, name, "feed"))
            return fed[-1]

        graph = Graph()
        with graph:
            tensors = [tensor_of(g.array, g.rows, f"x{i}") for i, g in enumerate(given)]
            y = make(*tensors)
            self.forward = [node.op.name for node in graph.nodes]
            if y.storage != "accumulator":
                shape = (self.rows, *y.shape[1:]) if y.has_rows else y.shape
                factors = rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)
                c = tensor_of(factors, y.has_rows, "c", "state")
                weight = None
                if weighted and y.has_rows:
                    weights = rng.uniform(0.5, 2, self.rows)
                    weights[1:2] = 0
                    weight = tensor_of(weights, True, "weight")
                y = emit("weighted_sum", ops.multiply(y, c), weight)
            # Its factor makes the gradient that of the sum, not of the mean.
            scale = emit("loss_scale", None, factor=float(self.rows)) if scaled else None
        chosen = [i for i, g in enumerate(given) if g.wanted] if wanted is None else list(wanted)
        targets = [tensors[i] for i in chosen]
        made = differentiate(graph, [(y, scale)], targets)
        outputs = [made[t] for t in targets if not isinstance(t, Variable)]
        program = Program("train", [Section(graph)], fed, outputs, [y])
        store = Store(variables, "float64")
        self.plan: Plan = build(program, store.layout, self.rows + (1 if fed else 0))
        self.executor = executor(self.plan, store.block)
        self.executor.blocks["scratch"].view(np.uint8)[:] = 0xFF
        self.executor.gradient[:] = np.nan
        self.targets = dict(zip(chosen, targets, strict=True))
        self.places = {
            i: self.feeds[fed.index(t)] if t in fed else t.value for i, t in enumerate(tensors)
        }

    def loss(self) -> float:
        """The loss at the present values; the gradients are left in their places."""
        sums = self.executor.gradients(self.feeds, batch_rows=self.rows)
        return float(sums[0]) / (1 if self.scaled else self.rows)

    def gradients(self) -> dict[int, np.ndarray]:
        """The gradient for each wanted input."""
        self.loss()
        found, outputs = {}, list(self.plan.outputs)
        for i, target in self.targets.items():
            if isinstance(target, Variable):
                start, size = target.offset // 8, target.value.size
                found[i] = self.executor.gradient[start : start + size].reshape(target.value.shape)
            else:
                found[i] = self.executor.view(outputs.pop(0), self.rows)
        return {i: g.copy() for i, g in found.items()}

    def differences(self) -> dict[int, np.ndarray]:
        """The same by central differences."""
        return {i: self._difference(self.places[i]) for i in self.targets}

    def _difference(self, place: np.ndarray) -> np.ndarray:
        slopes = np.empty(place.shape)
        for index in np.ndindex(place.shape):
            value = place[index]
            place[index] = value + EPSILON
            above = self.loss()
            place[index] = value - EPSILON
            below = self.loss()
            place[index] = value
            slopes[index] = (above - below) / (2 * EPSILON)
        return slopes


def check_gradients(
    make: Callable[..., Tensor], given: Sequence[Given], executor: type[Executor],
    **settings: Any,
) -> Problem:  # fmt: skip
    """Raise `WrongGradient` unless all gradients fit: wanted together, and each one alone."""
    together = Problem(make, given, executor, **settings)
    expected = together.differences()
    _compare(together, expected, "all")
    if len(expected) > 1:
        for i in expected:
            _compare(Problem(make, given, executor, wanted=[i], **settings), expected, "alone")
    return together


def _compare(problem: Problem, expected: dict[int, np.ndarray], what: str) -> None:
    for i, got in problem.gradients().items():
        want = expected[i]
        fine = np.abs(got - want) <= ABSOLUTE + RELATIVE * np.abs(want)  # a NaN is not fine
        if not fine.all():
            at = tuple(int(k) for k in np.argwhere(~fine)[0])
            raise WrongGradient(
                f"{problem.forward} {problem.label} on {problem.executor.name}: the gradient of "
                f"input {i} ({what}) is wrong in {(~fine).sum()} of {want.size} places; at {at} it "
                f"is {got[at]}, by central differences {want[at]}\n{problem.plan}"
            )
