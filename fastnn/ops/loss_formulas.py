"""The formulas of losses in NumPy: those that are sums over elements, and those of whole rows.

An elementwise loss is one block here (formula and derivative in the prediction p, the target t and
up to three parameters), one line in `backends/native/losses.h`, and its public class in
`fastnn.losses`. A loss of rows needs all elements of a row at once; its kernel is `row_loss` in
`backends/native/loss.pxi`. Called by the ops in losses.py and by the eager functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn.ops.activations import sigmoid

EPSILON = 1e-7  # probabilities are clipped to [EPSILON, 1 - EPSILON], as Keras does
PARAMETERS = 3  # of an elementwise loss at most


class LossFormula(NamedTuple):
    """A loss f(p, t, *parameters) and its derivative in p.

    Attributes
    ----------
    parameters : tuple of float
        Values that the parameters usually have.
    """

    name: str
    formula: Callable[..., Any]
    derivative: Callable[..., Any]
    parameters: tuple[float, ...] = ()


LOSSES: dict[str, LossFormula] = {}  # a row's loss is the sum over its elements
ROW_LOSSES: dict[str, LossFormula] = {}  # from (rows, n) to (rows,)


def _register(
    table: dict[str, LossFormula], derivative: Callable[..., Any], parameters: tuple[float, ...]
) -> Callable[[Any], Any]:
    def add(formula: Callable[..., Any]) -> Callable[..., Any]:
        name = formula.__name__
        table[name] = LossFormula(name, formula, derivative, parameters)
        return formula

    return add


def elementwise(derivative: Callable[..., Any], *parameters: float) -> Callable[[Any], Any]:
    """Register the decorated formula as the elementwise loss of that name."""
    return _register(LOSSES, derivative, parameters)


def of_rows(derivative: Callable[..., Any]) -> Callable[[Any], Any]:
    """Register the decorated formula as the loss of rows of that name."""
    return _register(ROW_LOSSES, derivative, ())


def at_least(x: Any, low: float) -> Any:
    """max(x, low); a NaN stays one."""
    return np.maximum(x, x.dtype.type(low))


def clipped(p: Any) -> Any:
    """p within [EPSILON, 1 - EPSILON]."""
    return np.clip(p, p.dtype.type(EPSILON), p.dtype.type(1) - p.dtype.type(EPSILON))


def inside(p: Any) -> Any:
    """Where p is not clipped. A NaN is not: it stays alive in the gradient."""
    return ~((p < p.dtype.type(EPSILON)) | (p > p.dtype.type(1) - p.dtype.type(EPSILON)))


def power(x: Any, exponent: float) -> Any:
    """x^exponent of x above 0. Below it stands for rounding: 0, or 1 where the exponent is 0."""
    with np.errstate(all="ignore"):
        raised = np.power(x, x.dtype.type(exponent))
    return np.where(x <= 0, x.dtype.type(exponent == 0), raised)


# --- differences ---------------------------------------------------------------------------------


@elementwise(derivative=lambda p, t: 2 * (p - t))
def squared_error(p: Any, t: Any) -> Any:
    """(p - t)^2."""
    return np.square(p - t)


@elementwise(derivative=lambda p, t: np.sign(p - t))
def absolute_error(p: Any, t: Any) -> Any:
    """|p - t|."""
    return np.abs(p - t)


@elementwise(derivative=lambda p, t: 100 * np.sign(p - t) / at_least(np.abs(t), EPSILON))
def percentage_error(p: Any, t: Any) -> Any:
    """100 |t - p| / max(|t|, 1e-7)."""
    return 100 * np.abs((t - p) / at_least(np.abs(t), EPSILON))


def _logarithmic_difference(p: Any, t: Any) -> Any:
    return np.log(at_least(p, EPSILON) + 1) - np.log(at_least(t, EPSILON) + 1)


@elementwise(
    derivative=lambda p, t: np.where(
        p < p.dtype.type(EPSILON), p.dtype.type(0), 2 * _logarithmic_difference(p, t) / (p + 1)
    )
)
def squared_logarithmic_error(p: Any, t: Any) -> Any:
    """(log(p + 1) - log(t + 1))^2, p and t at least 1e-7."""
    return np.square(_logarithmic_difference(p, t))


def _huber_derivative(p: Any, t: Any, delta: float) -> Any:
    e = p - t
    return np.where(np.abs(e) <= e.dtype.type(delta), e, e.dtype.type(delta) * np.sign(e))


@elementwise(_huber_derivative, 1.0)
def huber(p: Any, t: Any, delta: float) -> Any:
    """e^2 / 2 where |e| = |p - t| is at most delta, else delta |e| - delta^2 / 2 (Huber, 1964)."""
    e, delta = np.abs(p - t), p.dtype.type(delta)
    half = p.dtype.type(0.5)
    return np.where(e <= delta, half * e * e, delta * e - half * delta * delta)


@elementwise(derivative=lambda p, t: np.tanh(p - t))
def log_cosh(p: Any, t: Any) -> Any:
    """log(cosh(p - t)) = |e| + log(1 + exp(-2 |e|)) - log(2)."""
    e = np.abs(p - t)
    return e + np.log1p(np.exp(-2 * e)) - e.dtype.type(math.log(2))


# --- probabilities -------------------------------------------------------------------------------


def _bce_derivative(p: Any, t: Any) -> Any:
    q = clipped(p)
    return np.where(inside(p), (q - t) / (q * (1 - q)), 0)


@elementwise(derivative=_bce_derivative)
def binary_crossentropy(p: Any, t: Any) -> Any:
    """-t log p - (1 - t) log(1 - p), p clipped."""
    p = clipped(p)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


@elementwise(derivative=lambda z, t: sigmoid(z) - t)
def binary_crossentropy_logits(z: Any, t: Any) -> Any:
    """The same with p = sigmoid(z): max(z, 0) - z t + log(1 + exp(-|z|))."""
    return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))


def _binary_focal_derivative(p: Any, t: Any, gamma: float, ones: float, zeros: float) -> Any:
    real = p.dtype.type
    missed = 1 - (t * p + (1 - t) * (1 - p))
    direct = power(missed, gamma) * _bce_derivative(p, t)
    focus = real(gamma) * power(missed, gamma - 1) * (1 - 2 * t) * binary_crossentropy(p, t)
    return (real(ones) * t + real(zeros) * (1 - t)) * (direct + focus)


@elementwise(_binary_focal_derivative, 2.0, 1.0, 1.0)
def binary_focal(p: Any, t: Any, gamma: float, ones: float, zeros: float) -> Any:
    """w (1 - p_t)^gamma times the binary cross-entropy (Lin et al., 2017).

    p_t = t p + (1 - t) (1 - p) is the probability of the truth; w = ones t + zeros (1 - t).
    """
    real = p.dtype.type
    missed = 1 - (t * p + (1 - t) * (1 - p))
    weight = real(ones) * t + real(zeros) * (1 - t)
    return weight * power(missed, gamma) * binary_crossentropy(p, t)


def _categorical_focal_derivative(p: Any, t: Any, gamma: float, alpha: float) -> Any:
    q, real = clipped(p), p.dtype.type
    slope = real(gamma) * power(1 - q, gamma - 1) * np.log(q) - power(1 - q, gamma) / q
    return np.where(inside(p), real(alpha) * t * slope, real(0))


@elementwise(_categorical_focal_derivative, 2.0, 0.25)
def categorical_focal(p: Any, t: Any, gamma: float, alpha: float) -> Any:
    """alpha (1 - p)^gamma (-t log p), p clipped (Lin et al., 2017)."""
    q = clipped(p)
    return p.dtype.type(alpha) * power(1 - q, gamma) * (-t * np.log(q))


def _in_unit(x: Any) -> Any:
    return np.clip(x, x.dtype.type(EPSILON), x.dtype.type(1))


@elementwise(
    derivative=lambda p, t: np.where(
        (p < p.dtype.type(EPSILON)) | (p > 1), p.dtype.type(0), -_in_unit(t) / p
    )
)
def kl_divergence(p: Any, t: Any) -> Any:
    """t log(t / p), both within [1e-7, 1] (Kullback and Leibler, 1951)."""
    t = _in_unit(t)
    return t * np.log(t / _in_unit(p))


@elementwise(derivative=lambda p, t: 1 - t / (p + p.dtype.type(EPSILON)))
def poisson(p: Any, t: Any) -> Any:
    """p - t log(p + 1e-7)."""
    return p - t * np.log(p + p.dtype.type(EPSILON))


# --- margins -------------------------------------------------------------------------------------


def _sign_of(t: Any) -> Any:
    """The label -1 or 1 that t stands for: 0 is taken as -1."""
    return np.where(t == 0, t.dtype.type(-1), t)


def _hinge_derivative(p: Any, t: Any) -> Any:
    margin = 1 - _sign_of(t) * p
    return np.where(margin > 0, -_sign_of(t), np.where(margin <= 0, p.dtype.type(0), margin))


@elementwise(_hinge_derivative)
def hinge(p: Any, t: Any) -> Any:
    """max(1 - t p, 0); a label 0 is taken as -1."""
    return np.maximum(1 - _sign_of(t) * p, 0)


@elementwise(derivative=lambda p, t: -2 * _sign_of(t) * np.maximum(1 - _sign_of(t) * p, 0))
def squared_hinge(p: Any, t: Any) -> Any:
    """max(1 - t p, 0)^2; a label 0 is taken as -1."""
    return np.square(np.maximum(1 - _sign_of(t) * p, 0))


# --- losses of whole rows: p and t are (rows, n) -------------------------------------------------


def _inverse_norm(x: Any) -> Any:
    """1 / |x| per row, at most 1 / EPSILON."""
    with np.errstate(divide="ignore"):
        inverse = 1 / np.sqrt(np.square(x).sum(axis=-1, keepdims=True))
    return np.minimum(inverse, x.dtype.type(1 / EPSILON))


def _cosine_derivative(p: Any, t: Any) -> Any:
    one = _inverse_norm(p)
    dot = (p * t).sum(axis=-1, keepdims=True)
    turned = np.where(one < p.dtype.type(1 / EPSILON), p * (dot * one * one), p.dtype.type(0))
    return (turned - t) * (one * _inverse_norm(t))


@of_rows(_cosine_derivative)
def cosine_similarity(p: Any, t: Any) -> Any:
    """-(p t) / (|p| |t|), a norm being at least 1e-7."""
    return -((p * t).sum(axis=-1, keepdims=True) * _inverse_norm(p) * _inverse_norm(t))[:, 0]


def _categorical_hinge_derivative(p: Any, t: Any) -> Any:
    best = np.zeros(p.shape, p.dtype)
    others = (1 - t) * p
    rows = np.arange(len(p))
    best[rows, others.argmax(axis=-1)] = 1
    margin = categorical_hinge(p, t)[:, None]  # a NaN stays one
    return (best * (1 - t) - t) * np.where(margin > 0, p.dtype.type(1), margin)


@of_rows(_categorical_hinge_derivative)
def categorical_hinge(p: Any, t: Any) -> Any:
    """max(max((1 - t) p) - sum(t p) + 1, 0) (Weston and Watkins, 1999).

    Of equally large wrong predictions the first one gets the gradient.
    """
    return np.maximum(((1 - t) * p).max(axis=-1) - (t * p).sum(axis=-1) + 1, 0)


def _rmse_derivative(p: Any, t: Any) -> Any:
    root = root_squared_error(p, t)[:, None] * p.shape[-1]
    return np.where(root == 0, p.dtype.type(0), (p - t) / np.where(root == 0, 1, root))


@of_rows(_rmse_derivative)
def root_squared_error(p: Any, t: Any) -> Any:
    """sqrt(mean((p - t)^2)); its gradient is 0 where both are equal."""
    return np.sqrt(np.square(p - t).mean(axis=-1))
