"""Models: the graph of layers, the weights and where they lie, and the summary.

`Model` is a layer made of layer calls; `Sequential` builds such a graph from a list. Training,
evaluation and prediction are in `training.py`, whose methods both classes inherit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import layers, saving, summary
from fastnn.engine.memory import Layout, aligned, zeros
from fastnn.layers.base import Call, Layer, Shape
from fastnn.layers.core import Input, InputLayer
from fastnn.ops.tensor import Tensor, Variable
from fastnn.saving import load_model, model_from_json
from fastnn.training import Trainable
from fastnn.utils import as_list, describe, unlist

__all__ = ["Model", "Sequential", "load_model", "model_from_json"]


class Store:
    """A MODEL block: the values of variables, parameters first, then states.

    Models that share a layer share a store. A new model over placed variables makes a new store of
    everything that their stores held; the older models notice and make new plans. Its float type
    is that of the variables, `dtype` only if there are none.
    """

    def __init__(self, variables: Sequence[Variable], dtype: str = "float32") -> None:
        old = {id(v.store): v.store for v in variables if v.store is not None}
        everything = [v for store in old.values() for v in store.variables]
        everything += [v for v in variables if v.store is None]
        reals = [v for v in everything if v.dtype == "real"]
        dtype = reals[0].value.dtype.name if reals else dtype
        for variable in reals:
            if variable.value.dtype.name != dtype:
                raise ValueError(
                    f"{reals[0].path} is {dtype}, but {variable.path} is "
                    f"{variable.value.dtype.name}; use one float type for all layers of a model"
                )
        self.variables = everything
        self.dtype = dtype
        parameters = [v for v in everything if v.storage == "parameter"]
        states = [v for v in everything if v.storage == "state"]
        self.offsets: dict[Variable, int] = {}
        end = [0, 0]
        offset = 0
        for i, kind in enumerate((parameters, states)):
            for variable in kind:
                self.offsets[variable] = offset
                offset += aligned(variable.value.nbytes)
            end[i] = offset
        self.layout = Layout(end[0], end[1] - end[0], dtype)
        self.block = zeros(offset)
        for variable in everything:
            value, at = variable.value, self.offsets[variable]
            view = np.ndarray(value.shape, value.dtype, self.block.data, at)
            view[...] = value
            variable.value, variable.offset, variable.store = view, at, self


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
        self._layers = list(dict.fromkeys([*entries, *(c.layer for c in self.calls)]))
        _name_apart(self._layers)
        for layer in self._layers:
            layer.name_settled = True
        self.built = True
        self._place()

    def _place(self) -> None:
        variables = self.variables
        for layer in self._layers:
            for variable in layer.variables:
                variable.layer_name = variable.layer_name or layer.name
        if any(v.store is None for v in variables) or len({id(v.store) for v in variables}) > 1:
            Store(variables, self.dtype)

    @property
    def store(self) -> Any:
        """The MODEL block that holds the weights (an empty one for a model without weights)."""
        variables = self.variables
        if variables:
            return variables[0].store
        if self._no_weights is None:
            self._no_weights = Store([], self.dtype)
        return self._no_weights

    _no_weights: Store | None = None

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order in which they run, without inputs."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    def sublayers(self) -> list[Layer]:
        return self._layers

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
        return unlist(self.run(as_list(inputs), training))

    def run(self, inputs: Sequence[Tensor], training: bool) -> list[Tensor]:
        """Run all layers on op-level tensors, in the open graph."""
        values: dict[Tensor, Tensor] = dict(zip(self.inputs, inputs, strict=True))
        for call in self.calls:
            given = [values[t] for t in call.inputs]
            made = call.layer(*given, training=training)
            values.update(zip(call.outputs, as_list(made), strict=True))
        return [values[t] for t in self.outputs]

    def build(self, input_shape: Any = None) -> None:
        """Build the weights for inputs of this shape (with None, or any number, for the rows)."""
        if self.built or input_shape is None:
            return
        raise ValueError(f"{type(self).__name__} is built from its inputs and outputs")

    def summary(self, line_length: int | None = None, print_fn: Any = None) -> None:
        """Print the layers, their output shapes and numbers of weights.

        Parameters
        ----------
        line_length : int, optional
            Width of the table; by default as wide as needed.
        print_fn : callable, optional
            Called with each line instead of `print`.
        """
        for line in summary.text(self, line_length):
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
        made = [layers.get(described) for described in config["layers"]]
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
