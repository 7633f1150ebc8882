"""Layer: weights and a forward composition. Everything else is derived from these two.

Outside of tracing, calling a layer on a symbolic tensor notes a `Call`: these calls are a model's
graph. While a model is traced (`engine.trace`), calling it runs `call`, which emits ops.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn import config, constraints, initializers, regularizers
from fastnn.ops.contract import Graph, tracing
from fastnn.ops.tensor import Tensor, Variable
from fastnn.utils import Configurable, as_list, snake_case, unlist

Shape = tuple["int | None", ...]


class Call:
    """One use of a layer on symbolic tensors; a layer that is shared has several."""

    def __init__(self, layer: Layer, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self.layer = layer
        self.inputs = inputs
        self.outputs = outputs
        for tensor in outputs:
            tensor.call = self


_local = threading.local()


@contextlib.contextmanager
def weights_from_elsewhere(nbytes: int) -> Iterator[None]:
    """Inside the `with`, new weights are zeros, and may take so many bytes in all.

    For a model whose weights a file brings: no initializer runs, and a file cannot claim more
    memory than it has bytes.
    """
    outer = getattr(_local, "bytes_left", None)
    _local.bytes_left = nbytes
    try:
        yield
    finally:
        _local.bytes_left = outer


def _blank(shape: Any, dtype: str) -> np.ndarray:
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    if not 0 <= nbytes <= _local.bytes_left:
        raise ValueError(f"a weight of shape {shape} is larger than all weights that are given")
    _local.bytes_left -= nbytes
    return np.zeros(shape, dtype)


class Layer(Configurable):
    """Base class of all layers.

    A subclass creates its weights in `build(input_shape)` with `add_weight` and says what it
    computes in `call(inputs)`, from `fastnn.ops` and other layers; its gradient follows from that.

    Parameters
    ----------
    name : str, optional
        By default the class name in snake case, made unique within a model.
    trainable : bool, default True
        Whether training changes its weights.
    dtype : str, optional
        "float32" or "float64"; must be the model's.
    input_shape : tuple, optional
        Shape of one row, for the first layer of a Sequential.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        input_shape: Any = None,
        input_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        for argument in unknown:
            raise TypeError(f"{type(self).__name__} has no argument {argument!r}")
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(
                f"{type(self).__name__}: name must be a non-empty string, got {name!r}"
            )
        if dtype is not None and dtype not in config.FLOAT_TYPES:
            raise ValueError(
                f"{type(self).__name__}: dtype must be one of {', '.join(config.FLOAT_TYPES)}, "
                f"got {dtype!r}"
            )
        self.name = name or snake_case(type(self).__name__)
        self.auto_named = name is None
        self.name_settled = False  # a model has it under this name
        self.trainable = trainable
        self.dtype = dtype or config.floatx()
        self.built = False
        if input_dim is not None:
            input_shape = (input_dim,)
        self.batch_shape: Shape | None = None
        if input_shape is not None:
            self.batch_shape = (None, *row_shape(input_shape, type(self).__name__))
        self._variables: list[Variable] = []
        parameters = inspect.signature(self.call).parameters
        self._takes_training = "training" in parameters

    # --- to be written by a subclass ---

    def build(self, input_shape: Any) -> None:
        """Create the weights; `input_shape` has None for the rows."""

    def call(self, inputs: Any) -> Any:
        """The forward composition on symbolic tensors."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(inputs)")

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "name": self.name}
        for derived in ("input_shape", "input_dim"):
            config.pop(derived, None)
        if self.batch_shape is not None:
            config["input_shape"] = list(self.batch_shape[1:])
        return config

    # --- weights ---

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        *,
        name: str = "weight",
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        dtype: str | None = None,
    ) -> Variable:
        """Create a parameter (trainable) or a state (not trainable) of this layer.

        Parameters
        ----------
        shape : tuple of int
        initializer : str, Initializer or callable, default "glorot_uniform"
        name : str
        trainable : bool, default True
        regularizer : str, Regularizer or None
        constraint : str, Constraint or None
            Applied after each update.
        dtype : str, optional
            By default the layer's.
        """
        dtype = dtype or self.dtype
        if getattr(_local, "bytes_left", None) is not None:
            value = _blank(tuple(shape), dtype)
        else:
            value = np.asarray(initializers.get(initializer)(tuple(shape), dtype), dtype)
        if value.shape != tuple(shape):
            raise ValueError(
                f"layer {self.name!r}: the initializer of {name!r} made an array of shape "
                f"{value.shape}, expected {tuple(shape)}"
            )
        if not np.isfinite(value).all():
            raise ValueError(
                f"layer {self.name!r}: the initializer of {name!r} made values that are NaN or "
                "infinite"
            )
        variable = Variable(
            value,
            name,
            trainable,
            "parameter" if trainable else "state",
            regularizers.get(regularizer),
            constraints.get(constraint),
        )
        self._variables.append(variable)
        return variable

    def sublayers(self) -> list[Layer]:
        """Layers that this one holds as attributes, or in lists of them."""
        found: list[Layer] = []
        for value in vars(self).values():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(item, Layer) and item is not self and item not in found:
                    found.append(item)
        return found

    @property
    def variables(self) -> list[Variable]:
        """All weights, those of layers inside included: parameters and states."""
        found = dict.fromkeys(self._variables)
        for layer in self.sublayers():
            found.update(dict.fromkeys(layer.variables))
        return list(found)

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """The parameters that training changes."""
        if not self.trainable:
            return []
        found = dict.fromkeys(v for v in self._variables if v.trainable)
        for layer in self.sublayers():
            found.update(dict.fromkeys(layer.trainable_variables))
        return list(found)

    trainable_weights = trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """States, and parameters that are frozen."""
        trained = set(self.trainable_variables)
        return [v for v in self.variables if v not in trained]

    non_trainable_weights = non_trainable_variables

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Any) -> None:
        """Overwrite all weights.

        Parameters
        ----------
        weights : list of array_like
            In the order and shapes of `get_weights()`.

        Raises
        ------
        ValueError
            Number or shapes differ, or a value is not finite; nothing is changed then.
        """
        variables = self.variables
        if not isinstance(weights, (list, tuple)):
            raise TypeError(
                f"{self.name}: set_weights expects a list of arrays as from get_weights(), got "
                f"{type(weights).__name__}"
            )
        if len(weights) != len(variables):
            hint = "" if variables or self.built else "; it is not built yet"
            raise ValueError(
                f"{self.name}: {len(weights)} weight arrays were given, expected "
                f"{len(variables)}{hint}"
            )
        arrays = [
            _weight(f"{self.name}: the array for {variable.path}", variable, value)
            for variable, value in zip(variables, weights, strict=True)
        ]
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Number of values in all weights."""
        return sum(v.value.size for v in self.variables)

    # --- calling ---

    def __call__(self, *inputs: Any, training: bool | None = None) -> Any:
        """Use the layer on symbolic tensors (from `Input`, or of another layer)."""
        tensors = [t for given in inputs for t in as_list(given)]
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"layer {self.name!r} was called on {type(tensor).__name__}; call it on the "
                    "result of Input(...) or of another layer, and use model.predict for arrays"
                )
        self.ensure_built(unlist(t.shape for t in tensors))
        if tracing():
            return self.emit(inputs, bool(training))
        outputs = [Tensor(t.shape, t.dtype, self.name) for t in self._output_specs(inputs)]
        Call(self, tensors, outputs)
        return unlist(outputs)

    def ensure_built(self, input_shape: Any) -> None:
        """Create the weights unless they exist."""
        if not self.built:
            before = list(self._variables)
            try:
                self.build(input_shape)
            except BaseException:
                self._variables = before  # half a layer is none: the next try builds it anew
                raise
            self.built = True
        for variable in self._variables:
            variable.layer_name = self.name

    def emit(self, inputs: Any, training: bool) -> Any:
        """Run `call` in the open graph, under this layer's name."""
        graph = Graph.current()
        outer, graph.scope = graph.scope, self.name
        try:
            extra = {"training": training} if self._takes_training else {}
            return self.call(*inputs, **extra)
        finally:
            graph.scope = outer

    def _output_specs(self, inputs: Any) -> list[Tensor]:
        with Graph():
            copies = [
                [_stand_in(t) for t in given]
                if isinstance(given, (list, tuple))
                else _stand_in(given)
                for given in inputs
            ]
            return as_list(self.emit(copies, False))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _weight(what: str, variable: Variable, value: Any) -> np.ndarray:
    """A new value for a variable, checked and of its type."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{what} is no array: its rows differ in length") from None
    if array.shape != variable.shape:
        raise ValueError(f"{what} has shape {array.shape}, expected {variable.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what} has dtype {array.dtype}, expected numbers")
    with np.errstate(over="ignore"):
        array = array.astype(variable.value.dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} has values that are NaN, infinite or too large")
    return array


def _stand_in(tensor: Tensor) -> Tensor:
    return Tensor(tensor.shape, tensor.dtype, tensor.name, "feed")


def row_shape(shape: Any, owner: str) -> tuple[int, ...]:
    """`shape` of one row as a tuple of positive integers."""
    entries = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    for n in entries:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(
                f"{owner}: the shape of a row must be made of integers of 1 or more, got {shape!r}"
            )
    return tuple(int(n) for n in entries)
