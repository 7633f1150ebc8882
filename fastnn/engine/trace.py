"""Tracing: run a model's layers over symbolic tensors, then add losses, penalties and metrics.

The result is a `Program`, the input of `engine.build`, and a list of `Sum`, which says what each
accumulator of the plan means. Called by `executors.py` once per mode and kind of data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnn import ops
from fastnn.engine.build import Program, Section
from fastnn.ops.contract import Graph, emit
from fastnn.ops.tensor import Shape, Tensor, at_rows, count


@dataclass
class Head:
    """One output of a compiled model: its loss and metrics.

    `weighted` is the rank of the sample weights that the data has for it, 0 for none; `metrics` are
    reported without them, `weighted_metrics` with them, as in Keras.
    """

    name: str
    loss: Any = None
    factor: float = 1.0
    metrics: list[Any] = field(default_factory=list)
    weighted_metrics: list[Any] = field(default_factory=list)
    weighted: int = 0


@dataclass
class Sum:
    """The meaning of one accumulator: `owner` is a Loss, a Metric, or None (rows, penalties).

    `elements` is what a loss is the mean over, per row (or per unmasked position).
    """

    kind: str  # "rows", "loss", "penalty" or "metric"
    tensor: Tensor
    head: Head | None = None
    owner: Any = None
    shape: Shape = ()
    elements: int = 1


def losses_among(sums: Sequence[Sum]) -> list[int]:
    """Where losses and penalties stand among the accumulators of a plan."""
    found, start = [], 0
    for entry in sums:
        if entry.kind in ("loss", "penalty"):
            found.append(start)
        start += at_rows(count(entry.tensor.shape), 1)
    return found


def trace(
    model: Any, mode: str, heads: Sequence[Head] = (), optimizer: Any = None
) -> tuple[Program, list[Sum]]:
    """Trace `model` for one mode.

    Parameters
    ----------
    model : Model
    mode : {"train", "evaluate", "predict"}
    heads : sequence of Head
        One per output; not used in "predict".
    optimizer : Optimizer
        Used in "train".
    """
    graph = Graph()
    inputs = [Tensor(t.shape, t.dtype, t.name, "feed") for t in model.inputs]
    with graph:
        outputs = model.run(inputs, training=mode == "train")
    program = Program(mode, [Section(graph)], list(inputs))
    if mode == "predict":
        # Each output has memory of its own, also one that is an input or given twice.
        with graph:
            seen = set(inputs)
            for i, tensor in enumerate(outputs):
                if tensor in seen or tensor.storage != "activation":
                    outputs[i] = ops.copy(tensor)
                seen.add(outputs[i])
        program.outputs = outputs
        return program, []
    section = program.sections[0]
    sums: list[Sum] = []
    with graph:
        for head, y_pred in zip(heads, outputs, strict=True):
            _add_head(program, sums, head, y_pred)
        if mode == "train":
            section.losses = [
                (s.tensor, _scale(s, outputs, heads)) for s in sums if s.kind == "loss"
            ]
        for variable in model.trainable_variables:
            if variable.regularizer is not None:
                penalty = variable.regularizer.penalty(variable, inputs[0])
                penalty.name = f"{variable.path} penalty"
                sums.append(Sum("penalty", penalty))
                section.losses.append((penalty, None))
    if mode == "train":
        section.trainable = list(model.trainable_variables)
        section.optimizer = optimizer
        section.every = optimizer.gradient_accumulation_steps
    else:
        section.losses = []
    program.accumulators = [s.tensor for s in sums]
    return program, sums


def _add_head(program: Program, sums: list[Sum], head: Head, y_pred: Tensor) -> None:
    """Feeds, loss and metrics of one output."""
    head.loss.check(y_pred)
    labels = head.loss.target == "labels"
    shape = y_pred.shape[:-1] if labels else y_pred.shape
    y_true = Tensor(shape, "int32" if labels else "real", f"{head.name}/target", "feed")
    program.feeds.append(y_true)
    weight = None
    if head.weighted:
        weight = Tensor(y_pred.shape[: head.weighted], "real", f"{head.name}/weight", "feed")
        program.feeds.append(weight)
    if y_pred.mask is not None:
        weight = y_pred.mask if weight is None else ops.multiply(y_pred.mask, weight)
    Graph.current().scope = head.name
    rows = emit("count", y_pred, y_pred.mask)
    sums.append(Sum("rows", rows, head))
    total = head.loss.sums(y_true, y_pred, weight)
    total.name = f"{head.name}/loss"
    positions = 1 if y_pred.mask is None else at_rows(count(y_pred.mask.shape), 1)
    elements = head.loss.elements(y_pred) // positions
    sums.append(Sum("loss", total, head, head.loss, y_pred.shape, elements))
    for metric, used in [
        *((m, y_pred.mask) for m in head.metrics),
        *((m, weight) for m in head.weighted_metrics),
    ]:
        if metric.target != head.loss.target:
            raise ValueError(
                f"metric {metric.name!r} and loss {head.loss.name!r} read y_true differently: "
                "one as class indices, the other not; choose their sparse or one-hot forms alike"
            )
        total = metric.sums(y_true, y_pred, used)
        total.name = f"{head.name}/{metric.name}"
        sums.append(Sum("metric", total, head, metric, _after(y_pred, used)))
    Graph.current().scope = ""


def _scale(entry: Sum, outputs: Sequence[Tensor], heads: Sequence[Head]) -> Tensor:
    """The normaliser of a loss's gradient."""
    head = entry.head
    assert head is not None
    mask = outputs[list(heads).index(head)].mask
    Graph.current().scope = head.name
    scale = emit("loss_scale", mask, factor=head.factor / entry.elements)
    Graph.current().scope = ""
    return scale


def _after(y_pred: Tensor, weight: Tensor | None) -> Shape:
    """The shape of what one weight stands for, with None for the weights themselves."""
    return (None, *y_pred.shape[1 if weight is None else weight.rank :])
