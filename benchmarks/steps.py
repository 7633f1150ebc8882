"""One op of the engine alone, as a plan of that one step, checked and then timed.

`Bench` places the operands, compares the native kernel of an ISA build with the op's definition in
NumPy, and times many runs of the step in one native call. Used by products.py and kernels.py.
"""

import dataclasses
import time

import numpy as np

from fastnn.backends import native
from fastnn.engine.memory import aligned, zeros
from fastnn.engine.plan import CONTROL, Buffer, Group, Plan, Step
from fastnn.ops import Graph, Tensor, emit, registry
from fastnn.ops.tensor import concrete

TOLERANCE = 3e-5  # float32 against float64, of the largest value
SAMPLE = 1e-3  # seconds that one sample takes at least


class WrongResult(Exception):
    """A kernel that does not do what its op says is not timed."""


class Bench:
    """An op on float32 arrays.

    Parameters
    ----------
    op : str
    inputs : list
        Arrays, or None. Those of float64 stay so: they are control numbers.
    isa : str
        The build of the kernels.
    fixed : tuple of int
        Inputs that do not begin with the rows of a batch; all of an optimizer are.
    attrs
        Those of the op.
    """

    def __init__(self, op, inputs, isa, fixed=(), **attrs):
        self.op = registry()[op]
        self.inputs, self.attrs = inputs, attrs
        batched = [a for i, a in enumerate(inputs) if a is not None and i not in fixed]
        self.rows = len(batched[0]) if batched else 1
        tensors = [
            None
            if a is None
            else Tensor(
                a.shape if i in fixed else (None, *a.shape[1:]),
                "real" if a.dtype == np.float32 else a.dtype.name,
                f"x{i}",
                "feed",
            )
            for i, a in enumerate(inputs)
        ]
        with Graph() as graph:
            emit(self.op, *tensors, **attrs)
        self.plan = self._plan(graph.nodes[0])
        block = zeros(self.plan.sizes["training"])
        make = native.executor_for(isa)
        self.once = make(self.plan, zeros(0), block)
        self.empty = make(self._times(0), zeros(0), block)
        self._fill()
        self._check()
        self._prepare()

    def _plan(self, node):
        """The step with its operands one after the other in the training block."""
        end = 0
        places = {}

        def place(tensor):
            nonlocal end
            if tensor is None:
                return None
            if tensor not in places:
                dtype = "float32" if tensor.dtype == "real" else tensor.dtype
                shape = concrete(tensor.shape, self.rows)
                nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
                places[tensor] = Buffer(tensor.name, tensor.shape, dtype, "training", end, nbytes)
                # Arrays at the same offset within 4 KB would get in each other's way.
                end = aligned(end + nbytes) + 256
            return places[tensor]

        given = tuple(map(place, node.inputs))
        outputs = tuple(map(place, node.outputs))
        reals = self.op.workspace(node)
        workspace = place(Tensor((reals,), "real", "workspace")) if reals else None
        step = Step(
            self.op, outputs, given, (False,) * len(outputs), node.attrs, self.op.sizes(node),
            self.op.constants(node), self.op.flops(node), reals,
        )  # fmt: skip
        sizes = {"model": 0, "training": end + CONTROL.itemsize, "scratch": 0, "parameters": 0}
        return Plan(
            "train", self.rows, "float32", (Group((step,)),), (), (), (), sizes, end, workspace
        )

    def _times(self, times):
        return dataclasses.replace(self.plan, groups=(Group(self.plan.steps * times),))

    def _fill(self):
        for buffer, array in zip(self.plan.steps[0].inputs, self.inputs):
            if buffer is not None:
                self.once.view(buffer)[...] = array
        self.once.control[0]["rate"] = 1e-3
        self.once.control[0]["batch_rows"] = self.rows
        self.once.control[0]["seed"] = 7

    def _check(self):
        given = [a if a is None or a.dtype != np.float32 else a.astype(np.float64)
                 for a in self.inputs]  # fmt: skip
        control = [self.once.control[0].copy()] if self.op.control else []
        want = self.op.define(*given, *control, **self.attrs)
        self.once.gradients([])
        for name, buffer, value in zip(
            self.op.outputs, self.plan.steps[0].outputs, want if isinstance(want, tuple) else [want]
        ):
            if buffer is None or value is None:
                continue
            got = self.once.view(buffer).astype(np.float64)
            bound = TOLERANCE * max(1.0, np.abs(value).max())
            if not np.abs(got - value).max() <= bound:
                raise WrongResult(f"{self.op.name} {self.attrs} ({self.once.isa}): {name} is wrong")

    @property
    def bytes(self):
        """Bytes that the step reads and writes: what is updated in place counts twice."""
        step = self.plan.steps[0]
        return sum(b.nbytes for b in (*step.inputs, *step.outputs) if b is not None)

    @property
    def held(self):
        """Bytes of its operands."""
        step = self.plan.steps[0]
        return sum({b.offset: b.nbytes for b in (*step.inputs, *step.outputs) if b}.values())

    @property
    def elements(self):
        """Numbers in its first input."""
        return self.inputs[0].size

    def _prepare(self):
        """Choose how often the step runs in one sample."""
        seconds = min(self._clock(self.once) for _ in range(3))
        self.times = max(1, min(64, round(SAMPLE / max(seconds, 1e-9))))
        self.many = type(self.once)(self._times(self.times), zeros(0), self.once.blocks["training"])
        self.calls = 1
        while self._clock(self.many) * self.calls < SAMPLE:
            self.calls *= 2

    def sample(self):
        """Seconds of CPU time of one run of the step, without the call from Python."""
        seconds = self._clock(self.many, self.calls) - self._clock(self.empty, self.calls)
        return seconds / self.times

    def _clock(self, executor, calls=1):
        start = time.process_time()
        for _ in range(calls):
            executor.gradients([])
        return (time.process_time() - start) / calls


def turns(samplers, repeats):
    """The least seconds of each sampler (name -> function), taken by turns."""
    found = {name: [] for name in samplers}
    for _ in range(repeats):
        for name, sample in samplers.items():
            found[name].append(sample())
    return {name: min(samples) for name, samples in found.items()}
