"""History: the values of each epoch, as `fit` returns them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from fastnn.callbacks.base import Callback


class History(Callback):
    """What `fit` returns.

    Attributes
    ----------
    history : dict of lists
        One value per epoch for "loss", each metric and their "val_" forms.
    epoch : list of int
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._validated: list[
            int
        ] = []  # the epochs with "val_" values: validation_freq leaves gaps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.add(epoch, logs or {})

    def add(self, epoch: int, logs: dict[str, Any]) -> None:
        """Note the values of one epoch."""
        if any(key.startswith("val_") for key in logs):
            self._validated.append(epoch)
        for key, value in logs.items():
            self.history.setdefault(key, []).append(value)
        self.epoch.append(epoch)

    def extend(self, epochs: Sequence[int], logs: dict[str, list[Any]]) -> None:
        """Note the values of several epochs, without "val_" ones."""
        for key, values in logs.items():
            self.history.setdefault(key, []).extend(values)
        self.epoch.extend(epochs)

    def forget_unfinished(self) -> None:
        """Drop the values of an epoch that `add` was interrupted at."""
        for values in self.history.values():
            del values[len(self.epoch) :]

    def _epochs_of(self, values: list[Any]) -> list[int]:
        """Which epochs the values of one key are of."""
        noted = (self.epoch, self._validated, self.epoch[-len(values) :])
        return next(epochs for epochs in noted if len(epochs) == len(values))

    def plot(self, metrics: Any = None, log: bool = False) -> Any:
        """Draw the curves: an axes per key, with its "val_" form beside it.

        Needs `pip install matplotlib`.

        Parameters
        ----------
        metrics : str or list of str, optional
            Keys without "val_"; by default all whose values are numbers.
        log : bool, default False
            A logarithmic scale for the values.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            A key is not in the history; the message lists those that are.
        ImportError
            matplotlib is missing.
        """
        scalars = {
            key: values
            for key, values in self.history.items()
            if all(isinstance(value, numbers.Real) for value in values)
        }
        keys = list(dict.fromkeys(key.removeprefix("val_") for key in scalars))
        chosen = [metrics] if isinstance(metrics, str) else keys if metrics is None else [*metrics]
        for key in chosen:
            if key not in keys:
                raise ValueError(
                    f"History.plot: {key!r} is not in the history; there is: {', '.join(keys)}"
                )
        if not chosen:
            raise ValueError("History.plot: there is nothing to plot; fit the model first")
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError(
                "History.plot needs the matplotlib package: pip install matplotlib"
            ) from error
        figure, grid = pyplot.subplots(
            1, len(chosen), figsize=(5 * len(chosen), 3.5), squeeze=False, layout="constrained"
        )
        for axes, key in zip(grid[0], chosen, strict=True):
            for name, label in ((key, "training"), (f"val_{key}", "validation")):
                if name in scalars:
                    values = scalars[name]
                    axes.plot(self._epochs_of(values), values, marker=".", label=label)
            axes.set(xlabel="epoch", title=key, yscale="log" if log else "linear")
            axes.legend()
        return figure
