"""What happens in an update beside the optimizer: accumulated and clipped gradients, averages of
the weights, constraints. All in place.

`engine.build` puts these ops around the optimizer's, each only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, register
from fastnn.ops.tensor import Size, Tensor, count

EPSILON = 1e-7  # Keras' backend.epsilon(): constraints divide by a norm plus this


class InPlace(Op):
    """Base: the first input is the output."""

    inputs: tuple[str, ...] = ("w",)
    outputs: tuple[str, ...] = ("w",)
    same = {0: 0}
    effect = True
    hyper: tuple[str, ...] = ()  # the attributes that are handed to the kernel as constants

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return tuple(float(node.attrs[name]) for name in self.hyper)


def _completes(control: Any, between: int) -> bool:
    """Whether the running batch is the last one of `between` batches; never if that is 0."""
    return between > 0 and (int(control["step"]) + 1) % between == 0


@register
class Accumulate(InPlace):
    """total += factor g: gradient accumulation over k steps, factor 1 / k."""

    name = "accumulate"
    parts = "elements"
    inputs = ("total", "g")
    outputs = ("total",)
    hyper = ("factor",)

    def define(self, total: Any, g: Any, *, factor: float) -> Any:
        return total + g * g.dtype.type(factor)


@register
class Clear(InPlace):
    """w = 0: an accumulated gradient starts anew."""

    name = "clear"

    def define(self, w: Any) -> Any:
        return np.zeros_like(w)


@register
class Clip(InPlace):
    """w = min(max(w, low), high): gradients clipped by value, weights that are not negative.

    `between` as in `Average`.
    """

    name = "clip"
    control = True
    hyper = ("low", "high", "between")

    def define(self, w: Any, control: Any, *, low: float, high: float, between: int) -> Any:
        if _completes(control, between):
            return w
        return np.clip(w, w.dtype.type(low), w.dtype.type(high))


@register
class SquareSum(Op):
    """total = the sum of w^2 (of `before` and it, if that is given), in float64."""

    name = "square_sum"
    inputs = ("w", "before?")
    outputs = ("total",)
    storages = {0: "control"}
    effect = True

    def infer(self, w: Tensor, before: Tensor | None = None) -> list[Spec]:
        return [((1,), "float64")]

    def define(self, w: Any, before: Any = None) -> Any:
        total = np.sum(np.square(w, dtype=np.float64)).reshape(1)
        return total if before is None else before + total

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.inputs[0].shape),)


@register
class ClipNorm(InPlace):
    """g *= limit / max(norm, limit), norm = sqrt(square_sum); an infinite norm makes it NaN.

    Pascanu, Mikolov and Bengio (arXiv 1211.5063). `square_sum` is that of one gradient
    (clipnorm) or of all of them (global_clipnorm).
    """

    name = "clip_norm"
    inputs = ("g", "square_sum")
    outputs = ("g",)
    hyper = ("limit",)

    def define(self, g: Any, square_sum: Any, *, limit: float) -> Any:
        norm = np.sqrt(square_sum[0])
        return g * g.dtype.type(limit / np.maximum(norm, limit) + (norm - norm))


@register
class Average(InPlace):
    """a = momentum a + (1 - momentum) w, a moving average of the weights; a = w after the first.

    (Polyak and Juditsky, 1992, in its exponential form.) After every `overwrite`-th update, w
    takes the average's place; never if that is 0. With `between`, nothing happens in a batch that
    completes so many of them: gradients are accumulated, and the update does it.
    """

    name = "average"
    parts = "elements"
    inputs = ("w", "a")
    outputs = ("w", "a")
    same = {0: 0, 1: 1}
    control = True
    hyper = ("momentum", "overwrite", "between")

    def infer(self, w: Tensor, a: Tensor, **attrs: Any) -> list[Spec]:
        return [(w.shape, "real")] * 2

    def define(
        self, w: Any, a: Any, control: Any, *, momentum: float, overwrite: int, between: int
    ) -> Any:
        t = int(control["iteration"]) + 1
        if _completes(control, between):
            return w, a
        keep = w.dtype.type(momentum if t > 1 else 0)
        a = keep * a + (1 - keep) * w
        return (a if overwrite and t % overwrite == 0 else w), a


@register
class LimitNorm(InPlace):
    """w *= wanted / (norm + 1e-7), with the norms of w along some neighbouring axes.

    wanted = rate clip(norm, low, high) + (1 - rate) norm, as Keras' constraints have it. `between`
    as in `Average`.
    """

    name = "limit_norm"
    control = True
    hyper = ("low", "high", "rate", "between")

    def infer(self, w: Tensor, *, axes: Sequence[int], **limits: float) -> list[Spec]:
        wanted = sorted(a + w.rank if a < 0 else a for a in axes)
        if not wanted or wanted != list(range(wanted[0], wanted[0] + len(wanted))) or (
            wanted[0] < 0 or wanted[-1] >= w.rank
        ):  # fmt: skip
            raise ValueError(
                f"the norm of {w!r} cannot be taken along axis {list(axes)}: name one of its "
                f"{w.rank} axes, or several that are neighbours"
            )
        return [(w.shape, "real")]

    def define(
        self, w: Any, control: Any, *,
        axes: Sequence[int], low: float, high: float, rate: float, between: int,
    ) -> Any:  # fmt: skip
        if _completes(control, between):
            return w
        real = w.dtype.type
        norm = np.sqrt(np.sum(w * w, axis=tuple(axes), keepdims=True))
        wanted = real(rate) * np.clip(norm, real(low), real(high)) + real(1 - rate) * norm
        return w * (wanted / (norm + real(EPSILON)))

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        """How often, along how many, and of how many side by side the norms are taken."""
        shape = node.inputs[0].shape
        first = min(a % len(shape) for a in node.attrs["axes"])
        last = first + len(node.attrs["axes"])
        return tuple(count(part) for part in (shape[:first], shape[first:last], shape[last:]))

    def workspace(self, node: Node) -> int:
        side_by_side = self.sizes(node)[2]
        assert isinstance(side_by_side, int)
        return side_by_side
