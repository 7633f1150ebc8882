"""The state of a training that was interrupted: resumed, it goes on as if nothing had happened."""

from __future__ import annotations

from typing import Any


def save_state(model: Any, filepath: Any, callbacks: Any = (), **progress: Any) -> None:
    """To come."""
    raise NotImplementedError


def restore_state(model: Any, filepath: Any, callbacks: Any = ()) -> dict[str, Any]:
    """To come."""
    raise NotImplementedError
