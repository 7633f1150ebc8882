"""Gradient descent and its relatives: settings, and the op that updates a range of parameters.

The formulas are in `fastnn.ops.optimizers`.
"""

from __future__ import annotations

from typing import Any

from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor
from fastnn.optimizers.base import Optimizer, Slot


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
