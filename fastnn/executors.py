"""The executors of one model: a plan per mode, shape and kind of data, made when first needed.

All of them work on the model's MODEL block, and those that train on one TRAINING block, which is
kept here: gradients, optimizer state and counters outlive a plan. Called by `training.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import backends, config
from fastnn.backends import Executor
from fastnn.engine.build import build
from fastnn.engine.memory import aligned, zeros
from fastnn.engine.plan import CONTROL, Plan
from fastnn.engine.trace import Sum, trace
from fastnn.heads import Heads, Kind

PLANS_KEPT = 8  # executors of recent shapes and modes; each has a scratch block of its own


class Executors:
    """Makes and keeps the executors of a model.

    Parameters
    ----------
    backend : str, optional
        As in `compile`.
    """

    def __init__(self, backend: str | None = None) -> None:
        self.backend = backend
        self.seed = config.next_seed()
        self._kept: dict[Any, tuple[Executor, list[Sum]]] = {}
        self._lock = threading.RLock()  # several threads may predict
        self._training: np.ndarray | None = None  # the TRAINING block, and the store it fits
        self._store: Any = None

    @property
    def latest(self) -> Plan | None:
        """The plan that was used last."""
        return list(self._kept.values())[-1][0].plan if self._kept else None

    def forget_plans(self) -> None:
        """Make all plans anew when they are needed; training goes on where it was."""
        self._kept.clear()

    def get(
        self,
        model: Any,
        mode: str,
        capacity: int,
        heads: Heads | None = None,
        weighted: Sequence[Kind] = (),
    ) -> tuple[Executor, list[Sum]]:
        """The executor for a mode, a row capacity, and data with weights for some outputs."""
        trained = tuple(model.trainable_variables) if mode == "train" else ()
        key = (mode, capacity, tuple(weighted), model.store, trained)
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = self._make(model, mode, capacity, heads, weighted)
            self._kept[key] = found  # the most recent one is last
            for old in list(self._kept)[:-PLANS_KEPT]:
                del self._kept[old]
        return found

    def _make(
        self, model: Any, mode: str, capacity: int, heads: Heads | None, weighted: Sequence[Kind]
    ) -> tuple[Executor, list[Sum]]:
        store = model.store
        traced = heads.for_data(weighted) if heads is not None and mode != "predict" else []
        program, sums = trace(model, mode, traced, model.optimizer)
        plan = build(program, store.layout, capacity)
        training = self._block(plan, store) if mode == "train" else None
        return backends.get(self.backend)(plan, store.block, training), sums

    def _block(self, plan: Plan, store: Any) -> np.ndarray:
        """The TRAINING block. If variables have moved to another store, their state moves along."""
        updates = any(group.updates for group in plan.groups)
        if updates and self._training is not None and self._store is store:
            return self._training
        block = zeros(plan.sizes["training"])
        np.ndarray(1, CONTROL, block.data, plan.control_offset)["seed"] = self.seed
        if not updates:  # all is frozen: such a plan has no optimizer state, and leaves ours alone
            return block
        if self._training is not None:
            _move(self._training, self._store, block, store, plan.control_offset)
        self._training, self._store = block, store
        return block


def _move(source: np.ndarray, old: Any, target: np.ndarray, new: Any, control: int) -> None:
    """Copy gradients, optimizer slots and the control record from one layout to another."""
    old_size, new_size = aligned(old.layout.parameters), aligned(new.layout.parameters)
    sections = control // new_size
    for section in range(sections):
        for variable, start in old.offsets.items():
            if variable.storage == "parameter":
                size = variable.value.nbytes
                begin = section * new_size + new.offsets[variable]
                start += section * old_size
                target[begin : begin + size] = source[start : start + size]
    start = sections * old_size
    target[control : control + CONTROL.itemsize] = source[start : start + CONTROL.itemsize]
