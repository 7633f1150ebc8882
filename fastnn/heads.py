"""Heads: what compile was told, per output of the model, and the values that are reported.

`Settings` keeps the losses and metrics of compile until the outputs are known; `Heads` has one
`Head` per output and turns the accumulators of a plan into losses and metrics by name. Called by
`training.py`.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import data, losses, metrics
from fastnn.engine.trace import Head, Sum
from fastnn.ops.tensor import Tensor
from fastnn.utils import as_list, number


class Kind(NamedTuple):
    """What a plan has to know of the data for one output.

    `weighted` is the rank of its sample weights, 0 for none. `shape` is that of y_true (without
    rows, None for them), where a loss takes any.
    """

    weighted: int = 0
    shape: tuple[int | None, ...] | None = None


class Settings:
    """The arguments of compile that concern outputs; names are looked up at once."""

    def __init__(self, loss: Any, loss_weights: Any, metrics_: Any, weighted_metrics: Any) -> None:
        if loss is None:
            raise ValueError("compile: a loss is needed, for example loss='mse'")
        self.loss = _each(loss, losses.get)
        self.loss_weights = loss_weights
        self.metrics = _each(metrics_, metrics.get)
        self.weighted_metrics = _each(weighted_metrics, metrics.get)


class Heads:
    """The outputs of a compiled model.

    Attributes
    ----------
    heads : list of Head
    loss_keys : list of str
        The keys of the losses: the total, then those of several outputs.
    metric_keys : list of str
        The keys of all metrics, in the order in which they are traced.
    """

    def __init__(self, settings: Settings, outputs: Sequence[Tensor]) -> None:
        names: list[str] = []
        for tensor in outputs:
            name = tensor.call.layer.name
            same = sum(t.call.layer.name == name for t in outputs[: len(names)])
            names.append(f"{name}_{same}" if same else name)
        loss = settings.loss
        if isinstance(loss, losses.Loss):
            loss = [loss] * len(names)
        if isinstance(settings.loss_weights, numbers.Real) and len(names) == 1:
            settings.loss_weights = [settings.loss_weights]
        chosen = data.per_output(loss, names, "loss")
        factors = data.per_output(settings.loss_weights, names, "loss_weights")
        plain = _metric_lists(settings.metrics, names, "metrics")
        weighted = _metric_lists(settings.weighted_metrics, names, "weighted_metrics")
        self.heads = []
        for i, (name, tensor) in enumerate(zip(names, outputs, strict=True)):
            if chosen[i] is not None:
                chosen[i].check(tensor)
            self.heads.append(
                Head(
                    name,
                    chosen[i],
                    1.0 if factors[i] is None else number("loss_weights", factors[i]),
                    [_resolve(m, chosen[i], tensor.shape) for m in plain[i]],
                    [_resolve(m, chosen[i], tensor.shape) for m in weighted[i]],
                )
            )
        if all(head.loss is None for head in self.heads):
            raise ValueError(
                f"compile: no output has a loss; the outputs are: {', '.join(names)}"
            )
        named = [head.name for head in self.heads if head.loss is not None]
        self.loss_keys = ["loss", *(f"{name}_loss" for name in named if len(named) > 1)]
        self.metric_keys = self._metric_keys()

    def __iter__(self) -> Iterator[Head]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)

    def for_data(self, kinds: Sequence[Kind]) -> list[Head]:
        """The heads for such data: what `kind_of` told of each output's."""
        pairs = zip(self.heads, kinds, strict=True)
        return [
            head
            if (head.weighted, head.y_true) == kind
            else dataclasses.replace(head, weighted=kind.weighted, y_true=kind.shape)
            for head, kind in pairs
        ]

    def y_true(
        self, i: int, array: np.ndarray, shape: Any, dtype: str, what: str
    ) -> np.ndarray:
        """The targets of one output, as its loss reads them; checked. `shape` is the output's."""
        head = self.heads[i]
        if head.target == "auto":
            loss = head.loss.choose(array.shape, shape)
            head = self.heads[i] = dataclasses.replace(
                head,
                loss=loss,
                metrics=[_resolve(m, loss, shape) for m in head.metrics],
                weighted_metrics=[_resolve(m, loss, shape) for m in head.weighted_metrics],
            )
        reader = head.reader
        if head.target == "labels":
            return data.labels(array, shape, what, reader.name, reader.ignore_class)
        if head.target == "any":
            return data.own_targets(array, shape, dtype, what)
        return data.targets(array, shape, dtype, what, reader)

    def results(self, sums: Sequence[Sum], values: np.ndarray) -> dict[str, Any]:
        """Losses and metrics by name, from the accumulators of a plan.

        From a matrix with a row for each of several epochs: lists, with a value for each.
        """
        logs: dict[str, Any] = dict.fromkeys(self.loss_keys, np.float64(0))
        keys = iter(self.metric_keys)
        rows: Any = 1.0
        for entry, part in _parts(sums, values):
            if entry.kind == "rows":
                rows = part[0] + (part[0] == 0)
            elif entry.kind == "penalty":
                logs["loss"] = logs["loss"] + part[0] / part[1]
            elif entry.kind == "metric":
                value, shape = entry.owner.value, entry.shape
                one = values.ndim == 1
                logs[next(keys)] = value(part, shape) if one else [value(p, shape) for p in part.T]
            elif entry.head is not None:
                loss = part[0] / (rows * entry.elements)
                logs["loss"] = logs["loss"] + entry.head.factor * loss
                if f"{entry.head.name}_loss" in logs:
                    logs[f"{entry.head.name}_loss"] = loss
        for key in self.loss_keys:
            logs[key] = logs[key].tolist()  # numbers of Python
        return logs

    def _metric_keys(self) -> list[str]:
        """The keys of the metrics; a name that is given twice is told apart as in Keras."""
        taken = set(self.loss_keys)
        keys: list[str] = []
        for head in self.heads:
            prefix = f"{head.name}_" if len(self.heads) > 1 else ""
            for metric in head.metrics:
                keys.append(_untaken(prefix + metric.name, taken))
            for metric in head.weighted_metrics:
                key = prefix + metric.name
                key = f"{prefix}weighted_{metric.name}" if key in taken else key
                keys.append(_untaken(key, taken))
        return keys


def _untaken(key: str, taken: set[str]) -> str:
    """`key`, numbered if it is taken; it is taken from then on."""
    found, number_ = key, 0
    while found in taken:
        number_ += 1
        found = f"{key}_{number_}"
    taken.add(found)
    return found


def _each(value: Any, convert: Callable[[Any], Any]) -> Any:
    """`convert` applied to the names inside a list or dictionary, or to a single one."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {key: _each(v, convert) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(v, convert) for v in value]
    return convert(value)


def _metric_lists(value: Any, names: Sequence[str], what: str) -> list[list[metrics.Metric]]:
    """Metrics per output. A flat list is for the only output, one per output, or for all."""
    if value is not None and not isinstance(value, dict):
        flat = as_list(value)
        nested = any(isinstance(v, list) or v is None for v in flat)
        if len(names) == 1:
            value = [flat]
        elif not nested:
            value = [[v] for v in flat] if len(flat) == len(names) else [flat] * len(names)
    return [as_list(v) for v in data.per_output(value, names, what)]


def _resolve(metric: Any, loss: losses.Loss | None, shape: Any) -> Any:
    """The metric for an output; one that depends on the data as well is left as it is."""
    if loss is not None and loss.target in ("like", "labels"):
        metric = metric.resolve(loss, None, shape)
    metric.check(shape)
    return metric


def _parts(sums: Sequence[Sum], values: np.ndarray) -> Iterator[tuple[Sum, np.ndarray]]:
    """Each accumulator's share of all of them; several epochs lie side by side in it."""
    values = values.T
    start = 0
    for entry in sums:
        stop = start + entry.size
        yield entry, values[start:stop]
        start = stop
