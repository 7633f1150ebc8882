"""What every executor is: the five entries, the blocks it works on, and a training job.

`executors.py` makes them, `training.py` calls them. `Executor` holds what does not depend on how a
step is run; `reference` and `native` fill in the rest. An executor checks at construction that it
has a kernel for every step, so a gap is an error that names op and executor, never a slow path.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.engine.memory import zeros
from fastnn.engine.plan import CONTROL, Buffer, Plan
from fastnn.ops.contract import Op


def can_gather(array: np.ndarray) -> bool:
    """Whether an executor can read rows of an array: numbers of at most 8 bytes, not too deep."""
    dtype = array.dtype
    return (
        dtype.kind in "fiub"
        and dtype.itemsize <= 8
        and (array.ndim <= 5 or array.flags.c_contiguous)
    )


@dataclass(eq=False)
class Job:
    """A training run over arrays, which an executor carries on slice by slice.

    The executor advances `epoch` and `batch`, so a job can stop after any batch and go on later.

    Attributes
    ----------
    feeds : sequence of ndarray
        One contiguous array per feed of the plan, all with `rows` rows.
    epochs : int
        The epoch to stop before.
    rates : ndarray of float64, optional
        Learning rates of the next batches, from the first one of the next call on: an executor
        comes back when they are used up. Without them the rate in the control records stays.
    seconds : float
        Come back after about this long (at the end of a batch).
    max_batches, max_epochs : int
        Come back after so many batches, or ends of epochs.
    sums : ndarray (kept, accumulators) float64
        The accumulators at the end of an epoch, in row `epoch % kept`: an executor comes back
        before it would overwrite what it wrote in the same call.
    past_epochs : int
        Passes over the data in earlier jobs: the permutations go on where those ended.
    steps : int
        Batches per epoch, if that is not one pass over the rows: a pass then goes on in the next
        epoch. The end of a pass ends an epoch too.
    passes : int
        Passes over the rows that have ended.
    fresh : bool
        Whether an epoch's accumulators begin at 0; a batch of a stream adds to those before it.
    stop_on_nan : bool
        Come back after a batch that made a loss NaN or infinite, and set `stopped_on_nan`.
    objective : callable, optional
        The loss, from a plan's accumulators: for an optimizer that searches along a line.
    watched : sequence of int
        The accumulators that are losses (all, unless said).
    order : ndarray (rows,) int64
        The order of the rows in the running pass.
    """

    feeds: Sequence[np.ndarray]
    rows: int
    batch_size: int
    epochs: int
    shuffle: bool
    sums: np.ndarray
    epoch: int = 0
    batch: int = 0  # of the running pass
    past_epochs: int = 0
    steps: int = 0
    passes: int = 0
    fresh: bool = True
    stop_on_nan: bool = False
    stopped_on_nan: bool = False
    watched: Sequence[int] | None = None
    objective: Callable[[np.ndarray], float] | None = None
    rates: np.ndarray | None = None
    seconds: float = 0.1
    max_batches: int = 1 << 62
    max_epochs: int = 1 << 62
    order: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.order = np.arange(self.rows, dtype=np.int64)
        self.max_epochs = min(self.max_epochs, len(self.sums))
        self.steps = min(self.steps or self.batches, self.batches)
        if self.watched is None:
            self.watched = range(self.sums.shape[1])

    def sums_of(self, epoch: int) -> np.ndarray:
        """The accumulators at the end of one of the last epochs."""
        return self.sums[epoch % len(self.sums)]

    @property
    def batches(self) -> int:
        """Batches per pass over the rows; the last can be shorter."""
        return -(-self.rows // self.batch_size)

    @property
    def step(self) -> int:
        """Batches of the running epoch that are done."""
        return self.batch % self.steps


class Executor(ABC):
    """Runs one plan. Subclasses implement the five entries.

    Parameters
    ----------
    plan : Plan
    model : ndarray of uint8
        The MODEL block; shared with the model's variables and its other executors.
    training : ndarray of uint8, optional
        The TRAINING block, of at least the plan's size.
    """

    name = ""

    def __init__(self, plan: Plan, model: np.ndarray, training: np.ndarray | None = None) -> None:
        missing = sorted({s.op.name for s in plan.steps if not self.has(s.op)})
        if missing:
            raise NotImplementedError(
                f"the {self.name} executor has no kernel for: {', '.join(missing)}. "
                f"Choose another one with compile(backend=...)"
            )
        if training is None:
            training = zeros(plan.sizes["training"])
        for block, array in (("model", model), ("training", training)):
            if array.nbytes < plan.sizes[block]:
                raise ValueError(
                    f"the {block} block has {array.nbytes} bytes, "
                    f"the plan needs {plan.sizes[block]}"
                )
        self.plan = plan
        self.blocks = {
            "model": model,
            "training": training,
            "scratch": zeros(plan.sizes["scratch"]),
        }
        self.accumulators = np.ndarray(
            plan.accumulator_count, np.float64, buffer=self.blocks["scratch"].data
        )
        if plan.mode == "train":
            self.control = np.ndarray(
                len(plan.groups), CONTROL, buffer=training.data, offset=plan.control_offset
            )
        else:
            self.control = np.zeros(len(plan.groups), CONTROL)
        self.lock = threading.RLock()  # of calls that change `blocks` or `control`

    @classmethod
    @abstractmethod
    def has(cls, op: Op) -> bool:
        """Whether it can run an op."""

    @property
    def gradient(self) -> np.ndarray:
        """A live view of the flat gradient buffer, in the layout of the parameters."""
        count = self.plan.sizes["parameters"] // np.dtype(self.plan.dtype).itemsize
        return np.ndarray(count, self.plan.dtype, buffer=self.blocks["training"].data)

    def view(self, buffer: Buffer, rows: int | None = None) -> np.ndarray:
        """A live view of a planned buffer, with `rows` rows (its capacity by default)."""
        return buffer.view(self.blocks[buffer.block], self.plan.capacity if rows is None else rows)

    def check(self, feeds: Sequence[np.ndarray], rows: int, at_once: int = 0) -> None:
        """Refuse arrays that do not fit the plan's feeds: an executor reads them unchecked.

        A feed may be of any numeric type and layout: the gather converts it to the plan's type as
        `astype` does, batch by batch, so what does not survive that is refused before. Arrays of
        more than five axes must be contiguous.
        `at_once` is the length of a batch; above the plan's capacity it must come in chunks.
        """
        if at_once > self.plan.capacity and not self.plan.chunks:
            raise ValueError(
                f"{at_once} rows in a batch, the plan has room for {self.plan.capacity}"
            )
        if len(feeds) != len(self.plan.feeds):
            raise ValueError(f"{len(feeds)} arrays, the plan has {len(self.plan.feeds)} feeds")
        for array, buffer in zip(feeds, self.plan.feeds, strict=True):
            wanted = (rows, *buffer.shape[1:])
            if array.shape != wanted or not can_gather(array):
                raise ValueError(
                    f"feed {buffer} needs an array of numbers of shape {wanted}, "
                    f"got {array.dtype} of shape {array.shape}"
                )

    @abstractmethod
    def gradients(
        self,
        feeds: Sequence[np.ndarray],
        *,
        group: int = 0,
        first_row: int = 0,
        batch_rows: int | None = None,
    ) -> np.ndarray:
        """Loss and gradients of one batch, no update.

        Parameters
        ----------
        feeds : sequence of ndarray
            One batch.
        group : int
        first_row, batch_rows : int
            Where these rows stand in a batch that several executors share, and its length.

        Returns
        -------
        ndarray of float64
            The accumulators of this batch; gradients are in the TRAINING block.
        """

    @abstractmethod
    def update(self, *, group: int = 0) -> None:
        """Apply the optimizer of a group to the gradients in the TRAINING block."""

    @abstractmethod
    def train(self, job: Job) -> None:
        """Carry on with a job until it is done or one of its limits is reached."""

    @abstractmethod
    def evaluate(self, feeds: Sequence[np.ndarray], rows: int) -> np.ndarray:
        """The accumulators over all rows."""

    @abstractmethod
    def predict(
        self, feeds: Sequence[np.ndarray], rows: int, outputs: Sequence[np.ndarray]
    ) -> None:
        """Fill `outputs`, one array of `rows` rows per output of the plan."""

    def predict_at_once(self, x: Any) -> np.ndarray | None:
        """The output for x, where an executor sees by itself that x is as it must be.

        None if it does not: then x is checked and given to `predict`.
        """
        return None
