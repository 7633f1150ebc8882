"""SwapEMAWeights: the moving averages of the weights in place of the weights, for a while."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback
from fastnn.executors import by_path


class SwapEMAWeights(Callback):
    """Evaluate, and predict, with the optimizer's moving averages of the weights.

    The optimizer must keep them: `Adam(use_ema=True)`. Training goes on from the weights.

    Parameters
    ----------
    swap_on_epoch : bool, default False
        Have the averages in place between two epochs too, for callbacks that come after this one
        in the list, such as `ModelCheckpoint`.

    Raises
    ------
    ValueError
        The optimizer keeps no averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        if swap_on_epoch:  # only now are they hooks: training comes back after each epoch for them
            self.on_epoch_begin = self._epoch_begins  # type: ignore[method-assign]
            self.on_epoch_end = self._epoch_ended  # type: ignore[method-assign]
        self._weights: list[np.ndarray] | None = None  # while the averages are in their place

    def get_state(self) -> dict[str, Any]:
        return {"_weights": self._weights}

    def set_state(self, state: dict[str, Any]) -> None:
        self._weights = state["_weights"]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if not getattr(model.optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights: the optimizer keeps no averages; make it with use_ema=True"
            )

    def _averages(self) -> list[tuple[Any, np.ndarray]]:
        """The trained variables, each with its average."""
        optimizer = self.model.optimizer
        if not optimizer.iterations:
            return []  # nothing was averaged yet
        slots = self.model._executors.slots()
        (parts,) = (part for name, part in slots.items() if name.endswith("/average"))
        trained = set(self.model.trainable_variables)
        return [
            (variable, parts[path])
            for path, variable in by_path(self.model.variables).items()
            if variable in trained and optimizer.factor_of(variable)
        ]

    def _take(self) -> None:
        if self._weights is None:
            pairs = self._averages()
            self._weights = [variable.numpy() for variable, _ in pairs]
            for variable, average in pairs:
                variable.assign(average)

    def _give_back(self) -> None:
        if self._weights is not None:
            weights, self._weights = self._weights, None
            for (variable, _), weight in zip(self._averages(), weights, strict=True):
                variable.assign(weight)

    def on_train_begin(self, logs: Any = None) -> None:
        self._give_back()  # after an interruption

    def _epoch_begins(self, epoch: int, logs: Any = None) -> None:
        self._give_back()

    def _epoch_ended(self, epoch: int, logs: Any = None) -> None:
        self._take()

    def on_train_end(self, logs: Any = None) -> None:
        self._weights = None  # fit leaves the averages in place itself

    def on_test_begin(self, logs: Any = None) -> None:
        self._take()

    def on_test_end(self, logs: Any = None) -> None:
        self._give_back()

    def on_predict_begin(self, logs: Any = None) -> None:
        self._take()

    def on_predict_end(self, logs: Any = None) -> None:
        self._give_back()
