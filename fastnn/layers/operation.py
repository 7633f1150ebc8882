"""Ops of `fastnn.ops` on a model's symbolic tensors, as layers without a name of their own.

`ops.add(a, b)` or `a + b` on tensors of `Input` and of layers notes a call of an `Operation`, so
that a graph of layers can use any op. `ops.contract.emit` comes here while nothing is traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.layers.base import Layer
from fastnn.ops import contract
from fastnn.ops.contract import Op, emit, registry
from fastnn.ops.tensor import Tensor, Variable

# Of the fused ops those that are functions of tensors alone.
FUNCTIONS = ("activation", "softmax", "log_softmax")


class Operation(Layer):
    """One op on tensors; made by `fastnn.ops`, not by hand.

    Parameters
    ----------
    op : str
        Its name in the registry.
    attributes : dict, optional
        What it is called with beside tensors.

    Raises
    ------
    ValueError
        There is no such op, or it is none that a graph of layers can use.
    """

    def __init__(self, op: str, attributes: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = registry()
        if op not in known or not _is_function(known[op]):
            raise ValueError(
                f"op {op!r} cannot be used between layers; write a layer of your own for it"
            )
        self.op = op
        self.attributes = {key: _frozen(value) for key, value in (attributes or {}).items()}
        if self.auto_named:
            self.name = str(self.attributes.get("function", self.attributes.get("activation", op)))

    def call(self, *inputs: Any) -> Any:
        return emit(self.op, *inputs, **self.attributes)


def _is_function(op: Op) -> bool:
    """Whether an op has no effect but its output, and reads no ids: those are not checked here."""
    if op.effect or op.control or op.storages or op.same:
        return False
    ids = op.name in ("gather", "scatter_add", "take_rows")
    return op.name in FUNCTIONS or (op.tier == "elementary" and not ids)


def _frozen(value: Any) -> Any:
    """Lists as tuples: ops compare and index them."""
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value


def between_layers(op: Op, inputs: Sequence[Tensor | None], name: str, attrs: Any) -> Any:
    """What `emit` does while nothing is traced: note a call of an `Operation`."""
    for tensor in inputs:
        if isinstance(tensor, Variable):
            raise RuntimeError(
                f"ops on variables ({tensor.path}) work only inside a layer's call; np.asarray("
                "variable) is its value"
            )
        if tensor is not None and tensor.call is None:
            raise RuntimeError("ops on symbolic tensors work only while a model is traced")
    return Operation(op.name, attrs)(*inputs)


contract.outside = between_layers
