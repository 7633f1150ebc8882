"""Activations: formula, derivative and what the backward pass needs, one block each.

This file is one of the two places of a built-in activation; the other is its line in
`backends/native/formulas.h`. A derivative is given the tensor that `saves` names: the output where
that is enough, since then the activation can run inside the product that feeds it, otherwise the
input. What a formula takes beside x are its parameters, numbers with a default; its derivative
takes the same. `fastnn.activations` lists what is registered here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.ops.contract import Node, Op, Spec, emit, register
from fastnn.ops.tensor import Size, Tensor, count


class Activation(NamedTuple):
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
    parameters : dict
        Names and defaults of the numbers that both take as keywords.
    signature : inspect.Signature
        Of the formula.
    """

    name: str
    formula: Callable[..., Any]
    derivative: Callable[..., Any]
    saves: str
    parameters: dict[str, float]
    signature: inspect.Signature

    def values(self, given: Sequence[float] = ()) -> dict[str, float]:
        """The parameters by name: those given, or the defaults."""
        return dict(zip(self.parameters, given or self.parameters.values(), strict=True))

    def y(self, x: Any, parameters: Sequence[float] = ()) -> Any:
        """The formula with these parameters."""
        return self.formula(x, **self.values(parameters))

    def back(self, dy: Any, saved: Any, parameters: Sequence[float] = ()) -> Any:
        """dx = dy f'(saved). A slope of 0 stops the gradient, also one that is infinite."""
        slope = self.derivative(saved, **self.values(parameters))
        return np.where(slope == 0, dy.dtype.type(0), dy * slope)


ACTIVATIONS: dict[str, Activation] = {}
MOST_PARAMETERS = 3  # P(0), P(1), P(2) of formulas.h


def activation(derivative: Callable[..., Any], saves: str) -> Callable[[Any], Any]:
    """Register the decorated formula as the activation of that name."""

    def add(formula: Callable[..., Any]) -> Callable[..., Any]:
        name = formula.__name__
        signature = inspect.signature(formula)
        _, *rest = signature.parameters.values()
        parameters = {p.name: float(p.default) for p in rest}
        if len(parameters) > MOST_PARAMETERS:
            raise ValueError(f"{name}: at most {MOST_PARAMETERS} parameters reach a kernel")
        ACTIVATIONS[name] = Activation(name, formula, derivative, saves, parameters, signature)
        return formula

    return add


def erf(x: Any) -> Any:
    """The error function, which NumPy does not have."""
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


@activation(
    derivative=lambda y, negative_slope: np.where(y <= 0, negative_slope, 1).astype(y.dtype),
    saves="output",
)
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x above 0, negative_slope x below; the slope is not negative (Maas et al., ICML 2013)."""
    return np.where(x < 0, negative_slope * x, x)


@activation(derivative=lambda y: ((y > 0) & (y < 6)).astype(y.dtype), saves="output")
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6) (Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010)."""
    return np.clip(x, 0, 6)


def _relu_general_derivative(
    x: Any, negative_slope: float, max_value: float, threshold: float
) -> Any:
    return np.where(x > threshold, x < max_value, negative_slope).astype(x.dtype)


@activation(derivative=_relu_general_derivative, saves="input")
def relu_general(
    x: Any, negative_slope: float = 0.0, max_value: float = math.inf, threshold: float = 0.0
) -> Any:
    """min(x, max_value) above the threshold, negative_slope (x - threshold) below."""
    below = negative_slope * (x - threshold) if negative_slope else np.where(np.isnan(x), x, 0)
    return np.where(x > threshold, np.minimum(x, max_value), below).astype(x.dtype)


@activation(derivative=lambda y, alpha: np.where(y > 0, 1, y + alpha), saves="output")
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x) - 1) below; alpha >= 0 (Clevert et al., arXiv 1511.07289)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@activation(
    derivative=lambda y: np.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA).astype(
        y.dtype
    ),
    saves="output",
)
def selu(x: Any) -> Any:
    """1.0507 elu(x, alpha=1.67326) (Klambauer et al., arXiv 1706.02515)."""
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


@activation(derivative=lambda y: y * (1 - y), saves="output")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), the logistic function."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@activation(derivative=lambda y: ((y > 0) & (y < 1)).astype(y.dtype) / 6, saves="output")
def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6, straight lines in place of sigmoid (Howard et al., arXiv 1905.02244)."""
    return np.clip(x + 3, 0, 6) / 6


@activation(derivative=lambda y: -np.expm1(y), saves="output")
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -log(1 + exp(-x))."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@activation(derivative=lambda y: 1 - y * y, saves="output")
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(x)


@activation(derivative=lambda y: (np.abs(y) < 1).astype(y.dtype), saves="output")
def hard_tanh(x: Any) -> Any:
    """min(max(x, -1), 1) (Collobert, 2004)."""
    return np.clip(x, -1, 1)


@activation(derivative=lambda y: y, saves="output")
def exponential(x: Any) -> Any:
    """exp(x)."""
    return np.exp(x)


@activation(derivative=lambda y: -np.expm1(-y), saves="output")
def softplus(x: Any) -> Any:
    """log(1 + exp(x)) (Dugas et al., NIPS 2000)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@activation(derivative=lambda y: (1 - np.abs(y)) ** 2, saves="output")
def softsign(x: Any) -> Any:
    """x / (1 + |x|) (Bergstra et al., 2009)."""
    return x / (1 + np.abs(x))


def _silu_derivative(x: Any) -> Any:
    gate = sigmoid(x)
    return gate + x * gate * (1 - gate)


@activation(derivative=_silu_derivative, saves="input")
def silu(x: Any) -> Any:
    """x sigmoid(x), also called swish (Elfwing et al., arXiv 1702.03118)."""
    return x * sigmoid(x)


def _mish_parts(x: Any) -> tuple[Any, Any, Any]:
    """t = x up to 20, e = exp(t) and n = e (e + 2): tanh(softplus(t)) = n / (n + 2)."""
    t = np.minimum(x, 20)
    e = np.exp(t)
    return t, e, e * (e + 2)


def _mish_derivative(x: Any) -> Any:
    t, e, n = _mish_parts(x)
    return (n + t * (4 * e * (e + 1) / (n + 2))) / (n + 2)


@activation(derivative=_mish_derivative, saves="input")
def mish(x: Any) -> Any:
    """x tanh(softplus(x)) (Misra, arXiv 1908.08681)."""
    _, _, n = _mish_parts(x)
    return x * (n / (n + 2))


@activation(
    derivative=lambda x: (
        0.5 * (1 + erf(x * math.sqrt(0.5))) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    ).astype(x.dtype),
    saves="input",
)
def gelu(x: Any) -> Any:
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return (0.5 * x * (1 + erf(x * math.sqrt(0.5)))).astype(x.dtype)


_GELU_A, _GELU_B = math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh_derivative(x: Any) -> Any:
    t = np.tanh(_GELU_A * (x + _GELU_B * x**3))
    slope = 0.5 * x * (1 - t * t) * _GELU_A * (1 + 3 * _GELU_B * x * x)
    return (0.5 * (1 + t) + slope).astype(x.dtype)


@activation(derivative=_gelu_tanh_derivative, saves="input")
def gelu_tanh(x: Any) -> Any:
    """The tanh approximation of gelu: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    return (0.5 * x * (1 + np.tanh(_GELU_A * (x + _GELU_B * x**3)))).astype(x.dtype)


ROW_ACTIVATIONS = ("softmax", "log_softmax")  # ops of their own, over the last axis


def apply_activation(name: str, x: Tensor, parameters: Sequence[float] = ()) -> Tensor:
    """The activation called `name` as an op on a symbolic tensor; softmax included.

    `parameters` are those of its formula in order; without them it has its defaults.
    """
    if name == "linear":
        return x
    if name in ROW_ACTIVATIONS:
        return emit(name, x)
    return emit("activation", x, activation=name, parameters=tuple(parameters), name=name)


def parameters_of(node: Node) -> tuple[float, ...]:
    """The parameters of the activation that a node applies: constants of its kernel."""
    entry = ACTIVATIONS[node.attrs["activation"]]
    return tuple(entry.values(node.attrs.get("parameters", ())).values())


@register
class ActivationOp(Op):
    """y = f(x), elementwise."""

    name = "activation"
    parts = "rows"
    may_alias = {0: (0,)}

    def define(self, x: Any, *, activation: str, parameters: Sequence[float] = ()) -> Any:
        return ACTIVATIONS[activation].y(x, parameters)

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        name = node.attrs["activation"]
        saved = node.outputs[0] if ACTIVATIONS[name].saves == "output" else node.inputs[0]
        return [emit("activation_backward", grads[0], saved, **node.attrs)]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["activation"]

    def constants(self, node: Node) -> tuple[float, ...]:
        return parameters_of(node)


@register
class ActivationBackward(Op):
    """dx = dy f'(saved), elementwise."""

    name = "activation_backward"
    parts = "rows"
    inputs = ("dy", "saved")
    outputs = ("dx",)
    may_alias = {0: (0,)}

    def define(
        self, dy: Any, saved: Any, *, activation: str, parameters: Sequence[float] = ()
    ) -> Any:
        return ACTIVATIONS[activation].back(dy, saved, parameters)

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return count(node.outputs[0].shape), node.attrs["activation"]

    def constants(self, node: Node) -> tuple[float, ...]:
        return parameters_of(node)


class RowActivation(Op):
    """An activation that looks at the whole last axis."""

    parts = "rows"
    may_alias = {0: (0,)}

    def infer(self, x: Tensor) -> list[Spec]:
        if x.rank < 2:
            raise ValueError(f"{self.name}: {x!r} has no axis of classes beside its rows")
        return [(x.shape, x.dtype)]

    def backward(self, node: Node, grads: list[Tensor | None], wants: list[bool]) -> list[Any]:
        return [emit(f"{self.name}_backward", grads[0], node.outputs[0])]

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return rows_and_width(node.outputs[0])


class RowActivationBackward(Op):
    """Its gradient, from the gradient of its output and the output."""

    parts = "rows"
    inputs = ("dy", "y")
    outputs = ("dx",)
    may_alias = {0: (0,)}

    def sizes(self, node: Node) -> tuple[Size | str, ...]:
        return rows_and_width(node.outputs[0])


@register
class Softmax(RowActivation):
    """y = exp(x) / sum(exp(x)) over the last axis, shifted by the largest x (Bridle, 1990)."""

    name = "softmax"
    outputs = ("softmax",)

    def define(self, x: Any) -> Any:
        with np.errstate(invalid="ignore"):
            e = np.exp(x - x.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)


@register
class SoftmaxBackward(RowActivationBackward):
    """dx = y (dy - sum(dy y)) over the last axis."""

    name = "softmax_backward"

    def define(self, dy: Any, y: Any) -> Any:
        return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


@register
class LogSoftmax(RowActivation):
    """y = log(softmax(x)) = x - max(x) - log(sum(exp(x - max(x)))) over the last axis."""

    name = "log_softmax"
    outputs = ("log_softmax",)

    def define(self, x: Any) -> Any:
        with np.errstate(invalid="ignore"):
            shifted = x - x.max(axis=-1, keepdims=True)
            return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@register
class LogSoftmaxBackward(RowActivationBackward):
    """dx = dy - exp(y) sum(dy) over the last axis."""

    name = "log_softmax_backward"

    def define(self, dy: Any, y: Any) -> Any:
        return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)


def rows_and_width(x: Tensor) -> tuple[Size, int]:
    """Number of rows of a tensor seen as a matrix, and the length of each (its last axis)."""
    width = x.shape[-1] if x.rank > 1 else 1
    assert width is not None
    leading = count(x.shape[:-1]) if x.rank > 1 else count(x.shape)
    return leading, width
