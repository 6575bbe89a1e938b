"""What vLLM-Ascend and SGLang share: ``solve_tril`` as their copies of FLA declare it."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

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


def solver_patch(integration: Integration, module: ModuleType, settings: Settings) -> Patch:
    """Rebind ``solve_tril`` of a module that calls it by this name.

    Raises:
        UnsupportedVersionError: the module has none, or one with parameters that are not known.
    """
    if not hasattr(module, "solve_tril"):
        raise integration.unsupported(f"{module.__name__} has no solve_tril")

    def plain(
        A: Tensor,
        cu_seqlens: Tensor | None = None,
        output_dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        return prebuilt(A, cu_seqlens, output_dtype=output_dtype)

    def prebuilt(
        A: Tensor,
        cu_seqlens: Tensor | None = None,
        chunk_indices_large_block: Tensor | None = None,
        chunk_indices_bt: Tensor | None = None,
        output_dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        return solve_tril(
            A,
            cu_seqlens,
            None if cu_seqlens is None else chunk_indices_bt,
            output_dtype,
            plan=settings.plan,
            backend=settings.backend,
        )

    def parameters(function: object) -> tuple[str, ...]:
        return tuple(inspect.signature(function).parameters)  # type: ignore[arg-type]

    found = parameters(module.solve_tril)
    for ours in (plain, prebuilt):
        if parameters(ours) == found:
            return Patch(f"{module.__name__}.solve_tril", module, "solve_tril", ours)
    raise integration.unsupported(f"{module.__name__}.solve_tril takes {', '.join(found)}")
