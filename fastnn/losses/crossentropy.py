"""Cross-entropies, with and without focus on what is still wrong.

After softmax or sigmoid they are computed from the logits. Called through `fastnn.losses`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn.losses.base import BuiltIn, Loss, as_pair
from fastnn.losses.elementwise import last_axis
from fastnn.ops.activations import ACTIVATIONS
from fastnn.ops.contract import emit
from fastnn.ops.loss_formulas import LOSSES
from fastnn.ops.losses import crossentropy_rows, softmax_crossentropy_rows
from fastnn.ops.tensor import Shape, Tensor, at_rows, count
from fastnn.utils import number


def _made_by(tensor: Tensor, op: str, **attrs: Any) -> Tensor | None:
    """The input of the op that made `tensor`, if it was that op."""
    node = tensor.node
    if node is None or node.op.name != op or any(node.attrs[k] != v for k, v in attrs.items()):
        return None
    return node.inputs[0]


def _sigmoid(x: Any) -> Any:
    return ACTIVATIONS["sigmoid"].formula(x)


class _Crossentropy(BuiltIn):
    """What cross-entropies share: probabilities as targets, smoothing, logits for outputs."""

    bounded = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        kind = type(self).__name__
        self.from_logits = bool(from_logits)
        self.label_smoothing = number(f"{kind}: label_smoothing", label_smoothing, low=0)
        if self.label_smoothing > 1:
            raise ValueError(f"{kind}: label_smoothing must be at most 1, got {label_smoothing!r}")
        self.axis = last_axis(kind, axis)

    def check(self, y_pred: Tensor) -> None:
        node = y_pred.node
        made = node.attrs.get("activation", node.op.name) if node is not None else None
        if self.from_logits and made in ("softmax", "sigmoid"):
            raise ValueError(
                f"loss {self.name!r} has from_logits=True, but the output went through {made}; "
                "remove that activation or set from_logits=False"
            )

    def smoothing(self, classes: int) -> tuple[float, float]:
        """Factor and offset of the targets: (1 - s) t + s / classes (Szegedy et al., 2016)."""
        return 1 - self.label_smoothing, self.label_smoothing / classes

    def smooth(self, y_true: Tensor, classes: int) -> Tensor:
        """The smoothed targets."""
        return ops.affine(y_true, *self.smoothing(classes)) if self.label_smoothing else y_true

    def smooth_array(self, t: np.ndarray, classes: int) -> np.ndarray:
        """The smoothed targets of arrays."""
        factor, offset = self.smoothing(classes)
        return t * t.dtype.type(factor) + t.dtype.type(offset) if self.label_smoothing else t


class BinaryCrossentropy(_Crossentropy):
    """mean(-t log p - (1 - t) log(1 - p)), p clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    from_logits : bool, default False
        Whether y_pred is the logit rather than p = sigmoid(logit).
    label_smoothing : float, default 0.0
        Targets are (1 - s) t + s / 2.
    axis : int, default -1
        Other values are not supported.
    """

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        z = y_pred if self.from_logits else _made_by(y_pred, "activation", activation="sigmoid")
        function = "binary_crossentropy" if z is None else "binary_crossentropy_logits"
        p = y_pred if z is None else z
        return emit("elementwise_loss", p, self.smooth(y_true, 2), weight, function=function)

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        function = "binary_crossentropy_logits" if self.from_logits else "binary_crossentropy"
        return LOSSES[function].formula(p, self.smooth_array(t, 2)).mean(axis=-1)


class BinaryFocalCrossentropy(_Crossentropy):
    """mean((1 - p_t)^gamma times the binary cross-entropy), p_t = t p + (1 - t) (1 - p).

    What is already right counts less (Lin et al., 2017).

    Parameters
    ----------
    apply_class_balancing : bool, default False
        Whether ones weigh alpha and zeros 1 - alpha.
    alpha : float, default 0.25
    gamma : float, default 2.0
        0 gives the binary cross-entropy.
    from_logits, label_smoothing, axis
        As in BinaryCrossentropy.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = number("BinaryFocalCrossentropy: alpha", alpha)
        self.gamma = number("BinaryFocalCrossentropy: gamma", gamma, low=0)

    def parameters(self) -> tuple[float, ...]:
        """gamma, and the weights of ones and zeros."""
        balance = (self.alpha, 1 - self.alpha) if self.apply_class_balancing else (1.0, 1.0)
        return (self.gamma, *balance)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        p = ops.apply_activation("sigmoid", y_pred) if self.from_logits else y_pred
        t = self.smooth(y_true, 2)
        numbers = self.parameters()
        return emit(
            "elementwise_loss", p, t, weight, function="binary_focal", parameters=numbers
        )

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        p = _sigmoid(p) if self.from_logits else p
        made = LOSSES["binary_focal"].formula(p, self.smooth_array(t, 2), *self.parameters())
        return made.mean(axis=-1)


class CategoricalCrossentropy(_Crossentropy):
    """-sum(t log p) over the last axis, mean over rows; y_true is one-hot or a distribution.

    Parameters
    ----------
    from_logits : bool, default False
        Whether y_pred holds logits rather than probabilities.
    label_smoothing : float, default 0.0
        Targets are (1 - s) t + s / classes.
    axis : int, default -1
        Other values are not supported.
    """

    by_rows = True

    def values_of(self, shape: Shape) -> int:
        return at_rows(count(shape[:-1] or (1,)), 1)

    def check(self, y_pred: Tensor) -> None:
        super().check(y_pred)
        classes = y_pred.shape[-1]
        if y_pred.rank < 2 or (classes or 0) < 2:
            raise ValueError(
                f"loss {self.name!r} needs at least 2 classes, but the output has shape "
                f"{y_pred.shape}; use binary_crossentropy for one output"
            )

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        if y_true.dtype == "real":
            y_true = self.smooth(y_true, y_pred.shape[-1] or 1)
        z = y_pred if self.from_logits else _made_by(y_pred, "softmax")
        if z is not None:
            return emit("softmax_crossentropy", z, y_true, weight)[0]
        return emit("crossentropy", y_pred, y_true, weight)

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        if t.dtype.kind == "f":
            t = self.smooth_array(t, p.shape[-1])
        return softmax_crossentropy_rows(p, t) if self.from_logits else crossentropy_rows(p, t)


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """sum(alpha (1 - p)^gamma (-t log p)) over the last axis, mean over rows (Lin et al., 2017).

    Parameters
    ----------
    alpha : float, default 0.25
    gamma : float, default 2.0
    from_logits, label_smoothing, axis
        As in CategoricalCrossentropy.
    """

    by_rows = False

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.alpha = number("CategoricalFocalCrossentropy: alpha", alpha)
        self.gamma = number("CategoricalFocalCrossentropy: gamma", gamma, low=0)

    def sums(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> Tensor:
        if self.from_logits:
            p = ops.apply_activation("softmax", y_pred)
        else:
            p = ops.divide(y_pred, ops.reduce("sum", y_pred, -1, keepdims=True))
        t = self.smooth(y_true, y_pred.shape[-1] or 1)
        numbers = (self.gamma, self.alpha)
        return emit(
            "elementwise_loss", p, t, weight, function="categorical_focal", parameters=numbers
        )

    def row_values(self, t: np.ndarray, p: np.ndarray) -> np.ndarray:
        if self.from_logits:
            p = np.exp(p - p.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        t = self.smooth_array(t, p.shape[-1])
        return LOSSES["categorical_focal"].formula(p, t, self.gamma, self.alpha).sum(axis=-1)


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    """-log p[label] over the last axis, mean over rows; y_true holds class indices from 0.

    Parameters
    ----------
    from_logits : bool, default False
    ignore_class : int, optional
        Rows (or positions) with this label count nothing; the mean is over the others.
    axis : int, default -1
        Other values are not supported.
    """

    target = "labels"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name, dtype)
        whole = isinstance(ignore_class, (int, np.integer)) and not isinstance(ignore_class, bool)
        if ignore_class is not None and not whole:
            raise ValueError(
                "SparseCategoricalCrossentropy: ignore_class must be a whole number or None, got "
                f"{ignore_class!r}"
            )
        self.ignore_class = None if ignore_class is None else int(ignore_class)

    def values(self, y_true: Any, y_pred: Any) -> np.ndarray:
        labels = np.asarray(y_true)
        p = as_pair(0, y_pred)[1]
        if labels.ndim == p.ndim and labels.shape[-1] == 1:
            labels = labels[..., 0]
        if labels.shape != p.shape[:-1]:
            raise ValueError(
                f"{self.name}: y_true has shape {labels.shape}, expected one class index per row "
                f"of y_pred: {p.shape[:-1]}"
            )
        flat = labels.reshape(-1).astype(np.int64)
        kept = np.ones(flat.shape, bool) if self.ignore_class is None else flat != self.ignore_class
        flat = np.where(kept, flat, 0)
        if flat.size and not 0 <= flat.min() <= flat.max() < p.shape[-1]:
            raise ValueError(
                f"{self.name}: y_true has labels from {flat.min()} to {flat.max()}, but y_pred has "
                f"{p.shape[-1]} classes"
            )
        with np.errstate(all="ignore"):
            made = self.row_values(flat, p.reshape(-1, p.shape[-1]))
        return np.where(kept, made, 0).astype(p.dtype).reshape(labels.shape)


class Crossentropy(Loss):
    """The cross-entropy that "crossentropy" and "ce" stand for: it depends on output and data.

    Binary for one output, sparse where y_true holds one class index per row, else categorical.
    """

    target = "auto"

    def choose(self, y_true_shape: Shape, y_pred_shape: Shape) -> Loss:
        """The loss for such data; the first axis is the rows'."""
        if y_pred_shape[-1] == 1:
            return BinaryCrossentropy(reduction=self.reduction)
        last = y_true_shape[-1] if len(y_true_shape) > 1 else 0
        if len(y_true_shape) < len(y_pred_shape) or last == 1:
            return SparseCategoricalCrossentropy(reduction=self.reduction)
        return CategoricalCrossentropy(reduction=self.reduction)
