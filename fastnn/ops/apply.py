"""Activations as functions: of a symbolic tensor, which they add an op for, or of a NumPy array.

One function per registered activation, made from its formula, with the formula's parameters as
keywords. Those that Keras gives arguments of another kind are written out. `fastnn.activations` and
`fastnn.ops` list them.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.ops.activations import ACTIVATIONS, apply_activation
from fastnn.ops.contract import Op, registry, tracing
from fastnn.ops.moving import transpose
from fastnn.ops.tensor import Tensor, Variable

Function = Callable[..., Any]


def is_symbolic(*values: Any) -> bool:
    """Whether one of them stands for what is not computed yet.

    A variable is a value unless a model is traced.
    """
    return any(
        isinstance(v, Tensor) and (tracing() or not isinstance(v, Variable)) for v in values
    )


def real_array(x: Any) -> np.ndarray:
    """x as an array of floats: float64 unless it has a float type already."""
    array = np.asarray(x)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _number(what: str, value: Any, low: float = -math.inf) -> float:
    real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if real and value >= low:
        return float(value)
    limit = f" of {low:g} or more" if low > -math.inf else ""
    raise ValueError(f"{what} must be a number{limit}, got {value!r}")


def _apply(name: str, x: Any, parameters: tuple[float, ...] = ()) -> Any:
    if is_symbolic(x):
        return apply_activation(name, x, parameters)
    with np.errstate(all="ignore"):
        return ACTIVATIONS[name].y(real_array(x), parameters)


def _make(name: str) -> Function:
    entry = ACTIVATIONS[name]
    signature = entry.signature
    defaults = tuple(entry.parameters.values())

    def function(*given: Any, **named: Any) -> Any:
        if len(given) == 1 and not named:  # as layers call it: no time is lost
            return _apply(name, given[0], defaults)
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        x, *parameters = bound.arguments.values()
        checked = zip(entry.parameters, parameters, strict=True)
        return _apply(name, x, tuple(_number(f"{name}: {p}", v) for p, v in checked))

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = entry.formula.__doc__
    return function


FUNCTIONS: dict[str, Function] = {name: _make(name) for name in ACTIVATIONS}


def _listed(function: Function) -> Function:
    FUNCTIONS[function.__name__] = function
    return function


@_listed
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """max(x, 0), the rectified linear unit (Nair and Hinton, ICML 2010), or a variant of it.

    Parameters
    ----------
    x : Tensor or array_like
    negative_slope : float, default 0.0
        Below the threshold it is `negative_slope * (x - threshold)`.
    max_value : float, optional
        The largest value; none by default.
    threshold : float, default 0.0
        Above it, up to `max_value`, it is x.

    Raises
    ------
    ValueError
        `max_value` or `threshold` is negative.
    """
    slope = _number("relu: negative_slope", negative_slope)
    largest = math.inf if max_value is None else _number("relu: max_value", max_value, low=0)
    start = _number("relu: threshold", threshold, low=0)
    if (slope, largest, start) == (0, math.inf, 0):
        return _apply("relu", x)
    if (slope, largest, start) == (0, 6, 0):
        return _apply("relu6", x)
    if slope > 0 and (largest, start) == (math.inf, 0):
        return _apply("leaky_relu", x, (slope,))
    return _apply("relu_general", x, (slope, largest, start))


@_listed
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """x above 0, negative_slope x below (Maas et al., ICML 2013).

    Parameters
    ----------
    x : Tensor or array_like
    negative_slope : float, default 0.2
    """
    return relu(x, _number("leaky_relu: negative_slope", negative_slope))


@_listed
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x) - 1) below (Clevert et al., arXiv 1511.07289).

    Parameters
    ----------
    x : Tensor or array_like
    alpha : float, default 1.0

    Raises
    ------
    ValueError
        `alpha` is negative.
    """
    return _apply("elu", x, (_number("elu: alpha", alpha, low=0),))


@_listed
def gelu(x: Any, approximate: bool = False) -> Any:
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415).

    Parameters
    ----------
    x : Tensor or array_like
    approximate : bool, default False
        Take 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) instead.
    """
    return _apply("gelu_tanh" if approximate else "gelu", x)


def _over_rows(op: Op, x: Any, axis: int) -> Any:
    """An op that works on the last axis, on another one by transposition."""
    symbolic = is_symbolic(x)
    x = x if symbolic else real_array(x)
    rank = len(x.shape)
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or rank == 0 or not (
        -rank <= axis < rank
    ):
        raise ValueError(f"{op.name}: axis {axis!r} is no axis of shape {tuple(x.shape)}")
    axis = int(axis) % rank
    order = [*(i for i in range(rank) if i != axis), axis]
    back = [order.index(i) for i in range(rank)]
    if not symbolic:
        with np.errstate(all="ignore"):
            return op.define(x.transpose(order)).transpose(back)
    if axis == rank - 1:
        return apply_activation(op.name, x)
    return transpose(apply_activation(op.name, transpose(x, order)), back)


@_listed
def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) (Bridle, 1990).

    Parameters
    ----------
    x : Tensor or array_like
    axis : int, default -1
        What is summed over; not the rows of a batch.

    Raises
    ------
    ValueError
        There is no such axis.
    """
    return _over_rows(registry()["softmax"], x, axis)


@_listed
def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)) = x - log(sum(exp(x))).

    Parameters
    ----------
    x : Tensor or array_like
    axis : int, default -1
        What is summed over; not the rows of a batch.

    Raises
    ------
    ValueError
        There is no such axis.
    """
    return _over_rows(registry()["log_softmax"], x, axis)
