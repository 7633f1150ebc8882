"""Learning-rate schedules, under Keras' names and with its formulas.

A schedule is a function of the number of training batches that are done. It costs nothing while
training: before a slice, `Optimizer.rates` makes a table of it, one rate per batch, which the
executor reads. With gradient accumulation an update uses the rate of the batch that completes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.utils import Configurable, number, resolve


class LearningRateSchedule(Configurable):
    """Base class.

    A subclass defines `__call__(step)`: the rate after `step` training batches. It may be written
    for one number only; if it works on arrays too, tables of it are made faster.
    """

    def __call__(self, step: Any) -> Any:
        """The rate after `step` batches (a number, or an array of them)."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(step)")

    def table(self, first: int, count: int) -> np.ndarray:
        """The rates of `count` batches, `first` batches being done.

        Returns
        -------
        ndarray (count,) of float64

        Raises
        ------
        ValueError
            A rate is no finite number of 0 or more; the message names the step.
        """
        steps = np.arange(first, first + count)
        try:
            rates = np.asarray(self(steps.astype(np.float64)))
            whole = rates.shape == steps.shape and rates.dtype.kind in "fiu"
        except Exception:  # written for one number
            whole = False
        if not whole:
            rates = np.array([_one(self, int(step)) for step in steps])
        rates = rates.astype(np.float64)
        bad = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if len(bad):
            raise ValueError(
                f"{type(self).__name__} gave {rates[bad[0]]} as the learning rate of step "
                f"{steps[bad[0]]}; expected a finite number of 0 or more"
            )
        return rates

    def _number(self, name: str, value: Any, low: float = 0.0, below: float = math.inf) -> float:
        return number(f"{type(self).__name__}: {name}", value, low, below)

    def _positive(self, name: str, value: Any) -> Any:
        """A number above 0, as it was given."""
        if self._number(name, value) == 0:
            raise ValueError(f"{type(self).__name__}: {name} must be above 0, got {value!r}")
        return value


def _one(schedule: LearningRateSchedule, step: int) -> float:
    """The rate of one step, of a schedule that knows no arrays."""
    rate = schedule(step)
    array = np.asarray(rate)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{type(schedule).__name__} gave {rate!r} as the learning rate of step {step}; "
            "expected a finite number of 0 or more"
        )
    return float(array.reshape(()))


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Above 0.
    decay_rate : float
    staircase : bool, default False
        Round `step / decay_steps` down, so that the rate falls in steps.
    name : str, default "ExponentialDecay"
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._positive("decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: Any) -> Any:
        p = np.asarray(step) / self.decay_steps
        if self.staircase:
            p = np.floor(p)
        return self.initial_learning_rate * self.decay_rate**p


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[0]` up to and with step `boundaries[0]`, then `values[1]`, and so on.

    Parameters
    ----------
    boundaries : list of float
        Increasing.
    values : list of float
        One more than boundaries.
    name : str, default "PiecewiseConstant"
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        self.boundaries = list(boundaries)
        self.values = [self._number("values", v) for v in values]
        self.name = name
        if len(self.values) != len(self.boundaries) + 1 or not self.boundaries:
            raise ValueError(
                f"PiecewiseConstantDecay: values must have one entry more than boundaries, got "
                f"{len(self.values)} values and {len(self.boundaries)} boundaries"
            )
        for boundary in self.boundaries:
            self._number("boundaries", boundary, -math.inf)
        if any(b <= a for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must increase, got {self.boundaries}"
            )

    def __call__(self, step: Any) -> Any:
        return np.array(self.values)[np.searchsorted(self.boundaries, step, side="left")]


class PolynomialDecay(LearningRateSchedule):
    """From the initial rate to the last one: `(first - last) * (1 - step / decay_steps)**power`.

    The last rate is added to that.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Above 0; afterwards the rate stays.
    end_learning_rate : float, default 0.0001
    power : float, default 1.0
        1 is a straight line.
    cycle : bool, default False
        After `decay_steps` rise again: `decay_steps` is multiplied until it is beyond the step.
    name : str, default "PolynomialDecay"
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._positive("decay_steps", decay_steps)
        self.end_learning_rate = self._number("end_learning_rate", end_learning_rate)
        self.power = self._number("power", power)
        self.cycle = bool(cycle)
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = np.asarray(step, np.float64)
        total = self.decay_steps
        if self.cycle:
            total = total * np.maximum(np.ceil(step / total), 1.0)
        p = np.minimum(step, total) / total
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - p) ** self.power + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Above 0.
    decay_rate : float
    staircase : bool, default False
        Round `step / decay_steps` down.
    name : str, default "InverseTimeDecay"
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._positive("decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: Any) -> Any:
        p = np.asarray(step) / self.decay_steps
        if self.staircase:
            p = np.floor(p)
        return self.initial_learning_rate / (1 + self.decay_rate * p)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate down to a part of it (Loshchilov, arXiv 1608.03983).

    With a warm-up the rate first rises in a straight line from `initial_learning_rate` to
    `warmup_target` (Goyal et al., arXiv 1706.02677), and falls from there.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Above 0; steps of the warm-up not counted.
    alpha : float, default 0.0
        The last rate as a part of that at which the decay begins.
    name : str, default "CosineDecay"
    warmup_target : float, optional
    warmup_steps : float, default 0
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._positive("decay_steps", decay_steps)
        self.alpha = self._number("alpha", alpha)
        self.name = name
        self.warmup_target = warmup_target
        if warmup_target is not None:
            self.warmup_target = self._number("warmup_target", warmup_target)
        self.warmup_steps = self._number("warmup_steps", warmup_steps)

    def __call__(self, step: Any) -> Any:
        step = np.asarray(step, np.float64)
        top, warm = self.initial_learning_rate, 0.0
        if self.warmup_target is not None:
            top, warm = self.warmup_target, self.warmup_steps
        p = np.clip(step - warm, 0, self.decay_steps) / self.decay_steps
        rate = top * ((1 - self.alpha) * 0.5 * (1 + np.cos(np.pi * p)) + self.alpha)
        if warm == 0:
            return rate
        rising = self.initial_learning_rate + (top - self.initial_learning_rate) * step / warm
        return np.where(step < warm, rising, rate)


class CosineDecayRestarts(LearningRateSchedule):
    """Half a cosine again and again, each longer than the last (SGDR, arXiv 1608.03983).

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : float
        Length of the first period; above 0.
    t_mul : float, default 2.0
        Each period is so many times as long as the one before; 1 or more.
    m_mul : float, default 1.0
        Each period begins at so many times the rate of the one before.
    alpha : float, default 0.0
        The lowest rate as a part of the initial one.
    name : str, default "SGDRDecay"
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = self._positive("first_decay_steps", first_decay_steps)
        self.t_mul = self._number("t_mul", t_mul, low=1.0)
        self.m_mul = self._number("m_mul", m_mul)
        self.alpha = self._number("alpha", alpha)
        self.name = name

    def __call__(self, step: Any) -> Any:
        done = np.asarray(step, np.float64) / self.first_decay_steps
        if self.t_mul == 1:
            period = np.floor(done)
            p = done - period
        else:
            # Periods 0 .. n-1 are (t_mul^n - 1) / (t_mul - 1) first periods long.
            t = self.t_mul
            period = np.floor(np.log(1 - done * (1 - t)) / np.log(t))
            # Where a period begins, the logarithm can be a rounding error too low or too high.
            period += (t ** (period + 1) - 1) / (t - 1) <= done
            period -= (t**period - 1) / (t - 1) > done
            p = (done - (t**period - 1) / (t - 1)) / t**period
        cosine = 0.5 * self.m_mul**period * (1 + np.cos(np.pi * p))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


class OneCycle(LearningRateSchedule):
    """One rise and one fall of the rate (Smith and Topin, arXiv 1708.07120).

    As PyTorch's OneCycleLR: from `max_learning_rate / div_factor` up to `max_learning_rate`, which
    is reached at step `pct_start * total_steps - 1`, then down to the first rate divided by
    `final_div_factor` at step `total_steps - 1`, where it stays.

    Parameters
    ----------
    max_learning_rate : float
    total_steps : int
        Batches of the whole training; 2 or more.
    pct_start : float, default 0.3
        Part of the steps in which the rate rises.
    anneal_strategy : {"cos", "linear"}, default "cos"
    div_factor : float, default 25.0
    final_div_factor : float, default 1e4
    three_phase : bool, default False
        Fall as long as it rose, to the first rate, and spend the rest of the steps on the way to
        the last one.
    name : str, default "OneCycle"
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        name: str = "OneCycle",
    ) -> None:
        self.max_learning_rate = self._number("max_learning_rate", max_learning_rate)
        self.total_steps = int(self._number("total_steps", total_steps, low=2))
        self.pct_start = self._number("pct_start", pct_start, low=0, below=1)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycle: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.anneal_strategy = anneal_strategy
        self.div_factor = float(self._positive("div_factor", div_factor))
        self.final_div_factor = float(self._positive("final_div_factor", final_div_factor))
        self.three_phase = bool(three_phase)
        self.name = name
        if self.pct_start * self.total_steps <= 1 or 2 * self.pct_start >= 1 and three_phase:
            raise ValueError(
                f"OneCycle: pct_start={pct_start!r} of {self.total_steps} steps leaves no room for "
                "each phase; the rise must be longer than a step, and with three_phase shorter "
                "than half of all"
            )

    def __call__(self, step: Any) -> Any:
        top, last = self.max_learning_rate, self.total_steps - 1
        first = top / self.div_factor
        lowest = first / self.final_div_factor
        rise = self.pct_start * self.total_steps - 1
        times, rates = [0.0, rise, last], [first, top, lowest]
        if self.three_phase:
            times[2:2], rates[2:2] = [2 * rise], [first]
        step = np.clip(np.asarray(step, np.float64), 0, last)
        phase = np.clip(np.searchsorted(times, step, side="left") - 1, 0, len(times) - 2)
        begin, end = np.array(times)[phase], np.array(times)[phase + 1]
        p = (step - begin) / (end - begin)
        start, stop = np.array(rates)[phase], np.array(rates)[phase + 1]
        if self.anneal_strategy == "linear":
            return start + (stop - start) * p
        return stop + (start - stop) / 2 * (1 + np.cos(np.pi * p))


class WarmUp(LearningRateSchedule):
    """A straight rise from 0 (or another rate) to where another schedule begins, then that one.

    Parameters
    ----------
    schedule : LearningRateSchedule or float
        What follows; its step 0 is the end of the warm-up.
    warmup_steps : int
        Above 0.
    initial_learning_rate : float, default 0.0
    name : str, default "WarmUp"
    """

    def __init__(
        self,
        schedule: Any,
        warmup_steps: int,
        initial_learning_rate: float = 0.0,
        name: str = "WarmUp",
    ) -> None:
        self.schedule = schedule if _is_number(schedule) else get(schedule)
        if _is_number(schedule):
            self._number("schedule", schedule)
        self.warmup_steps = self._positive("warmup_steps", warmup_steps)
        self.initial_learning_rate = self._number("initial_learning_rate", initial_learning_rate)
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = np.asarray(step, np.float64)
        schedule: Any = self.schedule
        top = schedule if _is_number(schedule) else schedule(0)
        first = self.initial_learning_rate
        rising = first + (top - first) * step / self.warmup_steps
        rest = np.maximum(step - self.warmup_steps, 0)
        if _is_number(schedule):
            after = schedule
        elif rest.ndim == 0:
            after = schedule(rest[()])
        else:
            after = np.array([schedule(s) for s in rest])
        return np.where(step < self.warmup_steps, rising, after)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


_CLASSES: dict[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay,
        CosineDecayRestarts, OneCycle, WarmUp,
    )
}  # fmt: skip


def get(identifier: Any) -> LearningRateSchedule:
    """The schedule for an object or its description.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    return resolve("schedule", identifier, LearningRateSchedule, _CLASSES)
