"""Operators called past torch's dispatcher, where it would do nothing but find the kernel.

The way through it, and through autograd's part in Python, takes longer than a small inversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


def call(
    operator: Any,
    kernel: Callable[..., Any],
    arguments: tuple[Any, ...],
    composite: Callable[..., Any] | None = None,
) -> Any:
    """``operator(*arguments)``, by its kernel at once if nothing else would take part in it.

    Those that may are autograd, a mode (fake tensors, tracing), a transform (vmap), a subclass of
    Tensor, the compiler and the profiler. ``composite`` is the same in operations that torch can
    differentiate in every way; it serves forward mode and the derivatives of ``torch.func``, of
    which the dispatcher knows nothing for operators in Python.

    Raises:
        NotImplementedError: such a derivative is asked for, and there is no composite.
    """
    if _has_tangent(arguments):
        return _derivable(operator, composite)(*arguments)
    if torch.compiler.is_compiling():
        if _is_traced_derivative():
            return _outside_graphs(operator, composite, arguments)
        return operator(*arguments)
    if _is_plain(arguments):
        return kernel(*arguments)
    if _is_derived(arguments):
        return _derivable(operator, composite)(*arguments)
    return operator(*arguments)


def transformed() -> bool:
    """Whether a transform of ``torch.func`` is under way."""
    return bool(_transforms())


@contextmanager
def recording() -> Iterator[None]:
    """Autograd takes part, also in a kernel, where the dispatcher has left it behind."""
    keys = torch._C.DispatchKey
    included = torch._C._dispatch_tls_local_include_set().add(keys.ADInplaceOrView)
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in (keys.AutogradCPU, keys.AutogradPrivateUse1, keys.ADInplaceOrView):
        excluded = excluded.remove(key)
    with torch._C._ForceDispatchKeyGuard(included, excluded), torch.enable_grad():
        yield


_DERIVATIVES = (torch._C._functorch.TransformType.Grad, torch._C._functorch.TransformType.Jvp)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _outside_graphs(operator: Any, composite: Any, arguments: tuple[Any, ...]) -> Any:
    """Derivatives of torch.func, which the compiler leaves to eager mode."""
    return _derivable(operator, composite)(*arguments)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _is_traced_derivative() -> bool:
    """For the compiler, which cannot ask itself."""
    return any(kind in _DERIVATIVES for kind in _transforms())


def _is_derived(arguments: tuple[Any, ...]) -> bool:
    """Whether a transform takes a derivative in one of them."""
    if not any(kind in _DERIVATIVES for kind in _transforms()):
        return False
    return any(_is_tracked(x) for x in arguments if isinstance(x, Tensor))


def _is_tracked(x: Tensor) -> bool:
    """By a transform at any level; below the last wrapper it is autograd that does so."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        if x.requires_grad or _has_tangent((x,)):
            return True
        x = torch._C._functorch.get_unwrapped(x)
    return False


def _transforms() -> list[Any]:
    """Kinds of the transforms of ``torch.func`` that are under way."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    return [interpreter.key() for interpreter in stack]


def _derivable(operator: Any, composite: Callable[..., Any] | None) -> Callable[..., Any]:
    if composite is None:
        raise NotImplementedError(
            f"forward-mode gradients (forward_ad, torch.func.jvp, jacfwd) and torch.func.grad are "
            f"not supported by {operator.name()}; backward() and torch.autograd.grad are"
        )
    return composite


def _has_tangent(arguments: tuple[Any, ...]) -> bool:
    if forward_ad._current_level < 0:
        return False
    return any(
        isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in arguments
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
