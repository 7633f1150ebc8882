"""L-BFGS: the direction from the last few steps, and a line search along it.

Pure NumPy on flat float64 vectors: w parameters, g their gradient, s = w' - w and y = g' - g of an
earlier step. The optimizer, `LBFGS`, calls `iterate` once per epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.ops.tensor import Tensor
from fastnn.optimizers.base import Optimizer, Slot

Vector = np.ndarray
Pairs = Sequence[tuple[Vector, Vector]]  # (s, y), the newest first

DECREASE, CURVATURE = 1e-4, 0.9  # the constants c1 and c2 of the strong Wolfe conditions


class Point(NamedTuple):
    """A place on the way: how far along the direction, the loss there and its gradient."""

    at: float
    loss: float
    gradient: Vector
    slope: float  # of the loss along the direction


def direction(g: Vector, pairs: Pairs) -> Vector:
    """-H g, with H the inverse Hessian that the pairs tell of.

    Nocedal and Wright, Numerical Optimization (2006), algorithm 7.4; Liu and Nocedal (1989).
    """
    q = -g
    known = [(s, y, float(s @ y)) for s, y in pairs]
    known = [(s, y, sy) for s, y, sy in known if sy > 0]
    alphas = []
    for s, y, sy in known:
        alpha = float(s @ q) / sy
        alphas.append(alpha)
        q = q - alpha * y
    if known:
        _, y, sy = known[0]
        q = q * (sy / float(y @ y))
    for (s, y, sy), alpha in zip(reversed(known), reversed(alphas), strict=True):
        q = q + (alpha - float(y @ q) / sy) * s
    return q


def line_search(
    evaluate: Callable[[float], Point], start: Point, first: float, evaluations: int
) -> Point:
    """A point that fulfils the strong Wolfe conditions, or the best one that was found.

    Nocedal and Wright, algorithms 3.5 (which brackets) and 3.6 (which closes in).

    Parameters
    ----------
    evaluate : callable
        The point at a distance.
    start : Point
        At distance 0; its slope is negative.
    first : float
        The distance to try first.
    evaluations : int
        At most so many points are evaluated.
    """
    best, last, at = start, start, first
    for number in range(evaluations):
        point = evaluate(at)
        if point.loss < best.loss:
            best = point
        if not _decreases(point, start) or (number > 0 and point.loss >= last.loss):
            return _zoom(evaluate, start, last, point, best, evaluations - number - 1)
        if abs(point.slope) <= -CURVATURE * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(evaluate, start, point, last, best, evaluations - number - 1)
        last, at = point, 2 * at
    return best


def _decreases(point: Point, start: Point) -> bool:
    """Whether the loss is low enough; NaN is not."""
    return point.loss <= start.loss + DECREASE * point.at * start.slope


def _zoom(
    evaluate: Callable[[float], Point],
    start: Point,
    low: Point,
    high: Point,
    best: Point,
    evaluations: int,
) -> Point:
    """Close in between `low`, which has the lower loss, and `high`."""
    for _ in range(evaluations):
        point = evaluate(_between(low, high))
        if point.loss < best.loss:
            best = point
        if not _decreases(point, start) or point.loss >= low.loss:
            high = point
        else:
            if abs(point.slope) <= -CURVATURE * start.slope:
                return point
            if point.slope * (high.at - low.at) >= 0:
                high = low
            low = point
        if abs(high.at - low.at) <= 1e-12 * max(1.0, abs(low.at)):
            break
    return best


def _between(low: Point, high: Point) -> float:
    """The minimum of the cubic through both (3.59), kept away from the ends; else the middle."""
    width = high.at - low.at
    middle = low.at + width / 2
    if not math.isfinite(high.loss) or not math.isfinite(high.slope):
        return middle
    d1 = low.slope + high.slope - 3 * (low.loss - high.loss) / (low.at - high.at)
    square = d1 * d1 - low.slope * high.slope
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    divisor = high.slope - low.slope + 2 * d2
    if divisor == 0:
        return middle
    at = high.at - width * (high.slope + d2 - d1) / divisor
    inner = sorted((low.at + 0.1 * width, high.at - 0.1 * width))
    return at if inner[0] <= at <= inner[1] else middle


def iterate(
    evaluate: Callable[[Vector], tuple[float, Vector]],
    w: Vector,
    loss: float,
    g: Vector,
    pairs: Pairs,
    rate: float,
    evaluations: int,
) -> tuple[Vector, float, Vector]:
    """One step from w, where the loss and its gradient are known: the new w, loss and gradient.

    w itself comes back where no lower loss was found.
    """
    for known in (pairs, ()):  # where the pairs mislead: once more, straight downhill
        d = direction(g, known)
        slope = float(g @ d)
        if slope >= 0 or not math.isfinite(slope):
            continue
        trusted = any(float(s @ y) > 0 for s, y in known)
        first = rate if trusted else rate * min(1.0, 1 / float(np.abs(g).sum()))

        def at(distance: float, d: Vector = d) -> Point:
            there, gradient = evaluate(w + distance * d)
            return Point(distance, there, gradient, float(gradient @ d))

        found = line_search(at, Point(0.0, loss, g, slope), first, evaluations)
        if found.at > 0:
            return w + found.at * d, found.loss, found.gradient
        if not trusted:
            break
    return w, loss, g


class LBFGS(Optimizer):
    """L-BFGS with a strong Wolfe line search (Liu and Nocedal, Mathematical Programming 45, 1989).

    For small networks and smooth losses: an epoch is one iteration on all rows together, whatever
    the `batch_size`, and evaluates the loss as often as its line search needs. The loss that an
    epoch reports is that after its iteration; `fit` ends before its epochs are done where a
    tolerance is reached. Layers that draw random numbers are refused.

    Parameters
    ----------
    learning_rate : float, default 1.0
        The distance that the line search tries first, in units of the quasi-Newton step.
    history_size : int, default 10
        Steps that the curvature is told from.
    max_line_search : int, default 25
        Evaluations of the loss in one iteration at most.
    tolerance_grad : float, default 1e-7
        Training ends where no number in the gradient is larger.
    tolerance_change : float, default 1e-9
        Training ends where loss or weights changed by less.
    name : str, optional

    Raises
    ------
    ValueError
        A setting is out of its range; while training: the model has layers such as Dropout.
    """

    full_batch = True

    def __init__(
        self,
        learning_rate: float = 1.0,
        history_size: int = 10,
        max_line_search: int = 25,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name=name)
        if self.schedule is not None or self.learning_rate == 0:
            raise ValueError(f"LBFGS: learning_rate must be above 0, got {learning_rate!r}")
        for key, value in (("history_size", history_size), ("max_line_search", max_line_search)):
            if self._steps(f"LBFGS: {key}", value) is None:
                raise ValueError(f"LBFGS: {key} must be an integer of 1 or more, got None")
        self.history_size, self.max_line_search = int(history_size), int(max_line_search)
        self.tolerance_grad = self._number("tolerance_grad", tolerance_grad, 0)
        self.tolerance_change = self._number("tolerance_change", tolerance_change, 0)
        self._last: tuple[Any, ...] = (None,)  # the job, and where it stands

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        for i in range(self.history_size):  # slots only: `train` does what an op would
            slot(f"s{i}")
            slot(f"y{i}")

    def train(self, executor: Any, job: Any) -> None:
        plan = executor.plan
        if job.objective is None or plan.groups[0].every > 1:
            raise ValueError("LBFGS trains with fit on arrays: it needs all rows at once")
        for step in plan.steps:
            if "stream" in step.attrs:
                raise ValueError(
                    f"LBFGS: the loss must be the same each time it is computed, but this model "
                    f"draws random numbers ({step.op.name}); leave that layer out, or choose "
                    "another optimizer"
                )
        section = plan.control_offset // (1 + len(plan.slots))
        places = sorted(
            {(b.offset, b.nbytes) for s in plan.steps for b in s.outputs
             if b is not None and b.block == "training" and b.end <= section}
        )  # fmt: skip

        def parts(block: str, start: int) -> list[np.ndarray]:
            data = executor.blocks[block]
            return [data[start + a : start + a + n].view(plan.dtype) for a, n in places]

        def read(block: str, number: int = 0) -> np.ndarray:
            joined = [np.zeros(0), *parts(block, number * section)]
            return np.concatenate(joined).astype(np.float64)

        def write(values: np.ndarray, block: str, number: int = 0) -> None:
            start = 0
            for part in parts(block, number * section):
                part[...] = values[start : start + part.size]
                start += part.size

        def evaluate(w: np.ndarray) -> tuple[float, np.ndarray]:
            write(w, "model")
            sums[...] = executor.gradients(job.feeds)
            loss, g = job.objective(sums), read("training")
            latest[:] = [w, loss, g]
            return loss, g

        latest: list[Any] = [None]
        sums = np.zeros(job.sums.shape[1])
        names = list(plan.slots)
        slots = [
            [1 + names.index(f"0/{kind}{i}") for kind in "sy"]
            for i in range(self.history_size)
            if f"0/s{i}" in names
        ]
        w = read("model")
        if self._last[0] is job and np.array_equal(self._last[1], w):
            _, _, loss, g, sums[...] = self._last
        else:
            loss, g = evaluate(w)
        job.stopped_on_nan = job.stop_on_nan and not math.isfinite(loss)
        steep = float(np.abs(g).max(initial=0.0))
        ready = steep <= self.tolerance_grad
        if math.isfinite(loss) and not ready:
            before = sums.copy()
            pairs = [(read("training", s), read("training", y)) for s, y in slots]
            new_w, new_loss, new_g = iterate(
                evaluate, w, loss, g, pairs, self.learning_rate, self.max_line_search
            )
            # Weights are kept in the float type of the model: the point is what they became there.
            moved = new_w is not w
            if moved:
                if latest[0] is None or not np.array_equal(latest[0], new_w):
                    new_loss, new_g = evaluate(new_w)
                new_w = read("model")
                pairs = [(new_w - w, new_g - g), *pairs[:-1]]
                for (s, y), (ds, dy) in zip(slots, pairs, strict=True):
                    write(ds, "training", s)
                    write(dy, "training", y)
            else:
                write(w, "model")
                sums[...] = before
            change = float(np.abs(new_w - w).max(initial=0.0))
            ready = not moved or min(change, abs(new_loss - loss)) <= self.tolerance_change
            w, loss, g = new_w, new_loss, new_g
        self._last = (job, w, loss, g, sums)
        job.sums_of(job.epoch)[:] = sums
        executor.control["step"] += 1
        executor.control["iteration"] += 1
        job.epoch += 1
        job.passes += 1
        if ready:
            job.epochs = job.epoch
