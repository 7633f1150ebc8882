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


@dataclass(eq=False)
class Head:
    """One output of a compiled model: its loss and metrics.

    `weighted` is the rank of the sample weights that the data has for it, 0 for none; `metrics` are
    reported without them, `weighted_metrics` with them, as in Keras. `y_true` is the shape of the
    targets where they have one of their own. Without a loss, only the metrics see them.

    `reader`, the loss or else the first metric, decides how y_true is read (None: nobody), and
    `target` says how: "like" the output, as "labels", in "any" shape; "" for not at all.
    """

    name: str
    loss: Any = None
    factor: float = 1.0
    metrics: list[Any] = field(default_factory=list)
    weighted_metrics: list[Any] = field(default_factory=list)
    weighted: int = 0
    y_true: Shape | None = None
    reader: Any = field(init=False)
    target: str = field(init=False)

    def __post_init__(self) -> None:
        readers = (self.loss, *self.metrics, *self.weighted_metrics)
        self.reader = next((r for r in readers if r is not None), None)
        self.target = "" if self.reader is None else self.reader.target


@dataclass(eq=False)
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
    mask: Tensor | None = None  # what the mean of a loss is over, if not over all rows
    size: int = field(init=False)  # numbers of the accumulator

    def __post_init__(self) -> None:
        self.size = at_rows(count(self.tensor.shape), 1)


def losses_among(sums: Sequence[Sum]) -> list[int]:
    """Where losses and penalties stand among the accumulators of a plan."""
    found, start = [], 0
    for entry in sums:
        if entry.kind in ("loss", "penalty"):
            found.append(start)
        start += entry.size
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
    graph.penalties = None if mode == "predict" else []
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
    trainable = list(model.trainable_variables)
    sums: list[Sum] = []
    with graph:
        for head, y_pred in zip(heads, outputs, strict=True):
            _add_head(program, sums, head, y_pred)
        if mode == "train":
            section.losses = [(s.tensor, _scale(s)) for s in sums if s.kind == "loss"]
        for penalty in graph.penalties or ():
            sums.append(Sum("penalty", penalty))
            section.losses.append((penalty, None))
        for variable in trainable:
            if variable.regularizer is not None:
                penalty = variable.regularizer.penalty(variable, inputs[0])
                penalty.name = f"{variable.path} penalty"
                sums.append(Sum("penalty", penalty))
                section.losses.append((penalty, None))
    if mode == "train":
        section.trainable = trainable
        section.optimizer = optimizer
        section.every = optimizer.gradient_accumulation_steps
    else:
        section.losses = []
    program.accumulators = [s.tensor for s in sums]
    return program, sums


def _add_head(program: Program, sums: list[Sum], head: Head, y_pred: Tensor) -> None:
    """Feeds, loss and metrics of one output."""
    if not head.target:
        return
    shape, dtype = y_pred.shape, "real"
    if head.target == "labels":
        shape, dtype = y_pred.shape[:-1], "int32"
    elif head.target == "any" and head.y_true is not None:
        shape = head.y_true
    y_true = Tensor(shape, dtype, f"{head.name}/target", "feed")
    program.feeds.append(y_true)
    weight = None
    if head.weighted:
        weight = Tensor(y_pred.shape[: head.weighted], "real", f"{head.name}/weight", "feed")
        program.feeds.append(weight)
    Graph.current().scope = head.name
    mask = y_pred.mask
    if head.loss is not None:
        mask = _add_loss(sums, head, y_true, y_pred, weight)
    weight = _both(mask, weight)
    for metric, used in [
        *((m, y_pred.mask) for m in head.metrics),
        *((m, weight) for m in head.weighted_metrics),
    ]:
        chosen = metric.resolve(head.loss, y_true.shape, y_pred.shape)
        total = chosen.sums(chosen.read(y_true, y_pred), y_pred, used)
        total.name = f"{head.name}/{metric.name}"
        sums.append(Sum("metric", total, head, chosen, _after(y_pred, used)))
    Graph.current().scope = ""


def _add_loss(
    sums: list[Sum], head: Head, y_true: Tensor, y_pred: Tensor, weight: Tensor | None
) -> Tensor | None:
    """The loss of one output, and the rows that it is a mean over; returns the mask of both."""
    loss, mask = head.loss, y_pred.mask
    loss.check(y_pred)
    if loss.ignore_class is not None:
        kept, y_true = emit("keep_labels", y_true, ignored=loss.ignore_class)
        mask = _both(mask, kept)
    weight = _both(mask, weight)
    over = mask
    if loss.reduction in ("sum", "mean_with_sample_weight"):
        function = "sum" if loss.reduction == "sum" else "mean"
        weight = emit("batch_weights", y_true, weight, function=function)
        over = None
    rows = emit("count", y_pred, over)
    sums.append(Sum("rows", rows, head))
    total, elements = loss.emitted(y_true, y_pred, weight)
    total.name = f"{head.name}/loss"
    # What is counted, or summed up by batch_weights: unmasked positions rather than rows.
    positions = weight if loss.reduction == "mean_with_sample_weight" else over
    if positions is not None:
        elements //= at_rows(count(positions.shape), 1)
    sums.append(Sum("loss", total, head, loss, y_pred.shape, elements, over))
    return mask


def _both(mask: Tensor | None, weight: Tensor | None) -> Tensor | None:
    """The product of a mask and weights; either can be absent, and have fewer axes."""
    if mask is None or weight is None:
        return weight if mask is None else mask
    if weight.rank < mask.rank:
        weight = ops.reshape(weight, (*weight.shape, *(1,) * (mask.rank - weight.rank)))
    return ops.multiply(mask, weight)


def _scale(entry: Sum) -> Tensor:
    """The normaliser of a loss's gradient."""
    head = entry.head
    assert head is not None
    Graph.current().scope = head.name
    scale = emit("loss_scale", entry.mask, factor=head.factor / entry.elements)
    Graph.current().scope = ""
    return scale


def _after(y_pred: Tensor, weight: Tensor | None) -> Shape:
    """The shape of what one weight stands for, with None for the weights themselves."""
    return (None, *y_pred.shape[1 if weight is None else weight.rank :])
