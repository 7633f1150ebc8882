"""Symbolic tensors: what ops read and write before any memory exists.

A `Tensor` knows its shape, dtype and where it will live; a `Variable` is a tensor that lasts: a
parameter or a state of a layer, with a value. Layers and ops pass them around while a model is
traced; `engine.memory` gives each one its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Shape = tuple["int | None", ...]


class Rows(NamedTuple):
    """A size that is `each` times the rows of the running batch."""

    each: int

    def at(self, rows: int) -> int:
        return self.each * rows

    def __str__(self) -> str:
        return "rows" if self.each == 1 else f"{self.each}*rows"


Size = int | Rows


def count(shape: Sequence[int | None]) -> Size:
    """Elements of `shape`; a leading None stands for the rows of the batch."""
    each = 1
    for n in shape:
        each *= 1 if n is None else n
    return Rows(each) if shape and shape[0] is None else each


def times(size: Size, factor: int) -> Size:
    """`size * factor`, whether or not it counts rows."""
    return Rows(size.each * factor) if isinstance(size, Rows) else size * factor


def at_rows(size: Size, rows: int) -> int:
    """The number a size stands for when the batch has `rows` rows."""
    return size.at(rows) if isinstance(size, Rows) else size


def concrete(shape: Shape, rows: int) -> tuple[int, ...]:
    """`shape` with its leading None replaced by `rows`."""
    return tuple(rows if n is None else n for n in shape)


# The functions behind the operators of tensors; `ops.api`, which imports this file, fills them in.
operators: dict[str, Callable[..., Any]] = {}


class Tensor:
    """An array that does not exist yet.

    Inside a layer's `call` it has the operators + - * / ** @, abs(), > >= < <= (0 or 1), and
    indices: whole numbers and slices, of which the one for the rows must be `:`.

    Parameters
    ----------
    shape : tuple
        A leading None stands for the rows of a batch; it can stand nowhere else.
    dtype : str
        "real" is the float type of the plan (float32 or float64); otherwise a NumPy name.
    name : str
        Shown by `print(plan)`.
    storage : str
        "activation" (scratch, planned by liveness), "feed" (scratch, filled by the gather),
        "accumulator" (scratch, float64, added to), "parameter" and "state" (MODEL block),
        "gradient", "slot" and "control" (TRAINING block).
    variable : Variable, optional
        The parameter that a gradient or a slot belongs to.
    """

    __slots__ = ("call", "dtype", "mask", "name", "node", "shape", "storage", "variable")

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: str = "real",
        name: str = "",
        storage: str = "activation",
        variable: Variable | None = None,
    ) -> None:
        self.shape: Shape = tuple(shape)
        if None in self.shape[1:]:
            raise ValueError(
                f"shape {self.shape} of {name or 'a tensor'}: only the first entry can be None, "
                "which stands for the rows"
            )
        self.dtype = dtype
        self.name = name
        self.storage = storage
        self.variable = variable
        self.node: Any = None  # the node of the op that makes it
        self.call: Any = None  # the layer call that makes it, in a model's graph
        self.mask: Tensor | None = None

    @property
    def rank(self) -> int:
        """Number of axes, rows included."""
        return len(self.shape)

    @property
    def has_rows(self) -> bool:
        """Whether its first axis is the rows of the batch."""
        return bool(self.shape) and self.shape[0] is None

    __array_priority__ = 1000  # array + tensor asks the tensor

    def __add__(self, other: Any) -> Any:
        return operators["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return operators["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return operators["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return operators["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return operators["multiply"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return operators["multiply"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return operators["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return operators["divide"](other, self)

    def __pow__(self, other: Any) -> Any:
        return operators["power"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return operators["power"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return operators["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return operators["matmul"](other, self)

    def __gt__(self, other: Any) -> Any:
        return operators["greater"](self, other)

    def __ge__(self, other: Any) -> Any:
        return operators["greater_equal"](self, other)

    def __lt__(self, other: Any) -> Any:
        return operators["less"](self, other)

    def __le__(self, other: Any) -> Any:
        return operators["less_equal"](self, other)

    def __neg__(self) -> Any:
        return operators["negative"](self)

    def __abs__(self) -> Any:
        return operators["absolute"](self)

    def __getitem__(self, index: Any) -> Any:
        return operators["getitem"](self, index)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} cannot be looped over; take its parts with slices, x[:, 0]")

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no value yet, so no `if` can ask for it; ops.where(condition, a, b) "
            "chooses element by element"
        )

    def __repr__(self) -> str:
        text = ", ".join("rows" if n is None else str(n) for n in self.shape)
        return f"{self.name or self.storage}({text})"


def leaves(value: Any) -> list[Any]:
    """What lies in lists, tuples and dictionaries within each other, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in lists, tuples and dictionaries within each other, in order."""
    if type(value) is Tensor:
        return [value]
    return [leaf for leaf in leaves(value) if isinstance(leaf, Tensor)]


def map_tensors(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """Lists, tuples and dictionaries as they are, with `function` of each tensor in its place."""
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(item, function) for item in value)
    return function(value) if isinstance(value, Tensor) else value


class Variable(Tensor):
    """A tensor that lasts: a parameter (trained) or a state (written by an op) of a layer.

    Its value is a NumPy array: its own until a model places it, afterwards a live view of the
    model's MODEL block. `np.asarray(variable)` is that view, not a copy.
    """

    __slots__ = (
        "constraint", "layer_name", "offset", "regularizer", "store", "trainable", "value",
    )  # fmt: skip

    def __init__(
        self,
        value: np.ndarray,
        name: str = "variable",
        trainable: bool = True,
        storage: str = "parameter",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        value = np.array(value, order="C")
        dtype = "real" if value.dtype.kind == "f" else value.dtype.name
        super().__init__(value.shape, dtype, name, storage)
        self.value = value
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint  # applied after each update
        self.store: Any = None  # the model.Store that holds the value
        self.offset = -1  # bytes from the start of its MODEL block
        self.layer_name = ""

    @property
    def path(self) -> str:
        """`layer/name`, as messages and plans show it."""
        return f"{self.layer_name}/{self.name}" if self.layer_name else self.name

    def numpy(self) -> np.ndarray:
        """A copy of the value."""
        return np.array(self.value)

    def assign(self, value: Any) -> None:
        """Overwrite the value in place; shapes must agree.

        Called with a tensor while a layer is traced: the plan does it, whenever it runs.
        """
        if isinstance(value, Tensor) and not isinstance(value, Variable):
            from fastnn.ops.moving import assign

            return assign(self, value)
        array = np.asarray(value)
        if array.shape != self.value.shape:
            raise ValueError(
                f"{self.path}: a value of shape {array.shape} was given, "
                f"expected {self.value.shape}"
            )
        self.value[...] = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy:
            return np.array(self.value, dtype=dtype)
        return np.asarray(self.value, dtype=dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.path} shape={self.shape} dtype={self.value.dtype}>"


class Span(Tensor):
    """A range of the flat parameter buffer, or of a buffer in the same layout (gradients, slots).

    Optimizers work on spans: one call covers every parameter between `start` and `stop` (bytes).
    """

    __slots__ = ("section", "start", "stop")

    def __init__(self, storage: str, start: int, stop: int, itemsize: int, section: str) -> None:
        super().__init__(((stop - start) // itemsize,), "real", section, storage)
        self.start = start
        self.stop = stop
        self.section = section
