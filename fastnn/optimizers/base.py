"""The base class of all optimizers: the settings they share, and what plans are made of."""

from __future__ import annotations

import fnmatch
import functools
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.ops.tensor import Tensor, Variable
from fastnn.optimizers import schedules
from fastnn.utils import Configurable, arguments, describe, number, snake_case

Slot = Callable[..., Tensor]


class Optimizer(Configurable):
    """Base class. All optimizers take these arguments, after their own.

    Settings can be changed at any time, `model.optimizer.learning_rate = 1e-4`; the next training
    uses them and goes on with the state that it has.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        0 or more.
    weight_decay : float, optional
        Before each update the weights lose `weight_decay * learning_rate` of themselves.
    clipnorm : float, optional
        The gradient of each weight is shortened to this norm.
    clipvalue : float, optional
        Each number in a gradient is clipped to `-clipvalue .. clipvalue`.
    global_clipnorm : float, optional
        All gradients together are shortened to this norm. At most one of the three can be given.
    use_ema : bool, default False
        Keep a moving average of the weights, which takes their place at the end of `fit`.
    ema_momentum : float, default 0.99
        `average = ema_momentum * average + (1 - ema_momentum) * weight`, after each batch.
    ema_overwrite_frequency : int, optional
        The average also takes the weights' place at each so many updates.
    loss_scale_factor : float, optional
        Accepted for Keras' sake, without effect: only half precision needs it.
    gradient_accumulation_steps : int, optional
        Batches per update; their gradients are averaged.
    name : str, optional
    layer_rates : dict, optional
        Factors of the learning rate: `{"dense_1": 0.1, "encoder*": 0}`. A key is the name of a
        layer, the path of a weight ("dense_1/bias"), or a pattern of either with * and ?; the first
        that fits counts. 0 freezes.

    Raises
    ------
    ValueError
        A setting is out of its range, or is not supported.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        layer_rates: Mapping[str, float] | None = None,
        **unknown: Any,
    ) -> None:
        for key in unknown:
            raise TypeError(f"{type(self).__name__} has no argument {key!r}")
        self.name = name or snake_case(type(self).__name__)
        self.iterations = 0  # updates done; training keeps it current
        self._batches = 0  # training batches done: what a schedule counts
        self._excluded: tuple[Variable, ...] = ()
        self._excluded_names = ""
        self.weight_decay = None if weight_decay is None else self._number(
            "weight_decay", weight_decay, 0)  # fmt: skip
        limits = {
            "clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm,
        }  # fmt: skip
        for key, limit in limits.items():
            if limit is not None and self._number(key, limit, 0) == 0:
                raise ValueError(f"{type(self).__name__}: {key} must be above 0, got {limit!r}")
        given = {key: limit for key, limit in limits.items() if limit is not None}
        if len(given) > 1:
            raise ValueError(
                f"{type(self).__name__}: give only one of clipnorm, clipvalue and global_clipnorm, "
                f"got {', '.join(f'{key}={limit!r}' for key, limit in given.items())}"
            )
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema = bool(use_ema)
        self.ema_momentum = self._number("ema_momentum", ema_momentum, 0)
        if self.ema_momentum > 1:
            raise ValueError(
                f"{type(self).__name__}: ema_momentum must be a number from 0 to 1, got "
                f"{ema_momentum!r}"
            )
        self.ema_overwrite_frequency = self._steps(
            "ema_overwrite_frequency", ema_overwrite_frequency
        )
        if loss_scale_factor is not None:
            loss_scale_factor = self._number("loss_scale_factor", loss_scale_factor, 0)
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = (
            self._steps("gradient_accumulation_steps", gradient_accumulation_steps) or 1
        )
        self.layer_rates = self._layer_rates(layer_rates)
        self._schedule: schedules.LearningRateSchedule | None = None
        self.learning_rate = learning_rate

    # --- the learning rate ---

    @property
    def learning_rate(self) -> float:
        """The rate of the next batch."""
        if self._schedule is not None:
            return float(self._schedule.table(self._batches, 1)[0])
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, (schedules.LearningRateSchedule, dict)):
            self._schedule = schedules.get(value)
            return
        rate = self._number("learning_rate", value, low=0.0)
        if self._schedule is not None:
            raise TypeError(
                f"{type(self).__name__}: the learning rate follows "
                f"{type(self._schedule).__name__} and cannot be set to {value!r}; set it to "
                "another schedule, or make the optimizer with a number"
            )
        self._learning_rate = rate

    @property
    def schedule(self) -> schedules.LearningRateSchedule | None:
        """The schedule of the learning rate, if it has one."""
        return self._schedule

    def rates(self, iteration: int, step: int, batches: int) -> np.ndarray | None:
        """The rates of the next batches, as a schedule has them; None without one.

        Parameters
        ----------
        iteration : int
            Updates done.
        step : int
            Training batches done: what a schedule counts, as in Keras.
        batches : int

        Raises
        ------
        ValueError
            The schedule gives no rate; the message names the step.
        """
        return None if self._schedule is None else self._schedule.table(step, batches)

    def reached(self, iteration: int, step: int) -> None:
        """Training is here: so many updates and batches are done."""
        self.iterations, self._batches = int(iteration), int(step)

    # --- what plans are made of ---

    full_batch = False  # whether it needs all rows at once

    def train(self, executor: Any, job: Any) -> None:
        """One slice of a training. Here: the executor's own loop over batches."""
        executor.train(job)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        """Emit the update of parameters `w` by their gradient `g`.

        `slot(name, initial=0.0)` gives a buffer like `w` that lasts; `row` (the rate factor and the
        weight decay of these parameters) is handed on to the op.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no step(w, g, slot, **row)")

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave some weights out of the weight decay.

        Parameters
        ----------
        var_list : list of Variable, optional
        var_names : list of str, optional
            Regular expressions: weights whose name (such as "bias") contains one are left out.
        """
        self._excluded = tuple(var_list or ())
        for variable in self._excluded:
            if not isinstance(variable, Variable):
                raise TypeError(
                    f"exclude_from_weight_decay: var_list holds weights such as layer.kernel, got "
                    f"{variable!r}"
                )
        if isinstance(var_names, str):
            raise TypeError(f"exclude_from_weight_decay: var_names is a list, got {var_names!r}")
        self._excluded_names = "|".join(var_names or ())

    def decay_of(self, variable: Variable) -> float:
        """The weight decay of a variable."""
        named = self._excluded_names and re.search(self._excluded_names, variable.name)
        if not self.weight_decay or named or any(v is variable for v in self._excluded):
            return 0.0
        return float(self.weight_decay)

    def factor_of(self, variable: Variable) -> float:
        """What the learning rate of a variable is multiplied by."""
        for pattern, factor in self.layer_rates.items():
            if _fits(pattern, variable):
                return factor
        return 1.0

    def settings(self) -> tuple[Any, ...]:
        """All that plans depend on: when it changes, they are made anew."""
        own: Any = type(self)
        values = [getattr(self, name, None) for name in _setting_names(own)]
        values = [v if type(v) in (float, bool, type(None)) else repr(v) for v in values]
        return (*values, self._excluded_names, *(id(v) for v in self._excluded))

    def check(self, variables: Sequence[Variable]) -> None:
        """Refuse settings that were changed to what the constructor would not take.

        Raises
        ------
        ValueError
            As the constructor; or `layer_rates` names what is not among the variables.
        """
        own: Any = type(self)
        names = _setting_names(own)
        if all(hasattr(self, name) for name in names):
            own(**{name: getattr(self, name) for name in names})
        for pattern in self.layer_rates:
            if not any(_fits(pattern, v) for v in variables):
                layers = dict.fromkeys(v.layer_name for v in variables)
                raise ValueError(
                    f"{type(self).__name__}: layer_rates names {pattern!r}, which fits no layer; "
                    f"those with weights are: {', '.join(layers)}"
                )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self._schedule is not None:
            config["learning_rate"] = describe(self._schedule)
        return config

    # --- checks ---

    def _number(self, name: str, value: Any, low: float, below: float = math.inf) -> float:
        return number(f"{type(self).__name__}: {name}", value, low, below)

    def _steps(self, name: str, value: Any) -> int | None:
        integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if value is not None and (not integral or value < 1):
            raise ValueError(f"{name} must be an integer of 1 or more, got {value!r}")
        return None if value is None else int(value)

    def _layer_rates(self, given: Any) -> dict[str, float]:
        if given is not None and not isinstance(given, Mapping):
            raise ValueError(
                f"{type(self).__name__}: layer_rates must be a dictionary such as "
                f"{{'dense_1': 0.1}}, got {given!r}"
            )
        return {
            str(name): self._number(f"layer_rates[{name!r}]", factor, 0)
            for name, factor in (given or {}).items()
        }


def _fits(pattern: str, variable: Variable) -> bool:
    return any(fnmatch.fnmatchcase(n, pattern) for n in (variable.layer_name, variable.path))


@functools.lru_cache
def _setting_names(cls: Any) -> tuple[str, ...]:
    """The constructor's arguments, without those that no plan depends on."""
    return tuple(n for n in arguments(cls) if n not in ("learning_rate", "name"))
