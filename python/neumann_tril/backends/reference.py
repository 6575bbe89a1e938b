"""The references, on CPU tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import reference
from ..grids import reference as on_grids
from ..grids.matrices import groups_of, numbers_of
from ..layout import Problem, gather_chunks, join_chunks
from ..native.launches import Floating, OnGrids
from .registry import QuantizedRequest, Request, wide


class ReferenceBackend:
    """:func:`neumann_tril.reference.inverse` and :func:`neumann_tril.grids.reference.inverse`."""

    name = "reference"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self, index: int | None = None) -> str | None:
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return wide(request)

    def reject(self, request: Request, work: Floating) -> str | None:
        if work.compute_dtype not in reference.COMPUTE_DTYPES:
            return f"compute dtype {work.compute_dtype} is not among {reference.COMPUTE_DTYPES}"
        return None

    def reject_quantized(self, request: QuantizedRequest) -> str | None:
        return None

    def run(self, problem: Problem, work: Floating) -> None:
        _put(problem, reference.inverse(_chunks(problem), *work))

    def run_quantized(
        self, problem: Problem, work: OnGrids, scale: Tensor | None, saturated: Tensor | None
    ) -> None:
        A, (qplan, group_dim) = _chunks(problem), work
        # On a time axis (B, H, N, C, C), whose groups are counted as those of (B, N, H).
        group = groups_of(A, 1 if problem.time and group_dim == 2 else group_dim)
        numbers = numbers_of(A, qplan, group).reshape(-1, *A.shape[-2:])
        found = on_grids.inverse(numbers, qplan, group.reshape(-1))
        result = found.wide if problem.X.dtype.is_floating_point else found.codes
        _put(problem, _fitting(result, problem.X.dtype).reshape(A.shape))
        if scale is not None:
            scale.copy_(found.scale.reshape(scale.shape))
        if saturated is not None:
            saturated.fill_(found.saturated.sum())


def _chunks(problem: Problem) -> Tensor:
    """A as (..., C, C)."""
    return gather_chunks(problem.A, problem.table) if problem.time else problem.A


def _put(problem: Problem, X: Tensor) -> None:
    if problem.time:
        X = join_chunks(X, problem.table, problem.A.shape[1])
    problem.X.copy_(X)


def _fitting(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounded to dtype; beyond its largest number, that number."""
    if dtype.is_floating_point:
        limit = torch.finfo(dtype).max
        x = x.clamp(-limit, limit)
    return x.to(dtype)
