"""Regularizers: penalties on weights that are added to the loss and its gradient."""

from __future__ import annotations

from typing import Any

from fastnn.ops.contract import emit
from fastnn.ops.tensor import Tensor
from fastnn.utils import Configurable, number, resolve


class Regularizer(Configurable):
    """Base class: `penalty` emits the op that adds to the loss."""

    def penalty(self, weight: Tensor, rows: Tensor) -> Tensor:
        """The accumulator of the penalty; `rows` is any tensor with the batch's rows."""
        raise NotImplementedError


class L2(Regularizer):
    """`l2 * sum(w**2)` (ridge; Hoerl and Kennard, 1970).

    Parameters
    ----------
    l2 : float, default 0.01

    Raises
    ------
    ValueError
        `l2` is negative or not finite.
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = number("L2: l2", l2, low=0)

    def penalty(self, weight: Tensor, rows: Tensor) -> Tensor:
        return emit("l2_penalty", weight, rows, factor=self.l2)


def get(identifier: Any) -> Regularizer | None:
    """The regularizer for a name ("l2"), an object or None.

    Raises
    ------
    ValueError
        The name is unknown; the message lists the choices.
    """
    if identifier is None:
        return None
    return resolve("regularizer", identifier, Regularizer, {"l2": L2})
