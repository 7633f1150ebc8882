"""The state of a training that may be interrupted: resumed, it goes on as if nothing had happened.

`save_state` writes what a model file holds (see `fastnn.saving.model`; its kind is "state") and

    progress    epoch, batch, logs: what the caller gave
    history     what `fit` has noted, and for which epochs
    callbacks   the class and the state of each

In these three a dictionary is written as {"dict": [[key, value], ...]}, an array as {"array": name}
and a float that JSON does not know as {"float": "nan"}. `restore_state` puts all of it into a model
that was made and compiled alike. Called by `callbacks.BackupAndRestore`, and by users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.callbacks import History
from fastnn.saving import format
from fastnn.saving.format import File, ModelFileError, blame
from fastnn.saving.model import describe_model, model_tensors, put_training, put_weights


def save_state(
    model: Any,
    filepath: Any,
    callbacks: Sequence[Any] = (),
    epoch: int = 0,
    batch: int = 0,
    logs: Any = None,
) -> None:
    """Write everything that training depends on to a file.

    Parameters
    ----------
    model : Model
        Compiled and built.
    filepath : str or path
        Ends in ".fastnn".
    callbacks : list of Callback
        Those whose `get_state` matters, in an order that `restore_state` gets as well.
    epoch : int, default 0
        The epoch to go on with: `initial_epoch` of the `fit` that resumes.
    batch : int, default 0
        The batch to go on with in it.
    logs : dict, optional
        Losses and metrics of the epoch before `epoch`; the history that is saved ends with them,
        also inside `on_epoch_end`, before `fit` notes them. Callbacks that stand after the one
        that saves have not seen that epoch: it should be the last one of the list.

    Raises
    ------
    ValueError
        The model is not compiled or not built.
    OSError
        The file cannot be written; an older one is as it was.
    """
    _require_trainable(model, "save_state")
    tensors = model_tensors(model)
    history = History()
    if model.history is not None:
        history.history = {key: list(values) for key, values in model.history.history.items()}
        history.epoch = list(model.history.epoch)
    if logs and batch == 0 and history.epoch[-1:] < [epoch - 1]:
        history.add(epoch - 1, logs)
    notes = {
        "progress": {"epoch": epoch, "batch": batch, "logs": dict(logs or {})},
        "history": {"history": history.history, "epoch": history.epoch},
        "callbacks": [[type(c).__name__, c.get_state()] for c in callbacks],
    }
    description = {
        **describe_model(model)[0],
        "kind": "state",
        **{name: _written(note, tensors, f"notes/{name}") for name, note in notes.items()},
    }
    format.write(filepath, description, tensors)


def restore_state(model: Any, filepath: Any, callbacks: Sequence[Any] = ()) -> dict[str, Any]:
    """Put the state of a training into a model and its callbacks.

    Parameters
    ----------
    model : Model
        Made and compiled as the one that was saved; its learning rate may differ.
    filepath : str or path
    callbacks : list of Callback
        As for `save_state`.

    Returns
    -------
    dict
        "epoch", "batch" and "logs", as `save_state` was given them. Go on with
        `model.fit(..., initial_epoch=state["epoch"])`.

    Raises
    ------
    ModelFileError
        The file is damaged, or of another model, optimizer or list of callbacks; the message names
        the first difference, and nothing is changed.
    ValueError
        The model is not compiled or not built.
    OSError
        There is no such file, or it may not be read.
    """
    _require_trainable(model, "restore_state")
    file = format.read(filepath)
    with blame(str(filepath)):
        if file.description.get("kind") != "state":
            raise ModelFileError("it is not by save_state; use load_model or load_weights for it")
        notes = {
            name: _read(file.description[name], file)
            for name in ("progress", "history", "callbacks")
        }
        _check_alike(model, file, callbacks, notes["callbacks"])
        arrays = {k: v for k, v in file.tensors.items() if not k.startswith("notes/")}
        file = file._replace(tensors=arrays)
        put_weights(model, file)
        put_training(model, file)
        rate = file.description["compile"]["optimizer"]["config"]["learning_rate"]
        if not isinstance(rate, dict):
            model.optimizer.learning_rate = rate
        model.history = model.history or History()
        model.history.history = notes["history"]["history"]
        model.history.epoch = notes["history"]["epoch"]
    for callback, (_, state) in zip(callbacks, notes["callbacks"], strict=True):
        callback.set_state(state)
    progress: dict[str, Any] = notes["progress"]
    return progress


def _require_trainable(model: Any, what: str) -> None:
    if model.optimizer is None or not model.built:
        raise ValueError(
            f"{what}: compile and build the model first, with model.compile(...) and an "
            "input_shape for its first layer or model.build((None, features))"
        )


def _check_alike(model: Any, file: File, callbacks: Sequence[Any], states: Any) -> None:
    """Raise unless the file is of such a model, compiled like this one."""
    now = describe_model(model)[0]
    for part in ("model", "inputs", "dtype", "weights", "compile"):
        found = _difference(file.description[part], now[part], part)
        if found:
            raise ModelFileError(
                f"it is the state of another training: {found}; make and compile the model as it "
                "was, or remove the file to begin anew"
            )
    names, given = [name for name, _ in states], [type(c).__name__ for c in callbacks]
    if names != given:
        raise ModelFileError(
            f"it holds the states of the callbacks {', '.join(names) or 'none'}, but these are "
            f"given: {', '.join(given) or 'none'}; give the same ones in the same order"
        )


def _difference(saved: Any, now: Any, where: str) -> str:
    """The first difference of two descriptions, or "". A rate that is a number may differ."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in {**saved, **now}:
            if key not in saved or key not in now:
                return f"only {'the model' if key in now else 'the file'} has {where}.{key}"
            numbers = all(isinstance(v[key], (int, float)) for v in (saved, now))
            if where.endswith("optimizer.config") and key == "learning_rate" and numbers:
                continue
            found = _difference(saved[key], now[key], f"{where}.{key}")
            if found:
                return found
        return ""
    if isinstance(saved, list) and isinstance(now, list):
        for i, (a, b) in enumerate(zip(saved, now, strict=False)):
            found = _difference(a, b, f"{where}[{i}]")
            if found:
                return found
        if len(saved) != len(now):
            return f"{where} has {len(saved)} entries in the file, {len(now)} in the model"
        return ""
    if type(saved) is type(now) and saved == now:
        return ""
    return f"{where} is {_short(saved)} in the file, {_short(now)} in the model"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "class_name" in value:
        return str(value["class_name"])
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _written(value: Any, tensors: dict[str, np.ndarray], name: str) -> Any:
    """`value` as JSON; its arrays go to `tensors`, under names that begin with `name`."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        tensors[name] = value
        return {"array": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        return [_written(v, tensors, f"{name}/{i}") for i, v in enumerate(value)]
    if isinstance(value, dict):
        pairs = enumerate(value.items())
        return {"dict": [[key, _written(v, tensors, f"{name}/{i}")] for i, (key, v) in pairs]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"save_state: {value!r} is neither JSON nor an array; get_state() and logs may hold "
        "numbers, text, lists, dictionaries and arrays"
    )


def _read(value: Any, file: File) -> Any:
    """What `_written` made JSON of."""
    if isinstance(value, list):
        return [_read(v, file) for v in value]
    if isinstance(value, dict):
        [(kind, held)] = value.items()
        if kind == "dict":
            return {key: _read(v, file) for key, v in held}
        return file.tensors[held] if kind == "array" else float(held)
    return value
