"""Differentiation: append the backward nodes of a graph, once, from each op's backward rule.

Only gradients that somebody needs are made: those on a way from a loss to a target. The gradient
of a tensor with several readers is a sum; the second and later parts are written with the flag
`add` into the memory of the first, so no op exists only to sum them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastnn.ops.contract import Graph, Node, emit
from fastnn.ops.tensor import Tensor

Loss = tuple[Tensor, "Tensor | None"]  # a loss's accumulator, and the scale of its gradient


def differentiate(
    graph: Graph, losses: Sequence[Loss], targets: Collection[Tensor]
) -> dict[Tensor, Tensor]:
    """Append to `graph` the nodes that compute the gradient of all losses for each target.

    Parameters are given their place in the gradient buffer; for other targets (inputs, say) the
    returned dictionary tells the tensor.
    """
    forward = list(graph.nodes)
    needed = _needed(forward, targets)
    scales = dict(losses)
    parts: dict[Tensor, list[tuple[Tensor, bool]]] = {}
    with graph:
        for node in reversed(forward):
            graph.scope = node.scope
            is_loss = any(out in scales for out in node.outputs)
            grads = [
                scales[out] if out in scales else _total(parts.pop(out, [])) for out in node.outputs
            ]
            wants = [t is not None and t in needed for t in node.inputs]
            if not any(wants) or (not is_loss and all(g is None for g in grads)):
                continue
            start = len(graph.nodes)
            made = node.op.backward(node, grads, wants)
            emitted = graph.nodes[start:]
            for tensor, part in zip(node.inputs, made, strict=True):
                if tensor is None or tensor not in needed or part is None:
                    continue
                fresh = sum(p is part for p in made) == 1 and _is_fresh(part, emitted)
                parts.setdefault(tensor, []).append((part, fresh))
        graph.scope = ""
        return {target: _gradient(target, parts.get(target, [])) for target in targets}


def _needed(forward: Sequence[Node], targets: Collection[Tensor]) -> set[Tensor]:
    """The tensors that depend on a target."""
    needed = set(targets)
    for node in forward:
        if any(t in needed for t in node.inputs if t is not None):
            needed.update(t for t in node.outputs if t is not None)
    return needed


def _is_fresh(part: Tensor, emitted: Sequence[Node]) -> bool:
    """Whether `part` was made just for this purpose, so that its op may write elsewhere."""
    node = part.node
    if node is None or node not in emitted or node.op.view or node.op.same:
        return False
    return not any(part in other.inputs for other in emitted)


def _total(parts: Sequence[tuple[Tensor, bool]], home: Tensor | None = None) -> Tensor | None:
    """The sum of the parts of a gradient, written into `home` if there is one."""
    if not parts:
        return None
    if home is None and len(parts) == 1:
        return parts[0][0]
    # Fresh parts are written by nodes that run before the copies made here: they come first.
    total = home
    for number, (part, fresh) in enumerate(sorted(parts, key=lambda p: not p[1])):
        add = number > 0
        if not fresh:
            total = emit("copy", part, into=[total])
            Graph.current().nodes[-1].add[0] = add
        elif total is None:
            total = part
        else:
            _redirect(part, total, add)
    return total


def _redirect(part: Tensor, target: Tensor, add: bool) -> None:
    """Make the node that writes `part` write (or add) to `target` instead."""
    assert part.node is not None
    i = part.node.outputs.index(part)
    part.node.outputs[i] = target
    part.node.add[i] = add


def _gradient(target: Tensor, parts: Sequence[tuple[Tensor, bool]]) -> Tensor:
    """The gradient of a target in its final place; zeros if no loss depends on it."""
    home = None
    if target.storage == "parameter":
        home = gradient_of(target)
    total = _total(parts, home)
    if total is not None:
        return total
    if home is not None:
        emit("clear", home)
        return home
    # Nothing is greater than itself: zeros of its shape.
    return emit("binary", target, target, function="greater", name=f"d {target.name}")


def gradient_of(parameter: Tensor) -> Tensor:
    """The place of a parameter's gradient in the gradient buffer.

    Ops that write gradients themselves (contrastive divergence, say) are given it as an output.
    """
    name = f"d {getattr(parameter, 'path', parameter.name)}"
    return Tensor(parameter.shape, "real", name, "gradient", parameter)
