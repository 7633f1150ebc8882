"""Plans of programs that were compiled before: the same program again gets the same plan.

A cross-validation, a search over learning rates or the next model of the same layers traces what
an earlier model traced. A plan is data and never changes, and it knows nothing of the weights but
their places: all of these models can share one. Used by `build`.
"""

from __future__ import annotations

import marshal
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from fastnn.engine.plan import Plan
from fastnn.ops.contract import Node, Op
from fastnn.ops.tensor import Span, Tensor, Variable

# A program in bytes, and its ops, which are told apart by identity.
Key = tuple[bytes, tuple[Op, ...]]

PLAIN = frozenset((type(None), bool, int, float, str))
FORMAT = 2  # of marshal: the last one whose bytes depend on values alone


class Kept:
    """The plans that were used last, by the programs that they were compiled from.

    Parameters
    ----------
    room : int
        Plans at most.
    """

    def __init__(self, room: int = 64) -> None:
        self.room = room
        self._plans: dict[Key, Plan] = {}
        self._lock = threading.Lock()

    def find(self, key: Key) -> Plan | None:
        """The plan of a program, if it is there; it is the most recent one then."""
        with self._lock:
            plan = self._plans.pop(key, None)
            if plan is not None:
                self._plans[key] = plan
            return plan

    def keep(self, key: Key, plan: Plan) -> None:
        """Keep a plan, instead of the one that was not used for longest."""
        with self._lock:
            self._plans[key] = plan
            for old in list(self._plans)[: -self.room]:
                del self._plans[old]


class Description:
    """Everything of a program that its plan depends on, with tensors by number."""

    def __init__(self) -> None:
        self.numbers: dict[Tensor | None, int] = {None: -1}
        self.tensors: list[Any] = []
        self.nodes: list[Any] = []
        self.ops: list[Op] = []

    def number(self, tensor: Tensor | None) -> int:
        """The number of a tensor; it is described when it is met first."""
        found = self.numbers.get(tensor)
        if found is None:
            assert tensor is not None
            found = self.numbers[tensor] = len(self.tensors)
            place: tuple[Any, ...] = ()
            if isinstance(tensor, Variable):
                place = tensor.offset, tensor.layer_name
            elif isinstance(tensor, Span):
                place = tensor.start, tensor.stop, tensor.section
            of = tensor.variable and self.number(tensor.variable)
            self.tensors.append(
                (tensor.name, tensor.shape, tensor.dtype, tensor.storage, of, *place)
            )
        return found

    def numbered(self, tensors: Iterable[Tensor | None]) -> list[int]:
        """Their numbers."""
        numbers, number = self.numbers, self.number
        return [numbers[t] if t in numbers else number(t) for t in tensors]

    def add(self, nodes: Sequence[Node]) -> bool:
        """Describe nodes; False where one has an attribute whose value cannot be written down."""
        for node in nodes:
            if not all(map(_is_plain, node.attrs.values())):
                return False
            inputs, outputs = self.numbered(node.inputs), self.numbered(node.outputs)
            self.nodes.append((inputs, outputs, node.attrs, node.add, node.scope))
            self.ops.append(node.op)
        return True

    def key(self, rest: Any) -> Key:
        """All of it, and what else the plan depends on."""
        return marshal.dumps((self.tensors, self.nodes, rest), FORMAT), tuple(self.ops)


def _is_plain(value: Any) -> bool:
    """Whether equal bytes mean an equal value that will not change."""
    kind = type(value)
    return kind in PLAIN or (kind is tuple and all(map(_is_plain, value)))
