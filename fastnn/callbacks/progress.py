"""Progress: what `verbose` shows while a model trains."""

from __future__ import annotations

import functools
import math
import sys
import time
from typing import Any


class Progress:
    """What `verbose` shows: 1 a bar per epoch, 2 a line per epoch, 0 nothing.

    At most ten bars a second are shown: of epochs shorter than that some are left out, never the
    last one.
    """

    def __init__(self, verbose: int, epochs: int, steps: int | None) -> None:
        self.verbose = verbose
        self.epochs = epochs
        self.steps = steps
        self.bar: Any = None
        self.started = time.monotonic()
        self.shown = -math.inf  # when the last bar was finished
        self.ended: tuple[int, str] | None = None  # an epoch that is not shown yet

    def update(self, epoch: int, batch: int) -> None:
        """Show how far an epoch has come."""
        if self.verbose != 1:
            return
        if self.bar is None:
            self.bar = _bar_class()(
                total=self.steps,
                desc=f"Epoch {epoch + 1}/{self.epochs}",
                file=sys.stdout,
                unit="batch",
                leave=True,
                dynamic_ncols=True,
            )
        self.bar.n = batch
        self.bar.refresh()

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Show an epoch's values."""
        if self.verbose == 0:
            return
        values = " - ".join(f"{k}: {v:.4f}" for k, v in logs.items() if isinstance(v, float))
        if self.verbose == 1:
            self.ended = epoch, values
            if self.bar is not None or time.monotonic() - self.shown >= 0.1:
                self._show()
        else:
            took = time.monotonic() - self.started
            print(f"Epoch {epoch + 1}/{self.epochs} - {took:.1f}s - {values}", flush=True)
        self.started = time.monotonic()

    def _show(self) -> None:
        """Finish the bar of the epoch that has ended."""
        if self.ended is not None:
            epoch, values = self.ended
            self.ended = None
            self.update(epoch, self.steps or (self.bar.n if self.bar is not None else 0))
            self.bar.set_postfix_str(values)
            self.close()
            self.shown = time.monotonic()

    def close(self) -> None:
        """Show what is not shown yet, and leave the bar as it is."""
        self._show()
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@functools.cache
def _bar_class() -> Any:
    """tqdm's bar without the thread that would watch over it: nothing outlives `fit`."""
    from tqdm import tqdm

    return type("Bar", (tqdm,), {"monitor_interval": 0})
