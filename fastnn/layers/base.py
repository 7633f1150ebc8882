"""Layer: weights and a forward composition. Everything else is derived from these two.

Outside of tracing, calling a layer on a symbolic tensor notes a `Call`: these calls are a model's
graph. While a model is traced (`engine.trace`), calling it runs `call`, which emits ops. Called on
arrays it is traced by itself and run at once (`fastnn.eager`).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import config, constraints, initializers, regularizers
from fastnn.ops.contract import Graph, tracing
from fastnn.ops.tensor import Tensor, Variable, leaves, map_tensors, tensors_in
from fastnn.utils import Configurable, arguments, describe, snake_case, unlist

Shape = tuple["int | None", ...]


class Call:
    """One use of a layer on symbolic tensors; a layer that is shared has several.

    `args` and `kwargs` are those of the call, with tensors in lists and dictionaries; `inputs` and
    `outputs` are the tensors alone, in order.
    """

    def __init__(
        self, layer: Layer, args: Any, outputs: list[Tensor], kwargs: dict[str, Any] | None = None
    ) -> None:
        self.layer = layer
        self.args = tuple(args)
        self.kwargs = kwargs or {}
        self.inputs = tensors_in((self.args, self.kwargs))
        self.outputs = outputs
        for tensor in outputs:
            tensor.call = self

    def run(self, values: Mapping[Tensor, Tensor], training: bool) -> list[Tensor]:
        """Call the layer on what stands in `values` for its inputs; returns its outputs."""
        args, kwargs = map_tensors((self.args, self.kwargs), lambda t: values.get(t, t))
        return tensors_in(self.layer(*args, **{"training": training, **kwargs}))


# Set by fastnn.eager, which knows executors: (layer, args, kwargs, training) -> arrays.
on_arrays: Callable[..., Any] | None = None

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


_no_layers: set[type] = set()  # types of attributes that neither are nor hold layers


def _find_layers(value: Any, found: dict[Layer, None]) -> None:
    """Add the layers among a value, or in lists, tuples and dictionaries within each other."""
    if isinstance(value, Layer):
        found[value] = None
        return
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        _no_layers.add(type(value))
        return
    for item in value:
        if type(item) not in _no_layers:
            _find_layers(item, found)


# Arguments of every layer, which a user's own constructor need not take.
_COMMON = ("name", "trainable", "dtype", "input_shape", "activity_regularizer")


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
    input_dim : int, optional
        The same for rows of one axis.
    activity_regularizer : str, Regularizer or callable, optional
        Penalty on the output, divided by the rows of the batch, in training and evaluation.

    Examples
    --------
    >>> from fastnn import layers, ops
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...     def call(self, inputs):
    ...         return ops.multiply(inputs, self.factor)
    """

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
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
        self._trainable = bool(trainable)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.dtype = dtype or config.floatx()
        self.built = False
        self.traced_shape: Any = None  # of its output, where it was traced last
        if input_dim is not None:
            input_shape = (input_dim,)
        self.batch_shape: Shape | None = None
        if input_shape is not None:
            self.batch_shape = (None, *row_shape(input_shape, type(self).__name__))
        self._variables: list[Variable] = []
        self._takes_training = "training" in _arguments_of(type(self).call)

    # --- to be written by a subclass ---

    def build(self, input_shape: Any) -> None:
        """Create the weights; `input_shape` has None for the rows."""

    def call(self, inputs: Any) -> Any:
        """The forward composition on symbolic tensors."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(inputs)")

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "name": self.name}
        if not self.trainable:
            config["trainable"] = False
        for derived in ("input_shape", "input_dim", "activity_regularizer"):
            config.pop(derived, None)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = describe(self.activity_regularizer)
        if self.batch_shape is not None:
            config["input_shape"] = list(self.batch_shape[1:])
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer from what `get_config` returned; its constructor may know fewer arguments."""
        known = arguments(cls)
        rest = {key: config[key] for key in _COMMON if key in config and key not in known}
        made = cls(**{key: value for key, value in config.items() if key not in rest})
        if "name" in rest:
            made.name, made.auto_named = rest["name"], False
        if rest.get("trainable") is False:
            made.trainable = False
        if "activity_regularizer" in rest:
            made.activity_regularizer = regularizers.get(rest["activity_regularizer"])
        if "input_shape" in rest:
            made.batch_shape = (None, *rest["input_shape"])
        return made

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
        self._require_init()
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

    def _require_init(self) -> None:
        if "_variables" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ did not call super().__init__(); do that first"
            )

    def sublayers(self) -> list[Layer]:
        """Layers that this one holds as attributes, or in lists and dictionaries of them."""
        found: dict[Layer, None] = {}
        for value in vars(self).values():
            if type(value) not in _no_layers:
                _find_layers(value, found)
        found.pop(self, None)
        return list(found)

    def walk(self) -> list[Layer]:
        """Itself and all layers inside, at any depth."""
        return [self, *(inside for layer in self.sublayers() for inside in layer.walk())]

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights; setting it sets it for the layers inside too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self.sublayers():
            layer.trainable = value

    @property
    def variables(self) -> list[Variable]:
        """All weights, those of layers inside included: parameters and states."""
        self._require_init()
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

    def __call__(self, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Use the layer on symbolic tensors (from `Input`, or of another layer), or on arrays.

        Parameters
        ----------
        *args, **kwargs
            What `call` takes. Arrays are computed at once: NumPy arrays are returned.
        training : bool, optional
            Whether dropout and the like act as in training; by default as around it, or not.
        """
        self._require_init()
        given = leaves((args, kwargs))
        symbolic = tensors_in(given)
        if not symbolic and not tracing() and args:
            assert on_arrays is not None
            return on_arrays(self, args, kwargs, bool(training))
        if not args:
            self.check_inputs([])
        for other in given if symbolic else args or [None]:
            if not symbolic or isinstance(other, np.ndarray):
                raise TypeError(
                    f"layer {self.name!r} was called on {type(other).__name__}, expected tensors: "
                    "results of Input(...), of other layers or of fastnn.ops"
                )
        self.check_inputs(symbolic)
        self.ensure_built(self._shapes(args))
        if tracing():
            return self.emit(args, kwargs, training)
        specs = self._output_specs(args, kwargs)
        if training is not None:
            kwargs = {**kwargs, "training": training}
        made = map_tensors(specs, lambda t: Tensor(t.shape, t.dtype, self.name))
        Call(self, args, tensors_in(made), kwargs)
        return made

    def check_inputs(self, tensors: list[Tensor]) -> None:
        """Raise unless the layer can work on these; for a subclass to write."""

    @staticmethod
    def _shapes(args: Any) -> Any:
        """What `build` is given: the shape of the only input, or a list or dictionary of them."""
        if len(args) == 1 and isinstance(args[0], dict):
            return {key: unlist(t.shape for t in tensors_in(v)) for key, v in args[0].items()}
        return unlist(t.shape for t in tensors_in(args))

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
            variable.layer_name = variable.layer_name or self.name

    def emit(self, args: Any, kwargs: Any, training: bool | None) -> Any:
        """Run `call` in the open graph, under this layer's name."""
        graph = Graph.current()
        outer = graph.scope, graph.training
        graph.scope = self.name
        if training is not None:
            graph.training = bool(training)
        try:
            extra = {"training": graph.training} if self._takes_training else {}
            call: Any = self.call
            made = call(*args, **kwargs, **extra)
            self._check_made(made)
            self.traced_shape = unlist(t.shape for t in tensors_in(made))
            if self.activity_regularizer is not None and graph.penalties is not None:
                for tensor in tensors_in(made):
                    penalty = self.activity_regularizer.penalty(tensor, None)
                    penalty.name = f"{self.name}/activity penalty"
                    graph.penalties.append(penalty)
            return made
        finally:
            graph.scope, graph.training = outer

    def _check_made(self, made: Any) -> None:
        found = leaves(made)
        if not found:
            raise TypeError(
                f"layer {self.name!r} ({type(self).__name__}): call returned {made!r}; did you "
                "forget to return the result?"
            )
        for value in found:
            if value is None:
                raise TypeError(
                    f"layer {self.name!r} ({type(self).__name__}): call returned None; did you "
                    "forget to return the result?"
                )
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"layer {self.name!r} ({type(self).__name__}): call returned "
                    f"{type(value).__name__}; compute with fastnn.ops or other layers, not with "
                    "NumPy or Python numbers"
                )

    def _output_specs(self, args: Any, kwargs: Any) -> Any:
        """What `call` returns on stand-ins for its inputs, in a graph that is thrown away."""
        with Graph():
            given, named = map_tensors((args, kwargs), _stand_in)
            return self.emit(given, named, None)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for inputs of this shape (None for the rows)."""
        several = isinstance(input_shape, list)
        shapes = input_shape if several else [input_shape]
        tensors = [Tensor((None, *tuple(s)[1:]), "real", self.name, "feed") for s in shapes]
        args = (tensors if several else tensors[0],)
        self.ensure_built(self._shapes(args))
        made = self._output_specs(args, {})
        return unlist(t.shape for t in tensors_in(made))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_on_arrays"}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def flags(layers: Sequence[Layer]) -> tuple[bool, ...]:
    """What of these layers and their weights is trainable: plans depend on it."""
    found: list[bool] = []
    for layer in layers:
        found.append(layer._trainable)
        for variable in layer._variables:
            found.append(variable.trainable)
    return tuple(found)


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


@functools.cache
def _arguments_of(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)
