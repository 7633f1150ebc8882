"""Callbacks, under Keras' names: what happens around the epochs and batches of a training.

`base.py` holds the hooks; the other files one idea each.
"""

from fastnn.callbacks.averages import SwapEMAWeights
from fastnn.callbacks.backup import BackupAndRestore
from fastnn.callbacks.base import Callback, LambdaCallback, overrides
from fastnn.callbacks.checkpoints import ModelCheckpoint
from fastnn.callbacks.csv_log import CSVLogger
from fastnn.callbacks.gradients import GradientMonitor
from fastnn.callbacks.history import History
from fastnn.callbacks.progress import Progress
from fastnn.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.stopping import EarlyStopping, TerminateOnNaN
from fastnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "GradientMonitor",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Progress",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "overrides",
]
