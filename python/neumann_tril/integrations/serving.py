"""What vLLM-Ascend and SGLang share: ``solve_tril`` as their copies of FLA declare it."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..ops import solve_tril
from .base import Integration, Patch, Settings


def import_module(integration: Integration, path: str) -> ModuleType:
    """The package's module. Raises UnsupportedVersionError if it cannot be imported."""
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise integration.unsupported(f"{path} does not import here: {error}") from error


def import_if_there(integration: Integration, path: str) -> ModuleType | None:
    """The package's module, None in a release without it."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            return None
        raise integration.unsupported(f"{path} does not import here: {error}") from error
    except ImportError as error:
        raise integration.unsupported(f"{path} does not import here: {error}") from error


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a function's parameters."""
    return tuple(inspect.signature(function).parameters)


def bindings(package: str, function: object) -> list[tuple[ModuleType, str]]:
    """Where modules of a package that are imported already have bound a function by name."""
    return [
        (module, name)
        for path, module in list(sys.modules.items())
        if path.partition(".")[0] == package and isinstance(module, ModuleType)
        for name, value in list(vars(module).items())
        if value is function
    ]


def solver_patch(
    integration: Integration, module: ModuleType, settings: Settings, name: str = "solve_tril"
) -> Patch:
    """Rebind ``solve_tril`` of a module that calls it by this name.

    The chunks follow from ``cu_seqlens``. Indices that the packages prepare are not looked at:
    theirs count only the sequences with tokens, while ``cu_seqlens`` has the empty ones too.

    Raises:
        UnsupportedVersionError: the module has none, or one with parameters that are not known.
    """
    if not hasattr(module, name):
        raise integration.unsupported(f"{module.__name__} has no {name}")

    def plain(
        A: Tensor,
        cu_seqlens: Tensor | None = None,
        output_dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        plan, backend = settings.plan, settings.backend
        return solve_tril(A, cu_seqlens, None, output_dtype, plan=plan, backend=backend)

    def indexed(
        A: Tensor,
        cu_seqlens: Tensor | None = None,
        chunk_indices: Tensor | None = None,
        output_dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        return plain(A, cu_seqlens, output_dtype)

    def prebuilt(
        A: Tensor,
        cu_seqlens: Tensor | None = None,
        chunk_indices_large_block: Tensor | None = None,
        chunk_indices_bt: Tensor | None = None,
        output_dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        return plain(A, cu_seqlens, output_dtype)

    found = parameters(getattr(module, name))
    for ours in (plain, indexed, prebuilt):
        if parameters(ours) == found:
            return Patch(f"{module.__name__}.{name}", module, name, ours)
    raise integration.unsupported(f"{module.__name__}.{name} takes {', '.join(found)}")
