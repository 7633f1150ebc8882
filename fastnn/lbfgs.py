"""L-BFGS: the direction from the last few steps, and a line search along it.

Pure NumPy on flat float64 vectors: w parameters, g their gradient, s = w' - w and y = g' - g of an
earlier step. `optimizers.LBFGS` calls `iterate` once per epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

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
