"""Optimizers as ops: one call updates one range of the flat parameter buffer.

Letters: w parameters, g gradient, v velocity (or mean square), m mean of the gradient, t = updates
done so far + 1, rate = the group's learning rate times the row's `rate_factor`. The formulas are
those of Keras 3, including where epsilon stands. The rate and the counters come from the group's
control record, so a plan does not change when the rate does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, register
from fastnn.ops.tensor import Size, Tensor, count


class Update(Op):
    """Base of the optimizer ops: (w, g, slots...) -> (w, slots...), all in place but g."""

    inputs = ("w", "g")
    outputs = ("w",)
    same = {0: 0}
    control = True
    effect = True
    hyper: tuple[str, ...] = ()  # the attributes that are handed to the kernel as constants

    def infer(self, *inputs: Tensor, **attrs: Any) -> list[Spec]:
        return [(inputs[0].shape, "real")] * len(self.outputs)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return tuple(float(node.attrs[name]) for name in ("rate_factor", *self.hyper))


def _rate(w: Any, control: Any, rate_factor: float) -> Any:
    return w.dtype.type(float(control["rate"]) * rate_factor)


@register
class GradientDescent(Update):
    """w -= rate g."""

    name = "sgd"

    def define(self, w: Any, g: Any, control: Any, *, rate_factor: float) -> Any:
        return w - _rate(w, control, rate_factor) * g


@register
class Momentum(Update):
    """v = momentum v - rate g; w += v (Polyak, 1964), or Nesterov's w += momentum v - rate g."""

    name = "momentum"
    inputs = ("w", "g", "v")
    outputs = ("w", "v")
    same = {0: 0, 1: 2}
    hyper = ("momentum", "nesterov")

    def define(
        self, w: Any, g: Any, v: Any, control: Any, *,
        rate_factor: float, momentum: float, nesterov: bool,
    ) -> Any:  # fmt: skip
        rate, m = _rate(w, control, rate_factor), w.dtype.type(momentum)
        v = m * v - rate * g
        return (w + m * v - rate * g if nesterov else w + v), v


@register
class RMSprop(Update):
    """v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + eps) (Tieleman and Hinton, 2012).

    Centered: v is reduced by the square of the mean gradient a (Graves, arXiv 1308.0850). With
    momentum the step goes through a velocity m.
    """

    name = "rmsprop"
    inputs = ("w", "g", "v", "a?", "m?")
    outputs = ("w", "v", "a", "m")
    same = {0: 0, 1: 2, 2: 3, 3: 4}
    hyper = ("rho", "epsilon", "momentum")

    def define(
        self, w: Any, g: Any, v: Any, a: Any, m: Any, control: Any, *,
        rate_factor: float, rho: float, epsilon: float, momentum: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        v = real(rho) * v + real(1 - rho) * g * g
        mean_square = v
        if a is not None:
            a = real(rho) * a + real(1 - rho) * g
            mean_square = v - a * a
        step = _rate(w, control, rate_factor) * g / np.sqrt(mean_square + real(epsilon))
        if m is not None:
            m = real(momentum) * m + step
            step = m
        return w - step, v, a, m


@register
class Adam(Update):
    """m, v = moving means of g and g^2; w -= alpha m / (sqrt(v) + eps).

    alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t) (Kingma and Ba, arXiv 1412.6980, the form
    before their section 2.1).
    """

    name = "adam"
    inputs = ("w", "g", "m", "v")
    outputs = ("w", "m", "v")
    same = {0: 0, 1: 2, 2: 3}
    hyper = ("beta_1", "beta_2", "epsilon")

    def define(
        self, w: Any, g: Any, m: Any, v: Any, control: Any, *,
        rate_factor: float, beta_1: float, beta_2: float, epsilon: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        t = int(control["iteration"]) + 1
        rate = float(control["rate"]) * rate_factor
        alpha = real(rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t))
        m = m + (g - m) * real(1 - beta_1)
        v = v + (g * g - v) * real(1 - beta_2)
        return w - alpha * m / (np.sqrt(v) + real(epsilon)), m, v


@register
class Accumulate(Op):
    """total += factor g: gradient accumulation over k steps, factor 1 / k."""

    name = "accumulate"
    inputs = ("total", "g")
    outputs = ("total",)
    same = {0: 0}
    effect = True

    def define(self, total: Any, g: Any, *, factor: float) -> Any:
        return total + g * g.dtype.type(factor)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return (node.attrs["factor"],)


@register
class Clear(Op):
    """w = 0: an accumulated gradient starts anew."""

    name = "clear"
    inputs = ("w",)
    outputs = ("w",)
    same = {0: 0}
    effect = True

    def define(self, w: Any) -> Any:
        return np.zeros_like(w)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)
