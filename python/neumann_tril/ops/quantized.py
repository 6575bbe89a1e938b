"""The quantised operators. A quantised plan travels as JSON; each returns X, the scale of X's codes
(empty for numbers), and the count of saturated codes (empty if they are not counted)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from ..backends import QuantizedRequest, Resolved, resolve
from ..grids import QuantPlan
from ..grids.matrices import check_dense, check_time, scale_shape
from ..layout import Problem, check_layout, time_view
from ..native.launches import OnGrids
from .floating import DENSE_GRADIENT, time_gradient
from .operator import Operator
from .tensors import allocate, fold_into_heads, table_of, unfold_heads

Results = tuple[Tensor, Tensor, Tensor]

# As many as models have layers.
_read = lru_cache(maxsize=1024)(QuantPlan.from_json)


def _resolve(
    A: Tensor, work: OnGrids, output_dtype: torch.dtype, counts: bool, backend: str | None
) -> Resolved:
    device = A.device
    request = QuantizedRequest(device.type, device.index, work, A.dtype, output_dtype, counts)
    return resolve(request, backend)


def _counter(A: Tensor, counts: bool) -> Tensor:
    new = torch.zeros if counts else torch.empty
    return new(int(counts), dtype=torch.int64, device=A.device)


@cache
def _x_scale(qplan: QuantPlan, device: torch.device) -> Tensor:
    """The scales of X on a device, sent once and kept."""
    return (1 / torch.from_numpy(qplan.constants.units["X"])).to(device)


def _results(
    A: Tensor, X: Tensor, scale: Tensor | None, saturated: Tensor, qplan: QuantPlan, head: int
) -> Results:
    """``scale``: as the backend found it, one for each matrix; None for static scales."""
    if X.dtype.is_floating_point:
        return X, torch.empty(0, dtype=torch.float32, device=A.device), saturated
    if scale is None:
        # A copy: what is kept must not change with what the caller does to it.
        scale = _x_scale(qplan, A.device).reshape(scale_shape(A, qplan, head)).clone()
        return X, scale, saturated
    return X, scale[..., None, None], saturated


def _fakes(A: Tensor, qplan: QuantPlan, head: int, dtype: torch.dtype, counts: bool) -> Results:
    X = torch.empty(A.shape, dtype=dtype, device=A.device)
    shape = (0,) if dtype.is_floating_point else scale_shape(A, qplan, head)
    scale = torch.empty(shape, dtype=torch.float32, device=A.device)
    return X, scale, _counter(A, counts)


def _check_mapped(in_dims: tuple[Any, ...], counts: bool) -> None:
    if any(dim is not None for dim in in_dims[1:]):
        raise NotImplementedError("vmap of the quantised inverse maps over A alone")
    if counts:
        raise NotImplementedError("vmap of the quantised inverse does not count saturated codes")


# --- inverse_quantized -------------------------------------------------------------------------


def _inverse_kernel(
    A: Tensor,
    qplan: str,
    head_dim: int,
    output_dtype: torch.dtype,
    counts: bool,
    backend: str | None,
) -> Results:
    plan = _read(qplan)
    head = check_dense(A, plan, head_dim)
    served = _resolve(A, OnGrids(plan, head), output_dtype, counts, backend)
    X = torch.empty(A.shape, dtype=output_dtype, device=A.device)
    saturated = _counter(A, counts)
    scale = None
    if plan.is_dynamic and not output_dtype.is_floating_point:
        scale = torch.empty(A.shape[:-2], dtype=torch.float32, device=A.device)
    if A.numel():
        counted = saturated if counts else None
        served.backend.run_quantized(Problem(A, X), served.work, scale, counted)
    return _results(A, X, scale, saturated, plan, head)


def _inverse_fake(A, qplan, head_dim, output_dtype, counts, backend):  # type: ignore[no-untyped-def]
    plan = _read(qplan)
    return _fakes(A, plan, check_dense(A, plan, head_dim), output_dtype, counts)


def _inverse_vmap(info, in_dims, A, qplan, head_dim, output_dtype, counts, backend):  # type: ignore[no-untyped-def]
    _check_mapped(in_dims, counts)
    head_dim += head_dim >= 0  # counted from the front, it moves with the mapped dimension there
    A = A.movedim(in_dims[0], 0)
    X, scale, saturated = INVERSE_QUANTIZED(A, qplan, head_dim, output_dtype, counts, backend)
    if output_dtype.is_floating_point:
        return (X, scale, saturated), (0, None, None)
    if _read(qplan).is_dynamic:
        return (X, scale, saturated), (0, 0, None)
    return (X, scale[0], saturated), (0, None, None)  # the same for all


INVERSE_QUANTIZED = Operator(
    "inverse_quantized(Tensor A, str qplan, int head_dim, ScalarType output_dtype, bool counts, "
    "str? backend) -> (Tensor, Tensor, Tensor)",
    _inverse_kernel,
    _inverse_fake,
    DENSE_GRADIENT,  # the quantisers count as the identity
    _inverse_vmap,
)


# --- solve_tril_quantized ----------------------------------------------------------------------


def _solve_tril_kernel(
    A: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    qplan: str,
    output_dtype: torch.dtype,
    layout: str,
    counts: bool,
    backend: str | None,
) -> Results:
    plan = _read(qplan)
    check_layout(A, layout, cu_seqlens, chunk_indices)
    head = check_time(A, plan, layout, output_dtype)
    work = OnGrids(plan, 2 if plan.granularity == "head" else -1)
    served = _resolve(A, work, output_dtype, counts, backend)
    view = time_view(A, layout)
    table = table_of(view, cu_seqlens, chunk_indices)
    X = allocate(A, table, output_dtype)
    saturated = _counter(A, counts)
    if A.numel():
        problem = Problem(view, time_view(X, layout), True, table)
        served.backend.run_quantized(problem, work, None, saturated if counts else None)
    return _results(A, X, None, saturated, plan, head)


def _solve_tril_fake(A, cu_seqlens, chunk_indices, qplan, output_dtype, layout, counts, backend):  # type: ignore[no-untyped-def]
    plan = _read(qplan)
    check_layout(A, layout, cu_seqlens, chunk_indices)
    return _fakes(A, plan, check_time(A, plan, layout, output_dtype), output_dtype, counts)


def _solve_tril_vmap(info, in_dims, A, cu_seqlens, chunk_indices, qplan, output_dtype, *rest):  # type: ignore[no-untyped-def]
    layout, counts, _ = rest
    _check_mapped(in_dims, counts)
    plan = _read(qplan)
    A, text = fold_into_heads(A, in_dims[0], layout), plan.repeated(info.batch_size).text
    packing = (cu_seqlens, chunk_indices)
    X, scale, saturated = SOLVE_TRIL_QUANTIZED(A, *packing, text, output_dtype, *rest)
    X, heads = unfold_heads(X, info.batch_size, layout)
    if plan.granularity != "head" or output_dtype.is_floating_point:
        return (X, scale, saturated), (heads, None, None)
    scale, _ = unfold_heads(scale, info.batch_size, layout)
    return (X, scale, saturated), (heads, heads, None)


SOLVE_TRIL_QUANTIZED = Operator(
    "solve_tril_quantized(Tensor A, Tensor? cu_seqlens, Tensor? chunk_indices, str qplan, "
    "ScalarType output_dtype, str layout, bool counts, str? backend) -> (Tensor, Tensor, Tensor)",
    _solve_tril_kernel,
    _solve_tril_fake,
    time_gradient(layout_at=5),
    _solve_tril_vmap,
)
