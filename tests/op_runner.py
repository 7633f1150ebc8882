"""Runs one op on one executor over memory full of traps, and compares it with its definition.

A `Case` is an op with its inputs. A `Trial` writes a plan of that one step by hand: outputs hold
NaN before the run, and every operand lies between guards. After the run `Trial.check` compares the
outputs with `op.define` in float64, and demands that no other byte has changed: an element that is
left out keeps its NaN, a write beyond the end hits a guard. Used by the tests of ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.backends.base import Executor
from fastnn.backends.reference import ReferenceExecutor
from fastnn.engine.memory import aligned, zeros
from fastnn.engine.plan import CONTROL, Buffer, Group, Plan, Step
from fastnn.ops import Graph, Tensor, Update, emit, registry
from fastnn.ops.contract import Node, Op
from fastnn.ops.tensor import concrete

DTYPES = ("float32", "float64")
GUARD = 256  # bytes after each operand: four of the widest vectors

# What memory holds before the run, as 32-bit words with the word's number in the low bits: NaN, or
# a number from 2 to 32, in float32 and in float64. NaN shows who reads beyond an end, a number who
# adds there; no two words are equal, so that a copy from one to the other shows too.
FILLINGS = {"nan": 0xFFF00000, "numbers": 0x40000000}

# Absolute error allowed: the first times sqrt(terms of a sum) times the sum of their absolute
# values, and the second times max(1, |expected|).
TOLERANCES = {"float32": (1.3e-6, 1e-5), "float64": (1e-15, 1e-12)}

WIDE = ("scale", "before", "square_sum")  # inputs that are control numbers: always float64

# Outputs that no plan adds to, beside those that are updated in place and control numbers:
# differentiation refuses a second gradient of these probabilities, and what a normalization keeps
# for its gradient has one writer.
NEVER_ADDED = {("softmax_crossentropy", 1)} | {
    (op, i) for op in ("batch_norm", "layer_norm") for i in (1, 2, 3, 4)
}


def filling(kind: str, nbytes: int) -> np.ndarray:
    """Bytes for memory that nobody has written."""
    words = np.arange(1, nbytes // 4 + 1, dtype=np.uint32) & 0xFFFFF
    return (words | np.uint32(FILLINGS[kind])).view(np.uint8)


def executors() -> dict[str, type[Executor]]:
    """Every executor that runs here: the reference, and the native one in each ISA build."""
    found: dict[str, type[Executor]] = {"reference": ReferenceExecutor}
    try:
        from fastnn.backends import native
    except ImportError:  # installed without a compiler
        return found
    return found | {f"native-{isa}": native.executor_for(isa) for isa in native.isas()}


@dataclass
class Case:
    """One op with its inputs.

    Attributes
    ----------
    inputs : list
        float64 arrays, given to the op in the tested type; int32 arrays (ids, labels) as they are;
        None where an optional one is absent.
    batched : list of bool, optional
        Which inputs begin with the rows of the batch; by default all but those in WIDE.
    terms : int
        Length of the longest sum that makes one number.
    magnitude : callable, optional
        From the inputs in float64: for each output the sums of absolute values; by default the
        absolute value of what is expected.
    control : dict
        Values of the control record.
    add : bool
        Whether the op may be asked to add to its output.
    own_type : bool
        The definition itself depends on the type: evaluate it in the tested one.
    """

    op: str
    inputs: list[Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    batched: list[bool] | None = None
    terms: int = 1
    magnitude: Callable[..., Any] | None = None
    control: dict[str, Any] = field(default_factory=dict)
    add: bool = True
    own_type: bool = False
    answers: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.batched is None:
            names = input_names(self.definition, len(self.inputs))
            self.batched = [name not in WIDE for name in names]

    @property
    def definition(self) -> Op:
        return registry()[self.op]

    def variants(self) -> Iterator[str]:
        """What to try: "plain", "add" to what the output holds, "in place of" an input."""
        yield "plain"
        op = self.definition
        accumulates = "accumulator" in op.storages.values()
        if accumulates or (self.add and 0 not in op.same and 0 not in op.storages):
            yield "add"
        if 0 in op.may_alias:
            shape = concrete(self.node().outputs[0].shape, self.rows)
            for j in op.may_alias[0]:
                if self.batched[j] and np.shape(self.inputs[j]) == shape:
                    yield f"in place of {j}"

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        batched = [a for a, b in zip(self.inputs, self.batched) if b and a is not None]
        return len(batched[0]) if batched else 1

    def node(self) -> Node:
        """A use of the op on symbolic inputs."""
        with Graph() as graph:
            emit(self.definition, *self.tensors(), **self.attrs)
        return graph.nodes[0]

    def tensors(self) -> list[Tensor | None]:
        """A symbolic tensor for each input."""
        names = input_names(self.definition, len(self.inputs))
        made: list[Tensor | None] = []
        for name, array, batched in zip(names, self.inputs, self.batched):
            if array is None:
                made.append(None)
                continue
            shape = (None, *array.shape[1:]) if batched else array.shape
            dtype = "real" if array.dtype == np.float64 else array.dtype.name
            made.append(Tensor(shape, "float64" if name in WIDE else dtype, name, "feed"))
        return made

    def given(self, dtype: str) -> list[Any]:
        """The inputs in the tested type."""
        names = input_names(self.definition, len(self.inputs))
        return [
            a if a is None or a.dtype != np.float64 or n in WIDE else a.astype(dtype)
            for n, a in zip(names, self.inputs)
        ]

    def control_record(self) -> np.ndarray:
        """The control record that the op sees."""
        record = np.zeros((), CONTROL)
        for name, value in {"batch_rows": self.rows, **self.control}.items():
            record[name] = value
        return record

    def answer(self, dtype: str) -> tuple[list[Any], list[Any]]:
        """What the op should make of its inputs, and the magnitudes that errors are measured by."""
        if dtype not in self.answers:
            wide = self.given(dtype)
            if not self.own_type:
                real = [a is not None and a.dtype.kind == "f" for a in wide]
                wide = [a.astype(np.float64) if r else a for a, r in zip(wide, real)]
            control = [self.control_record()] if self.definition.control else []
            made = self.definition.define(*wide, *control, **self.attrs)
            values = [made] if len(self.definition.outputs) == 1 else list(made)
            if self.magnitude is None:
                sizes = [None if v is None else np.abs(v) for v in values]
            else:
                size = self.magnitude(*wide)
                sizes = list(size) if isinstance(size, tuple) else [size]
            self.answers[dtype] = values, sizes
        return self.answers[dtype]


def input_names(op: Op, number: int) -> list[str]:
    """Names of the inputs; a last "*x" stands for as many as there are."""
    names = [n.removesuffix("?") for n in op.inputs]
    if names[-1].startswith("*"):
        rest = number - len(names) + 1
        names[-1:] = [f"{names[-1][1:]}{i}" for i in range(rest)]
    return names


class Wrong(AssertionError):
    """An executor did not do what the op's definition says."""


def check(case: Case, executor: type[Executor], dtype: str, variant: str, **settings: Any) -> None:
    """Run one case and compare; `settings` are those of `Trial`."""
    with np.errstate(all="ignore"):  # infinity and NaN are among the inputs
        trial = Trial(case, executor, dtype, variant, **settings)
        trial.run()
        trial.check()


def check_all(cases: Sequence[Case], executor: type[Executor], dtype: str) -> int:
    """Run all variants of the cases, with rooms and guards in turn; returns how many were run."""
    number = 0
    for i, case in enumerate(cases):
        settings = {"spare": 3 * (i % 2), "guards": ("nan", "numbers")[i // 2 % 2]}
        for variant in case.variants():
            check(case, executor, dtype, variant, **settings)
            number += 1
    return number


class Trial:
    """One case on one executor, in guarded memory.

    Parameters
    ----------
    variant : str
        One of `case.variants()`.
    spare : int
        Rows of the plan's capacity that the batch leaves unused.
    guards : {"nan", "numbers"}
        What lies around the operands.
    """

    def __init__(
        self, case: Case, executor: type[Executor], dtype: str, variant: str = "plain",
        spare: int = 0, guards: str = "nan",
    ) -> None:  # fmt: skip
        self.case, self.dtype, self.variant = case, dtype, variant
        self.op = case.definition
        self.rows = case.rows
        self.capacity = self.rows + spare
        self.node = case.node()
        self.ends = {"model": GUARD, "training": GUARD, "scratch": 0}
        self.plan = self._plan()
        blocks = [zeros(self.plan.sizes[name]) for name in ("model", "training")]
        self.executor = executor(self.plan, *blocks)
        for block in self.executor.blocks.values():
            block[:] = filling(guards, block.nbytes)
        self._fill()

    # --- the plan --------------------------------------------------------------------------------

    def _place(self, tensor: Tensor, block: str) -> Buffer:
        dtype = self.dtype if tensor.dtype == "real" else tensor.dtype
        shape = concrete(tensor.shape, self.capacity)
        nbytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        offset = self.ends[block]
        self.ends[block] = aligned(offset + nbytes) + GUARD
        return Buffer(tensor.name, tensor.shape, dtype, block, offset, nbytes)

    def _plan(self) -> Plan:
        node, op, case = self.node, self.op, self.case
        accumulators = [t for t in node.outputs if t is not None and t.storage == "accumulator"]
        # Accumulators stand side by side at the very start of the scratch block.
        placed = {t: self._place(t, "scratch") for t in accumulators}
        self.ends["scratch"] = max(self.ends["scratch"], GUARD)
        self.inputs: list[Buffer | None] = []
        for tensor, batched in zip(node.inputs, case.batched):
            if tensor is None:
                self.inputs.append(None)
                continue
            lasting = "training" if tensor.name in WIDE else "model"
            self.inputs.append(self._place(tensor, "scratch" if batched else lasting))
        feeds = [b for b, batched in zip(self.inputs, case.batched) if b is not None and batched]
        self.outputs: list[Buffer | None] = []
        self.added = [False] * len(node.outputs)
        for i, tensor in enumerate(node.outputs):
            if tensor is None:
                self.outputs.append(None)
            elif tensor in placed:
                self.outputs.append(placed[tensor])
            elif i in op.same:
                self.outputs.append(self.inputs[op.same[i]])
            elif i == 0 and self.variant.startswith("in place of"):
                self.outputs.append(self.inputs[int(self.variant.split()[-1])])
            else:
                scratch = tensor.has_rows and tensor.storage == "activation"
                self.outputs.append(self._place(tensor, "scratch" if scratch else "training"))
                if self.variant == "add" and (op.name, i) not in NEVER_ADDED and case.add:
                    self.added[i] = True
                    if scratch:  # what is added to must have been written: by the gather, here
                        feeds.append(self.outputs[i])
        self.feeds = feeds
        add = [a or t in placed for a, t in zip(self.added, node.outputs)]
        reals = op.workspace(node)
        workspace = self._place(Tensor((reals,), "real", "workspace"), "scratch") if reals else None
        control = self.ends["training"]
        step = Step(
            op, tuple(self.outputs), tuple(self.inputs), tuple(add), node.attrs, op.sizes(node),
            op.constants(node), op.flops(node), reals,
        )  # fmt: skip
        # An accumulator is added to by running the step again.
        self.times = 2 if accumulators and self.variant == "add" else 1
        steps = (step,) * self.times
        group = Group((), steps) if isinstance(op, Update) else Group(steps)
        sizes = {**self.ends, "parameters": 0}
        sizes["training"] += CONTROL.itemsize
        plan = Plan(
            "train", self.capacity, self.dtype, (group,), tuple(feeds), (),
            tuple(placed[t] for t in accumulators), sizes, control, workspace,
        )  # fmt: skip
        return plan.validate()

    def _fill(self) -> None:
        """NaN into outputs, values into inputs and what is added to; then note all of it."""
        rng = np.random.default_rng(7)
        for buffer in self.outputs:
            if buffer is not None:
                view = self.view(buffer)
                view[...] = np.ndarray(
                    view.shape, view.dtype, filling("nan", aligned(view.nbytes)).data
                )
        for buffer, array in zip(self.inputs, self.case.given(self.dtype)):
            if buffer is not None:
                self.view(buffer)[...] = array
        self.old: list[Any] = [None] * len(self.outputs)
        for i, (buffer, add) in enumerate(zip(self.outputs, self.added)):
            if add and buffer is not None:
                view = self.view(buffer)
                view[...] = rng.normal(0, 2, view.shape)
                self.old[i] = view.astype(np.float64)
        self.executor.control[0] = self.case.control_record()
        self.before = {name: block.copy() for name, block in self.executor.blocks.items()}

    def view(self, buffer: Buffer) -> np.ndarray:
        """The rows of a buffer that this batch has."""
        return self.executor.view(buffer, self.rows)

    # --- running and checking --------------------------------------------------------------------

    def run(self) -> None:
        if isinstance(self.op, Update):
            self.executor.update()
            return
        record = self.case.control_record()
        first, total = int(record["first_row"]), int(record["batch_rows"])
        feeds = [self.view(b).copy() for b in self.feeds]
        self.executor.gradients(feeds, first_row=first, batch_rows=total)

    def results(self) -> list[np.ndarray | None]:
        return [None if b is None else self.view(b).copy() for b in self.outputs]

    def expected(self) -> tuple[list[Any], list[Any]]:
        """`case.answer`, with what was there before where the step adds."""
        values, sizes = map(list, self.case.answer(self.dtype))
        for i, (old, buffer) in enumerate(zip(self.old, self.outputs)):
            if old is not None:
                values[i], sizes[i] = values[i] + old, sizes[i] + np.abs(old)
            elif buffer in self.plan.accumulators:
                values[i], sizes[i] = values[i] * self.times, sizes[i] * self.times
        return values, sizes

    def check(self) -> None:
        """Raise `Wrong` unless the outputs are right and no other byte has changed."""
        relative, absolute = TOLERANCES[self.dtype]
        values, sizes = self.expected()
        terms = self.case.terms + (self.variant == "add")
        for name, got, want, size in zip(self.op.outputs, self.results(), values, sizes):
            if got is None:
                continue
            if np.shape(want) != got.shape:
                raise Wrong(f"{self}: {name} has shape {got.shape}, not {np.shape(want)}")
            got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
            with np.errstate(invalid="ignore"):
                bound = relative * np.sqrt(terms) * size + absolute * np.maximum(1, np.abs(want))
                bound = np.broadcast_to(bound, want.shape)
                fine = np.where(np.isfinite(want), np.abs(got - want) <= bound, got == want)
            fine |= np.isnan(want) & np.isnan(got)
            if not fine.all():
                bad = np.argwhere(~fine)
                at = tuple(int(i) for i in bad[0])
                raise Wrong(
                    f"{self}: {len(bad)} of {got.size} values of {name} are wrong; at {at} it is "
                    f"{got[at]}, expected {want[at]} within {bound[at]:.3g}"
                )
        self._check_memory()

    def _check_memory(self) -> None:
        written = [(b, self.view(b).nbytes) for b in self.outputs if b is not None]
        if self.plan.workspace is not None:
            written.append((self.plan.workspace, self.plan.workspace.nbytes))
        for name, block in self.executor.blocks.items():
            before = self.before[name]
            after = block.copy()
            for buffer, nbytes in written:
                if buffer.block == name:
                    part = slice(buffer.offset, buffer.offset + nbytes)
                    after[part] = before[part]
            if name == "training":  # the executor itself writes the control record
                after[self.plan.control_offset :] = before[self.plan.control_offset :]
            changed = np.flatnonzero(after != before)
            if len(changed):
                raise Wrong(
                    f"{self}: {len(changed)} bytes of {name} changed that belong to no output, "
                    f"from byte {changed[0]} on{self._neighbour(name, int(changed[0]))}"
                )

    def _neighbour(self, block: str, at: int) -> str:
        """Which operand a byte belongs to or comes after."""
        before = [
            b for b in (*self.outputs, *self.inputs)
            if b is not None and b.block == block and b.offset <= at
        ]  # fmt: skip
        if not before:
            return ""
        last = max(before, key=lambda b: b.offset)
        used = self.view(last).nbytes
        return f", {at - last.offset} bytes from the start of {last} ({used} in use)"

    def __str__(self) -> str:
        shapes = ", ".join("-" if a is None else str(np.shape(a)) for a in self.case.inputs)
        attrs = ", ".join(f"{k}={v!r}" for k, v in self.case.attrs.items())
        return (
            f"{self.op.name}({attrs}) on {self.executor.name} {getattr(self.executor, 'isa', '')} "
            f"in {self.dtype}, {self.variant}, inputs {shapes}, {self.rows} rows of {self.capacity}"
        )
