"""Ops on arrays: trace a function once, then compute each node by its NumPy definition.

For losses and metrics that are used alone, without a model. Slow and plain; a model runs on an
executor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.ops.contract import Graph
from fastnn.ops.tensor import Tensor, Variable


def evaluate(function: Callable[..., Any], *arrays: np.ndarray | None) -> Any:
    """What `function`, written for symbolic tensors, makes of arrays whose first axis is rows.

    Parameters
    ----------
    function : callable
        Takes one tensor per array (None for None) and returns a tensor.
    *arrays : ndarray
        float32 or float64, or int32 for labels.
    """
    values: dict[Tensor, Any] = {}
    inputs = []
    for number, array in enumerate(arrays):
        if array is None:
            inputs.append(None)
            continue
        dtype = "real" if array.dtype.kind == "f" else array.dtype.name
        tensor = Tensor((None, *array.shape[1:]), dtype, f"argument {number}", "feed")
        inputs.append(tensor)
        values[tensor] = array
    with Graph() as graph:
        made = function(*inputs)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            given = [None if t is None else _value(t, values) for t in node.inputs]
            outputs = node.op.define(*given, **node.attrs)
            outputs = (outputs,) if len(node.outputs) == 1 else outputs
            values.update(zip(node.outputs, outputs, strict=True))
    return values[made]


def _value(tensor: Tensor, values: dict[Tensor, Any]) -> Any:
    if tensor in values:
        return values[tensor]
    if isinstance(tensor, Variable):
        return tensor.value
    raise ValueError(f"{tensor!r} belongs to a model, not to the arrays that were given")
