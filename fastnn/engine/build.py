"""From a traced program to a plan: differentiate, fuse, place, write down.

`Program` is what `engine.trace` makes of a model, and what a test makes by hand: groups of traced
nodes with their losses, the parameters that each trains and its optimizer. `build` is the whole
compiler; it calls the passes in the order in which this package is meant to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from fastnn.engine.backward import Loss, differentiate
from fastnn.engine.fuse import fuse
from fastnn.engine.kept import Description, Kept, Key
from fastnn.engine.memory import Layout, Planner, aligned
from fastnn.engine.plan import Buffer, Group, Plan, Step
from fastnn.ops.contract import Graph, Node, emit
from fastnn.ops.tensor import Span, Tensor, Variable

_SUMS = ("gradient", "accumulator")  # storages that are added to, chunk by chunk


@dataclass(eq=False)
class Section:
    """One group of a program, before it is compiled.

    Attributes
    ----------
    graph : Graph
        The traced nodes.
    losses : list of (accumulator, scale)
        Empty where the graph writes its gradients itself, or in prediction.
    trainable : list of Variable
        The parameters that the optimizer updates; others are frozen in this group.
    optimizer : Optimizer or None
    every : int
        Batches per update; their gradients are averaged.
    """

    graph: Graph
    losses: list[Loss] = field(default_factory=list)
    trainable: list[Variable] = field(default_factory=list)
    optimizer: Any = None
    every: int = 1


@dataclass(eq=False)
class Program:
    """A traced model: what `build` compiles."""

    mode: str
    sections: list[Section]
    feeds: list[Tensor]
    outputs: list[Tensor] = field(default_factory=list)
    accumulators: list[Tensor] = field(default_factory=list)


def build(
    program: Program,
    layout: Layout,
    capacity: int,
    known_slots: Mapping[str, float | None] | None = None,
    kept: Kept | None = None,
) -> Plan:
    """Compile a program into a validated plan for at most `capacity` rows a batch.

    Its training block begins with the `known_slots` of earlier plans, so that they can share one.
    If the plan of such a program is among those that are `kept`, it is that one.
    """
    updates: list[_Updates] = []
    slots = dict(known_slots or {})
    for number, section in enumerate(program.sections):
        if section.optimizer is not None:
            section.trainable = [v for v in section.trainable if section.optimizer.factor_of(v)]
        updates.append(_updates(section, number, layout, slots))
    key = None if kept is None else _key(program, updates, layout, capacity, slots)
    if kept is None or key is None:
        return _compiled(program, updates, layout, capacity, slots)
    plan = kept.find(key)
    if plan is None:
        plan = _compiled(program, updates, layout, capacity, slots)
        kept.keep(key, plan)
    return plan


def _key(
    program: Program,
    updates: Sequence[_Updates],
    layout: Layout,
    capacity: int,
    slots: Mapping[str, float | None],
) -> Key | None:
    """What the plan depends on; None where some of it cannot be written down."""
    found, groups = Description(), []
    for section, made in zip(program.sections, updates, strict=True):
        for nodes in (section.graph.nodes, made.batch, made.updates):
            if not found.add(nodes):
                return None
        losses = [found.numbered(loss) for loss in section.losses]
        sizes = len(section.graph.nodes), len(made.batch), section.every
        groups.append((losses, found.numbered(section.trainable), sizes))
    ends = [found.numbered(t) for t in (program.feeds, program.outputs, program.accumulators)]
    block = layout.parameters, layout.states, layout.dtype
    return found.key((program.mode, groups, ends, block, capacity, list(slots.items())))


def _compiled(
    program: Program,
    updates: Sequence[_Updates],
    layout: Layout,
    capacity: int,
    slots: dict[str, float | None],
) -> Plan:
    for section in program.sections:
        if section.losses:
            differentiate(section.graph, section.losses, section.trainable)
        fuse(section.graph, program.outputs)
    planner = Planner(layout, capacity, len(program.sections), list(slots))
    nodes = [
        n
        for s, u in zip(program.sections, updates, strict=True)
        for n in (*s.graph.nodes, *u.batch, *u.updates)
    ]
    varying = _varying(nodes, program.feeds)
    left = set(planner.place_scratch(nodes, program.feeds, program.outputs, program.accumulators))
    groups = [
        Group(
            tuple(_step(n, planner, varying) for n in section.graph.nodes if n in left),
            tuple(_step(n, planner) for n in made.updates if n in left),
            section.every,
            tuple(_step(n, planner) for n in made.batch),
        )
        for section, made in zip(program.sections, updates, strict=True)
    ]
    workspace = _workspace(groups, planner)
    return Plan(
        mode=program.mode,
        capacity=capacity,
        dtype=layout.dtype,
        groups=tuple(groups),
        feeds=tuple(planner.buffer(t) for t in program.feeds),
        outputs=tuple(planner.buffer(t) for t in program.outputs),
        accumulators=tuple(planner.buffer(t) for t in program.accumulators),
        sizes={
            "model": layout.total,
            "parameters": layout.parameters,
            "training": planner.training if program.mode == "train" else 0,
            "scratch": planner.scratch,
        },
        control_offset=planner.control_offset,
        workspace=workspace,
        chunks=len(program.sections) == 1 and _adds_up(program.sections[0].graph.nodes, varying),
        slots=slots,
    ).validate()


def _varying(nodes: Sequence[Node], feeds: Iterable[Tensor]) -> set[Tensor]:
    """The tensors that depend on the rows of a batch."""
    varying = set(feeds)
    for node in nodes:
        if not varying.isdisjoint(node.inputs):
            varying.update([t for t in node.outputs if t is not None])
    return varying


def _adds_up(nodes: Sequence[Node], varying: set[Tensor]) -> bool:
    """Whether the gradients of a batch are the sums of those of its chunks.

    Not where an op must see the whole batch, counts its mask, changes a state, or takes rows
    together other than in a gradient or an accumulator.
    """
    constant: set[Tensor] = set()  # gradients with a part that does not depend on the rows
    for node in nodes:
        of_rows = not varying.isdisjoint(node.inputs)
        masked = node.op.name == "loss_scale" and node.inputs[0] is not None
        if node.op.whole_batch or masked:
            return False
        for tensor in node.outputs:
            if tensor is None or tensor.storage in ("gradient", "accumulator", "control"):
                continue
            if tensor.storage != "activation" or (of_rows and not tensor.has_rows):
                return False
            if not of_rows and tensor in varying:
                constant.add(tensor)
    return not constant


def _step(node: Node, planner: Planner, varying: Set[Tensor] = frozenset()) -> Step:
    buffer = planner.buffer
    return Step(
        node.op,
        tuple([None if t is None else buffer(t) for t in node.outputs]),
        tuple([None if t is None else buffer(t) for t in node.inputs]),
        tuple(node.add),
        node.attrs,
        node.op.sizes(node),
        node.op.constants(node),
        node.op.flops(node),
        node.op.workspace(node),
        tuple([i for i, t in enumerate(node.outputs) if t is not None and t.storage == "gradient"]),
        any([t is not None and t.storage in _SUMS for t in node.outputs])
        and varying.isdisjoint(node.inputs),
    )


def _workspace(groups: Sequence[Group], planner: Planner) -> Buffer | None:
    """One workspace for all steps: it is used by one at a time."""
    steps = [s for g in groups for s in (*g.steps, *g.batch_steps, *g.updates)]
    reals = max([s.workspace for s in steps], default=0)
    if reals == 0:
        return None
    tensor = Tensor((reals,), "real", "workspace")
    offset, size = planner.scratch, planner.nbytes(tensor)
    planner.scratch += size
    return Buffer("workspace", tensor.shape, planner.dtype(tensor), "scratch", offset, size)


class _Updates(NamedTuple):
    """Nodes that follow a batch's last chunk, and those that follow every k batches."""

    batch: list[Node]
    updates: list[Node]


def _updates(
    section: Section, number: int, layout: Layout, slots: dict[str, float | None]
) -> _Updates:
    """What an update of a group does, in Keras' order.

    The update table has a row for each run of parameters with one rate factor and one weight decay:
    usually one, so that the optimizer is one step. Gradients are clipped before it; averages of the
    weights are taken after it, and constraints come last.
    """
    if section.optimizer is None:
        return _Updates([], [])
    optimizer, itemsize = section.optimizer, 4 if layout.dtype == "float32" else 8

    def span(storage: str, place: tuple[int, int], name: str) -> Span:
        return Span(storage, *place, itemsize, name)

    def slot(place: tuple[int, int], name: str, initial: float | None = 0.0) -> Span:
        slots.setdefault(f"{number}/{name}", initial)
        return span("slot", place, f"{number}/{name}")

    def gradient(place: tuple[int, int]) -> Span:
        if section.every > 1:
            return slot(place, "accumulated")
        return span("gradient", place, "gradient")

    def average(between: int) -> None:
        for place in everything:
            emit(
                "average",
                span("parameter", place, "parameter"),
                slot(place, "average", None),
                momentum=optimizer.ema_momentum,
                overwrite=optimizer.ema_overwrite_frequency or 0,
                between=between,
            )

    batch, graph, everything = Graph(), Graph(), spans(section.trainable, layout)
    constrained = [v for v in section.trainable if v.constraint is not None]
    if section.every > 1:
        with batch:
            for place in everything:
                g = span("gradient", place, "gradient")
                emit("accumulate", gradient(place), g, factor=1 / section.every)
            if optimizer.use_ema:
                average(section.every)
            for variable in constrained:
                variable.constraint.emit(variable, section.every)
    with graph:
        _clip(optimizer, section.trainable, layout, gradient)
        rows: dict[tuple[float, float], list[Variable]] = {}
        for variable in section.trainable:
            row = optimizer.factor_of(variable), optimizer.decay_of(variable)
            rows.setdefault(row, []).append(variable)
        for (factor, decay), variables in rows.items():
            for place in spans(variables, layout):
                optimizer.step(
                    span("parameter", place, "parameter"),
                    gradient(place),
                    partial(slot, place),
                    rate_factor=factor,
                    decay=decay,
                )
        if optimizer.use_ema:
            average(0)
        for variable in constrained:
            variable.constraint.emit(variable)
        if section.every > 1:
            for place in everything:
                emit("clear", gradient(place))
    return _Updates(batch.nodes, graph.nodes)


def _clip(
    optimizer: Any,
    variables: Sequence[Variable],
    layout: Layout,
    gradient: Callable[[tuple[int, int]], Span],
) -> None:
    """Clip gradients: that of each variable, all of them together, or each number."""
    everything = spans(variables, layout)
    if optimizer.clipnorm is not None:
        for variable in sorted(variables, key=lambda v: v.offset):
            for place in spans([variable], layout):
                g = gradient(place)
                emit("clip_norm", g, emit("square_sum", g, None), limit=optimizer.clipnorm)
    elif optimizer.global_clipnorm is not None:
        total = None
        for place in everything:
            total = emit("square_sum", gradient(place), total)
        for place in everything:
            emit("clip_norm", gradient(place), total, limit=optimizer.global_clipnorm)
    elif optimizer.clipvalue is not None:
        limit = optimizer.clipvalue
        for place in everything:
            emit("clip", gradient(place), low=-limit, high=limit, between=0)


def spans(variables: Sequence[Variable], layout: Layout) -> list[tuple[int, int]]:
    """The byte ranges of these variables; neighbours make one range, padding included."""
    itemsize = 4 if layout.dtype == "float32" else 8
    found: list[tuple[int, int]] = []
    for variable in sorted(variables, key=lambda v: v.offset):
        size = variable.value.size * itemsize
        start, stop = variable.offset, min(variable.offset + aligned(size), layout.parameters)
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return found
