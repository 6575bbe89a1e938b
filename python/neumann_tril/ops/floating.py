"""The floating-point operators, and the functions that call them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..arguments import check_tensor
from ..backends import Request, resolve
from ..context import own_context
from ..layout import (
    Problem,
    check_layout,
    from_time_view,
    gather_chunks,
    join_chunks,
    time_view,
)
from ..plan import Plan, check_chunk_size
from .operator import Gradient, Operator
from .tensors import (
    allocate,
    fold_into_heads,
    input_gradient,
    output_tangent,
    save,
    table_of,
    unfold_heads,
)


def plan_text(plan: str | Plan) -> str:
    """A plan as operators take it. Raises TypeError for what is neither a plan nor a name."""
    if isinstance(plan, Plan):
        return plan.to_text()
    if isinstance(plan, str):
        return plan
    raise TypeError(f"plan must be a name or a Plan, got {type(plan).__name__}")


def request_for(
    A: Tensor, plan: str | Plan, output_dtype: torch.dtype | None, compute_dtype: torch.dtype | None
) -> Request:
    """What the backends are asked for; A is (..., C, C) or on a time axis."""
    device, dtype = A.device, A.dtype
    return Request(
        device.type,
        device.index,
        plan,
        A.shape[-1],
        dtype,
        output_dtype or dtype,
        compute_dtype,
        A.dim() - 2,
    )


def _check_square(A: Tensor) -> None:
    shape = A.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"A must have shape (..., C, C), got {tuple(shape)}")
    check_chunk_size(shape[-1])


# --- inverse -----------------------------------------------------------------------------------


def _inverse_kernel(
    A: Tensor,
    plan: str,
    output_dtype: torch.dtype | None,
    compute_dtype: torch.dtype | None,
    backend: str | None,
) -> Tensor:
    _check_square(A)
    served = resolve(request_for(A, plan, output_dtype, compute_dtype), backend)
    X = torch.empty(A.shape, dtype=served.output_dtype, device=A.device)
    if A.numel():
        served.backend.run(Problem(A, X), served.work)
    return X


def _inverse_fake(A: Tensor, plan: str, output_dtype: torch.dtype | None, *_: Any) -> Tensor:
    _check_square(A)
    return torch.empty(A.shape, dtype=output_dtype or A.dtype, device=A.device)


def _differentiate(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    (X,) = ctx.saved_tensors
    return input_gradient(X, grad).to(ctx.dtype), *ctx.rest


DENSE_GRADIENT = Gradient(save, _differentiate)


def _inverse_vmap(info: Any, in_dims: tuple[Any, ...], A: Tensor, *rest: Any) -> tuple[Tensor, int]:
    return INVERSE(A.movedim(in_dims[0], 0), *rest), 0


class _Inverse(torch.autograd.Function):
    """The inverse with all its derivatives, of any order and under any transform."""

    @staticmethod
    def forward(A: Tensor, *options: Any) -> Tensor:
        X: Tensor = INVERSE(A.detach(), *options)  # without the tangent that led here
        return X

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        save(ctx, inputs, output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, grad)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        (X,) = ctx.saved_tensors
        return output_tangent(X, tangent).to(X.dtype)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], A: Tensor, *options: Any) -> tuple[Tensor, int]:
        return _Inverse.apply(A.movedim(in_dims[0], 0), *options), 0


INVERSE = Operator(
    "inverse(Tensor A, str plan, ScalarType? output_dtype, ScalarType? compute_dtype, "
    "str? backend) -> Tensor",
    _inverse_kernel,
    _inverse_fake,
    DENSE_GRADIENT,
    _inverse_vmap,
    _Inverse.apply,
)


def _check_out(A: Tensor, out: Tensor) -> None:
    if out.shape != A.shape or out.device != A.device:
        raise ValueError(
            f"out must have A's shape {tuple(A.shape)} and device {A.device}, "
            f"got {tuple(out.shape)} on {out.device}"
        )
    if torch._C._is_alias_of(A, out):  # type: ignore[attr-defined]
        raise ValueError("out must not share memory with A, but is a view of the same storage")
    strides = out.stride()
    if 0 in strides and any(n > 1 and s == 0 for n, s in zip(out.shape, strides, strict=True)):
        raise ValueError(f"out must not overlap itself, got strides {strides}")


def _inverse_out_kernel(
    A: Tensor, out: Tensor, plan: str, compute_dtype: torch.dtype | None, backend: str | None
) -> None:
    _check_square(A)
    _check_out(A, out)
    served = resolve(request_for(A, plan, out.dtype, compute_dtype), backend)
    if A.numel():
        served.backend.run(Problem(A, out), served.work)
    # As torch's own operators do, so that autograd finds out that a saved tensor was overwritten.
    torch.autograd.graph.increment_version(out)


INVERSE_OUT = Operator(
    "inverse_out(Tensor A, Tensor(a!) out, str plan, ScalarType? compute_dtype, "
    "str? backend) -> ()",
    _inverse_out_kernel,
    lambda A, *_: _check_square(A),
)


# --- solve_tril --------------------------------------------------------------------------------


def _solve_tril_backward(
    X: Tensor,
    grad: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    dtype: torch.dtype,
    layout: str,
) -> Tensor:
    if not X.numel():
        return torch.zeros_like(X, dtype=dtype)
    x, g = time_view(X, layout), time_view(grad, layout)
    table = table_of(x, cu_seqlens, chunk_indices)
    chunks = input_gradient(gather_chunks(x, table), gather_chunks(g, table))
    return from_time_view(join_chunks(chunks, table, x.shape[1]), layout).to(dtype).contiguous()


SOLVE_TRIL_BACKWARD = Operator(
    "solve_tril_backward(Tensor X, Tensor grad, Tensor? cu_seqlens, Tensor? chunk_indices, "
    "ScalarType dtype, str layout) -> Tensor",
    _solve_tril_backward,
    lambda X, grad, cu_seqlens, chunk_indices, dtype, layout: torch.empty(
        X.shape, dtype=dtype, device=X.device
    ),
    composite=_solve_tril_backward,
)


def time_gradient(layout_at: int) -> Gradient:
    """Of an operator on a time axis: A, cu_seqlens, chunk_indices come first, the layout there."""

    def save_packing(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, cu_seqlens, chunk_indices, *_ = inputs
        save(ctx, inputs, output, cu_seqlens, chunk_indices)
        ctx.layout = inputs[layout_at]

    def differentiate(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        X, cu_seqlens, chunk_indices = ctx.saved_tensors
        # With a graph of its own if the derivative is to be differentiated.
        way = _solve_tril_backward if torch.is_grad_enabled() else SOLVE_TRIL_BACKWARD
        dA = way(X, grad, cu_seqlens, chunk_indices, ctx.dtype, ctx.layout)
        return dA, *ctx.rest

    return Gradient(save_packing, differentiate)


def _solve_tril_kernel(
    A: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    output_dtype: torch.dtype | None,
    layout: str,
    plan: str,
    compute_dtype: torch.dtype | None,
    backend: str | None,
) -> Tensor:
    check_layout(A, layout, cu_seqlens, chunk_indices)
    check_chunk_size(A.shape[-1])
    served = resolve(request_for(A, plan, output_dtype, compute_dtype), backend)
    view = time_view(A, layout)
    table = table_of(view, cu_seqlens, chunk_indices)
    X = allocate(A, table, served.output_dtype)
    if A.numel():
        served.backend.run(Problem(view, time_view(X, layout), True, table), served.work)
    return X


def _solve_tril_composite(
    A: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    output_dtype: torch.dtype | None,
    layout: str,
    *options: Any,
) -> Tensor:
    check_layout(A, layout, cu_seqlens, chunk_indices)
    view = time_view(A, layout)
    table = table_of(view, cu_seqlens, chunk_indices)
    plan, compute_dtype, backend = options
    chunks = INVERSE(gather_chunks(view, table), plan, output_dtype, compute_dtype, backend)
    return from_time_view(join_chunks(chunks, table, view.shape[1]), layout).contiguous()


def _solve_tril_fake(A, cu_seqlens, chunk_indices, output_dtype, layout, *_):  # type: ignore[no-untyped-def]
    check_layout(A, layout, cu_seqlens, chunk_indices)
    check_chunk_size(A.shape[-1])
    return torch.empty(A.shape, dtype=output_dtype or A.dtype, device=A.device)


def _solve_tril_vmap(info, in_dims, A, *rest):  # type: ignore[no-untyped-def]
    if in_dims[0] is None or in_dims[1] is not None or in_dims[2] is not None:
        raise NotImplementedError("vmap of solve_tril maps over A alone")
    layout = rest[3]
    X = SOLVE_TRIL(fold_into_heads(A, in_dims[0], layout), *rest)
    return unfold_heads(X, info.batch_size, layout)


SOLVE_TRIL = Operator(
    "solve_tril(Tensor A, Tensor? cu_seqlens, Tensor? chunk_indices, ScalarType? output_dtype, "
    "str layout, str plan, ScalarType? compute_dtype, str? backend) -> Tensor",
    _solve_tril_kernel,
    _solve_tril_fake,
    time_gradient(layout_at=4),
    _solve_tril_vmap,
    _solve_tril_composite,
)


# --- functions ---------------------------------------------------------------------------------


@own_context
def inverse(
    A: Tensor,
    plan: str | Plan = "exact",
    *,
    output_dtype: torch.dtype | None = None,
    compute_dtype: torch.dtype | None = None,
    backend: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The inverse of ``I + tril(A, -1)``.

    Differentiable in A: ``dA = -tril(X^T dX X^T, -1)``, with the forward's X.

    Args:
        A: (..., C, C) with any strides, C a multiple of 16 from 16 to 128; float16, bfloat16,
            float32 or float64. Only the strictly lower part is read.
        plan: ``"exact"``, ``"fast"``, ``"paper"`` or a :class:`Plan`, see :func:`plan_for`.
        output_dtype: dtype of the result; A's if None.
        compute_dtype: dtype of the products' operands; the backend's choice if None (float64 if
            A or the result is, otherwise float32, on ``"cpu"`` and ``"reference"``).
        backend: see :func:`backends`; by A's device if None.
        out: tensor of A's shape that takes the result (its dtype is the output's); not
            differentiable, and must not share A's memory.

    Returns:
        (..., C, C), contiguous (or ``out``); exactly zero above the diagonal.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the call; the message says why.
    """
    check_tensor("A", A)
    text = plan_text(plan)
    if out is None:
        result: Tensor = INVERSE(A, text, output_dtype, compute_dtype, backend)
        return result
    check_tensor("out", out)
    if output_dtype not in (None, out.dtype):
        raise ValueError(f"output_dtype is {output_dtype}, but out has {out.dtype}")
    if torch.is_grad_enabled() and (A.requires_grad or out.requires_grad):
        raise ValueError(
            "out does not support gradients; call without out, or under torch.no_grad()"
        )
    INVERSE_OUT(A, out, text, compute_dtype, backend)
    return out


@own_context
def solve_tril(
    A: Tensor,
    cu_seqlens: Tensor | None = None,
    chunk_indices: Tensor | None = None,
    output_dtype: torch.dtype | None = torch.float32,
    *,
    layout: str = "bthc",
    plan: str | Plan = "exact",
    compute_dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Tensor:
    """The inverses of the chunk matrices of whole sequences; a superset of FLA's ``solve_tril``.

    Row t of a chunk holds the C columns of its matrix. A chunk at the end of a sequence may have
    fewer than C rows; its inverse is that of its leading square.

    Args:
        A: (B, T, H, C), or as ``layout`` says, with any strides; dtypes and C as for
            :func:`inverse`.
        cu_seqlens: (N + 1,) int32 or int64: starts of packed sequences and the end of the last,
            from 0, not decreasing, at most T; A's batch must be 1 then. Sequences may be empty.
        chunk_indices: (chunks, 2) as FLA's ``prepare_chunk_indices`` makes them; computed if None.
        output_dtype: dtype of the result; A's if None.
        layout: ``"bthc"``, ``"bhtc"``, or packed ``"thc"``, ``"htc"``.
        plan, compute_dtype, backend: as for :func:`inverse`.

    Returns:
        Of A's shape, contiguous. Exactly zero above each chunk's diagonal and in rows that
        belong to no chunk.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the call; the message says why.
    """
    check_tensor("A", A)
    for name, value in (("cu_seqlens", cu_seqlens), ("chunk_indices", chunk_indices)):
        if value is not None:
            check_tensor(name, value)
    result: Tensor = SOLVE_TRIL(
        A, cu_seqlens, chunk_indices, output_dtype, layout, plan_text(plan), compute_dtype, backend
    )
    return result
