"""The matrices of a tensor as a quantised plan sees them: their groups, numbers and scales."""

from __future__ import annotations

import torch
from torch import Tensor

from ..plan import check_chunk_size
from .plan import QuantPlan


def head_index(A: Tensor, head_dim: int) -> Tensor:
    """The index along ``head_dim`` of A (..., C, C), to be broadcast over A's batch dimensions."""
    dims = A.dim()
    at = head_dim + dims if head_dim < 0 else head_dim
    if not 0 <= at < dims - 2:
        raise ValueError(
            f"head_dim must name a batch dimension of A {tuple(A.shape)}, got {head_dim}"
        )
    shape = [1] * (dims - 2)
    shape[at] = A.shape[at]
    return torch.arange(A.shape[at]).reshape(shape)


def groups_of(A: Tensor, group_dim: int) -> Tensor:
    """The group of every matrix of A (..., C, C): its index along ``group_dim``; -1: all are 0."""
    group = torch.zeros(A.shape[:-2], dtype=torch.int64)
    return group if group_dim < 0 else group + head_index(A, group_dim)


def numbers_of(A: Tensor, qplan: QuantPlan, group: Tensor) -> Tensor:
    """A in float32; codes become the numbers that they stand for."""
    if A.dtype.is_floating_point:
        return A.float()
    return A.float() * torch.from_numpy(qplan.constants.a_scale)[group][..., None, None]


def scale_shape(A: Tensor, qplan: QuantPlan, head: int) -> tuple[int, ...]:
    """Of the scale that goes with A's shape: one for each chunk, head or tensor."""
    if qplan.granularity == "chunk":
        return (*A.shape[:-2], 1, 1)
    shape = [1] * A.dim()
    if qplan.granularity == "head":
        shape[head] = A.shape[head]
    return tuple(shape)


def check_dense(A: Tensor, qplan: QuantPlan, head_dim: int) -> int:
    """The batch dimension of A (..., C, C) that counts heads; -1 if the plan has none.

    Raises:
        ValueError: A does not fit the plan.
    """
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"A must have shape (..., C, C), got {tuple(A.shape)}")
    _check_chunk_size(A, qplan)
    if qplan.granularity != "head":
        return -1
    if not -A.dim() <= head_dim < A.dim() or head_dim % A.dim() >= A.dim() - 2:
        raise ValueError(
            f"head_dim must name a batch dimension of A {tuple(A.shape)}, got {head_dim}; "
            "qplan has scales per head"
        )
    _check_heads(A.shape[head_dim], qplan)
    return head_dim % A.dim()


def check_time(A: Tensor, qplan: QuantPlan, layout: str, output_dtype: torch.dtype) -> int:
    """The dimension of A, in one of the time layouts, that counts heads.

    Raises:
        ValueError: A or the dtype does not fit the plan.
    """
    _check_chunk_size(A, qplan)
    head = layout.index("h")
    if qplan.granularity == "head":
        _check_heads(A.shape[head], qplan)
    if qplan.is_dynamic and not output_dtype.is_floating_point:
        raise ValueError(
            "output_dtype must be a floating dtype with scales per chunk on a time axis, "
            f"got {output_dtype}; inverse_quantized returns codes with a scale per chunk"
        )
    return head


def _check_chunk_size(A: Tensor, qplan: QuantPlan) -> None:
    check_chunk_size(A.shape[-1])
    if qplan.plan.chunk_size != A.shape[-1]:
        raise ValueError(
            f"qplan is for chunk size {qplan.plan.chunk_size}, but A has {A.shape[-1]}"
        )


def _check_heads(heads: int, qplan: QuantPlan) -> None:
    if heads != qplan.groups:
        raise ValueError(f"qplan has scales for {qplan.groups} heads, but A has {heads}")
