"""The plan: what a model becomes, and the only thing an executor sees.

A plan is data and never changes: steps over planned memory, in groups. `print(plan)` shows it,
`plan.validate()` proves that no step reads or writes what it must not. Built by `engine.build`,
run by `backends`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from fastnn.ops.contract import Op
from fastnn.ops.tensor import Shape, Size, at_rows, concrete, count

ALIGNMENT = 64

# One record per group. Kernels and the definitions of ops read it; executors write it.
CONTROL = np.dtype(
    [
        ("iteration", np.int64),  # updates done
        ("step", np.int64),  # batches run in training, all groups alike: random draws depend on it
        ("rate", np.float64),  # learning rate of the next update
        ("batch_rows", np.int64),  # rows of the whole batch, over chunks and machines
        ("first_row", np.int64),  # place of this batch's first row in the whole batch
        ("seed", np.uint64),
        ("reserved", np.int64, (2,)),
    ]
)


@cache
def itemsize(dtype: str) -> int:
    """Bytes of a number of this dtype."""
    return np.dtype(dtype).itemsize


class PlanError(ValueError):
    """A plan that would read or write memory it must not."""


class Buffer(NamedTuple):
    """A place in one of the three blocks, at row capacity.

    `value` numbers what lies there: memory that is used again holds another value.
    """

    name: str
    shape: Shape
    dtype: str
    block: str
    offset: int
    nbytes: int
    value: int = 0

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.offset + self.nbytes

    def overlaps(self, other: Buffer) -> bool:
        """Whether the two share a byte."""
        same_block = self.block == other.block
        return same_block and self.offset < other.end and other.offset < self.end

    def view(self, block: np.ndarray, rows: int) -> np.ndarray:
        """The buffer as a NumPy array of `rows` rows over its block."""
        shape = concrete(self.shape, rows)
        return np.ndarray(shape, self.dtype, buffer=block.data, offset=self.offset)

    def __str__(self) -> str:
        inside = ",".join("rows" if n is None else str(n) for n in self.shape)
        return f"{self.name}[{inside}]"


class Step(NamedTuple):
    """One op over planned buffers; `sizes` and `constants` go to its kernel.

    It may use `workspace` reals of the plan's workspace, and is given none where that is 0.
    `gradients` are the outputs that are gradients of parameters: over the chunks of a batch they
    add up. `once` marks a step whose part of them does not depend on the rows (a penalty): it runs
    for the first chunk only.
    """

    op: Op
    outputs: tuple[Buffer | None, ...]
    inputs: tuple[Buffer | None, ...]
    add: tuple[bool, ...]
    attrs: dict[str, Any]
    sizes: tuple[Size | str, ...]
    constants: tuple[float, ...]
    flops: Size
    workspace: int = 0
    gradients: tuple[int, ...] = ()
    once: bool = False

    @property
    def name(self) -> str:
        """The op with the function it applies, as printed."""
        for key in ("activation", "function"):
            function = self.attrs.get(key, "linear")
            if function != "linear":
                return f"{self.op.name} {function}"
        return self.op.name


class Group(NamedTuple):
    """Forward, loss and backward steps run for each chunk of a batch, `batch_steps` after its last.

    `updates` follow every `every` batches.
    """

    steps: tuple[Step, ...]
    updates: tuple[Step, ...] = ()
    every: int = 1
    batch_steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything an executor needs to run a model in one mode.

    Attributes
    ----------
    mode : {"train", "evaluate", "predict"}
    capacity : int
        Rows that the scratch block has room for.
    dtype : {"float32", "float64"}
    groups : tuple of Group
    feeds : tuple of Buffer
        What the gather fills for each batch, in the order in which data is given.
    outputs : tuple of Buffer
        What predict copies out.
    accumulators : tuple of Buffer
        float64 sums over batches, side by side at the start of the scratch block.
    sizes : dict
        Bytes of the blocks "model", "training", "scratch", and of the "parameters" in the first.
    control_offset : int
        Where the control records lie in the training block.
    workspace : Buffer or None
        Memory that kernels may use during one step.
    chunks : bool
        Whether a batch may come in parts of at most `capacity` rows, whose gradients add up.
    slots : dict
        Optimizer state: the name of each slot, in the order in which they follow the gradient in
        the training block, and what it starts with; None stands for a copy of the parameters.
    lowered : dict
        What executors made of it that does for every model with this plan; theirs alone.
    """

    mode: str
    capacity: int
    dtype: str
    groups: tuple[Group, ...]
    feeds: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    accumulators: tuple[Buffer, ...]
    sizes: dict[str, int]
    control_offset: int
    workspace: Buffer | None
    chunks: bool = False
    slots: dict[str, float | None] = field(default_factory=dict)
    lowered: dict[Any, Any] = field(init=False, default_factory=dict, compare=False, repr=False)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All steps in running order, updates included."""
        return tuple(s for g in self.groups for s in (*g.steps, *g.batch_steps, *g.updates))

    @cached_property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return any("stream" in step.attrs for step in self.steps)

    @property
    def accumulator_count(self) -> int:
        """Number of float64 values in all accumulators."""
        return sum(buffer.nbytes for buffer in self.accumulators) // 8

    def flops(self, rows: int | None = None) -> int:
        """Multiplications and additions of one pass over a batch (of `capacity` rows)."""
        n = self.capacity if rows is None else rows
        return sum(at_rows(step.flops, n) for step in self.steps)

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def validate(self) -> Plan:
        """Raise `PlanError` unless the plan is safe to run; return it."""
        for problem in _problems(self):
            raise PlanError(f"this plan is not safe to run: {problem}")
        return self


# --- printing ------------------------------------------------------------------------------------


def _lines(plan: Plan) -> Iterator[str]:
    sizes = plan.sizes
    work = plan.workspace.nbytes if plan.workspace else 0
    yield f"{plan.mode} plan: up to {plan.capacity} rows, {plan.dtype}"
    yield (
        f"bytes: model {sizes['model']:,}, training {sizes['training']:,}, "
        f"scratch {sizes['scratch']:,} (of which workspace {work:,})"
    )
    for name in ("feeds", "outputs", "accumulators"):
        buffers = getattr(plan, name)
        if buffers:
            yield f"{name}: " + ", ".join(map(str, buffers))
    number = 0
    width = max((len(step.name) for step in plan.steps), default=4)
    for index, group in enumerate(plan.groups):
        if len(plan.groups) > 1:
            yield f"group {index}"
        yield f"   {'step':<{width}} {'bytes':>10} {'flops':>10}  writes <- reads"
        for step in (*group.steps, *group.batch_steps):
            yield _line(number, step, plan.capacity, width)
            number += 1
        if group.updates:
            yield "   update, every " + ("batch" if group.every == 1 else f"{group.every} batches")
        for step in group.updates:
            yield _line(number, step, plan.capacity, width)
            number += 1


def _line(number: int, step: Step, capacity: int, width: int) -> str:
    moved = {(b.block, b.offset): b.nbytes for b in (*step.outputs, *step.inputs) if b is not None}
    flops = at_rows(step.flops, capacity)
    writes = ", ".join(
        ("+= " if add else "") + str(b)
        for b, add in zip(step.outputs, step.add, strict=True)
        if b is not None
    )
    targets = {b for b in step.outputs if b is not None}
    reads = ", ".join(str(b) for b in step.inputs if b is not None and b not in targets)
    cost = f"{sum(moved.values()):10,} {f'{flops:,}' if flops else '':>10}"
    return f"{number:2d} {step.name:<{width}} {cost}  {writes} <- {reads}".removesuffix(" <- ")


# --- validating ----------------------------------------------------------------------------------


def _problems(plan: Plan) -> Iterator[str]:
    """What is wrong with a plan, first things first."""
    named = [*plan.feeds, *plan.outputs, *plan.accumulators]
    if plan.workspace is not None:
        named.append(plan.workspace)
    for step in plan.steps:
        named += [b for b in (*step.outputs, *step.inputs) if b is not None]
    for buffer in {id(b): b for b in named}.values():  # steps share them
        yield from _misplaced(buffer, plan)
    for number, step in enumerate(plan.steps):
        yield from (f"step {number} ({step.name}): {p}" for p in _conflicts(step, plan.workspace))
    yield from _stale_reads(plan)


def _misplaced(buffer: Buffer, plan: Plan) -> Iterator[str]:
    size = plan.sizes.get(buffer.block, -1)
    needed = at_rows(count(buffer.shape), plan.capacity) * itemsize(buffer.dtype)
    if size < 0:
        yield f"{buffer} is in an unknown block {buffer.block!r}"
    elif buffer.offset < 0 or buffer.end > size:
        yield (
            f"{buffer} covers bytes {buffer.offset} to {buffer.end} of block "
            f"{buffer.block!r}, which has {size}"
        )
    elif buffer.nbytes < needed:
        yield f"{buffer} has {buffer.nbytes} bytes but needs {needed} for {plan.capacity} rows"
    elif buffer.offset % itemsize(buffer.dtype):
        yield f"{buffer} is not aligned to its type {buffer.dtype}"


def _conflicts(step: Step, workspace: Buffer | None) -> Iterator[str]:
    """Memory that two operands of one step share against the op's contract."""
    for i, out in enumerate(step.outputs):
        if out is None:
            continue
        for other in step.outputs[i + 1 :]:
            if other is not None and out.overlaps(other):
                yield f"outputs {out} and {other} overlap"
        for j, given in enumerate(step.inputs):
            if given is None or not out.overlaps(given):
                continue
            allowed = step.op.same.get(i) == j or j in step.op.may_alias.get(i, ())
            if not allowed or (out.offset, out.nbytes) != (given.offset, given.nbytes):
                yield f"output {out} overlaps input {given}"
        if workspace is not None and out.overlaps(workspace):
            yield f"output {out} overlaps the workspace"


def _stale_reads(plan: Plan) -> Iterator[str]:
    """Play the plan on a shadow of scratch: every read must see its own writer's bytes."""
    owners: dict[tuple[int, int], int] = {}  # (start, end) -> the value that lies there

    def write(buffer: Buffer) -> None:
        for span in [s for s in owners if s[0] < buffer.end and buffer.offset < s[1]]:
            del owners[span]
        owners[(buffer.offset, buffer.end)] = buffer.value

    def is_whole(buffer: Buffer) -> bool:
        return owners.get((buffer.offset, buffer.end)) == buffer.value

    for buffer in (*plan.accumulators, *plan.feeds):
        if is_whole(buffer) or any(s[0] < buffer.end and buffer.offset < s[1] for s in owners):
            yield f"{buffer} overlaps another feed or accumulator"
        write(buffer)
    for number, step in enumerate(plan.steps):
        for buffer in step.inputs:
            if buffer is not None and buffer.block == "scratch" and not is_whole(buffer):
                yield (
                    f"step {number} ({step.name}) reads {buffer}, which is not written or was "
                    "overwritten"
                )
        for buffer, add in zip(step.outputs, step.add, strict=True):
            if buffer is None or buffer.block != "scratch":
                continue
            if add and not is_whole(buffer):
                yield f"step {number} ({step.name}) adds to {buffer}, which nothing wrote before"
            write(buffer)
    for buffer in (*plan.accumulators, *plan.outputs):
        if buffer.block == "scratch" and not is_whole(buffer):
            yield f"{buffer} is overwritten before the end of the plan"
