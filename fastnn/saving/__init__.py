"""Model files: save, load, and resume. Called by `Model.save` and its like, and by callbacks.

`format` reads and writes the bytes, `model` makes files of models and models of files, `state`
keeps an interrupted training.
"""

from fastnn.saving.format import ModelFileError
from fastnn.saving.model import (
    load_model,
    load_weights,
    model_from_json,
    reduce_model,
    save_model,
    save_weights,
    to_json,
)
from fastnn.saving.state import restore_state, save_state
from fastnn.utils import custom_object_scope

__all__ = [
    "ModelFileError",
    "custom_object_scope",
    "load_model",
    "load_weights",
    "model_from_json",
    "reduce_model",
    "restore_state",
    "save_model",
    "save_state",
    "save_weights",
    "to_json",
]
