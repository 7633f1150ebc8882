"""Regularizers: penalties on weights, or on a layer's output, that are added to the loss.

`Regularizer.penalty` emits the ops; tracing calls it for each regularised weight, and a layer for
its output (`activity_regularizer`). A regularizer of your own is a function of a tensor, or a
subclass whose `__call__` is one, written with `fastnn.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.ops.contract import emit, tracing
from fastnn.ops.tensor import Tensor, Variable
from fastnn.utils import Configurable, choose, describe, number, resolve


class Regularizer(Configurable):
    """Base class: `__call__(x)` is the penalty of x.

    On a symbolic tensor it says the penalty in ops, as a tensor of one number; on an array it
    computes it.
    """

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(x)")

    def penalty(self, x: Tensor, rows: Tensor | None) -> Tensor:
        """Emit the penalty; returns its accumulator.

        Parameters
        ----------
        x : Tensor
            A weight, or the output of a layer.
        rows : Tensor or None
            For a weight, any tensor with the batch's rows. None for an output: its penalty is
            divided by the number of rows.
        """
        return _value_penalty(self, x, rows)


def _symbolic(x: Any) -> bool:
    """Whether a penalty of x is said in ops: x is a tensor, and no variable outside of tracing."""
    return isinstance(x, Tensor) and (tracing() or not isinstance(x, Variable))


class OwnFunction(Regularizer):
    """A user's own function of a tensor.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x)


def _value_penalty(function: Callable[[Any], Any], x: Tensor, rows: Tensor | None) -> Tensor:
    name = getattr(function, "__name__", type(function).__name__)
    value = function(x)
    if not isinstance(value, Tensor):
        raise TypeError(
            f"regularizer {name} must return a tensor made with fastnn.ops, got "
            f"{type(value).__name__}"
        )
    if any(n != 1 for n in value.shape):
        raise ValueError(
            f"regularizer {name} must return one number (sum it up with ops.sum), got a tensor of "
            f"shape {value.shape}"
        )
    like = x if rows is None else rows
    made: Tensor = emit("value_penalty", ops.reshape(value, ()), like, mean=rows is None)
    return made


class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x**2)` (the elastic net; Zou and Hastie, JRSS B 67, 2005).

    Parameters
    ----------
    l1, l2 : float, default 0.0

    Raises
    ------
    ValueError
        A factor is negative or not finite.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number("L1L2: l1", 0.0 if l1 is None else l1, low=0)
        self.l2 = number("L1L2: l2", 0.0 if l2 is None else l2, low=0)

    def __call__(self, x: Any) -> Any:
        return _l1_l2(x, self.l1, self.l2)

    def penalty(self, x: Tensor, rows: Tensor | None) -> Tensor:
        made: Tensor = emit("l1_l2_penalty", x, rows, l1=self.l1, l2=self.l2)
        return made


class L1(Regularizer):
    """`l1 * sum(|x|)` (lasso; Tibshirani, JRSS B 58, 1996).

    Parameters
    ----------
    l1 : float, default 0.01

    Raises
    ------
    ValueError
        `l1` is negative or not finite.
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = number("L1: l1", 0.01 if l1 is None else l1, low=0)

    def __call__(self, x: Any) -> Any:
        return _l1_l2(x, self.l1, 0.0)

    def penalty(self, x: Tensor, rows: Tensor | None) -> Tensor:
        made: Tensor = emit("l1_l2_penalty", x, rows, l1=self.l1, l2=0.0)
        return made


class L2(Regularizer):
    """`l2 * sum(x**2)` (ridge; Hoerl and Kennard, 1970).

    Parameters
    ----------
    l2 : float, default 0.01

    Raises
    ------
    ValueError
        `l2` is negative or not finite.
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = number("L2: l2", 0.01 if l2 is None else l2, low=0)

    def __call__(self, x: Any) -> Any:
        return _l1_l2(x, 0.0, self.l2)

    def penalty(self, x: Tensor, rows: Tensor | None) -> Tensor:
        made: Tensor = emit("l1_l2_penalty", x, rows, l1=0.0, l2=self.l2)
        return made


def _l1_l2(x: Any, l1: float, l2: float) -> Any:
    if _symbolic(x):
        absolute = ops.affine(ops.reduce("sum", ops.unary("absolute", x)), l1)
        return ops.add(absolute, ops.affine(ops.reduce("sum", ops.unary("square", x)), l2))
    x = np.asarray(x, np.float64)
    return float(l1 * np.abs(x).sum() + l2 * np.square(x).sum())


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine between the rows (or columns) of a matrix.

    Parameters
    ----------
    factor : float, default 0.01
    mode : {"rows", "columns"}, default "rows"

    Raises
    ------
    ValueError
        `factor` is negative or not finite, `mode` is unknown; called on anything but a matrix of
        two or more rows (columns).
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = number("OrthogonalRegularizer: factor", factor, low=0)
        choose("mode", mode, {"rows": 0, "columns": 0})
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if not _symbolic(x):
            x = np.asarray(x, np.float64)
        if len(x.shape) != 2:
            raise ValueError(f"OrthogonalRegularizer works on matrices, got shape {x.shape}")
        axis = 1 if self.mode == "rows" else 0
        size = x.shape[1 - axis]
        if size is None or size < 2:
            raise ValueError(
                f"OrthogonalRegularizer compares {self.mode} with each other, got {size or 'rows'}"
            )
        share = self.factor * 0.5 / (size * (size - 1) / 2)
        if not _symbolic(x):
            unit = x / np.maximum(np.sqrt(np.square(x).sum(axis, keepdims=True)), 1e-7)
            cosines = np.abs(unit @ unit.T if axis else unit.T @ unit)
            return float(share * (cosines.sum() - np.trace(cosines)))
        unit = unit_norm(x, [axis], 1e-7)
        product = ops.matmul(unit, unit, transpose_a=not axis, transpose_b=bool(axis))
        cosines = ops.reduce("sum", ops.unary("absolute", product))
        own = ops.reduce("sum", ops.unary("square", unit))  # those of each row with itself
        return ops.affine(ops.subtract(cosines, own), share)


def unit_norm(x: Tensor, axes: Any, epsilon: float) -> Tensor:
    """x divided by its Euclidean norm over `axes`, which counts as `epsilon` at least."""
    squares = ops.reduce("sum", ops.unary("square", x), axes, keepdims=True)
    # Nothing is greater than itself: a zero, whatever the number.
    least = ops.affine(ops.binary("greater", squares, squares), 1.0, epsilon**2)
    norm = ops.unary("sqrt", ops.binary("maximum", squares, least))
    return ops.divide(x, norm)


_CLASSES: dict[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "l1l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
}
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def serialize(regularizer: Regularizer) -> Any:
    """The description of a regularizer, which `get` accepts."""
    return describe(regularizer)


def get(identifier: Any) -> Any:
    """The regularizer for a name ("l2"), an object, a function of a tensor, or None.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier == "l1_l2":
        return L1L2(0.01, 0.01)  # as in Keras, where the name has other defaults than the class
    if callable(identifier) and not isinstance(identifier, (type, Regularizer)):
        return OwnFunction(identifier)
    return resolve("regularizer", identifier, Regularizer, _CLASSES)
