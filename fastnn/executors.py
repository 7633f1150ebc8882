"""The executors of one model: a plan per mode, shape and kind of data, made when first needed.

All of them work on the model's MODEL block, and those that train on one TRAINING block, which is
kept here: gradients, optimizer state and counters outlive a plan. Models of the same layers share
their plans. Called by `training.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import backends, config
from fastnn.backends import Executor
from fastnn.engine.build import build
from fastnn.engine.kept import Kept
from fastnn.engine.memory import zeros
from fastnn.engine.plan import CONTROL, Plan
from fastnn.engine.trace import Sum, trace
from fastnn.heads import Heads, Kind
from fastnn.layers.base import Layer, flags
from fastnn.ops.tensor import Variable

# Slot name -> path of a variable -> that variable's part of the slot.
Slots = Mapping[str, Mapping[str, np.ndarray]]

PLANS_KEPT = 8  # executors of recent shapes and modes; each has a scratch block of its own
SCRATCH_BYTES = 256 << 20  # of a plan at most; a batch that needs more comes in chunks

_plans = Kept()  # of all models


class State(NamedTuple):
    """The TRAINING block that all plans of a model share, and what lies in it."""

    block: np.ndarray
    store: Any  # the store of the parameters whose layout it has
    variables: list[Variable]
    slots: tuple[str, ...]
    control: np.ndarray

    def view(self, section: int, variable: Variable) -> np.ndarray:
        """The part of a section (0 the gradients, 1 the first slot ...) that is a variable's."""
        start = section * self.store.layout.section + self.store.offsets[variable]
        return np.ndarray(variable.value.shape, variable.value.dtype, self.block.data, start)


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
        self._latest: Executor | None = None
        self._predicts: tuple[Any, Any] = (None, None)  # the executor that did last, its store
        self._lock = threading.RLock()  # several threads may predict
        self._layers: list[Layer] = []  # all layers of the model with the store `_walked`
        self._walked: Any = None
        self._state: State | None = None
        self._slots: dict[str, float | None] = {}  # those of all plans so far
        # What `restore` was given for slots that no plan has had yet, and for the control records.
        self._waiting: dict[str, Mapping[str, np.ndarray]] = {}
        self._waiting_control: np.ndarray | None = None

    @property
    def latest(self) -> Plan | None:
        """The plan that was used last."""
        return None if self._latest is None else self._latest.plan

    def forget_plans(self) -> None:
        """Make all plans anew when they are needed; training goes on where it was."""
        with self._lock:
            self._kept.clear()
            self._walked = self._latest = None
            self._predicts = (None, None)

    def predict_at_once(self, store: Any, x: Any) -> np.ndarray | None:
        """The output for x by the plan that predicted last, without all that is done otherwise.

        Checks and the search for a plan take several times as long as one row takes a small model.
        None where anything speaks against it: no plan, other weights, or x (see the executor); the
        usual way then tells what.
        """
        executor, its_store = self._predicts
        if its_store is not store:
            return None
        made = executor.predict_at_once(x)
        if made is not None:
            self._latest = executor
        return made

    def get(
        self,
        model: Any,
        mode: str,
        capacity: int,
        heads: Heads | None = None,
        weighted: Sequence[Kind] = (),
        at_least: bool = False,
    ) -> tuple[Executor, list[Sum]]:
        """The executor for a mode, a row capacity, and data with weights for some outputs.

        `at_least`: more room will do, so that batches of many lengths share a plan. Where a plan
        would need too much memory it has less room, and batches come in chunks.
        """
        store = model.store
        rest: tuple[Any, ...] = (tuple(weighted), store)
        if mode != "predict":  # what is frozen has no penalty, but predicts alike
            if self._walked is not store:
                self._walked, self._layers = store, model.walk()
            rest += (flags(self._layers),)
        if mode == "train":
            rest += (model.optimizer.settings(),)
        key = (mode, capacity, *rest)
        with self._lock:
            if at_least and key not in self._kept:
                room = [k[1] for k in self._kept if k[0] == mode and k[2:] == rest]
                larger = [r for r in room if r > capacity]
                capacity = min(larger, default=1 << (capacity - 1).bit_length())
                key = (mode, capacity, *rest)
            found = self._kept.pop(key, None)
            if found is None:
                found = self._make(model, mode, capacity, heads, weighted)
            self._kept[key] = found  # the most recent one is last
            for old in list(self._kept)[:-PLANS_KEPT]:
                del self._kept[old]
            self._latest = found[0]
            if mode == "predict":
                self._predicts = (found[0], store)
        return found

    def _make(
        self, model: Any, mode: str, capacity: int, heads: Heads | None, weighted: Sequence[Kind]
    ) -> tuple[Executor, list[Sum]]:
        store = model.store
        traced = heads.for_data(weighted) if heads is not None and mode != "predict" else []
        variables = model.variables if mode == "train" else []
        if mode == "train":
            model.optimizer.check(variables)
        program, sums = trace(model, mode, traced, model.optimizer)
        slots = self._slots if mode == "train" else None
        plan = build(program, store.layout, capacity, slots, _plans)
        room = _room(plan)
        if room < capacity:
            program, sums = trace(model, mode, traced, model.optimizer)
            plan = build(program, store.layout, room, slots, _plans)
        training = self._block(plan, store, variables) if mode == "train" else None
        return backends.get(self.backend)(plan, store.block, training), sums

    # --- the TRAINING block ---

    def gradient(self, variable: Variable) -> np.ndarray:
        """A live view of a trained variable's gradient in the last batch."""
        if self._state is None:
            raise RuntimeError(f"{variable.path} has no gradient yet: nothing was trained")
        return self._state.view(0, variable)

    @property
    def control(self) -> np.ndarray | None:
        """The live control records, one per group (iteration, step, seed ...).

        Before training they are what `restore` was given, or None.
        """
        return self._waiting_control if self._state is None else self._state.control

    def slots(self) -> Slots:
        """Optimizer state: slot name -> path of a variable -> live view.

        Before training it is what `restore` was given, or empty.
        """
        state = self._state
        if state is None:
            return self._waiting
        named = by_path(state.variables)
        return {
            slot: {path: state.view(1 + i, v) for path, v in named.items()}
            for i, slot in enumerate(state.slots)
        }

    def restore(self, slots: Slots, control: np.ndarray | None) -> None:
        """Put back what `slots` and `control` gave; training goes on from there.

        What has no place yet, because no plan that trains was made, waits for one.

        Raises
        ------
        ValueError
            A slot names a variable that is not there, or its shape differs; raised by the first
            training where there is no plan yet.
        """
        with self._lock:
            self._waiting = {
                name: {path: np.array(part) for path, part in parts.items()}
                for name, parts in slots.items()
            }
            self._waiting_control = None if control is None else np.array(control)
            if self._state is not None:
                self._put_back(self._state)

    def take_averages(self, variables: Sequence[Variable]) -> None:
        """Overwrite weights by their moving averages, where an optimizer keeps any."""
        state = self._state
        for number, slot in enumerate(() if state is None else state.slots, start=1):
            if state is not None and slot.endswith("/average"):
                for variable in variables:
                    variable.value[...] = state.view(number, variable)

    def _put_back(self, state: State) -> None:
        """What is waiting and has a place now."""
        named = by_path(state.variables) if self._waiting else {}
        for i, slot in enumerate(state.slots):
            for path, value in self._waiting.get(slot, {}).items():
                if path not in named:
                    raise ValueError(
                        f"the optimizer's state {slot!r} is of {path!r}, which this model does "
                        f"not have; it has: {', '.join(named)}"
                    )
                view = state.view(1 + i, named[path])
                if np.shape(value) != view.shape:
                    raise ValueError(
                        f"the optimizer's state {slot!r} of {path!r} has shape {np.shape(value)}, "
                        f"expected {view.shape}"
                    )
                view[...] = value
            self._waiting.pop(slot, None)
        if self._waiting_control is not None:
            count = min(len(state.control), len(self._waiting_control))
            state.control[:count] = self._waiting_control[:count]
            self._waiting_control = None

    def _block(self, plan: Plan, store: Any, variables: list[Variable]) -> np.ndarray:
        """The TRAINING block for a plan; a new one goes on where the last one was."""
        old, size = self._state, plan.sizes["training"]
        slots = tuple(plan.slots)
        same = old is not None and old.store is store and old.slots == slots
        if old is not None and same and old.block.nbytes >= size:
            self._state = old._replace(variables=variables)
            return old.block
        block = zeros(size)
        control = np.ndarray(len(plan.groups), CONTROL, block.data, plan.control_offset)
        state = State(block, store, variables, slots, control)
        control["seed"] = self.seed
        parameters, room = store.layout.parameters, store.layout.section
        for i, initial in enumerate(plan.slots.values()):
            start = (1 + i) * room
            if initial is None:
                block[start : start + parameters] = store.block[:parameters]
            elif initial != 0:
                block[start : start + room].view(store.dtype)[:] = initial
        if old is not None:
            _move(old, state)
        self._put_back(state)
        # Training plans that were made before work on the block of then.
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] != "train"}
        self._state, self._slots = state, dict(plan.slots)
        return block


def _room(plan: Plan) -> int:
    """The rows that a plan should have room for, so that its scratch block stays in its limit."""
    needed = plan.sizes["scratch"]
    if needed <= SCRATCH_BYTES or (plan.mode == "train" and not plan.chunks):
        return plan.capacity
    fixed = plan.workspace.nbytes if plan.workspace is not None else 0
    return max(1, plan.capacity * (SCRATCH_BYTES - fixed) // (needed - fixed))


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


def _move(old: State, new: State) -> None:
    """Copy gradients, slots of the same name and the control records."""
    sections = [(0, 0)]
    sections += [(1 + old.slots.index(s), 1 + i) for i, s in enumerate(new.slots) if s in old.slots]
    for variable in old.store.offsets:
        if variable.storage == "parameter" and variable in new.store.offsets:
            for source, target in sections:
                new.view(target, variable)[...] = old.view(source, variable)
    count = min(len(old.control), len(new.control))
    new.control[:count] = old.control[:count]
