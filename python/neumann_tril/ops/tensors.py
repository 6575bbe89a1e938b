"""What the operators have in common: chunk tables, gradients, mapped dimensions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..layout import ChunkTable, chunk_table_on


def table_of(
    view: Tensor, cu_seqlens: Tensor | None, chunk_indices: Tensor | None
) -> ChunkTable | None:
    """The table of a tensor seen as (B, T, H, C), on its device; None without packed sequences."""
    if cu_seqlens is None:
        return None
    return chunk_table_on(view.device, view.shape[1], view.shape[3], cu_seqlens, chunk_indices)


def allocate(A: Tensor, table: ChunkTable | None, dtype: torch.dtype) -> Tensor:
    """X for A on a time axis; rows that belong to no chunk are zero."""
    new = torch.empty if table is None or table.covers else torch.zeros
    return new(A.shape, dtype=dtype, device=A.device)


def input_gradient(X: Tensor, grad: Tensor) -> Tensor:
    """``dA = -tril(X^T dX X^T, -1)``, at least in float32; X and dX are (..., C, C)."""
    dtype = torch.promote_types(torch.promote_types(X.dtype, grad.dtype), torch.float32)
    transposed = X.to(dtype).mT
    return -torch.tril(transposed @ grad.to(dtype) @ transposed, -1)


def output_tangent(X: Tensor, tangent: Tensor) -> Tensor:
    """``dX = -X tril(dA, -1) X``, at least in float32; X and dA are (..., C, C)."""
    dtype = torch.promote_types(torch.promote_types(X.dtype, tangent.dtype), torch.float32)
    wide = X.to(dtype)
    return -(wide @ torch.tril(tangent.to(dtype), -1) @ wide)


def savable(x: Tensor) -> Tensor:
    """Outside inference_mode, a copy of what was made in it, which autograd refuses to keep."""
    # The compiler cannot ask, and keeps tensors of graphs of its own.
    if torch.compiler.is_compiling() or not x.is_inference() or torch.is_inference_mode_enabled():
        return x
    return x.clone()


def save(ctx: Any, inputs: tuple[Any, ...], output: Any, *others: Tensor | None) -> None:
    """Keep X, the output or the first of several, and ``others``, for the gradient in A, the first
    input; all else has none."""
    if isinstance(output, tuple):
        output, *rest = output
        ctx.mark_non_differentiable(*rest)
    ctx.save_for_backward(output, *(None if x is None else savable(x) for x in others))
    ctx.dtype, ctx.rest = inputs[0].dtype, (None,) * (len(inputs) - 1)


def fold_into_heads(A: Tensor, dim: int, layout: str) -> Tensor:
    """The mapped dimension goes in front of the heads and becomes part of them."""
    heads = layout.index("h")
    return A.movedim(dim, heads).flatten(heads, heads + 1)


def unfold_heads(X: Tensor, count: int, layout: str) -> tuple[Tensor, int]:
    """The opposite: X with the mapped dimension, and where that is."""
    heads = layout.index("h")
    return X.unflatten(heads, (count, -1)), heads
