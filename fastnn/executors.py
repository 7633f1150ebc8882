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
from fastnn.ops.tensor import Variable

# Slot name -> path of a variable -> that variable's part of the slot.
Slots = dict[str, dict[str, np.ndarray]]

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
        self._variables: list[Variable] = []
        self._slots: tuple[str, ...] = ()  # names of the optimizer's slots in it
        self._waiting: tuple[Slots, Any] | None = None  # for a TRAINING block that is not there yet

    @property
    def latest(self) -> Plan | None:
        """The plan that was used last."""
        return list(self._kept.values())[-1][0].plan if self._kept else None

    def gradient(self, variable: Any) -> np.ndarray:
        """A live view of a trained variable's gradient in the last batch."""
        if self._training is None:
            raise RuntimeError(f"{variable.path} has no gradient yet: nothing was trained")
        value = variable.value  # gradients lie in the layout of the parameters, at the start
        return np.ndarray(value.shape, value.dtype, self._training.data, variable.offset)

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
        training = self._block(plan, store, model.variables) if mode == "train" else None
        return backends.get(self.backend)(plan, store.block, training), sums

    def _block(self, plan: Plan, store: Any, variables: list[Variable]) -> np.ndarray:
        """The TRAINING block. If variables have moved to another store, their state moves along."""
        self._variables = variables
        updates = any(group.updates for group in plan.groups)
        if updates and self._training is not None and self._store is store:
            return self._training
        block = zeros(plan.sizes["training"])
        np.ndarray(1, CONTROL, block.data, plan.control_offset)["seed"] = self.seed
        if not updates:  # all is frozen: such a plan has no optimizer state, and leaves ours alone
            return block
        if self._training is not None:
            _move(self._training, self._store, block, store, plan.control_offset)
        self._training, self._store, self._slots = block, store, plan.slots
        if self._waiting is not None:
            (slots, control), self._waiting = self._waiting, None
            self._put_back(slots, control)
        return block

    # --- the state of training, for model files ---

    def slots(self) -> Slots:
        """Optimizer state: slot name -> path of a variable -> live view; empty before training."""
        if self._waiting is not None:
            return self._waiting[0]
        if self._training is None:
            return {}
        size = aligned(self._store.layout.parameters)
        return {
            name: {
                path: np.ndarray(
                    v.value.shape,
                    v.value.dtype,
                    self._training.data,
                    i * size + self._store.offsets[v],
                )
                for path, v in by_path(self._variables).items()
            }
            for i, name in enumerate(self._slots, start=1)
        }

    @property
    def control(self) -> np.ndarray | None:
        """The control records, one per group (iteration, step, seed ...); None before training."""
        if self._waiting is not None:
            return self._waiting[1]
        if self._training is None:
            return None
        offset = (1 + len(self._slots)) * aligned(self._store.layout.parameters)
        count = (self._training.nbytes - offset) // CONTROL.itemsize
        return np.ndarray(count, CONTROL, self._training.data, offset)

    def restore(self, slots: Slots, control: np.ndarray) -> None:
        """Put back what `slots` and `control` gave; training goes on from there.

        Before training it waits for the first plan that trains: that one knows where each slot
        lies.
        """
        if self._training is not None:
            self._put_back(slots, control)
            return
        copies = {name: {p: np.array(a) for p, a in part.items()} for name, part in slots.items()}
        self._waiting = copies, np.array(control)

    def _put_back(self, slots: Slots, control: np.ndarray) -> None:
        for name, parts in self.slots().items():
            for path, part in parts.items():
                if path in slots.get(name, {}):
                    part[...] = slots[name][path]
        records = self.control
        assert records is not None
        records[: len(control)] = control[: len(records)]


def by_path(variables: Sequence[Variable]) -> dict[str, Variable]:
    """Parameters by their paths; where two have the same one, the later gets a number."""
    named: dict[str, Variable] = {}
    for variable in variables:
        if variable.storage == "parameter":
            path, number = variable.path, 1
            while path in named:
                number += 1
                path = f"{variable.path}#{number}"
            named[path] = variable
    return named


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
