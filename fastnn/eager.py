"""`model(x)` and `layer(x)` on arrays: traced once per shape, run at once, NumPy arrays come back.

Imported by `fastnn.model`; its function is left with `layers.base`, since layers know no executor.
A layer is wrapped as what `Executors` needs of a model, and its plan is one that predicts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import data
from fastnn.executors import Executors
from fastnn.layers import base
from fastnn.layers.base import Layer
from fastnn.ops.contract import Graph
from fastnn.ops.tensor import Tensor, concrete, map_tensors, tensors_in
from fastnn.store import Store, place

ROWS_AT_ONCE = 256  # without training: more rows come in parts
SHAPES_KEPT = 16  # per layer

_lock = threading.RLock()


class _Traced:
    """A layer on inputs of some shapes, as the model that `Executors` traces."""

    optimizer = None
    trainable_variables: Sequence[Any] = ()

    def __init__(
        self, layer: Layer, inputs: list[Tensor], forward: Callable[[Sequence[Tensor]], Any]
    ) -> None:
        self.layer, self.inputs, self.forward = layer, inputs, forward
        self.made: Any = None  # what the layer returned, with tensors
        self.executors = Executors()
        self.calls = 0
        self._empty = Store([], layer.dtype)
        with Graph():  # which builds the layers inside
            forward([Tensor(t.shape, t.dtype, t.name, "feed") for t in inputs])

    @property
    def store(self) -> Any:
        variables = self.layer.variables
        place(variables, self.layer.dtype)
        return variables[0].store if variables else self._empty

    def run(self, inputs: Sequence[Tensor], training: bool) -> list[Tensor]:
        self.made = self.forward(inputs)
        return tensors_in(self.made)


def call_on_arrays(layer: Any, args: Any, kwargs: Any, training: bool) -> Any:
    """What a layer or a model makes of arrays.

    Parameters
    ----------
    layer : Layer
    args, kwargs
        Of its call.
    training : bool
        Random draws then follow the seed and the number of calls so far.

    Returns
    -------
    ndarray, or a list or dictionary of them as the layer returns tensors

    Raises
    ------
    ValueError
        Arrays do not fit the layer.
    """
    is_model = hasattr(layer, "_input_feeds")
    if is_model and layer.built and not training and len(args) == 1 and not kwargs:
        made = _predicted(layer, args[0])
        if made is not None:
            return made
    prepare = _model_inputs if is_model else _layer_inputs
    key, feeds, inputs, forward = prepare(layer, args, kwargs, training)
    rows = len(feeds[0])
    with _lock:
        kept = vars(layer).setdefault("_on_arrays", {})
        key = (*key, training, base.flags(layer.walk()))
        traced = kept.pop(key, None) or _Traced(layer, inputs, forward)
        kept[key] = traced  # the most recent one is last
        for old in list(kept)[:-SHAPES_KEPT]:
            del kept[old]
        capacity = 1
        while capacity < rows and (training or capacity < ROWS_AT_ONCE):
            capacity *= 2
        executor, _ = traced.executors.get(traced, "predict", capacity)
        traced.calls += 1
        count = traced.calls
    for buffer in executor.plan.outputs:
        if not buffer.shape or buffer.shape[0] is not None:
            raise ValueError(
                f"layer {layer.name!r} returns {buffer}, which has no rows; only what has a row "
                "for each row of the input can be computed at once"
            )
    outputs = [np.empty(concrete(b.shape, rows), b.dtype) for b in executor.plan.outputs]
    with executor.lock:
        executor.control["seed"] = traced.executors.seed
        executor.control["step"] = count
        executor.predict(feeds, rows, outputs)
    # The plan's outputs are in order; a tensor that is returned twice has two.
    left = iter(outputs)
    return map_tensors(traced.made, lambda t: next(left))


def _predicted(model: Any, x: Any) -> Any:
    """What a built model predicts, with its own plan; None if that is no plan for a call.

    A call draws random numbers anew each time, and refuses outputs without rows.
    """
    made = model._executors.predict_at_once(model.store, x)
    if made is not None:
        return model.packed([made])
    feeds = model._input_feeds(x)
    rows = len(feeds[0])
    executor, _ = model._executor("predict", min(rows, ROWS_AT_ONCE), (), at_least=True)
    plan = executor.plan
    if plan.draws or any(b.shape[:1] != (None,) for b in plan.outputs):
        return None
    outputs = [np.empty(concrete(b.shape, rows), b.dtype) for b in plan.outputs]
    executor.predict(feeds, rows, outputs)
    return model.packed(outputs)


Prepared = tuple[tuple[Any, ...], list[np.ndarray], list[Tensor], Callable[..., Any]]


def _layer_inputs(layer: Layer, args: Any, kwargs: Any, training: bool) -> Prepared:
    """Arrays become tensors; a list of arrays is several inputs, a list of numbers is an array."""
    arrays: list[np.ndarray] = []

    def tensor(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensor(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)) and any(hasattr(v, "shape") for v in value):
            return [tensor(item) for item in value]
        array = data.array_of(value, f"the input of layer {layer.name!r}")
        if array.ndim == 0:
            raise ValueError(f"layer {layer.name!r} was called on {value!r}, expected rows of data")
        arrays.append(array)
        return Tensor((None, *array.shape[1:]), "real", f"x{len(arrays)}", "feed")

    args = tuple(tensor(value) for value in args)
    kwargs = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    labels = [f"x[{i}]" for i in range(len(arrays))] if len(arrays) > 1 else ["x"]
    data.same_length(list(zip(labels, arrays, strict=True)))
    inputs = tensors_in((args, kwargs))
    layer.check_inputs(inputs)
    layer.ensure_built(layer._shapes(args))
    feeds = [
        data.features(array, t.shape, layer.dtype, label)
        for array, t, label in zip(arrays, inputs, labels, strict=True)
    ]

    def forward(given: Sequence[Tensor]) -> Any:
        values = dict(zip(inputs, given, strict=True))
        a, k = map_tensors((args, kwargs), lambda t: values.get(t, t))
        return layer(*a, training=training, **k)

    shapes = tuple(t.shape for t in inputs)
    structure = repr(map_tensors((args, kwargs), lambda t: None))
    return (shapes, structure), feeds, inputs, forward


def _model_inputs(model: Any, args: Any, kwargs: Any, training: bool) -> Prepared:
    """A model checks its inputs as `predict` does."""
    if len(args) != 1 or kwargs:
        raise TypeError(
            f"model {model.name!r}: call it on one argument: an array, or a list or dictionary of "
            "them"
        )
    model._require_built("a call", args[0])
    feeds = model._input_feeds(args[0])

    def forward(given: Sequence[Tensor]) -> Any:
        return model.packed(model.run(given, training))

    return (tuple(model.outputs),), feeds, model.inputs, forward


base.on_arrays = call_on_arrays
