"""Callback: the hooks of fit, evaluate and predict.

`training.py` calls a hook only where a callback defines it (`overrides`): batch hooks make training
come back to Python after each batch, epoch hooks after each epoch; with neither, many epochs run in
one native call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


class Callback:
    """Base class: override the hooks you need.

    Attributes
    ----------
    model : Model
        Set before training begins.
    params : dict
        "epochs", "steps", "batch_size", "verbose".
    stop_on_nan : bool
        True makes training stop within the step at which the loss is no longer finite, without a
        hook for each batch; `on_nan` is called then.
    """

    model: Any = None
    params: dict[str, Any] = {}
    stop_on_nan = False

    def set_model(self, model: Any) -> None:
        """Called before training begins."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training begins."""
        self.params = params

    def get_state(self) -> dict[str, Any]:
        """What this callback must remember for training to be resumed as if nothing had happened.

        Values are what JSON can hold, or NumPy arrays.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned; called before `on_train_begin`, which keeps it."""

    def prepare(self, run: Any) -> None:
        """Called before any `on_train_begin` with the `fit` that begins (see `training.py`)."""

    # --- fit ---

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Any = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before each epoch; epochs count from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After each epoch; `logs` holds losses and metrics, `val_...` included.

        What is added to `logs` is seen by the callbacks after this one, and by the history.
        """

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch; calls `on_batch_begin`, its other name."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch; `logs` holds the means of this epoch so far. Calls `on_batch_end`."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch of training."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch of training."""

    def on_nan(self, batch: int, logs: Any = None) -> None:
        """After the batch that made the loss NaN or infinite, if `stop_on_nan` is True."""

    # --- evaluate, and the validation that ends an epoch ---

    def on_test_begin(self, logs: Any = None) -> None:
        """Before the rows are evaluated."""

    def on_test_end(self, logs: Any = None) -> None:
        """After that; `logs` holds losses and metrics, without `val_`."""

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch; `logs` holds the means so far."""

    # --- predict ---

    def on_predict_begin(self, logs: Any = None) -> None:
        """Before the first batch."""

    def on_predict_end(self, logs: Any = None) -> None:
        """After the last batch."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before each batch."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After each batch; `logs` holds its "outputs"."""


def overrides(callback: Callback, *hooks: str) -> bool:
    """Whether the callback defines one of these hooks itself, in its class or as an attribute."""
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
        for hook in hooks
    )


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, \
on_train_batch_end, **kwargs : callable, optional
        Functions with the arguments of the hook of that name; any hook can be given.

    Raises
    ------
    TypeError
        There is no such hook, or it cannot be called.

    Examples
    --------
    >>> from fastnn.callbacks import LambdaCallback
    >>> say = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        hooks = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in given.items():
            if name not in hooks:
                raise TypeError(
                    f"LambdaCallback has no argument {name!r}; the hooks are: {', '.join(hooks)}"
                )
            if function is not None and not callable(function):
                raise TypeError(f"LambdaCallback: {name} must be a function, got {function!r}")
            if function is not None:
                setattr(self, name, function)
        self.stop_on_nan = given.get("on_nan") is not None


@contextlib.contextmanager
def writing(what: str, path: str) -> Iterator[None]:
    """What fails inside is an OSError that says who wanted to write where."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{what} cannot be written ({error.strerror})", path) from error
