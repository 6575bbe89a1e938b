"""The error of a call that nothing here can serve."""

from __future__ import annotations

__all__ = ["BackendError"]


class BackendError(RuntimeError):
    """No backend, or not the one asked for, can serve a call; the message holds every reason."""
