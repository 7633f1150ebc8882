"""Fusion: fewer, larger steps with the same result. Runs after differentiation.

Each rule looks at who reads a tensor: two steps become one where nobody else needs what passes
between them. That decides by itself that an activation whose backward rule needs its input stays
apart in training and is fused in prediction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fastnn.ops.contract import Graph, Node
from fastnn.ops.tensor import Tensor

FUSED = {"activation": "linear", "activation_backward": "linear_dx"}  # second step: first step


def fuse(graph: Graph, keep: Sequence[Tensor]) -> None:
    """Rewrite `graph` in place; the tensors in `keep` stay readable at its end."""
    _share_softmax(graph)
    _drop_unused(graph, keep)
    _merge_activations(graph, keep)


def _share_softmax(graph: Graph) -> None:
    """A fused cross-entropy computes softmax(z) anyway: drop the step that computes it as well."""
    softmax = {n.inputs[0]: n for n in graph.nodes if n.op.name == "softmax"}
    for loss in [n for n in graph.nodes if n.op.name == "softmax_crossentropy"]:
        node = softmax.pop(loss.inputs[0], None)
        if node is None or any(t.node for t in loss.inputs[1:] if t is not None):
            continue
        ours, theirs = loss.outputs[1], node.outputs[0]
        for other in graph.nodes:
            other.inputs = [theirs if t is ours else t for t in other.inputs]
        loss.outputs[1] = theirs
        theirs.node = loss
        graph.nodes.remove(
            loss
        )  # its target and weight are feeds: it can run where the softmax did
        graph.nodes[graph.nodes.index(node)] = loss


def _drop_unused(graph: Graph, keep: Sequence[Tensor]) -> None:
    """Remove nodes whose outputs nobody reads."""
    wanted = set(keep)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        lasting = any(t is not None and t.storage != "activation" for t in node.outputs)
        if node.op.effect or lasting or any(t in wanted for t in node.outputs):
            kept.append(node)
            wanted.update(t for t in node.inputs if t is not None)
            wanted.update(t for t, add in zip(node.outputs, node.add, strict=True) if add)
    graph.nodes[:] = reversed(kept)


def _merge_activations(graph: Graph, keep: Sequence[Tensor]) -> None:
    """linear + activation, and linear_dx + activation_backward, become one step each."""
    readers = Counter(t for n in graph.nodes for t in n.inputs if t is not None)
    writers = Counter(t for n in graph.nodes for t in n.outputs if t is not None)
    for second in list(graph.nodes):
        middle = second.inputs[0]
        if second.op.name not in FUSED or middle is None or middle.node is None:
            continue
        first = middle.node
        free = readers[middle] == 1 and writers[middle] == 1 and middle not in keep
        plain = first.op.name == FUSED[second.op.name] and first.attrs["activation"] == "linear"
        if not (free and plain) or any(first.add) or any(second.add) or first not in graph.nodes:
            continue
        first.attrs.update(second.attrs)
        first.outputs[0] = second.outputs[0]
        first.outputs[0].node = first
        if second.op.name == "activation_backward":
            first.inputs[2] = second.inputs[1]
        graph.nodes.remove(second)
