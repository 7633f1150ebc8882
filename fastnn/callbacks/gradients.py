"""GradientMonitor: which layers do not learn, and why."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback
from fastnn.data import whole
from fastnn.utils import as_list, number


class GradientMonitor(Callback):
    """Watch each layer for vanishing and exploding gradients, and for dead units.

    It looks at the gradients of an epoch's last batch, and at what the units answer to the rows
    `x`. Of each trouble of a layer it warns once in a `fit`.

    Parameters
    ----------
    x : array_like, or a list of them for several inputs; optional
        Rows, best some that are not trained on (a hundred will do), to find dead units: those that
        answer 0 to every row, so that nothing is learned through them. Without it none are sought.
    vanishing : float, default 1e-4
        A layer's gradient vanishes if its root mean square is below this times the largest one of
        all layers.
    exploding : float, default 1e3
        A layer's gradient explodes if its norm is above this, or not finite.
    dead : float, default 0.5
        Dead units are a trouble if they are this share of a layer, or more.
    freq : int, default 1
        Epochs from one look to the next.

    Attributes
    ----------
    report : dict
        For each layer by name a dictionary: "epoch", "norm" and "rms" of the gradient, "dead" (the
        share of dead units), lists with a value per look, and "troubles", a list of the messages.

    Raises
    ------
    ValueError
        An argument is out of its range; when training begins: `x` does not fit the model, or is
        given for a model whose `call` is your own.

    Examples
    --------
    >>> from fastnn.callbacks import GradientMonitor
    >>> watch = GradientMonitor(x_test[:200])
    >>> model.fit(x_train, y_train, callbacks=[watch])
    >>> watch.report["dense"]["rms"]
    """

    def __init__(
        self,
        x: Any = None,
        vanishing: float = 1e-4,
        exploding: float = 1e3,
        dead: float = 0.5,
        freq: int = 1,
    ) -> None:
        self.x = x
        self.vanishing = number("GradientMonitor: vanishing", vanishing, low=0)
        self.exploding = number("GradientMonitor: exploding", exploding, low=0)
        self.dead = number("GradientMonitor: dead", dead, low=0)
        self.freq = whole(freq, "GradientMonitor: freq")
        self.report: dict[str, dict[str, list[Any]]] = {}
        self._probe: Any = None
        self._probed: list[str] = []
        self._warned: set[tuple[str, str]] = set()

    def on_train_begin(self, logs: Any = None) -> None:
        self.report = {}
        self._warned = set()
        self._probe = None
        if self.x is not None:
            self._make_probe()
            self._dead_shares()  # so that rows that do not fit are refused now

    def _make_probe(self) -> None:
        """A model of the same layers, with the answers of all units as its outputs."""
        from fastnn.model import Model  # which knows the callbacks

        watched = {}
        for call in self.model.calls:
            layer = call.layer
            if layer.variables or hasattr(layer, "activation") or type(layer).__name__ == "ReLU":
                watched[layer.name] = call.outputs[0]
        if not watched:
            raise ValueError(
                "GradientMonitor: x is given, but this model is not made of layer calls, so the "
                "answers of its units are not known; leave x out"
            )
        self._probed = list(watched)
        self._probe = Model(self.model.inputs, list(watched.values()))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch % self.freq:
            return
        norms, rms = self._gradients()
        largest = max([value for value in rms.values() if math.isfinite(value)], default=0.0)
        for name in norms:
            self._note(name, epoch=epoch, norm=norms[name], rms=rms[name])
            if not norms[name] <= self.exploding:
                self._trouble(
                    name,
                    "explodes",
                    f"the gradient explodes: its norm is {norms[name]:.3g} after epoch {epoch}; "
                    "try a smaller learning rate, clipnorm=1.0 in the optimizer, or other "
                    "initializers",
                )
            elif rms[name] < self.vanishing * largest:
                self._trouble(
                    name,
                    "vanishes",
                    f"the gradient vanishes: its root mean square is {rms[name]:.3g} after epoch "
                    f"{epoch}, the largest of all layers is {largest:.3g}; try relu or gelu "
                    "instead of sigmoid or tanh, he_normal as initializer, BatchNormalization, or "
                    "fewer layers",
                )
        for name, share in self._dead_shares().items():
            if name not in norms:
                self._note(name, epoch=epoch)
            self._note(name, dead=share)
            if share > 0 and share >= self.dead:
                self._trouble(
                    name,
                    "dead",
                    f"{share:.0%} of its units are dead after epoch {epoch}: they answer 0 to all "
                    f"{len(as_list(self.x)[0])} rows; try a smaller learning rate, leaky_relu, or "
                    "he_normal as initializer",
                )

    def _gradients(self) -> tuple[dict[str, float], dict[str, float]]:
        """Norm and root mean square of the gradient, by the name of the layer."""
        squares: dict[str, float] = {}
        counts: dict[str, int] = {}
        for variable in self.model.trainable_variables:
            gradient = self.model._executors.gradient(variable).astype(np.float64)
            name = variable.layer_name
            squares[name] = squares.get(name, 0.0) + float(np.vdot(gradient, gradient))
            counts[name] = counts.get(name, 0) + gradient.size
        norms = {name: math.sqrt(value) for name, value in squares.items()}
        return norms, {name: norms[name] / math.sqrt(counts[name]) for name in norms}

    def _dead_shares(self) -> dict[str, float]:
        """The share of units that answer 0 to every row, by the name of the layer."""
        if self._probe is None:
            return {}
        answers = as_list(self._probe.predict(self.x))
        return {
            name: float((answer == 0).all(axis=tuple(range(answer.ndim - 1))).mean())
            for name, answer in zip(self._probed, answers, strict=True)
        }

    def _note(self, name: str, **values: float) -> None:
        kinds = ("epoch", "norm", "rms", "dead", "troubles")
        lists = self.report.setdefault(name, {kind: [] for kind in kinds})
        for kind, value in values.items():
            lists[kind].append(value)

    def _trouble(self, name: str, kind: str, message: str) -> None:
        self.report[name]["troubles"].append(message)
        if (name, kind) not in self._warned:
            self._warned.add((name, kind))
            warnings.warn(f"layer {name!r}: {message}", stacklevel=2)
