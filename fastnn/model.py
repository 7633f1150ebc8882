"""Models: the graph of layers, the weights and where they lie, and the summary.

`Model` is a layer made of layer calls; `Sequential` builds such a graph from a list. Training,
evaluation and prediction are in `training.py`, whose methods both classes inherit.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import (
    eager,  # noqa: F401  (importing it lets layers be called on arrays)
    layers,
    saving,
    summary,
)
from fastnn.layers.base import Call, Layer, Shape
from fastnn.layers.core import Input, InputLayer
from fastnn.ops.contract import tracing
from fastnn.ops.tensor import Tensor, Variable, map_tensors, tensors_in
from fastnn.saving import load_model, model_from_json
from fastnn.store import Store, place
from fastnn.training import Trainable
from fastnn.utils import as_list, choose, custom_object_scope, describe, own_objects, unlist

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json"]


class Model(Trainable, Layer):
    """A graph of layers from inputs to outputs.

    Parameters
    ----------
    inputs, outputs : Tensor or list of Tensor
        Symbolic tensors: results of `Input` and of layers called on them.
    name : str, optional

    Raises
    ------
    ValueError
        An output does not depend on the inputs, or two layers have the same name.

    Examples
    --------
    >>> from fastnn import Input, Model, layers
    >>> x = Input((4,))
    >>> model = Model(x, layers.Dense(3, activation="softmax")(x))

    Or a class of your own, whose `call` is traced once for each kind of plan:

    >>> class Net(Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = layers.Dense(8, activation="relu")
    ...         self.out = layers.Dense(1)
    ...     def call(self, inputs, training=False):
    ...         return self.out(self.hidden(inputs))
    """

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._reset_training()
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.calls: list[Call] = []
        if inputs is not None or outputs is not None:
            if inputs is None or outputs is None:
                raise ValueError("Model: give both inputs and outputs")
            self._set_graph(as_list(inputs), as_list(outputs))

    def _set_graph(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
            for tensor in tensors:
                if not isinstance(tensor, Tensor) or tensor.call is None:
                    raise ValueError(
                        f"Model: {kind} must be symbolic tensors, from Input(...) and layers "
                        f"called on it; got {tensor!r}"
                    )
        self.inputs, self.outputs = inputs, outputs
        self.calls = _calls_between(inputs, outputs)
        entries = [t.call.layer for t in inputs if isinstance(t.call.layer, InputLayer)]
        self._layers = list(dict.fromkeys([*entries, *_by_depth(self.calls, outputs)]))
        _name_apart(self._layers)
        for layer in self._layers:
            layer.name_settled = True
        self.built = True
        self._place()

    def _place(self) -> None:
        for layer in self.sublayers():
            _name_weights(layer, layer.name)
        variables = self.variables
        place(variables, self.dtype)
        self._first_weight = variables[0] if variables else None

    @property
    def _is_own(self) -> bool:
        """Whether a user's class says in `call` what it computes."""
        return type(self).call is not Model.call

    def _build_own(self, shapes: Any) -> None:
        """Trace a user's `call` once over inputs of these shapes, which builds its layers."""
        entries: list[Tensor] = []

        def entry(shape: Any, name: str | None) -> Any:
            if isinstance(shape, dict):
                return {key: entry(value, str(key)) for key, value in shape.items()}
            if shape and isinstance(shape[0], (list, tuple)):
                return [entry(value, None) for value in shape]
            entries.append(Input(batch_shape=(None, *tuple(shape)[1:]), name=name))
            return entries[-1]

        structure = entry(shapes, None)
        _name_apart([t.call.layer for t in entries])
        made = self._output_specs((structure,), {})
        names: dict[int, str] = {}
        if isinstance(made, dict):
            names = {id(t): str(key) for key, t in made.items()}
        tensors = tensors_in(made)
        outputs = []
        for i, tensor in enumerate(tensors):
            default = self.name if len(tensors) == 1 else f"output_{i + 1}"
            name = names.get(id(tensor), default)
            outputs.append(Tensor(tensor.shape, tensor.dtype, name))
            Call(Layer(name=name), (structure,), outputs[-1:])
        self.inputs, self.outputs, self._structure = entries, outputs, structure
        left = iter(outputs)
        self._made = map_tensors(made, lambda t: next(left))
        self.built = True
        inside = super().sublayers()
        _name_apart(inside)
        for layer in inside:
            layer.name_settled = True
        self._place()

    _structure: Any = None  # a user's inputs and outputs, with tensors in lists and dictionaries
    _made: Any = None

    def packed(self, outputs: Sequence[Any]) -> Any:
        """Outputs as `call` returns them: one, a list, or a user's own dictionary."""
        if self._made is None:
            return unlist(outputs)
        left = iter(outputs)
        return map_tensors(self._made, lambda t: next(left))

    @property
    def store(self) -> Any:
        """The MODEL block that holds the weights (an empty one for a model without weights)."""
        if self._first_weight is not None:  # a walk over all layers would cost more than predict
            return self._first_weight.store
        if self._no_weights is None:
            self._no_weights = Store([], self.dtype)
        return self._no_weights

    _first_weight: Variable | None = None
    _no_weights: Store | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order in which they run, without inputs."""
        return [layer for layer in self.sublayers() if not isinstance(layer, InputLayer)]

    def sublayers(self) -> list[Layer]:
        return super().sublayers() if self._is_own else self._layers

    _layers: list[Layer] = []

    @property
    def input_shape(self) -> Any:
        """Shape of the input (a list for several), None for the rows."""
        self._require_built("input_shape")
        return unlist(t.shape for t in self.inputs)

    @property
    def output_shape(self) -> Any:
        """Shape of the output (a list for several), None for the rows."""
        self._require_built("output_shape")
        return unlist(t.shape for t in self.outputs)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or index.

        Raises
        ------
        ValueError
            There is no such layer; the message lists the names.
        """
        if index is not None and -len(self.layers) <= index < len(self.layers):
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"no layer {name if index is None else index!r}; this model has: {names}")

    # --- files ---

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        """Write architecture, weights, compile's arguments and optimizer state to a file.

        Parameters
        ----------
        filepath : str or path
            Ends in ".fastnn". Either the whole new file is there afterwards or, after an error,
            the old one.
        overwrite : bool, default True

        Raises
        ------
        ValueError
            The model is not built, or the name does not end in ".fastnn".
        TypeError
            A layer, loss or the like cannot be described by its arguments, or by a name.
        OSError
            The file cannot be written.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights only; see `fastnn.saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Overwrite the weights by those of a file; see `fastnn.saving.load_weights`."""
        saving.load_weights(self, filepath, skip_mismatch)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON; `fastnn.saving.model_from_json` makes a model of it.

        Parameters
        ----------
        **kwargs
            For `json.dumps`, for example `indent=1`.
        """
        return saving.to_json(self, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return saving.reduce_model(self)

    def call(self, inputs: Any, training: bool = False) -> Any:
        given = tensors_in(inputs)
        if isinstance(inputs, dict):
            names = [t.call.layer.name for t in self.inputs]
            if set(inputs) != set(names):
                raise ValueError(
                    f"model {self.name!r} has the inputs {', '.join(names)}, it was called on "
                    f"{', '.join(map(str, inputs))}"
                )
            given = [inputs[name] for name in names]
        if len(given) != len(self.inputs):
            raise ValueError(
                f"model {self.name!r} has {len(self.inputs)} inputs, it was called on {len(given)}"
            )
        return self.packed(self.run(given, training))

    def run(self, inputs: Sequence[Tensor], training: bool) -> list[Tensor]:
        """Run all layers on op-level tensors, in the open graph."""
        values: dict[Tensor, Tensor] = dict(zip(self.inputs, inputs, strict=True))
        if self._is_own:
            structure = map_tensors(self._structure, lambda t: values[t])
            return tensors_in(self.emit((structure,), {}, training))
        for call in self.calls:
            values.update(zip(call.outputs, call.run(values, training), strict=True))
        return [values[t] for t in self.outputs]

    def build(self, input_shape: Any = None) -> None:
        """Build the weights for inputs of this shape (with None, or any number, for the rows).

        Parameters
        ----------
        input_shape : tuple; a list or dictionary of them for several inputs
        """
        if self.built or input_shape is None:
            return
        if not self._is_own:
            raise ValueError(f"{type(self).__name__} is built from its inputs and outputs")
        if tracing():  # as a layer of another model, whose inputs these are not
            return
        self._build_own(input_shape)

    def _build_on(self, x: Any) -> None:
        """Build from the first data."""
        if not self._is_own or not isinstance(x, (dict, list, tuple)):
            super()._build_on(x)
            return
        if isinstance(x, dict):
            self.build({key: np.shape(value) for key, value in x.items()})
        elif any(hasattr(value, "shape") for value in x):
            self.build([tuple(np.shape(value)) for value in x])
        else:
            super()._build_on(x)

    # --- description ---

    _undescribed = ("inputs", "outputs")  # of a class of the user: its `build` makes them

    def get_config(self) -> dict[str, Any]:
        """The graph: layers by name, and their calls in order; `from_config` makes it again.

        Of a class of your own: the constructor's arguments, kept as attributes of the same names.
        """
        takes_graph = "inputs" in inspect.signature(type(self).__init__).parameters
        if self._is_own or not self.inputs or not takes_graph:
            return super().get_config()
        entries = [t.call for t in self.inputs]
        foreign = [t for t in self.inputs if not isinstance(t.call.layer, InputLayer)]
        numbers: dict[Tensor, list[int]] = {}
        for number, tensor in enumerate(self.inputs):
            numbers[tensor] = [number, 0]
        for number, call in enumerate(self.calls, len(entries)):
            numbers.update({t: [number, i] for i, t in enumerate(call.outputs)})

        def written(value: Any) -> Any:
            return describe(map_tensors(value, lambda t: {"tensor": numbers[t]}))

        described = [
            {"name": f"input_{numbers[t][0]}", "shape": list(t.shape[1:]), "dtype": t.dtype}
            if t in foreign
            else {**describe_input(t.call.layer)}
            for t in self.inputs
        ]
        return {
            "name": self.name,
            "trainable": self.trainable,
            "inputs": described,
            "layers": [describe(layer) for layer in self.layers],
            "calls": [
                {
                    "layer": self.layers.index(call.layer),
                    "args": written(list(call.args)),
                    "kwargs": written(call.kwargs),
                }
                for call in self.calls
            ],
            "outputs": [numbers[t] for t in self.outputs],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if "calls" not in config:
            return super().from_config(config)
        made = [_layer_of(described) for described in config["layers"]]
        inputs = [Input(**{**given, "dtype": _input_dtype(given)}) for given in config["inputs"]]
        results: list[list[Tensor]] = [[t] for t in inputs]

        def read(value: Any) -> Any:
            if isinstance(value, dict) and set(value) == {"tensor"}:
                number, i = value["tensor"]
                return results[number][i]
            if isinstance(value, dict):
                return {key: read(item) for key, item in value.items()}
            return [read(item) for item in value] if isinstance(value, list) else value

        for call in config["calls"]:
            layer = made[call["layer"]]
            args, kwargs = read(call["args"]), read(call["kwargs"])
            # On arrays a layer would run, not join a graph.
            if not isinstance(args, list) or not tensors_in([args, kwargs]):
                raise ValueError(f"layer {layer.name!r} is called on no tensor")
            results.append(tensors_in(layer(*args, **kwargs)))
        outputs = [results[number][i] for number, i in config["outputs"]]
        model = cls(inputs, outputs, name=config.get("name"))
        if config.get("trainable") is False:
            model._trainable = False
        return model

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers, their output shapes and numbers of weights.

        Parameters
        ----------
        line_length : int, optional
            Width of the table; by default as wide as needed.
        positions : list of float, optional
            Where the columns end, as fractions of the line.
        print_fn : callable, optional
            Called with each line instead of `print`.
        expand_nested : bool, default False
            Whether layers inside of layers have rows too.
        show_trainable : bool
            Without effect: the number of weights that training changes is always shown.
        layer_range : (str, str), optional
            Names (or patterns of them) of the first and the last layer to show.

        Raises
        ------
        ValueError
            No layer fits `layer_range`, or `positions` do not grow.
        """
        for line in summary.text(self, line_length, positions, expand_nested, layer_range):
            (print_fn or print)(line)

    def _repr_html_(self) -> str:
        """The summary as a notebook shows it."""
        return summary.html(self)


class Sequential(Model):
    """A model of layers one after the other.

    Without an input shape it is built by the first `fit`, `build` or data that it sees.

    Parameters
    ----------
    layers : list of Layer, optional
    trainable : bool, default True
    name : str, optional

    Examples
    --------
    >>> from fastnn import Sequential, layers
    >>> model = Sequential([layers.Dense(1, input_shape=(1,))])
    >>> model.compile(optimizer="sgd", loss="mse")
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name, trainable=trainable)
        for layer in as_list(layers):
            self._append(layer)
        self._build_chain()

    def get_config(self) -> dict[str, Any]:
        described = [describe(layer) for layer in self._layers]
        return {"name": self.name, "trainable": self.trainable, "layers": described}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        made = [_layer_of(described) for described in config["layers"]]
        return cls(**{**config, "layers": made})

    def add(self, layer: Any) -> None:
        """Append a layer.

        Raises
        ------
        TypeError
            It is not a layer (or the result of `Input`).
        """
        self._append(layer)
        self._build_chain()

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Tensor) and layer.call is not None:
            layer = layer.call.layer  # Input(...) returns a tensor
        if not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential.add expects a layer such as Dense(10), got {type(layer).__name__}: "
                f"{layer!r}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError("Input must be the first layer of a Sequential")
        if layer in self._layers:
            raise ValueError(
                f"layer {layer.name!r} is already in this Sequential; make a second one, or use "
                "Model(inputs, outputs) to share its weights"
            )
        self._layers = [*self._layers, layer]

    def _build_chain(self) -> None:
        """Make the graph anew, if the first layer tells the shape of the input."""
        _name_apart(self._layers)
        self.calls, self.outputs, self.inputs, self.built = [], [], [], False
        self._outputs_changed()
        if self.layers and self._layers[0].batch_shape is not None:
            self._chain(self._layers[0].batch_shape)

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self.layers:
            raise ValueError("Sequential.pop: there are no layers")
        *self._layers, last = self._layers
        self._build_chain()
        return last

    def build(self, input_shape: Any = None) -> None:
        if self.built or input_shape is None:
            return
        if not isinstance(input_shape, (tuple, list)) or len(input_shape) < 1:
            raise ValueError(
                f"build: the input shape must be a tuple such as (None, features), got "
                f"{input_shape!r}"
            )
        if not self.layers:
            raise ValueError("this Sequential has no layers; add one first")
        self._chain(tuple(input_shape))

    def _chain(self, batch_shape: Shape) -> None:
        first = self._layers[0]
        if isinstance(first, InputLayer):
            x = first.output
        else:
            x = Input(batch_shape=(None, *batch_shape[1:]))
        start = x
        for layer in self.layers:
            x = layer(x)
        listed = self._layers  # without the Input that was made here
        self._set_graph([start], [x])
        self._layers = listed


def _calls_between(inputs: list[Tensor], outputs: list[Tensor]) -> list[Call]:
    """The calls that lead from inputs to outputs, in running order."""
    ordered: list[Call] = []
    done: set[Call] = set()
    known = set(inputs)
    waiting = [(tensor, False) for tensor in reversed(outputs)]
    while waiting:  # depth first, by hand: a network can be deeper than Python's stack
        tensor, inputs_done = waiting.pop()
        call = tensor.call
        if tensor in known or call in done:
            continue
        if isinstance(call.layer, InputLayer):
            raise ValueError(
                f"Model: an output depends on {tensor!r}, which is not among the inputs"
            )
        if inputs_done:
            done.add(call)
            ordered.append(call)
        else:
            waiting.append((tensor, True))
            waiting += [(given, False) for given in reversed(call.inputs)]
    return ordered


def _by_depth(calls: list[Call], outputs: list[Tensor]) -> list[Layer]:
    """The layers of `calls` in Keras' order, which is that of `get_weights`.

    Farthest from the outputs first; at the same distance, as one meets them from the outputs on.
    """
    depths: dict[Layer, int] = {}
    reached: dict[Call, int] = {}
    for call in reversed(calls):
        depth = max(reached.get(call, 0), depths.get(call.layer, 0))
        depths[call.layer] = depth
        for given in call.inputs:
            reached[given.call] = max(reached.get(given.call, 0), depth + 1)
    inside = set(calls)
    met: dict[Layer, None] = {}
    waiting = [tensor.call for tensor in reversed(outputs)]
    seen: set[Call] = set()
    while waiting:
        call = waiting.pop()
        if call in inside and call not in seen:
            seen.add(call)
            met.setdefault(call.layer)
            waiting += [given.call for given in reversed(call.inputs)]
    return sorted(met, key=lambda layer: -depths[layer])


def _name_apart(layers: Sequence[Layer]) -> None:
    """Number the default names within a model: dense, dense_1, ...

    Layers that another model has already keep their names where that is possible.

    Raises
    ------
    ValueError
        Two layers were given the same name.
    """
    taken = {layer.name for layer in layers if not layer.auto_named}
    given = [layer.name for layer in layers if not layer.auto_named]
    for name in given:
        if given.count(name) > 1:
            raise ValueError(f"two layers of this model are called {name!r}; names must differ")
    for layer in sorted(layers, key=lambda layer: not layer.name_settled):
        if not layer.auto_named:
            continue
        name, number = layer.name, 0
        stem = name.rsplit("_", 1)[0] if name.rsplit("_", 1)[-1].isdigit() else name
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        layer.name = name
        taken.add(name)
        for variable in layer._variables:
            variable.layer_name = name


def _name_weights(layer: Layer, path: str) -> None:
    """Tell weights their layer, "outer/inner" for layers inside of layers."""
    for variable in layer._variables:
        variable.layer_name = path
    for inside in layer.sublayers():
        _name_weights(inside, f"{path}/{inside.name}")


def describe_input(layer: Any) -> dict[str, Any]:
    """The arguments of `Input`."""
    return {"name": layer.name, "shape": list(layer.batch_shape[1:]), "dtype": layer.input_dtype}


def _input_dtype(given: Any) -> str | None:
    return None if given["dtype"] == "real" else given["dtype"]


def _layer_of(described: Any) -> Layer:
    """A layer, or a model used as one, from its description."""
    models: dict[str, Any] = {"Model": Model, "Sequential": Sequential}
    if isinstance(described, dict) and described.get("class_name") in models:
        cls = choose("layer", described["class_name"], models)
        made: Layer = cls.from_config(described["config"])
        return made
    return layers.get(described)


def clone_model(
    model: Any, input_tensors: None = None, clone_function: Any = None, **unknown: Any
) -> Any:
    """A model of the same architecture with new weights, not compiled.

    Parameters
    ----------
    model : Model
        A class of your own is made again from its `get_config`.
    input_tensors : None
        Not supported.
    clone_function : callable, optional
        From each layer of a Sequential or of a graph to the layer in its place; by default one
        made from its config.

    Raises
    ------
    ValueError
        `model` is none, or an argument is not supported.
    """
    if not isinstance(model, Model):
        raise ValueError(f"clone_model expects a Model, got {type(model).__name__}")
    for name, value in {"input_tensors": input_tensors, **unknown}.items():
        if value is not None and value is not False:
            raise ValueError(f"clone_model: {name}={value!r} is not supported; leave it out")
    with own_objects() as own:
        config = model.get_config()
    if clone_function is not None:
        if "layers" not in config or model._is_own:
            raise ValueError("clone_model: clone_function works on Sequential and graph models")
        kept = model.layers if "calls" in config else model._layers
        config = {**config, "layers": [clone_function(layer) for layer in kept]}
    with custom_object_scope(own):
        made = type(model).from_config(config)
    if model.built and not made.built:
        made.build(map_tensors(model._structure, lambda t: t.shape) if model._is_own
                   else model.inputs[0].shape)  # fmt: skip
    return made
