"""Operators called past torch's dispatcher, where it would do nothing but find the kernel.

The way through it, and through autograd's part in Python, takes longer than a small inversion.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def call(operator: Any, kernel: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """``operator(*arguments)``, by its kernel at once if nothing else would take part in it.

    Those that may are autograd, a mode (fake tensors, tracing), a transform (vmap), a subclass of
    Tensor, the compiler and the profiler.

    Raises:
        NotImplementedError: as :func:`refuse_tangents`.
    """
    refuse_tangents(arguments)
    if torch.compiler.is_compiling() or not _is_plain(arguments):
        return operator(*arguments)
    return kernel(*arguments)


def refuse_tangents(arguments: tuple[Any, ...]) -> None:
    """Raise NotImplementedError if an argument carries a tangent of forward-mode differentiation.

    The dispatcher has no rule for those of operators in Python, and drops them without a word.
    """
    if forward_ad._current_level < 0:
        return
    for value in arguments:
        if isinstance(value, Tensor) and forward_ad.unpack_dual(value).tangent is not None:
            raise NotImplementedError(
                "forward-mode gradients (forward_ad, torch.func.jvp, jacfwd) are not supported; "
                "backward() and torch.autograd.grad are"
            )


def _is_plain(arguments: tuple[Any, ...]) -> bool:
    if (
        torch._C._dispatch_tls_local_include_set().raw_repr() not in _plain_states()
        or torch._C._len_torch_function_stack()
        or torch._C._autograd._profiler_enabled()
    ):
        return False
    for value in arguments:
        if isinstance(value, Tensor):
            if type(value) is not Tensor:
                return False
            keys = torch._C._dispatch_keys(value).raw_repr()
            if not (_plain.get(keys) or _learn(keys, value)):
                return False
            if value.requires_grad and torch.is_grad_enabled():
                return False
    return True


_plain: dict[int, bool] = {}
"""Which keys of tensors are ordinary, of those that have been met."""


def _learn(keys: int, value: Tensor) -> bool:
    _plain[keys] = keys in _plain_keys(value.device.type)
    return _plain[keys]


@cache
def _plain_states() -> frozenset[int]:
    """What every thread adds to the keys of a call, with and without inference mode."""
    keys = torch._C.DispatchKey
    plain = torch._C.DispatchKeySet(keys.BackendSelect)
    return frozenset({plain.raw_repr(), plain.add(keys.ADInplaceOrView).raw_repr()})


@cache
def _plain_keys(device: str) -> frozenset[int]:
    """The keys of an ordinary tensor, with and without inference mode, if there are kernels."""
    found: set[int] = set()
    if device not in ("cpu", "npu"):
        return frozenset()
    for inference in (False, True):
        with torch.inference_mode(inference):
            found.add(torch._C._dispatch_keys(torch.empty(0, device=device)).raw_repr())
    return frozenset(found)
