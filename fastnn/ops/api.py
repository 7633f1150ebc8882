"""The functions of `fastnn.ops`, under the names of `keras.ops`: for your own layers and losses.

Each works on symbolic tensors, while a model is traced, and at once on NumPy arrays. The other
operand of a function of two can be a Python number. An array beside a symbolic tensor is refused:
what a model holds are its weights. `Tensor` has the operators + - * / ** @ > >= < <= and slices.

Most functions are made of few ops (elementary.py, moving.py); this file is the list of names. Truth
values are the real numbers 0 and 1. The rows of the batch stay the first axis.
"""

from __future__ import annotations

import builtins
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn.ops import elementary, moving, tensor
from fastnn.ops.apply import FUNCTIONS, is_symbolic, real_array
from fastnn.ops.contract import emit
from fastnn.ops.elementary import BINARY, UNARY, affine, binary_number, reduce
from fastnn.ops.tensor import Tensor, Variable, at_rows, count

# --- operands ------------------------------------------------------------------------------------


def _value(x: Any) -> Any:
    """What is computed with at once: an array, or a Python number as it is."""
    if isinstance(x, Variable):
        return x.value
    return x if isinstance(x, (bool, int, float)) else np.asarray(x)


def _operand(name: str, x: Any) -> Tensor | float:
    """What an op is given: a tensor or a number.

    Raises
    ------
    TypeError
        It is an array, or nothing to compute with.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (numbers.Real, np.bool_)) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return float(x)
    if isinstance(x, (np.ndarray, list, tuple)):
        raise TypeError(
            f"{name}: an array of shape {np.shape(x)} stands beside a symbolic tensor, but a model "
            "holds no arrays beside its weights; make it one in the layer's build: "
            "self.add_weight(shape, lambda shape, dtype: array, trainable=False)"
        )
    raise TypeError(f"{name} takes tensors, arrays and numbers, got {x!r}")


def _tensor(name: str, x: Any) -> Tensor:
    """An operand that must be a tensor."""
    given = _operand(name, x)
    if not isinstance(given, Tensor):
        raise TypeError(f"{name} takes symbolic tensors here, got the number {given:g}")
    return given


def _axis(name: str, axis: Any, rank: int) -> int:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{name}: axis must be an integer, got {axis!r}")
    if not -rank <= axis < rank:
        raise ValueError(f"{name}: axis {axis} is out of range for {rank} axes")
    return int(axis) % rank


def _axes(name: str, axis: Any, rank: int) -> tuple[int, ...]:
    """`axis` as NumPy's: None for all, a number, or a tuple of them."""
    if axis is None:
        return tuple(range(rank))
    listed = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(_axis(name, a, rank) for a in listed)


# --- functions of one number ---------------------------------------------------------------------


def _unary(name: str, x: Any) -> Any:
    if is_symbolic(x):
        return elementary.unary(name, x)
    with np.errstate(all="ignore"):
        return UNARY[name](real_array(x))


def absolute(x: Any) -> Any:
    """|x|."""
    return _unary("absolute", x)


def abs(x: Any) -> Any:
    """|x|."""
    return _unary("absolute", x)


def exp(x: Any) -> Any:
    """e to the power of x."""
    return _unary("exp", x)


def expm1(x: Any) -> Any:
    """exp(x) - 1, accurate near 0."""
    return _unary("expm1", x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return _unary("log", x)


def log1p(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return _unary("log1p", x)


def sqrt(x: Any) -> Any:
    """The square root."""
    return _unary("sqrt", x)


def rsqrt(x: Any) -> Any:
    """1 / sqrt(x)."""
    return reciprocal(sqrt(x))


def square(x: Any) -> Any:
    """x^2."""
    return _unary("square", x)


def negative(x: Any) -> Any:
    """-x."""
    return _unary("negative", x)


def sign(x: Any) -> Any:
    """-1, 0 or 1; its gradient is 0."""
    return _unary("sign", x)


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return _unary("reciprocal", x)


def sin(x: Any) -> Any:
    """The sine."""
    return _unary("sin", x)


def cos(x: Any) -> Any:
    """The cosine."""
    return _unary("cos", x)


def erf(x: Any) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return _unary("erf", x)


def floor(x: Any) -> Any:
    """The next whole number below; its gradient is 0."""
    return _unary("floor", x)


def round(x: Any, decimals: int = 0) -> Any:
    """The nearest number with so many decimals, halves to the even one; its gradient is 0."""
    if decimals == 0:
        return _unary("round", x)
    factor = 10.0**decimals
    return divide(_unary("round", multiply(x, factor)), factor)


# --- functions of two numbers --------------------------------------------------------------------


def _binary(name: str, a: Any, b: Any) -> Any:
    if not is_symbolic(a, b):
        with np.errstate(all="ignore"):
            return _BINARY_AT_ONCE[name](_value(a), _value(b))
    left, right = _operand(name, a), _operand(name, b)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return elementary.binary(name, left, right)
    if isinstance(left, Tensor):
        assert not isinstance(right, Tensor)
        return binary_number(name, left, right)
    assert isinstance(right, Tensor)
    return binary_number(name, right, left, first=True)


def _as_real(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(a: Any, b: Any) -> Any:
        kind = np.result_type(a, b)
        return np.asarray(compare(a, b)).astype(kind if kind.kind == "f" else np.float64)

    return compared


_COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
_BINARY_AT_ONCE = {
    name: _as_real(getattr(np, name)) if name in _COMPARISONS else getattr(np, name)
    for name in BINARY
}


def add(x1: Any, x2: Any) -> Any:
    """x1 + x2."""
    return _binary("add", x1, x2)


def subtract(x1: Any, x2: Any) -> Any:
    """x1 - x2."""
    return _binary("subtract", x1, x2)


def multiply(x1: Any, x2: Any) -> Any:
    """x1 * x2."""
    return _binary("multiply", x1, x2)


def divide(x1: Any, x2: Any) -> Any:
    """x1 / x2."""
    return _binary("divide", x1, x2)


def power(x1: Any, x2: Any) -> Any:
    """x1 to the power of x2; NaN where x1 is negative and x2 not whole."""
    if is_symbolic(x1, x2) and not isinstance(x2, Tensor):
        exponent = _operand("power", x2)
        simple = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal"}.get(exponent)  # type: ignore[arg-type]
        if simple is not None:
            return _unary(simple, x1)
    return _binary("power", x1, x2)


def maximum(x1: Any, x2: Any) -> Any:
    """The larger of both, elementwise; where they are equal the gradient goes to x1."""
    return _binary("maximum", x1, x2)


def minimum(x1: Any, x2: Any) -> Any:
    """The smaller of both, elementwise; where they are equal the gradient goes to x1."""
    return _binary("minimum", x1, x2)


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """x, but not below x_min and not above x_max."""
    return minimum(maximum(x, x_min), x_max)


def equal(x1: Any, x2: Any) -> Any:
    """1 where x1 == x2, else 0."""
    return _binary("equal", x1, x2)


def not_equal(x1: Any, x2: Any) -> Any:
    """1 where x1 != x2, else 0."""
    return _binary("not_equal", x1, x2)


def greater(x1: Any, x2: Any) -> Any:
    """1 where x1 > x2, else 0."""
    return _binary("greater", x1, x2)


def greater_equal(x1: Any, x2: Any) -> Any:
    """1 where x1 >= x2, else 0."""
    return _binary("greater_equal", x1, x2)


def less(x1: Any, x2: Any) -> Any:
    """1 where x1 < x2, else 0."""
    return _binary("less", x1, x2)


def less_equal(x1: Any, x2: Any) -> Any:
    """1 where x1 <= x2, else 0."""
    return _binary("less_equal", x1, x2)


def logical_not(x: Any) -> Any:
    """1 where x is 0, else 0."""
    return equal(x, 0)


def logical_and(x1: Any, x2: Any) -> Any:
    """1 where neither is 0, else 0."""
    return multiply(not_equal(x1, 0), not_equal(x2, 0))


def logical_or(x1: Any, x2: Any) -> Any:
    """1 where one of them is not 0, else 0."""
    return maximum(not_equal(x1, 0), not_equal(x2, 0))


def where(condition: Any, x1: Any, x2: Any) -> Any:
    """x1 where the condition is not 0, else x2."""
    if not is_symbolic(condition, x1, x2):
        return np.where(np.asarray(_value(condition)) != 0, _value(x1), _value(x2))
    chosen = [_operand("where", x) for x in (x1, x2)]
    like = next((t for t in (condition, *chosen) if isinstance(t, Tensor)), None)
    a, b = (x if isinstance(x, Tensor) else full_like(like, x) for x in chosen)
    return elementary.where(_tensor("where", condition), a, b)


# --- products ------------------------------------------------------------------------------------


def matmul(x1: Any, x2: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """The matrix product over the last axis of x1 and the first of x2.

    Parameters
    ----------
    x1 : (..., k)
    x2 : (k, n)
    transpose_a, transpose_b : bool, default False
        Transpose that matrix first.

    Raises
    ------
    ValueError
        The shapes do not fit, or x2 is a batch of matrices.
    """
    if not is_symbolic(x1, x2):
        a, b = np.asarray(_value(x1)), np.asarray(_value(x2))
        return np.matmul(a.T if transpose_a else a, b.T if transpose_b else b)
    a, b = _tensor("matmul", x1), _tensor("matmul", x2)
    if b.rank != 2 and not transpose_a:
        raise ValueError(f"matmul: {b!r} must be one matrix, a product with several is not there")
    return elementary.matmul(a, b, transpose_a, transpose_b)


def dot(x1: Any, x2: Any) -> Any:
    """The product of two matrices."""
    if not is_symbolic(x1, x2):
        return np.dot(_value(x1), _value(x2))
    return matmul(x1, x2)


# --- reductions ----------------------------------------------------------------------------------


def _reduce(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    if not is_symbolic(x):
        return getattr(np, name)(_value(x), axis=_as_axis(axis), keepdims=keepdims)
    axes = _axes(name, axis, x.rank)
    return reduce(name, x, axes, bool(keepdims)) if axes else x


def _as_axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over `axis` (a number, several, or None for all)."""
    return _reduce("sum", x, axis, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over `axis` (a number, several, or None for all)."""
    return _reduce("mean", x, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest over `axis` (a number, several, or None for all)."""
    return _reduce("max", x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest over `axis` (a number, several, or None for all)."""
    if not is_symbolic(x):
        return _reduce("min", x, axis, keepdims)
    return negative(max(negative(x), axis, keepdims))


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product over `axis` (a number, several, or None for all); not over the rows."""
    if not is_symbolic(x):
        return _reduce("prod", x, axis, keepdims)
    axes = _axes("prod", axis, x.rank)
    for a in axes:
        while x.shape[a] != 1:  # halves times halves
            half = _length("prod", x, a) // 2
            left, right, *odd = split(x, [half, 2 * half], a) if x.shape[a] % 2 else split(x, 2, a)
            x = multiply(left, right)
            if odd:
                x = concatenate([x, odd[0]], a)
    return x if keepdims or not axes else squeeze(x, axes)


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean squared distance from the mean, over `axis`."""
    if not is_symbolic(x):
        return _reduce("var", x, axis, keepdims)
    return mean(square(subtract(x, mean(x, axis, keepdims=True))), axis, keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The square root of `var`."""
    return sqrt(var(x, axis, keepdims))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length of vectors along `axis`: sqrt(sum(x^2)) by default.

    Parameters
    ----------
    ord : {None, 2, 1, inf}
        sqrt(sum(x^2)), the same, sum(|x|), or max(|x|).
    axis : int or tuple of int, optional
        All numbers by default.

    Raises
    ------
    ValueError
        Another `ord`.
    """
    if ord in (None, 2):
        return sqrt(sum(square(x), axis, keepdims))
    if ord == 1:
        return sum(absolute(x), axis, keepdims)
    if ord == math.inf:
        return max(absolute(x), axis, keepdims)
    raise ValueError(f"norm: ord must be None, 1, 2 or inf, got {ord!r}")


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) over `axis`, without overflow."""
    largest = clip(max(x, axis, keepdims=True), -3e38, 3e38)  # infinity minus itself would be NaN
    total = add(log(sum(exp(subtract(x, largest)), axis, keepdims=True)), largest)
    if keepdims:
        return total
    if not is_symbolic(x):
        return np.squeeze(total, _as_axis(axis))
    return squeeze(total, _axes("logsumexp", axis, x.rank))


# --- shapes --------------------------------------------------------------------------------------


def shape(x: Any) -> tuple[int | None, ...]:
    """The shape; None stands for the rows of the batch."""
    return tuple(x.shape if isinstance(x, Tensor) else np.shape(x))


def _length(name: str, x: Tensor, axis: int) -> int:
    """The length of an axis that is not the rows."""
    length = x.shape[axis]
    if length is None:
        raise ValueError(f"{name}: axis 0 of {x!r} is the rows of the batch; choose another axis")
    return length


def reshape(x: Any, newshape: Sequence[int | None]) -> Any:
    """x under another shape.

    Parameters
    ----------
    newshape : tuple of int
        One entry can be -1: it follows from the others. The rows of a batch stay the first axis,
        written as -1 or None.

    Raises
    ------
    ValueError
        The number of elements differs.
    """
    wanted = tuple(newshape) if isinstance(newshape, (tuple, list)) else (newshape,)
    if not is_symbolic(x):
        return np.reshape(_value(x), [-1 if n is None else n for n in wanted])
    if x.has_rows and wanted and wanted[0] == -1:
        wanted = (None, *wanted[1:])
    if wanted.count(-1) == 1:
        known = math.prod(n for n in wanted if n not in (-1, None))
        total = at_rows(count(x.shape), 1)
        if known and total % known == 0:
            wanted = tuple(total // known if n == -1 else n for n in wanted)
    if any(n is not None and n < 0 for n in wanted):
        raise ValueError(f"reshape: {x!r} cannot become {tuple(newshape)}")
    return moving.reshape(x, wanted)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """x with its axes permuted, by default reversed; the rows stay first."""
    if not is_symbolic(x):
        return np.transpose(_value(x), axes)
    order = tuple(reversed(range(x.rank))) if axes is None else tuple(axes)
    order = tuple(_axis("transpose", a, x.rank) for a in order)
    if sorted(order) != list(range(x.rank)):
        raise ValueError(f"transpose: {axes} does not name each axis of {x!r} once")
    return moving.transpose(x, order)


def expand_dims(x: Any, axis: int) -> Any:
    """x with an axis of length 1 more, at the place `axis` of the result; not before the rows."""
    if not is_symbolic(x):
        return np.expand_dims(_value(x), axis)
    axis = _axis("expand_dims", axis, x.rank + 1)
    if axis == 0 and x.has_rows:
        raise ValueError(f"expand_dims: the rows of {x!r} must stay the first axis; choose another")
    return moving.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x: Any, axis: Any = None) -> Any:
    """x without axes of length 1: those named, or all."""
    if not is_symbolic(x):
        return np.squeeze(_value(x), _as_axis(axis))
    if axis is None:
        axes = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        axes = _axes("squeeze", axis, x.rank)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} of {x!r} has not length 1")
    return moving.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def concatenate(xs: Sequence[Any], axis: int = -1) -> Any:
    """The tensors side by side along `axis`, which is not the rows."""
    if not is_symbolic(*xs):
        return np.concatenate([_value(x) for x in xs], axis)
    tensors = [_tensor("concatenate", x) for x in xs]
    _length("concatenate", tensors[0], _axis("concatenate", axis, tensors[0].rank))
    return moving.concatenate(tensors, axis)


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """The tensors along a new axis `axis` of the result, which is not before the rows."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """A list of the parts of x along `axis`.

    Parameters
    ----------
    indices_or_sections : int or sequence of int
        The number of equal parts, or where the second and later parts begin.

    Raises
    ------
    ValueError
        The parts would not be equal, or empty; the axis is the rows.
    """
    if not is_symbolic(x):
        return list(np.split(_value(x), indices_or_sections, axis))
    axis = _axis("split", axis, x.rank)
    length = _length("split", x, axis)
    if isinstance(indices_or_sections, (int, np.integer)):
        parts = int(indices_or_sections)
        if parts < 1 or length % parts:
            raise ValueError(
                f"split: axis {axis} of {x!r} cannot be split into {parts} equal parts"
            )
        edges = [length // parts * i for i in range(parts + 1)]
    else:
        edges = [0, *(int(i) for i in indices_or_sections), length]
    whole: list[Any] = [None] * x.rank
    return [
        moving.slice_(x, [*whole[:axis], (start, stop), *whole[axis + 1 :]])
        for start, stop in zip(edges, edges[1:], strict=False)
    ]


def getitem(x: Any, index: Any) -> Any:
    """x[index]: slices without a step and whole numbers; the rows are taken as a whole."""
    if not is_symbolic(x):
        return np.asarray(_value(x))[index]
    parts = list(index) if isinstance(index, tuple) else [index]
    if builtins.sum(part is Ellipsis for part in parts) == 1:
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (x.rank - len(parts) + 1)
    parts += [slice(None)] * (x.rank - len(parts))
    if len(parts) > x.rank:
        raise IndexError(f"{x!r} has {x.rank} axes, but {len(parts)} are indexed")
    slices: list[tuple[int, int] | None] = []
    for axis, part in enumerate(parts):
        if part == slice(None):
            slices.append(None)
        elif x.shape[axis] is None:
            raise IndexError(f"the rows of {x!r} are only there as a whole, x[:, ...]")
        elif isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(x.shape[axis])
            slices.append((start, stop))
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            if not -x.shape[axis] <= part < x.shape[axis]:
                raise IndexError(f"index {part} is out of range for axis {axis} of {x!r}")
            start = int(part) % x.shape[axis]
            slices.append((start, start + 1))
        else:
            raise IndexError(
                f"{part!r} is no index of {x!r}; whole numbers, and slices without a step, are"
            )
    taken = x if all(part is None for part in slices) else moving.slice_(x, slices)
    kept = [n for n, part in zip(taken.shape, parts, strict=True) if isinstance(part, slice)]
    return moving.reshape(taken, kept)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The parts of x with these numbers along `axis`.

    Parameters
    ----------
    indices : int, sequence of int, or Tensor of integers
        A tensor takes rows of a weight (axis 0), as an embedding does.
    axis : int, optional
        Must be given for a symbolic tensor.
    """
    if not is_symbolic(x, indices):
        return np.take(_value(x), np.asarray(indices), axis)
    x = _tensor("take", x)
    if axis is None:
        raise ValueError("take: give the axis of a symbolic tensor")
    axis = _axis("take", axis, x.rank)
    length = _length("take", x, axis)
    if isinstance(indices, Tensor):
        if axis != 0:
            raise ValueError(f"take: a tensor of indices takes rows (axis 0) only, got axis {axis}")
        return moving.gather(x, indices)
    numbers_ = np.asarray(indices)
    if numbers_.dtype.kind not in "iu" or numbers_.ndim > 1:
        raise TypeError(f"take: indices must be whole numbers, got {indices!r}")
    whole: list[Any] = [slice(None)] * x.rank
    parts = []
    for number in numbers_.reshape(-1).tolist():
        if not -length <= number < length:
            raise IndexError(f"take: index {number} is out of range for axis {axis} of {x!r}")
        whole[axis] = slice(number % length, number % length + 1)
        parts.append(getitem(x, tuple(whole)))
    return concatenate(parts, axis) if numbers_.ndim else squeeze(parts[0], axis)


# --- filled tensors, types -----------------------------------------------------------------------


def full_like(x: Any, fill_value: float) -> Any:
    """A tensor of x's shape full of one number."""
    if not is_symbolic(x):
        return np.full_like(real_array(_value(x)), fill_value)
    zeros = elementary.binary("greater", x, x)  # nothing is greater than itself, NaN neither
    return affine(zeros, 1.0, float(fill_value)) if fill_value else zeros


def zeros_like(x: Any) -> Any:
    """Zeros of x's shape."""
    return full_like(x, 0.0)


def ones_like(x: Any) -> Any:
    """Ones of x's shape."""
    return full_like(x, 1.0)


def one_hot(x: Any, num_classes: int, axis: int = -1) -> Any:
    """1 at the place that each id names, 0 elsewhere; an id out of range gives zeros.

    Parameters
    ----------
    x : integers
    num_classes : int
        Length of the new axis.
    axis : int, default -1
        Only the last one is there.
    """
    if axis not in (-1, len(shape(x))):
        raise ValueError(f"one_hot: the new axis can only be the last one, got axis={axis}")
    if is_symbolic(x):
        if x.dtype == "real":
            raise TypeError(f"one_hot: {x!r} holds real numbers, expected whole ones")
        return emit("one_hot", x, classes=int(num_classes))
    ids = np.asarray(_value(x))
    return (ids[..., None] == np.arange(num_classes)).astype(np.float64)


def cast(x: Any, dtype: str) -> Any:
    """x in another type.

    Inside a model there is one real type, the model's: real numbers stay as they are, whole ones
    become real.

    Raises
    ------
    ValueError
        A symbolic tensor of real numbers is to become whole ones.
    """
    name = np.dtype(dtype)
    if not is_symbolic(x):
        return np.asarray(_value(x)).astype(name)
    if name.kind == "f":
        return x if x.dtype == "real" else emit("real_labels", x)
    if x.dtype != name.name:
        raise ValueError(f"cast: {x!r} ({x.dtype}) cannot become {dtype} inside a model")
    return x


# --- activations: the functions of fastnn.activations --------------------------------------------

elu = FUNCTIONS["elu"]
gelu = FUNCTIONS["gelu"]
hard_sigmoid = FUNCTIONS["hard_sigmoid"]
hard_tanh = FUNCTIONS["hard_tanh"]
leaky_relu = FUNCTIONS["leaky_relu"]
log_sigmoid = FUNCTIONS["log_sigmoid"]
log_softmax = FUNCTIONS["log_softmax"]
mish = FUNCTIONS["mish"]
relu = FUNCTIONS["relu"]
relu6 = FUNCTIONS["relu6"]
selu = FUNCTIONS["selu"]
sigmoid = FUNCTIONS["sigmoid"]
silu = FUNCTIONS["silu"]
softmax = FUNCTIONS["softmax"]
softplus = FUNCTIONS["softplus"]
softsign = FUNCTIONS["softsign"]
swish = FUNCTIONS["silu"]
tanh = FUNCTIONS["tanh"]


# --- the operators of tensors --------------------------------------------------------------------

tensor.operators.update(
    add=add, subtract=subtract, multiply=multiply, divide=divide, power=power, matmul=matmul,
    greater=greater, greater_equal=greater_equal, less=less, less_equal=less_equal,
    negative=negative, absolute=absolute, getitem=getitem,
)  # fmt: skip

# Public: what `keras.ops` has under the same name.
PUBLIC = tuple(
    """
    abs absolute add cast clip concatenate cos divide dot elu equal erf exp expand_dims expm1 floor
    full_like gelu greater greater_equal hard_sigmoid hard_tanh leaky_relu less less_equal log log1p
    log_sigmoid log_softmax logical_and logical_not logical_or logsumexp matmul max maximum mean min
    minimum mish multiply negative norm not_equal one_hot ones_like power prod reciprocal relu relu6
    reshape round rsqrt selu shape sigmoid sign silu sin softmax softplus softsign split sqrt square
    squeeze stack std subtract sum swish take tanh transpose var where zeros_like
    """.split()
)
