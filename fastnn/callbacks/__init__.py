"""Callbacks, under Keras' names: what happens around the epochs and batches of a training.

`base.py` holds the hooks; the other files one idea each.
"""

from fastnn.callbacks.base import Callback, overrides
from fastnn.callbacks.history import History
from fastnn.callbacks.progress import Progress
from fastnn.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.stopping import EarlyStopping, TerminateOnNaN
from fastnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "Callback",
    "EarlyStopping",
    "History",
    "LearningRateScheduler",
    "Progress",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "overrides",
]
