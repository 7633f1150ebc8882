"""The native executor: choosing the ISA build, and turning a plan into kernel calls.

Imported when a model first needs it. FASTNN_ISA ("v2", "v3", ...) overrides the choice; tests load
several builds side by side with `executor_for`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import fastnn.backends.native.executor as _executor
from fastnn import config
from fastnn.backends.base import Executor, Job
from fastnn.engine.memory import zeros
from fastnn.engine.plan import Buffer, Plan, Step, itemsize
from fastnn.ops.contract import Op
from fastnn.ops.tensor import Rows, at_rows, count

ISAS = ("v4", "v3", "v2", "base")  # best first; setup.py builds them
NOWHERE = (0, 0)
BLOCKS = {"model": 1, "training": 2, "scratch": 3}  # by number in a program
CONTROL_BLOCK = 4
TARGETS = ("float32", "float64", "int32")  # of the gather, by number

# What a step costs one core, roughly: it decides which steps are cut into parts. Starting a helper
# thread and waiting for its end takes about 0.1 ms.
NS_PER_FLOP, NS_PER_BYTE = 0.01, 0.05
GRAINS = {"rows": 16, "columns": 16, "elements": 1024}  # of parts: whole vectors and cache lines
HELPERS_PAY = 500_000  # nanoseconds that they save in one call

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
        # Programs that no thread is running. Training takes turns, so it always has the first one.
        self._idle = [self._program(self.blocks["scratch"], config.num_threads())]

    def _program(self, scratch: np.ndarray, threads: int) -> Any:
        """The program of the plan on a scratch block, for so many threads that share its steps."""
        plan, shared = self.plan, threads > 1
        lowered = plan.lowered.get((type(self), shared))
        if lowered is None:
            lowered = plan.lowered[type(self), shared] = self._lowered(shared)
        room = plan.workspace.nbytes if plan.workspace is not None else 0
        spare = zeros((threads - 1) * room)
        blocks = self.blocks["model"], self.blocks["training"], scratch, self.control, spare
        return _executor.Program(lowered, blocks, threads, room)

    def _lowered(self, shared: bool) -> tuple[Any, ...]:
        """What a program is made of, but for addresses: it does for all models with this plan."""
        plan = self.plan
        steps: list[Any] = []
        groups = []
        for number, group in enumerate(plan.groups):
            control = CONTROL_BLOCK, number * self.control.itemsize
            first = len(steps)
            steps += [self._lower(step, control, shared) for step in group.steps]
            batch = len(steps)
            steps += [self._lower(step, control, shared) for step in group.batch_steps]
            updates = len(steps)
            steps += [self._lower(step, control, shared) for step in group.updates]
            groups.append((first, batch, updates, len(steps), group.every, control))
        return (
            steps,
            groups,
            [(_place(b), TARGETS.index(b.dtype), _row_bytes(b)) for b in plan.feeds],
            [(_place(b), _row_bytes(b)) for b in plan.outputs],
            plan.accumulator_count,
            self._table["permutation", plan.dtype],
            self._table["gather", plan.dtype],
            plan.capacity,
            _plain(plan),
        )

    def _lower(self, step: Step, control: tuple[int, int], shared: bool) -> tuple[Any, ...]:
        places = [_place(b) for b in (*step.outputs, *step.inputs)]
        if step.op.control:
            places.append(control)
        if step.workspace:
            places.append(_place(self.plan.workspace))
        sizes: list[Any] = [
            (s.each,) if isinstance(s, Rows) else self._number(step, s) for s in step.sizes
        ]
        sizes.append(sum([1 << i for i, add in enumerate(step.add) if add]))
        gradients = sum([1 << i for i in step.gradients])
        # Integers are only moved: by the kernel of the float type that is as wide.
        ends = (step.outputs[0], step.inputs[0])
        moved = all(b is not None and b.dtype == "int32" for b in ends)
        dtype = "float32" if moved else self.plan.dtype
        run = self._table[step.op.kernel, dtype]
        cuts = self._cuts(step, sizes, len(places)) if shared else None
        return run, places, sizes, step.constants, gradients, step.once, cuts

    def _cuts(self, step: Step, sizes: Sequence[Any], pointers: int) -> tuple[Any, ...] | None:
        """How a step is cut into parts: what `Program` wants to know, or None for not at all."""
        kind, capacity = step.op.parts, self.plan.capacity
        operands = (*step.outputs, *step.inputs)
        counted = length = alone = 0
        if kind == "rows" and any(isinstance(size, tuple) for size in sizes):
            strides = [0 if b is None else _row_bytes(b) for b in operands]
            counted = -1
        elif kind == "elements" and isinstance(sizes[0], int):
            strides = [0 if b is None else itemsize(b.dtype) for b in operands]
            length = sizes[0]
        elif kind == "columns" and sizes[2] > 1:
            one = itemsize(self.plan.dtype)
            strides = [sizes[2] * one, 0, one, 0]
            counted, length, alone = 1, sizes[1], 0b10
        else:
            return None
        moved = sum(b.nbytes for b in operands if b is not None)
        cost = at_rows(step.flops, capacity) * NS_PER_FLOP + moved * NS_PER_BYTE
        workspace = pointers - 1 if step.workspace else -1
        return (
            strides, length, counted, GRAINS[kind], alone, workspace, cost / (length or capacity),
        )  # fmt: skip

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
        with self.lock, self._running() as program:
            program.gradients(feeds, rows, group, first_row, batch_rows or rows)
            return self.accumulators.copy()

    def update(self, *, group: int = 0) -> None:
        with self.lock, self._running() as program:
            program.update(group)

    def train(self, job: Job) -> None:
        self.check(job.feeds, job.rows, min(job.batch_size, job.rows))
        passes = min(job.epochs - job.epoch, job.max_epochs)
        work = job.rows, job.batch_size, passes, job.max_batches
        with self.lock, self._running(True, *work) as program:
            program.train(job)

    def evaluate(self, feeds: Sequence[np.ndarray], rows: int) -> np.ndarray:
        self.check(feeds, rows)
        sums = np.empty(self.plan.accumulator_count)
        with self._running(False, rows, self.plan.capacity) as program:
            program.forward(feeds, rows, [], sums)
        return sums

    def predict(
        self, feeds: Sequence[np.ndarray], rows: int, outputs: Sequence[np.ndarray]
    ) -> None:
        self.check(feeds, rows)
        with self._running(False, rows, self.plan.capacity) as program:
            program.forward(feeds, rows, outputs)

    def predict_at_once(self, x: Any) -> np.ndarray | None:
        program = self._take()
        try:
            return program.predict_at_once(x, HELPERS_PAY)
        finally:
            self._idle.append(program)

    @contextlib.contextmanager
    def _running(self, trains: bool = False, *work: int) -> Iterator[Any]:
        """A program that inside is this thread's alone, and its helpers' if the work is enough."""
        program = self._take()
        try:
            if work and program.helpers_pay(HELPERS_PAY, *work):
                with _helpers(program, trains):
                    yield program
            else:
                yield program
        finally:
            self._idle.append(program)

    def _take(self) -> Any:
        """An idle program, or a new one: so there are as many as threads that ran one at once."""
        threads = config.num_threads()
        try:
            program = self._idle.pop()
        except IndexError:
            return self._program(zeros(self.plan.sizes["scratch"]), threads)
        if program.threads != threads:
            return self._program(program.scratch, threads)
        return program


@contextlib.contextmanager
def _helpers(program: Any, trains: bool) -> Iterator[None]:
    """Inside, other threads run parts of the program's steps."""
    helpers = []
    program.call_helpers(trains)
    try:
        # A system that starts no more threads is no error: the work gets done without them.
        with contextlib.suppress(RuntimeError):
            for _ in range(program.threads - 1):
                helpers.append(threading.Thread(target=program.help, daemon=True))
                helpers[-1].start()
        yield
    finally:
        program.dismiss_helpers()
        for helper in helpers:
            if helper.ident is not None:
                helper.join()


def _place(buffer: Buffer | None) -> tuple[int, int]:
    """The number of its block, and where it begins there."""
    return NOWHERE if buffer is None else (BLOCKS[buffer.block], buffer.offset)


def _row_bytes(buffer: Buffer) -> int:
    """From a row to the next; 0 if it has none."""
    if not buffer.shape or buffer.shape[0] is not None:
        return 0
    return at_rows(count(buffer.shape[1:]), 1) * itemsize(buffer.dtype)


def _plain(plan: Plan) -> tuple[Any, ...] | None:
    """Rows of the input and of the output of a plan that has one of each, of floats; its `reads`.

    One that draws random numbers follows its control records: not here. Products never look beyond
    the last row of an input, so they can read an array of the caller.
    """
    if (len(plan.feeds), len(plan.outputs)) != (1, 1) or plan.draws:
        return None
    if any(step.op.whole_batch for step in plan.steps):
        return None
    x, y = plan.feeds[0], plan.outputs[0]
    if {x.dtype, y.dtype} != {plan.dtype} or (x.shape[:1], y.shape[:1]) != ((None,), (None,)):
        return None
    reads = []
    for number, step in enumerate(plan.steps):
        for i, given in enumerate(step.inputs):
            if given is not None and (given.value, given.block) == (x.value, x.block):
                reads.append((step.op.name, number, len(step.outputs) + i))
    alone = all(name == "linear" for name, *_ in reads)
    return x.shape[1:], y.shape[1:], np.dtype(plan.dtype), [r[1:] for r in reads if alone]


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
