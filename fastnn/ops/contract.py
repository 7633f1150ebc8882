"""The op contract: what every executor must do for each op, and the registry of all ops.

An op says, in one place: the shapes and dtypes of its outputs, its NumPy definition (which is its
specification), its backward rule, which outputs may share memory with which inputs, and the
numbers its kernel is given. `engine` builds plans from it, `backends` run them, and the tests
compare every kernel with `define`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from fastnn.ops.tensor import Shape, Size, Tensor

Spec = tuple[Shape, str]  # shape and dtype of one output
REALS = ("real", "float64")  # float64: accumulators and scales
ALL_INPUTS = tuple(range(64))


class Op:
    """One op. Subclasses fill in what differs; `register` puts an instance into the registry.

    Attributes
    ----------
    name : str
    kernel : str
        The kernel that runs it; by default one of the op's own name.
    tier : {"elementary", "fused"}
        What a user's own layer is traced into, or what the built-in layers use.
    inputs, outputs : tuple of str
        Their names, in the order a kernel receives them. A trailing "?" marks an input that can
        be absent (None). The last one can be "*name": any number of inputs.
    integers : tuple of int
        Inputs that may hold integers (ids, labels, what is only moved); ALL_INPUTS for all. An op
        refuses them elsewhere: its kernels compute on real numbers.
    same : dict
        `{output: input}`: the output IS the input, updated in place (optimizers, states).
    may_alias : dict
        `{output: (inputs...)}`: the output may be given the memory of one of these inputs.
    view : bool
        The output is the same bytes under another shape; no step is made for it.
    storages : dict
        `{output: storage}` where that is not "activation": an accumulator, a control number.
    control : bool
        Its kernel reads the control record of its group (counters, rate, seed).
    parts : {"rows", "elements", "columns", ""}
        How a step can be cut into parts that run at the same time, with the same results. By rows:
        a row of the outputs depends on that row of the inputs, and on inputs without rows. By
        elements: all operands are as long as the first size says, and go element by element. By
        columns of the first input, which are rows of the first output; other outputs are computed
        by the first part. Not at all: "".
    whole_batch : bool
        It must see all rows of a batch: an executor never cuts the batch into chunks.
    effect : bool
        It writes something that outlives the plan; it is never left out as unused.
    """

    name = ""
    kernel = ""
    tier = "fused"
    inputs: tuple[str, ...] = ("x",)
    outputs: tuple[str, ...] = ("y",)
    integers: tuple[int, ...] = ()
    same: dict[int, int] = {}
    may_alias: dict[int, tuple[int, ...]] = {}
    view = False
    storages: dict[int, str] = {}
    control = False
    parts = ""
    whole_batch = False
    effect = False

    def infer(self, *inputs: Any, **attrs: Any) -> list[Spec]:
        """Shape and dtype of each output; by default those of the first input."""
        return [(inputs[0].shape, inputs[0].dtype)]

    def define(self, *inputs: Any, **attrs: Any) -> Any:
        """The NumPy definition: new arrays for the outputs, nothing is changed."""
        raise TypeError(f"op {self.name} has no definition")

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        """Gradients of the inputs, as tensors made of other ops; None where there is none."""
        raise ValueError(f"op {self.name} has no gradient, but {node.outputs[0]!r} needs one")

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        """The sizes its kernel is given, rows not filled in; a string is looked up by name."""
        return ()

    def constants(self, node: Node) -> tuple[float, ...]:
        """The float constants its kernel is given."""
        return ()

    def workspace(self, node: Node) -> int:
        """Reals of workspace its kernel may use; 0 means that it is given none."""
        return 0

    def flops(self, node: Node) -> Size:
        """Multiplications and additions; 0 for what moves data rather than computes."""
        return 0


class Node:
    """One use of an op in a graph."""

    __slots__ = ("add", "attrs", "inputs", "op", "outputs", "scope")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor | None],
        attrs: dict[str, Any] | None = None,
        scope: str = "",
    ) -> None:
        self.op = op
        self.inputs = list(inputs)
        self.outputs: list[Any] = list(outputs)  # None where an optional slot is absent
        self.scope = scope  # the layer that it belongs to
        self.attrs = dict(attrs or {})
        # An accumulator is always added to; other outputs once they have a second writer.
        self.add = [t is not None and t.storage == "accumulator" for t in outputs]

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(repr, self.inputs))}) -> {self.outputs}"


class Graph:
    """Nodes in the order in which they run. `with graph:` makes ops add their nodes to it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.streams = 0  # random streams handed out so far
        self.scope = ""  # the layer that is being traced: a prefix of names
        self.training = False  # what layers inside of a layer are told
        # Penalties of layers' outputs, by name; None where there is no loss to add them to.
        self.penalties: list[Tensor] | None = None

    def stream(self) -> int:
        """A number for the next op that draws random numbers."""
        self.streams += 1
        return self.streams

    def __enter__(self) -> Graph:
        _local.graphs.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _local.graphs.pop()

    @staticmethod
    def current() -> Graph:
        """The innermost open graph of this thread."""
        if not _local.graphs:
            raise RuntimeError("ops on symbolic tensors work only while a model is traced")
        return _local.graphs[-1]


class _Local(threading.local):
    def __init__(self) -> None:
        self.graphs: list[Graph] = []  # those that are open in this thread


_local = _Local()


def tracing() -> bool:
    """Whether a graph is open in this thread."""
    return bool(_local.graphs)


_REGISTRY: dict[str, Op] = {}


def register(op: type[Op]) -> type[Op]:
    """Class decorator: put one instance of the op into the registry."""
    if op.name in _REGISTRY:
        raise ValueError(f"op {op.name} is registered twice")
    op.kernel = op.kernel or op.name
    _REGISTRY[op.name] = op()
    return op


def registry() -> dict[str, Op]:
    """All registered ops by name."""
    return dict(_REGISTRY)


# What `emit` does with the tensors of a model's graph while nothing is traced; the layers set it.
# It is given the op, its inputs, the name of its output and its attributes.
outside: Callable[..., Any] | None = None


def emit(
    op: str | Op,
    *inputs: Tensor | None,
    into: Sequence[Tensor | None] = (),
    name: str = "",
    **attrs: Any,
) -> Any:
    """Add a node to the open graph; return its output, or a tuple of several.

    `into` names tensors that outputs are written to (accumulators, gradients); outputs that `same`
    binds to an input are that input.
    """
    if isinstance(op, str):
        op = _REGISTRY[op]
    for i, given in enumerate(inputs):
        if given is not None and given.dtype not in REALS and i not in op.integers:
            raise TypeError(
                f"op {op.name} computes on real numbers, but {given!r} holds {given.dtype}; "
                "feed it as floats"
            )
    if outside is not None and not tracing():
        return outside(op, inputs, name, attrs)
    graph = Graph.current()
    prefix = f"{graph.scope}/" if graph.scope else ""
    outputs: list[Tensor | None] = []
    for i, (shape, dtype) in enumerate(op.infer(*inputs, **attrs)):
        if i in op.same:
            outputs.append(inputs[op.same[i]])
        elif i < len(into) and into[i] is not None:
            outputs.append(into[i])
        else:
            label = prefix + (name or op.outputs[i])
            outputs.append(Tensor(shape, dtype, label, op.storages.get(i, "activation")))
    node = Node(op, inputs, outputs, attrs, graph.scope)
    for tensor in outputs:
        if tensor is not None and tensor.storage == "activation":
            tensor.node = node
    graph.nodes.append(node)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
