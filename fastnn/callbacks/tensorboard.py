"""TensorBoard: scalars, histograms, images and the graph of a model, without TensorFlow.

The folders and tags are those of Keras, so that runs of both can be compared on one page.
`events.py` writes the files.
"""

from __future__ import annotations

import numbers
import os
import time
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback
from fastnn.callbacks.events import Events
from fastnn.data import whole


class TensorBoard(Callback):
    """Write logs for TensorBoard; look at them with `tensorboard --logdir logs`.

    Needs `pip install tensorboard`. `log_dir/train` and `log_dir/validation` hold

    - `epoch_loss`, `epoch_accuracy`, ... and `epoch_learning_rate` by epoch,
    - `evaluation_loss_vs_iterations`, ... by update, for the validation,
    - `batch_loss`, ... by batch, if `update_freq` asks for it,
    - `layer/weight/histogram` and `layer/weight/gradient` (of the epoch's last batch),
    - the graph of the layers.

    They are on the disk after each epoch.

    Parameters
    ----------
    log_dir : path, default "logs"
        A folder of its own for each run shows the runs apart.
    histogram_freq : int, default 0
        Epochs between histograms of weights and gradients; 0 writes none.
    write_graph : bool, default True
    write_images : bool, default False
        Weights as images, with the histograms; the smallest is black, the largest white.
    write_steps_per_second : bool, default False
        Training steps per second, by epoch and, if `update_freq` is not "epoch", by batch.
    update_freq : {"epoch", "batch"} or int, default "epoch"
        Batches between two values of `batch_loss` and the like. Training then comes back to Python
        after each batch, which takes longer.
    profile_batch, embeddings_freq : 0
    embeddings_metadata : None
        Other values are not supported.

    Raises
    ------
    ValueError
        An argument is out of its range or not supported.
    ImportError
        When training begins: the `tensorboard` package is missing.
    OSError
        When training begins: `log_dir` cannot be written.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        for name, value in (
            ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
            ("embeddings_metadata", embeddings_metadata),
        ):
            if value:
                raise ValueError(f"TensorBoard: {name}={value!r} is not supported; leave it out")
        if isinstance(update_freq, str) and update_freq not in ("epoch", "batch"):
            raise ValueError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or an integer, got "
                f"{update_freq!r}"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = whole(histogram_freq, "TensorBoard: histogram_freq", least=0)
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq
        if update_freq != "epoch":
            step = 1 if update_freq == "batch" else update_freq
            self._every = whole(step, "TensorBoard: update_freq")
            # Only now are they hooks: a batch hook costs time.
            self.on_train_batch_begin = self._batch_begins  # type: ignore[method-assign]
            self.on_train_batch_end = self._batch_ends  # type: ignore[method-assign]
        self._files: dict[str, Events] = {}
        self._training = False
        self._batches = 0  # of this fit
        self._epoch_started = self._batch_started = 0.0
        self._updates = 0

    def _file(self, part: str) -> Events:
        """The open file of "train" or "validation"."""
        if part not in self._files:
            self._files[part] = Events(os.path.join(self.log_dir, part))
        return self._files[part]

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self._close()  # of a fit that was interrupted
        self._training = True
        self._batches = 0
        file = self._file("train")
        if self.write_graph:
            file.graph(self.model)
            file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_started = time.perf_counter()
        self._updates = self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        train = {k: v for k, v in (logs or {}).items() if not k.startswith("val_")}
        train["learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            took = time.perf_counter() - self._epoch_started
            train["steps_per_second"] = (self.model.optimizer.iterations - self._updates) / took
        validation = {k[4:]: v for k, v in (logs or {}).items() if k.startswith("val_")}
        self._scalars("train", "epoch_{}", train, epoch)
        self._scalars("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._weights(epoch)
        for file in self._files.values():
            file.flush()

    def on_test_end(self, logs: Any = None) -> None:
        name = "evaluation_{}_vs_iterations"
        self._scalars("validation", name, logs or {}, self.model.optimizer.iterations)
        if not self._training:  # model.evaluate(..., callbacks=[...])
            self._close()

    def _batch_begins(self, batch: int, logs: Any = None) -> None:
        self._batches += 1
        self._batch_started = time.perf_counter()

    def _batch_ends(self, batch: int, logs: Any = None) -> None:
        if self._batches % self._every == 0:
            values = dict(logs or {})
            if self.write_steps_per_second:
                values["steps_per_second"] = 1 / (time.perf_counter() - self._batch_started)
            self._scalars("train", "batch_{}", values, self._batches)

    def _scalars(self, part: str, name: str, values: dict[str, Any], step: int) -> None:
        for key, value in values.items():
            if isinstance(value, numbers.Real):
                self._file(part).scalar(name.format(key), float(value), step)

    def _weights(self, epoch: int) -> None:
        """Histograms of all weights and of their gradients in the last batch."""
        file = self._file("train")
        trained = set(self.model.trainable_variables)
        for variable in self.model.variables:
            file.histogram(f"{variable.path}/histogram", variable.value, epoch)
            if variable in trained:
                gradient = self.model._executors.gradient(variable)
                file.histogram(f"{variable.path}/gradient", gradient, epoch)
            if self.write_images and 1 <= np.squeeze(variable.value).ndim <= 2:
                file.image(f"{variable.path}/image", pixels(variable.value), epoch)


def pixels(weight: np.ndarray) -> np.ndarray:
    """A weight of one or two axes as a grey image, wider than high."""
    array = np.atleast_2d(np.nan_to_num(np.squeeze(weight).astype(np.float64)))
    if array.shape[0] > array.shape[1]:
        array = array.T
    low, high = array.min(), array.max()
    with np.errstate(over="ignore"):
        scaled = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return np.rint(255 * scaled).astype(np.uint8)
