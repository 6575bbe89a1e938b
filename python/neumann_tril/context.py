"""Calls mean the same whatever context the caller has set up around them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def own_context(function: Callable[P, R]) -> Callable[P, R]:
    """The function without the caller's autocast and default device; the dtypes of all arithmetic
    and the devices of all tensors are its own choice."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            with _no_traced_autocast(args, kwargs):
                return function(*args, **kwargs)
        # A default device is a mode for torch's functions.
        if torch._C._is_any_autocast_enabled() or torch._C._len_torch_function_stack():
            with torch._C._DisableAutocast(), torch.device("cpu"):
                return function(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _no_traced_autocast(args: Any, kwargs: Any) -> Any:
    """A context that the compiler knows; it takes default devices from its own."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and torch.is_autocast_enabled(value.device.type):
            return torch.autocast(value.device.type, enabled=False)
    return nullcontext()
