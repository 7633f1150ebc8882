"""Optimizers, under Keras' names and with its defaults.

An optimizer is two things: its settings, and `step`, which emits the op that updates one range of
parameters. The formulas are in `fastnn.ops.optimizers`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor
from fastnn.utils import Configurable, number, resolve, snake_case

Slot = Callable[[str], Tensor]


class Optimizer(Configurable):
    """Base class.

    Parameters
    ----------
    learning_rate : float
        0 or more. Can be changed later: `model.optimizer.learning_rate = 1e-4`.
    gradient_accumulation_steps : int, optional
        Batches per update; their gradients are averaged.
    name : str, optional

    Raises
    ------
    ValueError
        A setting is out of its range, or is not supported.
    """

    iterations = 0  # updates done; training keeps it current
    schedule: Any = None

    def __init__(
        self,
        learning_rate: float = 0.001,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unsupported: Any,
    ) -> None:
        self.name = name or snake_case(type(self).__name__)
        for key, value in unsupported.items():
            if key not in _KERAS_ARGUMENTS:
                raise TypeError(f"{type(self).__name__} has no argument {key!r}")
            if value is not None and value is not False and value != _KERAS_ARGUMENTS[key]:
                raise ValueError(
                    f"{type(self).__name__}: {key}={value!r} is not supported; leave it out"
                )
        k = gradient_accumulation_steps
        integral = isinstance(k, numbers.Integral) and not isinstance(k, bool)
        if k is not None and (not integral or k < 1):
            raise ValueError(
                f"gradient_accumulation_steps must be an integer of 1 or more, got {k!r}"
            )
        self.gradient_accumulation_steps = 1 if k is None else int(k)
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """The rate of the next update."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._learning_rate = self._number("learning_rate", value, low=0.0)

    def rates(self, iteration: int, step: int, batches: int) -> Any:
        """The rates of the next `batches` batches; None where the rate stays as it is.

        Parameters
        ----------
        iteration, step : int
            Updates and batches that are done.
        """
        return None

    def step(self, w: Tensor, g: Tensor, slot: Slot, rate_factor: float) -> None:
        """Emit the update of parameters `w` by their gradient `g`.

        `slot(name)` gives a buffer like `w` that lasts; the rate is multiplied by `rate_factor`.
        """
        raise NotImplementedError

    def _number(self, name: str, value: Any, low: float, below: float = math.inf) -> float:
        return number(f"{type(self).__name__}: {name}", value, low, below)


# Arguments of Keras that do not exist here yet, with the value that has no effect.
_KERAS_ARGUMENTS = {
    "amsgrad": False, "weight_decay": None, "clipnorm": None, "clipvalue": None,
    "global_clipnorm": None, "use_ema": False, "ema_momentum": 0.99,
    "ema_overwrite_frequency": None, "loss_scale_factor": None,
}  # fmt: skip


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    Parameters
    ----------
    learning_rate : float, default 0.01
    momentum : float, default 0.0
        At least 0, below 1.
    nesterov : bool, default False
        Nesterov's form of momentum (Sutskever et al., ICML 2013).
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = self._number("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)

    def step(self, w: Tensor, g: Tensor, slot: Slot, rate_factor: float) -> None:
        if self.momentum == 0:
            emit("sgd", w, g, rate_factor=rate_factor)
            return
        emit(
            "momentum", w, g, slot("velocity"), rate_factor=rate_factor,
            momentum=self.momentum, nesterov=self.nesterov,
        )  # fmt: skip


class RMSprop(Optimizer):
    """The gradient divided by a running root mean square (Tieleman and Hinton, 2012).

    Parameters
    ----------
    learning_rate : float, default 0.001
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
        learning_rate: float = 0.001,
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

    def step(self, w: Tensor, g: Tensor, slot: Slot, rate_factor: float) -> None:
        average = slot("average_gradient") if self.centered else None
        velocity = slot("velocity") if self.momentum else None
        emit(
            "rmsprop", w, g, slot("mean_square"), average, velocity, rate_factor=rate_factor,
            rho=self.rho, epsilon=self.epsilon, momentum=self.momentum,
        )  # fmt: skip


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, arXiv 1412.6980).

    Parameters
    ----------
    learning_rate : float, default 0.001
    beta_1, beta_2 : float, default 0.9 and 0.999
        Decay of the means of the gradient and of its square.
    epsilon : float, default 1e-7
        Added to the root of the second mean before its bias is corrected.
    amsgrad : bool, default False
        True is not supported.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, amsgrad=amsgrad, **kwargs)
        self.beta_1 = self._number("beta_1", beta_1, 0, 1)
        self.beta_2 = self._number("beta_2", beta_2, 0, 1)
        self.epsilon = self._number("epsilon", epsilon, 0)

    def step(self, w: Tensor, g: Tensor, slot: Slot, rate_factor: float) -> None:
        emit(
            "adam", w, g, slot("m"), slot("v"), rate_factor=rate_factor,
            beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon,
        )  # fmt: skip


_CLASSES: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name ("adam"), a class or an object.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    return resolve("optimizer", identifier, Optimizer, _CLASSES)
