"""Models to files and back: what the description of a model file says.

    kind        "model", "weights" (no architecture) or "state" (see `fastnn.saving.state`)
    fastnn      the version that wrote the file
    model       {"class_name", "config"}: from `get_config`, for `from_config`
    inputs      the shape that it was built for, or a list or dictionary of them
    dtype       its float type
    own         names of classes and functions that are not fastnn's: `custom_objects` brings them
    weights     [path, trainable] of each weight, in the order of `model.variables`; number i is the
                array "weights/i/path"
    compile     optimizer, loss, loss_weights, metrics, weighted_metrics and backend, or null
    training    seed, epochs (the number of orders drawn), control (the counters of updates and
                batches of each group, or null) and the names of the optimizer's slots; a weight's
                part of a slot is the array "slots/name/path"

The names of classes are looked up in closed lists: those of layers here, those of losses, metrics,
optimizers and the like by the `get` of their modules. Nothing is imported.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import losses, metrics, optimizers
from fastnn.config import VERSION
from fastnn.engine.plan import CONTROL
from fastnn.executors import by_path
from fastnn.layers.base import weights_from_elsewhere
from fastnn.ops.tensor import Variable, map_tensors
from fastnn.saving import format
from fastnn.saving.format import File, ModelFileError, blame, checked_path
from fastnn.utils import (
    choose,
    custom_object_scope,
    custom_objects,
    describe,
    own_objects,
    unlist,
)

# --- saving --------------------------------------------------------------------------------------


def save_model(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write a model to a file: architecture, weights, compile's arguments, optimizer state.

    Parameters
    ----------
    model : Model
    filepath : str or path
        Ends in ".fastnn".
    overwrite : bool, default True

    Raises
    ------
    ValueError
        The model is not built, or the name does not end in ".fastnn".
    TypeError
        A layer, loss or the like cannot be described by its arguments, or by a name.
    OSError
        The file cannot be written; an older one is as it was.
    """
    _require_built(model, "save")
    checked_path(filepath)
    description, own = describe_model(model)
    for name in own:
        if not name.isidentifier():
            raise TypeError(
                f"{name} has no name that load_model could know it by; define a function with "
                "`def`, or a class, and use that"
            )
    format.write(filepath, description, model_tensors(model), overwrite)


def save_weights(model: Any, filepath: Any, overwrite: bool = True) -> None:
    """Write the weights only; `load_weights` reads them into a model like this one.

    Parameters
    ----------
    model : Model
    filepath : str or path
        Ends in ".fastnn"; by custom in ".weights.fastnn".
    overwrite : bool, default True

    Raises
    ------
    ValueError
        The model is not built, or the name does not end in ".fastnn".
    OSError
        The file cannot be written; an older one is as it was.
    """
    _require_built(model, "save_weights")
    description = {"kind": "weights", "fastnn": VERSION, "weights": _weight_list(model)}
    format.write(filepath, description, _weight_tensors(model), overwrite)


def to_json(model: Any, **kwargs: Any) -> str:
    """The architecture as JSON text; `model_from_json` makes an untrained model of it."""
    import json

    with own_objects():
        described = describe(model)
    return json.dumps({**described, "inputs": _input_shapes(model)}, **kwargs)


def _require_built(model: Any, what: str) -> None:
    if not model.built:
        raise ValueError(
            f"{what}: model {model.name!r} is not built yet, it has no weights to save; give its "
            "first layer an input_shape, call model.build((None, features)), or fit it first"
        )


def describe_model(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The description of a built model, and the classes and functions in it that are not ours."""
    with own_objects() as own:
        described = describe(model)
        compiled = _describe_compile(model)
    description = {
        "kind": "model",
        "fastnn": VERSION,
        "model": described,
        "inputs": _input_shapes(model),
        "dtype": model.store.dtype,
        "own": sorted(own),
        "weights": _weight_list(model),
        "compile": compiled,
        "training": describe_training(model) if compiled else None,
    }
    return description, own


def model_tensors(model: Any) -> dict[str, np.ndarray]:
    """The arrays of a model's file by name, live views: weights, then optimizer slots."""
    tensors = _weight_tensors(model)
    for slot, parts in model._executors.slots().items():
        tensors.update({f"slots/{slot}/{path}": part for path, part in parts.items()})
    return tensors


def _input_shapes(model: Any) -> Any:
    """The shapes that `model.build` takes: one, or a list or dictionary of them."""
    if model._structure is not None:
        return map_tensors(model._structure, lambda t: list(t.shape))
    return unlist(list(t.shape) for t in model.inputs)


def _weight_list(model: Any) -> list[Any]:
    return [[variable.path, bool(variable.trainable)] for variable in model.variables]


def _weight_tensors(model: Any) -> dict[str, np.ndarray]:
    return {f"weights/{i}/{v.path}": v.value for i, v in enumerate(model.variables)}


def _describe_compile(model: Any) -> dict[str, Any] | None:
    settings = model._settings
    if settings is None:
        return None
    return {
        "optimizer": describe(model.optimizer),
        "loss": describe(settings.loss),
        "loss_weights": describe(settings.loss_weights),
        "metrics": describe(settings.metrics),
        "weighted_metrics": describe(settings.weighted_metrics),
        "backend": model._executors.backend,
    }


_COUNTERS = ("iteration", "step", "seed")


def describe_training(model: Any) -> dict[str, Any]:
    """What else training depends on: the seed, and how far it is."""
    executors = model._executors
    control = executors.control
    return {
        "seed": executors.seed,
        "epochs": model._past_epochs,
        "control": None if control is None else [[int(r[n]) for n in _COUNTERS] for r in control],
        "slots": list(executors.slots()),
    }


# --- loading -------------------------------------------------------------------------------------


def load_model(
    filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Any:
    """The model of a file, ready to predict and, if it was compiled, to train on where it was.

    Parameters
    ----------
    filepath : str or path
    custom_objects : dict, optional
        Your own classes and functions by name. Nothing else is ever imported or run for a file.
    compile : bool, default True
        Whether to compile it as it was and to bring the optimizer's state.

    Raises
    ------
    ModelFileError
        The file is damaged, from a newer fastnn, or needs `custom_objects`.
    OSError
        There is no such file, or it may not be read.
    """
    file = format.read(filepath)
    with blame(str(filepath)):
        return model_of(file, custom_objects, compile)


def model_of(file: File, objects: Mapping[str, Any] | None, compile: bool) -> Any:
    """The model that a file holds."""
    description = file.description
    if description.get("kind") == "weights":
        raise ModelFileError("it holds weights only; make the model, then call its load_weights")
    if description.get("kind") != "model":
        raise ModelFileError("it holds no model; restore_state reads the state of a training")
    with custom_object_scope(objects or {}):
        missing = [name for name in description["own"] if name not in custom_objects()]
        if missing:
            names = ", ".join(f"{name!r}: {name}" for name in map(str, missing[:10]))
            raise ModelFileError(
                "it uses classes or functions that are not fastnn's; bring them with "
                f"custom_objects={{{names}}}"
            )
        size = sum(array.nbytes for _, array in _file_weights(file))
        with weights_from_elsewhere(size):
            model = _made(description["model"], description["inputs"])
        model.dtype = choose("float type", description["dtype"], _FLOATS)
        put_weights(model, file)
        for variable, (_, trainable) in zip(model.variables, description["weights"], strict=True):
            variable.trainable = bool(trainable)
        if compile and description["compile"] is not None:
            compile_model(model, description["compile"])
            put_training(model, file)
    return model


_FLOATS = {"float32": "float32", "float64": "float64"}


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """An untrained model from what `Model.to_json` returned.

    Parameters
    ----------
    json_string : str
    custom_objects : dict, optional
        Your own classes and functions by name.

    Raises
    ------
    ModelFileError
        The text describes no model.
    """
    if not isinstance(json_string, str):
        raise TypeError(f"model_from_json expects a str, got {type(json_string).__name__}")
    with blame("the JSON of a model"), custom_object_scope(custom_objects or {}):
        described = format.load_json(json_string, "it")
        return _made(described, described.get("inputs"))


def _made(described: Any, shapes: Any) -> Any:
    """A model from its class name and config, built for inputs of these shapes."""
    from fastnn import model as models

    classes: dict[str, Any] = {"Model": models.Model, "Sequential": models.Sequential}
    cls = choose("model class", described["class_name"], classes)
    model = cls.from_config(described["config"])
    if not isinstance(model, models.Model):
        raise ModelFileError(f"{type(model).__name__} is no Model")
    if not model.built and shapes:
        model.build(shapes)
    return model


def compile_model(model: Any, compiled: Mapping[str, Any]) -> None:
    """Compile as it was."""
    model.compile(
        optimizers.get(compiled["optimizer"]),
        loss=_each(compiled["loss"], losses.get),
        loss_weights=compiled["loss_weights"],
        metrics=_each(compiled["metrics"], metrics.get),
        weighted_metrics=_each(compiled["weighted_metrics"], metrics.get),
        backend=compiled["backend"],
    )


def _each(value: Any, get: Any) -> Any:
    """Objects for the descriptions inside lists and dictionaries."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_each(v, get) for v in value]
    if isinstance(value, dict) and set(value) != {"class_name", "config"}:
        return {key: _each(v, get) for key, v in value.items()}
    return get(value)


def put_weights(model: Any, file: File) -> None:
    """Overwrite all weights by those of a file, which must be exactly this model's."""
    variables = model.variables
    arrays = _file_weights(file)
    if len(arrays) != len(variables):
        raise ModelFileError(f"it has {len(arrays)} weights, the model has {len(variables)}")
    pairs = [_fitting(v, path, a) for v, (path, a) in zip(variables, arrays, strict=True)]
    for variable, array in pairs:
        variable.value[...] = array


def _fitting(variable: Variable, path: str, array: np.ndarray) -> tuple[Variable, np.ndarray]:
    """A weight and its new value, checked."""
    wanted = variable.value
    if array.shape != wanted.shape or array.dtype.kind != wanted.dtype.kind:
        raise ModelFileError(
            f"its weight {path[:80]} is {array.dtype} {array.shape}, the model's {variable.path} "
            f"is {wanted.dtype} {wanted.shape}"
        )
    return variable, array


def _file_weights(file: File) -> list[tuple[str, np.ndarray]]:
    """The weights of a file in order: path and array."""
    paths = [path for path, _ in file.description["weights"]]
    names = [f"weights/{i}/{path}" for i, path in enumerate(paths)]
    held = [name for name in file.tensors if name.startswith("weights/")]
    if set(names) != set(held):
        wrong = sorted(set(names) ^ set(held))[0]
        raise ModelFileError(f"its list of weights and its arrays differ: {wrong[:80]!r}")
    return [(path, file.tensors[name]) for path, name in zip(paths, names, strict=True)]


def put_training(model: Any, file: File) -> None:
    """Set the optimizer's slots, the counters and the seed."""
    training = file.description["training"]
    executors = model._executors
    named = by_path(model.variables)
    slots: dict[str, dict[str, np.ndarray]] = {slot: {} for slot in training["slots"]}
    places = {f"slots/{s}/{path}": (s, path) for s in slots for path in named}
    for name, array in file.tensors.items():
        if name.startswith("weights/"):
            continue
        if name not in places:
            raise ModelFileError(f"its array {name[:80]!r} belongs to nothing")
        slot, path = places[name]
        slots[slot].update([(path, _fitting(named[path], name, array)[1])])
    executors.seed = _whole(training["seed"])
    model._past_epochs = _whole(training["epochs"])
    records = training["control"]
    if records is not None:
        control = np.zeros(len(records), CONTROL)
        for record, values in zip(control, records, strict=True):
            for counter, value in zip(_COUNTERS, values, strict=True):
                record[counter] = _whole(value)
        executors.restore(slots, control)
        model.optimizer.reached(int(control["iteration"][0]), int(control["step"][0]))


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ModelFileError(f"one of its counters is {str(value)[:40]}")
    return value


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Overwrite the weights by those of a file of `save_weights` or `save`.

    Parameters
    ----------
    model : Model
        Built, with weights of the same shapes in the same order.
    filepath : str or path
    skip_mismatch : bool, default False
        Leave weights as they are whose shape differs, and warn of them. With another number of
        weights those of the same path go together.

    Raises
    ------
    ModelFileError
        The file is damaged, or number or shapes of its weights differ; nothing is changed then.
    ValueError
        The model is not built.
    OSError
        There is no such file, or it may not be read.
    """
    _require_built(model, "load_weights")
    file = format.read(filepath)
    with blame(str(filepath)):
        arrays = _file_weights(file)
        if not skip_mismatch:
            put_weights(model, file)
            return
    variables = model.variables
    if len(arrays) == len(variables):
        pairs = list(zip(variables, arrays, strict=True))
    else:
        by_path = {v.path: v for v in variables}
        pairs = [(by_path[path], (path, a)) for path, a in arrays if path in by_path]
    taken = set()
    for variable, (path, array) in pairs:
        with contextlib.suppress(ModelFileError):
            _fitting(variable, path, array)
            variable.value[...] = array
            taken.add(variable)
    left = [v.path for v in variables if v not in taken]
    if left:
        warnings.warn(
            f"{filepath} has no weights that fit {', '.join(left)}; they are as they were",
            stacklevel=3,
        )


# --- copying -------------------------------------------------------------------------------------


def reduce_model(model: Any) -> tuple[Any, ...]:
    """What `copy` and `pickle` make another model of: a file's bytes, and the user's classes."""
    description, own = describe_model(model)
    content = b"".join(format.pack(description, model_tensors(model)))
    return copied, (content, own)


def copied(content: bytes, own: dict[str, Any]) -> Any:
    """The model of `reduce_model`."""
    return model_of(format.unpack(content), own, compile=True)
