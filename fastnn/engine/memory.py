"""Memory: a place for every tensor of a plan, in three blocks.

MODEL holds the parameters as one flat buffer, then the states: the layout is the model's own (its
variables know their offsets). TRAINING holds gradients and optimizer slots in the same layout,
then the control records. SCRATCH holds what lives during one call: accumulators, then feeds,
activations and their gradients, which share memory as soon as they are no longer needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastnn.engine.plan import ALIGNMENT, CONTROL, Buffer, itemsize
from fastnn.ops.contract import Node
from fastnn.ops.tensor import Span, Tensor, Variable


def aligned(size: int) -> int:
    """`size` rounded up to a whole number of cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def zeros(nbytes: int) -> np.ndarray:
    """A block: `nbytes` zero bytes that begin on a cache line."""
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


LARGE, APART = 1 << 16, 1088  # bytes; 1088 is a quarter of a page and a cache line


class Layout(NamedTuple):
    """The sizes of a MODEL block in bytes: parameters first, then states."""

    parameters: int
    states: int
    dtype: str

    @property
    def total(self) -> int:
        """Bytes of the whole block."""
        return self.parameters + self.states

    @property
    def section(self) -> int:
        """Bytes from one section of the TRAINING block to the next.

        Large ones begin at different places of a page: an optimizer reads them side by side, and
        would find them in the same few places of a cache.
        """
        size = aligned(self.parameters)
        return size if size < LARGE else size + (APART - size) % 4096


class Planner:
    """Hands out the buffers of one plan.

    Parameters
    ----------
    layout : Layout
        Of the MODEL block.
    capacity : int
        Rows that feeds and activations have room for.
    groups : int
        Number of control records.
    sections : sequence of str
        Names of the optimizer slots; each is as large as the parameters.
    """

    def __init__(self, layout: Layout, capacity: int, groups: int, sections: Sequence[str]) -> None:
        self.layout = layout
        self.capacity = capacity
        self.sections = {"parameter": 0}
        size = layout.section
        names = ["gradient", *sections]
        self.sections |= {name: i * size for i, name in enumerate(names)}
        self.control_offset = len(names) * size
        self.training = self.control_offset + groups * CONTROL.itemsize
        self.scratch = 0
        self._places: dict[Tensor, tuple[str, int]] = {}
        self._roots: dict[Tensor, Tensor] = {}  # a view -> what it looks at
        self._values: dict[Tensor, int] = {}  # numbers for Buffer.value
        self._buffers: dict[Tensor, Buffer] = {}  # those made so far: steps share them
        self._moved: set[Tensor] = set()  # inputs whose memory an output took over

    def nbytes(self, tensor: Tensor) -> int:
        """Bytes of a tensor at capacity."""
        size = itemsize(self.dtype(tensor))
        for n in tensor.shape:
            size *= self.capacity if n is None else n
        return size

    def dtype(self, tensor: Tensor) -> str:
        """The NumPy dtype of a tensor in this plan."""
        return self.layout.dtype if tensor.dtype == "real" else tensor.dtype

    def buffer(self, tensor: Tensor) -> Buffer:
        """The planned place of a tensor, once all places are known."""
        found = self._buffers.get(tensor)
        if found is None:
            found = self._buffers[tensor] = self._buffer(tensor)
        return found

    def _buffer(self, tensor: Tensor) -> Buffer:
        block, offset = self._place(tensor)
        name = tensor.path if isinstance(tensor, Variable) else tensor.name or tensor.storage
        value = self._values.setdefault(self._root(tensor), len(self._values))
        size = self.nbytes(tensor)
        return Buffer(name, tensor.shape, self.dtype(tensor), block, offset, size, value)

    def _place(self, tensor: Tensor) -> tuple[str, int]:
        tensor = self._roots.get(tensor, tensor)
        if isinstance(tensor, Span):
            block = "model" if tensor.section == "parameter" else "training"
            return block, self.sections[tensor.section] + tensor.start
        if isinstance(tensor, Variable):
            return "model", tensor.offset
        if tensor.storage == "gradient":
            assert tensor.variable is not None
            return "training", self.sections["gradient"] + tensor.variable.offset
        if tensor.storage == "control" and tensor not in self._places:
            self._places[tensor] = ("training", self.training)
            self.training += aligned(self.nbytes(tensor))
        return self._places[tensor]

    def place_scratch(
        self,
        nodes: Sequence[Node],
        feeds: Sequence[Tensor],
        outputs: Sequence[Tensor],
        accumulators: Sequence[Tensor],
    ) -> list[Node]:
        """Place everything that lives in scratch; return the nodes that remain steps.

        Nodes run in the given order. Feeds are written before the first, outputs and accumulators
        are read after the last. Views are no steps: they share the place of what they look at.
        """
        for tensor in accumulators:
            self._places[tensor] = ("scratch", self.scratch)
            self.scratch += self.nbytes(tensor)
        self.scratch = aligned(self.scratch)
        steps = []
        for node in nodes:
            if node.op.view:
                source = node.inputs[0]
                assert source is not None
                self._roots[node.outputs[0]] = self._roots.get(source, source)
            else:
                steps.append(node)
        last = self._last_uses(steps, outputs)
        heap = _Heap(self.scratch)
        for tensor in feeds:
            self._places[tensor] = ("scratch", heap.take(aligned(self.nbytes(tensor))))
        self._release(heap, [t for t in feeds if t not in last])
        root = self._root
        for time, node in enumerate(steps):
            self._place_outputs(node, time, last, heap)
            operands = {root(t) for t in (*node.inputs, *node.outputs) if t is not None}
            self._release(heap, [t for t in operands if last.get(t, time) == time])
        self.scratch = aligned(heap.top)
        return steps

    def _root(self, tensor: Tensor) -> Tensor:
        return self._roots.get(tensor, tensor)

    def _last_uses(self, steps: Sequence[Node], outputs: Sequence[Tensor]) -> dict[Tensor, int]:
        last: dict[Tensor, int] = {}
        for time, node in enumerate(steps):
            for tensor in (*node.inputs, *node.outputs):
                if tensor is not None:
                    last[self._root(tensor)] = time
        last.update({self._root(t): len(steps) for t in outputs})
        return last

    def _place_outputs(self, node: Node, time: int, last: dict[Tensor, int], heap: _Heap) -> None:
        for i, tensor in enumerate(node.outputs):
            if tensor is None or tensor.storage != "activation" or tensor in self._places:
                continue
            taken = self._dying_input(node, i, time, last)
            if taken is not None:  # in place: the input's memory goes on as the output's
                self._places[tensor] = self._places[taken]
                self._moved.add(taken)
            else:
                self._places[tensor] = ("scratch", heap.take(aligned(self.nbytes(tensor))))

    def _dying_input(
        self, node: Node, output: int, time: int, last: dict[Tensor, int]
    ) -> Tensor | None:
        """An input whose memory this output may have: allowed, same size, not read again."""
        for j in node.op.may_alias.get(output, ()):
            given = node.inputs[j]
            if given is None:
                continue
            root = self._root(given)
            alone = sum(t is not None and self._root(t) is root for t in node.inputs) == 1
            in_scratch = root in self._places and root.storage in ("activation", "feed")
            same = in_scratch and self.nbytes(root) == self.nbytes(node.outputs[output])
            if alone and same and last[root] == time:
                return root
        return None

    def _release(self, heap: _Heap, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            if tensor.storage in ("activation", "feed") and tensor not in self._moved:
                heap.give(self._places[tensor][1])


class _Heap:
    """First-fit allocation of offsets: what `take` handed out and `give` took back."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.top = start
        self.used: dict[int, int] = {}  # offset -> size

    def take(self, size: int) -> int:
        """The lowest offset with `size` free bytes."""
        offset = self.start
        for begin in sorted(self.used):
            if begin - offset >= size:
                break
            offset = max(offset, begin + self.used[begin])
        if size:
            self.used[offset] = size
        self.top = max(self.top, offset + size)
        return offset

    def give(self, offset: int) -> None:
        """Free what begins at `offset`."""
        self.used.pop(offset, None)
