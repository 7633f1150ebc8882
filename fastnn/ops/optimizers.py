"""Optimizers as ops: one call updates one range of the flat parameter buffer.

Letters: w parameters, g gradient, v velocity (or mean square), m mean of the gradient, t = updates
done so far + 1, rate = the group's learning rate times the row's `rate_factor`. The formulas are
those of Keras 3, including where epsilon stands. The rate and the counters come from the group's
control record, so a plan does not change when the rate does.

Every one of them first shrinks w by the factor 1 - rate decay: decoupled weight decay (Loshchilov
and Hutter, arXiv 1711.05101). What else happens in an update is in `updates`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, register
from fastnn.ops.tensor import Size, Tensor, count


class Update(Op):
    """Base of the optimizer ops: (w, g, slots...) -> (w, slots...), all in place but g."""

    inputs: tuple[str, ...] = ("w", "g")
    outputs: tuple[str, ...] = ("w",)
    same = {0: 0}
    control = True
    parts = "elements"
    effect = True
    hyper: tuple[str, ...] = ()  # the attributes that are handed to the kernel as constants

    def infer(self, *inputs: Tensor, **attrs: Any) -> list[Spec]:
        return [(inputs[0].shape, "real")] * len(self.outputs)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return (count(node.outputs[0].shape),)

    def constants(self, node: Node) -> tuple[float, ...]:
        return tuple(float(node.attrs[name]) for name in ("rate_factor", "decay", *self.hyper))

    def define(
        self, w: Any, g: Any, *rest: Any, rate_factor: float, decay: float, **hyper: Any
    ) -> Any:
        *slots, control = rest
        rate = float(control["rate"]) * rate_factor
        w = w * w.dtype.type(1 - rate * decay)
        return self.formula(w, g, *slots, rate, int(control["iteration"]) + 1, **hyper)

    def formula(self, w: Any, g: Any, *given: Any, **hyper: Any) -> Any:
        """New w and slots from (w, g, slots..., rate, t)."""
        raise NotImplementedError


@register
class GradientDescent(Update):
    """w -= rate g."""

    name = "sgd"

    def formula(self, w: Any, g: Any, rate: float, t: int) -> Any:
        return w - w.dtype.type(rate) * g


@register
class Momentum(Update):
    """v = momentum v - rate g; w += v (Polyak, 1964), or Nesterov's w += momentum v - rate g."""

    name = "momentum"
    inputs = ("w", "g", "v")
    outputs = ("w", "v")
    same = {0: 0, 1: 2}
    hyper = ("momentum", "nesterov")

    def formula(
        self, w: Any, g: Any, v: Any, rate: float, t: int, *, momentum: float, nesterov: bool
    ) -> Any:
        r, m = w.dtype.type(rate), w.dtype.type(momentum)
        v = m * v - r * g
        return (w + m * v - r * g if nesterov else w + v), v


@register
class Adagrad(Update):
    """v += g^2; w -= rate g / sqrt(v + eps) (Duchi, Hazan and Singer, JMLR 12, 2011)."""

    name = "adagrad"
    inputs = ("w", "g", "v")
    outputs = ("w", "v")
    same = {0: 0, 1: 2}
    hyper = ("epsilon",)

    def formula(self, w: Any, g: Any, v: Any, rate: float, t: int, *, epsilon: float) -> Any:
        real = w.dtype.type
        v = v + g * g
        return w - real(rate) * g / np.sqrt(v + real(epsilon)), v


@register
class Adadelta(Update):
    """v = mean of g^2; d = g sqrt(s + eps) / sqrt(v + eps); s = mean of d^2; w -= rate d.

    Both are moving means with decay rho (Zeiler, arXiv 1212.5701).
    """

    name = "adadelta"
    inputs = ("w", "g", "v", "s")
    outputs = ("w", "v", "s")
    same = {0: 0, 1: 2, 2: 3}
    hyper = ("rho", "epsilon")

    def formula(
        self, w: Any, g: Any, v: Any, s: Any, rate: float, t: int, *, rho: float, epsilon: float
    ) -> Any:
        real = w.dtype.type
        v = real(rho) * v + real(1 - rho) * g * g
        d = np.sqrt(s + real(epsilon)) * g / np.sqrt(v + real(epsilon))
        s = real(rho) * s + real(1 - rho) * d * d
        return w - real(rate) * d, v, s


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

    def formula(
        self, w: Any, g: Any, v: Any, a: Any, m: Any, rate: float, t: int, *,
        rho: float, epsilon: float, momentum: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        v = real(rho) * v + real(1 - rho) * g * g
        mean_square = v
        if a is not None:
            a = real(rho) * a + real(1 - rho) * g
            mean_square = v - a * a
        step = real(rate) * g / np.sqrt(mean_square + real(epsilon))
        if m is not None:
            m = real(momentum) * m + step
            step = m
        return w - step, v, a, m


@register
class Adam(Update):
    """m, v = moving means of g and g^2; w -= alpha m / (sqrt(v) + eps).

    alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t) (Kingma and Ba, arXiv 1412.6980, the form
    before their section 2.1). With u, the largest v so far takes the place of v (amsgrad; Reddi,
    Kale and Kumar, ICLR 2018).
    """

    name = "adam"
    inputs = ("w", "g", "m", "v", "u?")
    outputs = ("w", "m", "v", "u")
    same = {0: 0, 1: 2, 2: 3, 3: 4}
    hyper = ("beta_1", "beta_2", "epsilon")

    def formula(
        self, w: Any, g: Any, m: Any, v: Any, u: Any, rate: float, t: int, *,
        beta_1: float, beta_2: float, epsilon: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        alpha = real(rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t))
        m = m + (g - m) * real(1 - beta_1)
        v = v + (g * g - v) * real(1 - beta_2)
        largest = v
        if u is not None:
            largest = u = np.maximum(u, v)
        return w - alpha * m / (np.sqrt(largest) + real(epsilon)), m, v, u


@register
class Adamax(Update):
    """m = moving mean of g; u = max(beta_2 u, |g|); w -= rate m / ((1 - beta_1^t) (u + eps)).

    Adam with the infinity norm (Kingma and Ba, arXiv 1412.6980, section 7.1).
    """

    name = "adamax"
    inputs = ("w", "g", "m", "u")
    outputs = ("w", "m", "u")
    same = {0: 0, 1: 2, 2: 3}
    hyper = ("beta_1", "beta_2", "epsilon")

    def formula(
        self, w: Any, g: Any, m: Any, u: Any, rate: float, t: int, *,
        beta_1: float, beta_2: float, epsilon: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        m = m + (g - m) * real(1 - beta_1)
        u = np.maximum(real(beta_2) * u, np.abs(g))
        return w - real(rate / (1 - beta_1**t)) * m / (u + real(epsilon)), m, u


@register
class Nadam(Update):
    """Adam with Nesterov's momentum (Dozat, 2016), whose beta_1 grows with t.

    mu(t) = beta_1 (1 - 0.96^t / 2), p(t) = mu(1) mu(2) .. mu(t); with m and v as in Adam

        w -= rate (mu(t+1) m / (1 - p(t+1)) + (1 - mu(t)) g / (1 - p(t)))
             / (sqrt(v / (1 - beta_2^t)) + eps)
    """

    name = "nadam"
    inputs = ("w", "g", "m", "v")
    outputs = ("w", "m", "v")
    same = {0: 0, 1: 2, 2: 3}
    hyper = ("beta_1", "beta_2", "epsilon")

    def formula(
        self, w: Any, g: Any, m: Any, v: Any, rate: float, t: int, *,
        beta_1: float, beta_2: float, epsilon: float,
    ) -> Any:  # fmt: skip
        real = w.dtype.type
        mu = beta_1 * (1 - 0.5 * 0.96 ** np.arange(1, t + 2, dtype=np.float64))
        product = np.prod(mu[:-1])
        of_m = real(rate * mu[-1] / (1 - product * mu[-1]))
        of_g = real(rate * (1 - mu[-2]) / (1 - product))
        m = m + (g - m) * real(1 - beta_1)
        v = v + (g * g - v) * real(1 - beta_2)
        root = np.sqrt(v * real(1 / (1 - beta_2**t)))
        return w - (of_m * m + of_g * g) / (root + real(epsilon)), m, v


@register
class Lion(Update):
    """w -= rate sign(beta_1 m + (1 - beta_1) g); then m = beta_2 m + (1 - beta_2) g.

    Found by a search over programs (Chen et al., arXiv 2302.06675).
    """

    name = "lion"
    inputs = ("w", "g", "m")
    outputs = ("w", "m")
    same = {0: 0, 1: 2}
    hyper = ("beta_1", "beta_2")

    def formula(
        self, w: Any, g: Any, m: Any, rate: float, t: int, *, beta_1: float, beta_2: float
    ) -> Any:
        real = w.dtype.type
        step = np.sign(real(beta_1) * m + real(1 - beta_1) * g)
        return w - real(rate) * step, real(beta_2) * m + real(1 - beta_2) * g
