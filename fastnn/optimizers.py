"""Optimizers, under Keras' names and with its defaults.

An optimizer is two things: its settings, and `step`, which emits the op that updates one range of
parameters. The formulas are in `fastnn.ops.optimizers`; what all optimizers have in common (clipped
gradients, averages of the weights ...) is put around them by `engine.build`.
"""

from __future__ import annotations

import fnmatch
import functools
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn import lbfgs, schedules
from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor, Variable
from fastnn.utils import Configurable, arguments, describe, number, resolve, snake_case

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

    def settings(self) -> tuple[str, ...]:
        """All that plans depend on: when it changes, they are made anew."""
        own: Any = type(self)
        values = [repr(getattr(self, name, None)) for name in _setting_names(own)]
        return (*values, self._excluded_names, *(str(id(v)) for v in self._excluded))

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


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.01
    momentum : float, default 0.0
        At least 0, below 1.
    nesterov : bool, default False
        Nesterov's form of momentum (Sutskever et al., ICML 2013).
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = self._number("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        if self.momentum == 0:
            emit("sgd", w, g, **row)
            return
        emit(
            "momentum", w, g, slot("velocity"), momentum=self.momentum, nesterov=self.nesterov,
            **row,
        )  # fmt: skip


class RMSprop(Optimizer):
    """The gradient divided by a running root mean square (Tieleman and Hinton, 2012).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    rho : float, default 0.9
        Decay of the mean square.
    momentum : float, default 0.0
    epsilon : float, default 1e-7
        Inside the root.
    centered : bool, default False
        Divide by the standard deviation instead.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = self._number("rho", rho, 0, 1)
        self.momentum = self._number("momentum", momentum, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)
        self.centered = bool(centered)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        average = slot("average_gradient") if self.centered else None
        velocity = slot("velocity") if self.momentum else None
        emit(
            "rmsprop", w, g, slot("mean_square"), average, velocity, rho=self.rho,
            epsilon=self.epsilon, momentum=self.momentum, **row,
        )  # fmt: skip


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, arXiv 1412.6980).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the means of the gradient and of its square.
    epsilon : float, default 1e-7
        Added to the root of the second mean before its bias is corrected.
    amsgrad : bool, default False
        Divide by the largest second mean so far (Reddi, Kale and Kumar, ICLR 2018).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = self._number("beta_1", beta_1, 0, 1)
        self.beta_2 = self._number("beta_2", beta_2, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)
        self.amsgrad = bool(amsgrad)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        largest = slot("v_max") if self.amsgrad else None
        emit(
            "adam", w, g, slot("m"), slot("v"), largest, beta_1=self.beta_1, beta_2=self.beta_2,
            epsilon=self.epsilon, **row,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay (Loshchilov and Hutter, arXiv 1711.05101).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    weight_decay : float, default 0.004
    beta_1, beta_2, epsilon, amsgrad
        As for Adam.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean square (arXiv 1412.6980, section 7).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the mean of the gradient, and of its largest size.
    epsilon : float, default 1e-7
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = self._number("beta_1", beta_1, 0, 1)
        self.beta_2 = self._number("beta_2", beta_2, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        emit(
            "adamax", w, g, slot("m"), slot("u"), beta_1=self.beta_1, beta_2=self.beta_2,
            epsilon=self.epsilon, **row,
        )  # fmt: skip


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2016).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the means of the gradient and of its square.
    epsilon : float, default 1e-7
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = self._number("beta_1", beta_1, 0, 1)
        self.beta_2 = self._number("beta_2", beta_2, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        emit(
            "nadam", w, g, slot("m"), slot("v"), beta_1=self.beta_1, beta_2=self.beta_2,
            epsilon=self.epsilon, **row,
        )  # fmt: skip


class Adagrad(Optimizer):
    """The gradient divided by the root of the sum of its squares (Duchi et al., JMLR 12, 2011).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    initial_accumulator_value : float, default 0.1
        What the sum of squares starts with.
    epsilon : float, default 1e-7
        Inside the root.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = self._number(
            "initial_accumulator_value", initial_accumulator_value, 0
        )
        self.epsilon = self._number("epsilon", epsilon, 0)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        squares = slot("square_sum", initial=self.initial_accumulator_value)
        emit("adagrad", w, g, squares, epsilon=self.epsilon, **row)


class Adadelta(Optimizer):
    """Steps as large as the last ones, relative to the gradient (Zeiler, arXiv 1212.5701).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
        The paper has none, which is 1.
    rho : float, default 0.95
        Decay of the means of the squares of gradients and of steps.
    epsilon : float, default 1e-7
        Inside the roots.
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = self._number("rho", rho, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        emit(
            "adadelta", w, g, slot("mean_square"), slot("mean_square_step"), rho=self.rho,
            epsilon=self.epsilon, **row,
        )  # fmt: skip


class Lion(Optimizer):
    """The sign of a mean gradient (Chen et al., arXiv 2302.06675).

    Its rate should be 3 to 10 times smaller than Adam's, its weight decay as much larger.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.99
        How much of the mean gradient goes into the step, and stays.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = self._number("beta_1", beta_1, 0, 1)
        self.beta_2 = self._number("beta_2", beta_2, 0, 1)

    def step(self, w: Tensor, g: Tensor, slot: Slot, **row: Any) -> None:
        emit("lion", w, g, slot("m"), beta_1=self.beta_1, beta_2=self.beta_2, **row)


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
            new_w, new_loss, new_g = lbfgs.iterate(
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


_CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, LBFGS)
}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name ("adam"), a class or an object.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    return resolve("optimizer", identifier, Optimizer, _CLASSES)
