"""Losses: what `compile(loss=...)` accepts.

A loss emits one op that adds `weight * loss` summed over rows to an accumulator; the mean that
users see divides by rows and elements ("sum_over_batch_size", the only reduction). The formulas
are in `fastnn.ops.losses`. A cross-entropy after softmax or sigmoid is computed from the logits.
"""

from __future__ import annotations

from typing import Any

from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor, at_rows, count
from fastnn.utils import Configurable, resolve, snake_case


class Loss(Configurable):
    """Base class.

    Parameters
    ----------
    reduction : {"sum_over_batch_size"}
    name : str, optional

    Attributes
    ----------
    target : {"like", "labels"}
        Whether y_true looks like the prediction, or holds one class index per row.
    bounded : bool
        Whether y_true holds probabilities, from 0 to 1.
    """

    target = "like"
    bounded = False

    def __init__(
        self, reduction: str = "sum_over_batch_size", name: str | None = None, **unsupported: Any
    ) -> None:
        for key, value in unsupported.items():
            if key not in ("axis", "dtype"):
                raise TypeError(f"{type(self).__name__} has no argument {key!r}")
            if value is not None and (key, value) != ("axis", -1):
                raise ValueError(
                    f"{type(self).__name__}: {key}={value!r} is not supported; leave it out"
                )
        if reduction not in ("sum_over_batch_size", "auto"):
            raise ValueError(
                f"{type(self).__name__}: reduction {reduction!r} is not supported; "
                "choose one of: sum_over_batch_size"
            )
        self.name = name or snake_case(type(self).__name__)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        """Emit the loss; returns its accumulator (sum of weight * loss, sum of weights)."""
        raise NotImplementedError

    def elements(self, y_pred: Tensor) -> int:
        """Elements of a row that the loss is a mean over."""
        return at_rows(count(y_pred.shape), 1)

    def check(self, y_pred: Tensor) -> None:
        """Raise ValueError where this loss cannot follow such an output."""


class _Elementwise(Loss):
    function = ""

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        return emit("elementwise_loss", y_pred, y_true, weight, function=self.function)


class MeanSquaredError(_Elementwise):
    """mean((y_pred - y_true)^2)."""

    function = "squared_error"


class MeanAbsoluteError(_Elementwise):
    """mean(|y_pred - y_true|)."""

    function = "absolute_error"


def _made_by(tensor: Tensor, op: str, **attrs: Any) -> Tensor | None:
    """The input of the op that made `tensor`, if it was that op."""
    node = tensor.node
    if node is None or node.op.name != op or any(node.attrs[k] != v for k, v in attrs.items()):
        return None
    return node.inputs[0]


class _Crossentropy(Loss):
    """What the cross-entropies share: probabilities as targets, and logits instead of outputs."""

    bounded = True

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if label_smoothing:
            raise ValueError(f"{self.name}: label_smoothing={label_smoothing!r} is not supported")
        self.from_logits = bool(from_logits)

    def check(self, y_pred: Tensor) -> None:
        node = y_pred.node
        made = node.attrs.get("activation", node.op.name) if node is not None else None
        if self.from_logits and made in ("softmax", "sigmoid"):
            raise ValueError(
                f"loss {self.name!r} has from_logits=True, but the output went through {made}; "
                "remove that activation or set from_logits=False"
            )


class BinaryCrossentropy(_Crossentropy):
    """mean(-t log p - (1 - t) log(1 - p)), p clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    from_logits : bool, default False
        Whether y_pred is the logit rather than p = sigmoid(logit).
    label_smoothing : float, default 0.0
        Other values are not supported.
    """

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        z = y_pred if self.from_logits else _made_by(y_pred, "activation", activation="sigmoid")
        function = "binary_crossentropy" if z is None else "binary_crossentropy_logits"
        p = y_pred if z is None else z
        return emit("elementwise_loss", p, y_true, weight, function=function)


class CategoricalCrossentropy(_Crossentropy):
    """-sum(t log p) over the last axis, mean over rows; y_true is one-hot or a distribution.

    Parameters
    ----------
    from_logits : bool, default False
        Whether y_pred holds logits rather than probabilities.
    label_smoothing : float, default 0.0
        Other values are not supported.
    """

    def elements(self, y_pred: Tensor) -> int:
        return at_rows(count(y_pred.shape[:-1]), 1)

    def check(self, y_pred: Tensor) -> None:
        super().check(y_pred)
        classes = y_pred.shape[-1]
        if y_pred.rank < 2 or (classes or 0) < 2:
            raise ValueError(
                f"loss {self.name!r} needs at least 2 classes, but the output has shape "
                f"{y_pred.shape}; use binary_crossentropy for one output"
            )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        z = y_pred if self.from_logits else _made_by(y_pred, "softmax")
        if z is not None:
            return emit("softmax_crossentropy", z, y_true, weight)[0]
        return emit("crossentropy", y_pred, y_true, weight)


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    """-log p[label] over the last axis, mean over rows; y_true holds class indices from 0.

    Parameters
    ----------
    from_logits : bool, default False
    ignore_class : None
        Not supported.
    """

    target = "labels"

    def __init__(self, from_logits: bool = False, ignore_class: None = None, **kwargs: Any) -> None:
        super().__init__(from_logits, **kwargs)
        if ignore_class is not None:
            raise ValueError(f"{self.name}: ignore_class={ignore_class!r} is not supported")


_CLASSES: dict[str, type[Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "MAE": MeanAbsoluteError,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def get(identifier: Any) -> Loss:
    """The loss for a name ("mse"), a class or an object.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    return resolve("loss", identifier, Loss, _CLASSES)
