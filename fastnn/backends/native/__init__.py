"""The native executor: choosing the ISA build, and turning a plan into kernel calls.

Imported when a model first needs it. FASTNN_ISA ("v3", "v4", ...) overrides the choice; tests load
several builds side by side with `executor_for`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

import fastnn.backends.native.executor as _executor
from fastnn.backends.base import Executor, Job
from fastnn.engine.plan import Buffer, Plan, Step
from fastnn.ops.contract import Op
from fastnn.ops.tensor import Rows

ISAS = ("v4", "v3", "base")  # best first; setup.py builds them
TARGETS = ("float32", "float64", "int32")  # of the gather, by number

# Which list of function names a kernel's string sizes are looked up in.
KINDS = {
    "activation": "activation",
    "activation_backward": "activation",
    "linear": "activation",
    "linear_dx": "activation",
    "unary": "unary",
    "binary": "binary",
    "binary_number": "binary",
    "reduce": "reduce",
    "elementwise_loss": "loss",
    "elementwise_loss_backward": "loss",
    "row_loss": "row_loss",
    "row_loss_backward": "row_loss",
}


def isas() -> list[str]:
    """The builds that are installed and run on this processor, the best one first."""
    installed = [i for i in ISAS if importlib.util.find_spec(f"{__name__}.kernels_{i}")]
    return [isa for isa in installed if _executor.runs(isa)]


def _chosen() -> str:
    wanted = os.environ.get("FASTNN_ISA")
    usable = isas()
    if wanted and wanted not in usable:
        raise ValueError(
            f"FASTNN_ISA={wanted!r} is not usable here; choose one of: {', '.join(usable)}"
        )
    if not usable:
        raise ImportError("no build of the native kernels runs on this processor")
    return wanted or usable[0]


class NativeExecutor(Executor):
    """Runs a plan with compiled kernels. `kernels` is the module of one ISA build."""

    name = "native"
    isa = ""
    kernels: Any = None
    _table: dict[tuple[str, str], int] = {}
    _functions: dict[str, list[str]] = {}

    @classmethod
    def has(cls, op: Op) -> bool:
        return (op.kernel or op.name, "float32") in cls._table

    def __init__(self, plan: Plan, model: np.ndarray, training: np.ndarray | None = None) -> None:
        super().__init__(plan, model, training)
        self._bases = {name: block.ctypes.data for name, block in self.blocks.items()}
        steps: list[Any] = []
        groups = []
        for number, group in enumerate(plan.groups):
            control = self.control.ctypes.data + number * self.control.itemsize
            first = len(steps)
            steps += [self._lower(step, control) for step in group.steps]
            batch = len(steps)
            steps += [self._lower(step, control) for step in group.batch_steps]
            updates = len(steps)
            steps += [self._lower(step, control) for step in group.updates]
            groups.append((first, batch, updates, len(steps), group.every, control))
        self._program = _executor.Program(
            steps,
            groups,
            [(self._address(b), TARGETS.index(b.dtype)) for b in plan.feeds],
            [self._row(b) for b in plan.outputs],
            (self._bases["scratch"], plan.accumulator_count),
            self._table["permutation", plan.dtype],
            self._table["gather", plan.dtype],
            plan.capacity,
        )

    def _address(self, buffer: Buffer | None) -> int:
        return 0 if buffer is None else self._bases[buffer.block] + buffer.offset

    def _row(self, buffer: Buffer) -> tuple[int, int]:
        """Address and bytes per row of an output."""
        width = int(np.prod(buffer.shape[1:], dtype=int))
        return self._address(buffer), width * np.dtype(buffer.dtype).itemsize

    def _lower(self, step: Step, control: int) -> tuple[Any, ...]:
        pointers = [self._address(b) for b in (*step.outputs, *step.inputs)]
        if step.op.control:
            pointers.append(control)
        if step.workspace:
            pointers.append(self._address(self.plan.workspace))
        sizes: list[Any] = [
            (s.each,) if isinstance(s, Rows) else self._number(step, s) for s in step.sizes
        ]
        sizes.append(sum(1 << i for i, add in enumerate(step.add) if add))
        gradients = sum(1 << i for i in step.gradients)
        # Integers are only moved: by the kernel of the float type that is as wide.
        ends = (step.outputs[0], step.inputs[0])
        moved = all(b is not None and b.dtype == "int32" for b in ends)
        dtype = "float32" if moved else self.plan.dtype
        run = self._table[step.op.kernel, dtype]
        return run, pointers, sizes, step.constants, gradients, step.once

    def _number(self, step: Step, size: int | str) -> int:
        if isinstance(size, int):
            return size
        names = self._functions[KINDS[step.op.kernel]]
        if size not in names:
            raise NotImplementedError(
                f"the native executor has no {KINDS[step.op.kernel]} {size!r} "
                f"(op {step.op.name}); choose compile(backend='reference')"
            )
        return names.index(size)

    def gradients(
        self,
        feeds: Sequence[np.ndarray],
        *,
        group: int = 0,
        first_row: int = 0,
        batch_rows: int | None = None,
    ) -> np.ndarray:
        rows = len(feeds[0]) if feeds else self.plan.capacity
        self.check(feeds, rows, rows)
        with self.lock:
            self._program.gradients(feeds, rows, group, first_row, batch_rows or rows)
            return self.accumulators.copy()

    def update(self, *, group: int = 0) -> None:
        with self.lock:
            self._program.update(group)

    def train(self, job: Job) -> None:
        self.check(job.feeds, job.rows, min(job.batch_size, job.rows))
        with self.lock:
            self._program.train(job)

    def evaluate(self, feeds: Sequence[np.ndarray], rows: int) -> np.ndarray:
        self.check(feeds, rows)
        with self.lock:
            self._program.forward(feeds, rows, [])
            return self.accumulators.copy()

    def predict(
        self, feeds: Sequence[np.ndarray], rows: int, outputs: Sequence[np.ndarray]
    ) -> None:
        self.check(feeds, rows)
        with self.lock:
            self._program.forward(feeds, rows, outputs)


def executor_for(isa: str) -> type[NativeExecutor]:
    """The executor class of one ISA build."""
    kernels = importlib.import_module(f"{__name__}.kernels_{isa}")
    return type(
        "NativeExecutor",
        (NativeExecutor,),
        {
            "isa": isa,
            "kernels": kernels,
            "_table": kernels.addresses(),
            "_functions": kernels.functions(),
        },
    )


Default = executor_for(_chosen())
