"""Activations: formula, derivative and what the backward pass needs, one block each.

This file is one of the two places of a built-in activation; the other is its line in
`backends/native/formulas.h`. A derivative is given the tensor that `saves` names: the output where
that is enough, since then the activation can run inside the product that feeds it, otherwise the
input. `fastnn.activations` lists what is registered here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.tensor import Size, Tensor, count


@dataclass(frozen=True)
class Activation:
    """An elementwise activation.

    Attributes
    ----------
    name : str
    formula : callable
        y from x, on NumPy arrays.
    derivative : callable
        dy/dx from the saved array.
    saves : {"output", "input"}
        Which array the derivative is given.
    """

    name: str
    formula: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    saves: str


ACTIVATIONS: dict[str, Activation] = {}


def activation(derivative: Callable[[Any], Any], saves: str) -> Callable[[Any], Any]:
    """Register the decorated formula as the activation of that name."""

    def add(formula: Callable[[Any], Any]) -> Callable[[Any], Any]:
        name = formula.__name__
        ACTIVATIONS[name] = Activation(name, formula, derivative, saves)
        return formula

    return add


def _erf(x: Any) -> Any:
    return np.asarray(_ERF(np.asarray(x, np.float64)), dtype=np.asarray(x).dtype)


_ERF = np.vectorize(math.erf, otypes=[np.float64])


@activation(derivative=np.ones_like, saves="output")
def linear(x: Any) -> Any:
    """x, unchanged."""
    return x


@activation(derivative=np.zeros_like, saves="output")
def step(x: Any) -> Any:
    """Heaviside step: 1 where x >= 0, else 0. Its gradient is 0 (Rosenblatt, 1958)."""
    return np.where(np.isnan(x), x, x >= 0).astype(x.dtype)


@activation(derivative=lambda y: (y > 0).astype(y.dtype), saves="output")
def relu(x: Any) -> Any:
    """max(x, 0), the rectified linear unit (Nair and Hinton, ICML 2010)."""
    return np.where(x < 0, x.dtype.type(0), x)


@activation(derivative=lambda y: y * (1 - y), saves="output")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), the logistic function."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@activation(derivative=lambda y: 1 - y * y, saves="output")
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(x)


@activation(
    derivative=lambda x: (
        0.5 * (1 + _erf(x * math.sqrt(0.5))) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    ).astype(x.dtype),
    saves="input",
)
def gelu(x: Any) -> Any:
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return (0.5 * x * (1 + _erf(x * math.sqrt(0.5)))).astype(x.dtype)


_GELU_A, _GELU_B = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh_derivative(x: Any) -> Any:
    t = np.tanh(_GELU_A * (x + _GELU_B * x**3))
    slope = 0.5 * x * (1 - t * t) * _GELU_A * (1 + 3 * _GELU_B * x * x)
    return (0.5 * (1 + t) + slope).astype(x.dtype)


@activation(derivative=_gelu_tanh_derivative, saves="input")
def gelu_tanh(x: Any) -> Any:
    """The tanh approximation of gelu: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    return (0.5 * x * (1 + np.tanh(_GELU_A * (x + _GELU_B * x**3)))).astype(x.dtype)


def apply_activation(name: str, x: Tensor) -> Tensor:
    """The activation called `name` as an op on a symbolic tensor; softmax included."""
    if name == "linear":
        return x
    if name == "softmax":
        return emit("softmax", x)
    return emit("activation", x, activation=name, name=name)


@register
class ActivationOp(Op):
    """y = f(x), elementwise."""

    name = "activation"
    may_alias = {0: (0,)}

    def define(self, x: Any, *, activation: str) -> Any:
        return ACTIVATIONS[activation].formula(x)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        name = node.attrs["activation"]
        saved = node.outputs[0] if ACTIVATIONS[name].saves == "output" else node.inputs[0]
        return [emit("activation_backward", grads[0], saved, activation=name)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["activation"]


@register
class ActivationBackward(Op):
    """dx = dy f'(saved), elementwise."""

    name = "activation_backward"
    inputs = ("dy", "saved")
    outputs = ("dx",)
    may_alias = {0: (0,)}

    def define(self, dy: Any, saved: Any, *, activation: str) -> Any:
        slope = ACTIVATIONS[activation].derivative(saved)
        # A slope of 0 stops the gradient, also one that is infinite.
        return np.where(slope == 0, dy.dtype.type(0), dy * slope)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["activation"]


@register
class Softmax(Op):
    """y = exp(x) / sum(exp(x)) over the last axis, shifted by the largest x (Bridle, 1990)."""

    name = "softmax"
    outputs = ("softmax",)
    may_alias = {0: (0,)}

    def infer(self, x: Tensor) -> list[Spec]:
        if x.rank < 2:
            raise ValueError(f"softmax: {x!r} has no axis of classes beside its rows")
        return [(x.shape, x.dtype)]

    def define(self, x: Any) -> Any:
        with np.errstate(invalid="ignore"):
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        return [emit("softmax_backward", grads[0], node.outputs[0])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return rows_and_width(node.outputs[0])


@register
class SoftmaxBackward(Op):
    """dx = y (dy - sum(dy y)) over the last axis."""

    name = "softmax_backward"
    inputs = ("dy", "y")
    outputs = ("dx",)
    may_alias = {0: (0,)}

    def define(self, dy: Any, y: Any) -> Any:
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return rows_and_width(node.outputs[0])


def rows_and_width(x: Tensor) -> tuple[Size, int]:
    """Number of rows of a tensor seen as a matrix, and the length of each (its last axis)."""
    width = x.shape[-1] if x.rank > 1 else 1
    assert width is not None
    leading = count(x.shape[:-1]) if x.rank > 1 else count(x.shape)
    return leading, width
