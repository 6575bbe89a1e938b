"""The operators ``neumann_tril::*`` and the functions that call them.

Registered from Python, by schema, per dispatch key: CPU here; an NPU's key is PrivateUse1, for
which :func:`register_kernels` is called by the code that knows that device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import backend as _backend
from ._dispatch import call
from .backend import BACKENDS, BackendError, Request, Resolved
from .layout import ChunkTable, check_layout, chunk_table_on, gather_chunks, join_chunks, time_view
from .plan import Plan, check_chunk_size

__all__ = ["Explanation", "explain", "inverse", "register_kernels", "solve_tril"]

_library = torch.library.Library("neumann_tril", "DEF")

# A plan travels as its name or as the text of its fields, so that a traced graph shows it.
_SCHEMAS = (
    "inverse(Tensor A, str plan, ScalarType? output_dtype, ScalarType? compute_dtype, "
    "str? backend) -> Tensor",
    "inverse_out(Tensor A, Tensor(a!) out, str plan, ScalarType? compute_dtype, "
    "str? backend) -> ()",
    "solve_tril(Tensor A, Tensor? cu_seqlens, Tensor? chunk_indices, ScalarType? output_dtype, "
    "str layout, str plan, ScalarType? compute_dtype, str? backend) -> Tensor",
    "solve_tril_backward(Tensor X, Tensor grad, Tensor? cu_seqlens, Tensor? chunk_indices, "
    "ScalarType dtype, str layout) -> Tensor",
)
for _schema in _SCHEMAS:
    _library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))


# The overloads themselves: looking one up by name at every call would cost microseconds.
_inverse = torch.ops.neumann_tril.inverse.default
_inverse_out = torch.ops.neumann_tril.inverse_out.default
_solve_tril = torch.ops.neumann_tril.solve_tril.default
_solve_tril_backward = torch.ops.neumann_tril.solve_tril_backward.default


def _plan_text(plan: str | Plan) -> str:
    if isinstance(plan, Plan):
        return plan.to_text()
    if isinstance(plan, str):
        return plan
    raise TypeError(f"plan must be a name or a Plan, got {type(plan).__name__}")


def _resolve(
    A: Tensor,
    plan: str,
    output_dtype: torch.dtype | None,
    compute_dtype: torch.dtype | None,
    backend: str | None,
) -> Resolved:
    request = Request(
        A.device.type,
        A.shape[-1],
        A.dtype,
        output_dtype or A.dtype,
        compute_dtype,
        A.dim() - 2,
    )
    return _backend.resolve(request, plan, backend)


def _check_square(A: Tensor) -> None:
    shape = A.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"A must have shape (..., C, C), got {tuple(shape)}")
    check_chunk_size(shape[-1])


# --- kernels -----------------------------------------------------------------------------------


def _inverse_kernel(
    A: Tensor,
    plan: str,
    output_dtype: torch.dtype | None,
    compute_dtype: torch.dtype | None,
    backend: str | None,
) -> Tensor:
    _check_square(A)
    served = _resolve(A, plan, output_dtype, compute_dtype, backend)
    X = torch.empty(A.shape, dtype=served.output_dtype, device=A.device)
    if A.numel():
        served.backend.run_dense(A, X, served.plan, served.compute_dtype)
    return X


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
    served = _resolve(A, plan, out.dtype, compute_dtype, backend)
    if A.numel():
        served.backend.run_dense(A, out, served.plan, served.compute_dtype)
    # As torch's own operators do, so that autograd finds out that a saved tensor was overwritten.
    torch.autograd.graph.increment_version(out)


def _chunk_table(
    view: Tensor, cu_seqlens: Tensor | None, chunk_indices: Tensor | None
) -> ChunkTable | None:
    """The table of a tensor seen as (B, T, H, C), on its device; None without packed sequences."""
    if cu_seqlens is None:
        return None
    return chunk_table_on(view.device, view.shape[1], view.shape[3], cu_seqlens, chunk_indices)


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
    served = _resolve(A, plan, output_dtype, compute_dtype, backend)
    view = time_view(A, layout)
    table = _chunk_table(view, cu_seqlens, chunk_indices)
    allocate = torch.empty if table is None or table.covers else torch.zeros
    X = allocate(A.shape, dtype=served.output_dtype, device=A.device)
    if A.numel():
        served.backend.run_time(
            view, time_view(X, layout), served.plan, served.compute_dtype, table
        )
    return X


def _solve_tril_backward_kernel(
    X: Tensor,
    grad: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    dtype: torch.dtype,
    layout: str,
) -> Tensor:
    x, g = time_view(X, layout), time_view(grad, layout)
    dA = torch.empty(X.shape, dtype=dtype, device=X.device)
    if X.numel():
        table = _chunk_table(x, cu_seqlens, chunk_indices)
        chunks = _input_gradient(gather_chunks(x, table), gather_chunks(g, table))
        time_view(dA, layout).copy_(join_chunks(chunks, table, x.shape[1]))
    return dA


def register_kernels(dispatch_key: str) -> None:
    """Register the kernels for one dispatch key; they run the backend of the tensors' device."""
    _library.impl("inverse", _inverse_kernel, dispatch_key)
    _library.impl("inverse_out", _inverse_out_kernel, dispatch_key)
    _library.impl("solve_tril", _solve_tril_kernel, dispatch_key)
    _library.impl("solve_tril_backward", _solve_tril_backward_kernel, dispatch_key)


register_kernels("CPU")


# --- shapes ------------------------------------------------------------------------------------


@torch.library.register_fake("neumann_tril::inverse", lib=_library)
def _(A, plan, output_dtype, compute_dtype, backend):  # type: ignore[no-untyped-def]
    _check_square(A)
    return torch.empty(A.shape, dtype=output_dtype or A.dtype, device=A.device)


@torch.library.register_fake("neumann_tril::inverse_out", lib=_library)
def _(A, out, plan, compute_dtype, backend):  # type: ignore[no-untyped-def]
    _check_square(A)


@torch.library.register_fake("neumann_tril::solve_tril", lib=_library)
def _(A, cu_seqlens, chunk_indices, output_dtype, layout, plan, compute_dtype, backend):  # type: ignore[no-untyped-def]
    check_layout(A, layout, cu_seqlens, chunk_indices)
    check_chunk_size(A.shape[-1])
    return torch.empty(A.shape, dtype=output_dtype or A.dtype, device=A.device)


@torch.library.register_fake("neumann_tril::solve_tril_backward", lib=_library)
def _(X, grad, cu_seqlens, chunk_indices, dtype, layout):  # type: ignore[no-untyped-def]
    return torch.empty(X.shape, dtype=dtype, device=X.device)


# --- gradients ---------------------------------------------------------------------------------


def _input_gradient(X: Tensor, grad: Tensor) -> Tensor:
    """``dA = -tril(X^T dX X^T, -1)``, at least in float32; X and dX are (..., C, C)."""
    dtype = torch.promote_types(torch.promote_types(X.dtype, grad.dtype), torch.float32)
    transposed = X.to(dtype).mT
    return -torch.tril(transposed @ grad.to(dtype) @ transposed, -1)


def _save_inverse(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(output)
    ctx.dtype = inputs[0].dtype


def _differentiate_inverse(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (X,) = ctx.saved_tensors
    return _input_gradient(X, grad).to(ctx.dtype), None, None, None, None


def _save_solve_tril(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    A, cu_seqlens, chunk_indices, _, ctx.layout, *_ = inputs
    ctx.save_for_backward(output, cu_seqlens, chunk_indices)
    ctx.dtype = A.dtype


def _differentiate_solve_tril(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    X, cu_seqlens, chunk_indices = ctx.saved_tensors
    dA = _solve_tril_backward(X, grad, cu_seqlens, chunk_indices, ctx.dtype, ctx.layout)
    return dA, None, None, None, None, None, None, None


def _no_second_derivative(ctx: Any, grad: Tensor) -> None:
    raise NotImplementedError(
        "solve_tril has no second derivative; inverse, on (..., C, C) matrices, has one"
    )


torch.library.register_autograd(
    "neumann_tril::inverse", _differentiate_inverse, setup_context=_save_inverse, lib=_library
)
torch.library.register_autograd(
    "neumann_tril::solve_tril",
    _differentiate_solve_tril,
    setup_context=_save_solve_tril,
    lib=_library,
)
torch.library.register_autograd(
    "neumann_tril::solve_tril_backward", _no_second_derivative, lib=_library
)


# --- vmap --------------------------------------------------------------------------------------


def _vmap_inverse(info, in_dims, A, *rest):  # type: ignore[no-untyped-def]
    return _inverse(A.movedim(in_dims[0], 0), *rest), 0


def _fold_into_heads(A: Tensor, dim: int, layout: str) -> Tensor:
    """The mapped dimension goes in front of the heads and becomes part of them."""
    heads = layout.index("h")
    return A.movedim(dim, heads).flatten(heads, heads + 1)


def _vmap_solve_tril(info, in_dims, A, cu_seqlens, chunk_indices, output_dtype, layout, *rest):  # type: ignore[no-untyped-def]
    if in_dims[0] is None or in_dims[1] is not None or in_dims[2] is not None:
        raise NotImplementedError("vmap of solve_tril maps over A alone")
    X = _solve_tril(
        _fold_into_heads(A, in_dims[0], layout),
        cu_seqlens,
        chunk_indices,
        output_dtype,
        layout,
        *rest,
    )
    heads = layout.index("h")
    return X.unflatten(heads, (info.batch_size, -1)), heads


torch.library.register_vmap("neumann_tril::inverse", _vmap_inverse, lib=_library)
torch.library.register_vmap("neumann_tril::solve_tril", _vmap_solve_tril, lib=_library)


# --- functions ---------------------------------------------------------------------------------


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")


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
    _check_tensor("A", A)
    text = _plan_text(plan)
    if out is None:
        result: Tensor = call(
            _inverse, _inverse_kernel, A, text, output_dtype, compute_dtype, backend
        )
        return result
    _check_tensor("out", out)
    if output_dtype not in (None, out.dtype):
        raise ValueError(f"output_dtype is {output_dtype}, but out has {out.dtype}")
    if torch.is_grad_enabled() and (A.requires_grad or out.requires_grad):
        raise ValueError(
            "out does not support gradients; call without out, or under torch.no_grad()"
        )
    call(_inverse_out, _inverse_out_kernel, A, out, text, compute_dtype, backend)
    return out


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
    _check_tensor("A", A)
    for name, value in (("cu_seqlens", cu_seqlens), ("chunk_indices", chunk_indices)):
        if value is not None:
            _check_tensor(name, value)
    result: Tensor = call(
        _solve_tril,
        _solve_tril_kernel,
        A,
        cu_seqlens,
        chunk_indices,
        output_dtype,
        layout,
        _plan_text(plan),
        compute_dtype,
        backend,
    )
    return result


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which backend and plan a call takes, and why the others do not.

    ``backend`` and ``plan`` are None if the call would raise; ``error`` is then its message.
    """

    backend: str | None
    plan: Plan | None
    compute_dtype: torch.dtype | None
    output_dtype: torch.dtype
    others: dict[str, str]
    error: str | None = None

    def __str__(self) -> str:
        if self.error is not None:
            head = [f"raises: {self.error}"]
        else:
            head = [
                f"backend: {self.backend}",
                f"plan: {self.plan}",
                f"computes in {self.compute_dtype}, returns {self.output_dtype}",
            ]
        return "\n".join(head + [f"not {name}: {reason}" for name, reason in self.others.items()])


def explain(
    A: Tensor,
    plan: str | Plan = "exact",
    *,
    output_dtype: torch.dtype | None = None,
    compute_dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Explanation:
    """Which backend and plan a call with these arguments takes, and why the others do not.

    Args:
        A: the matrices (..., C, C), or a tensor in one of :func:`solve_tril`'s layouts.
        plan, output_dtype, compute_dtype, backend: as for :func:`inverse`.
    """
    _check_tensor("A", A)
    request = Request(
        A.device.type, A.shape[-1], A.dtype, output_dtype or A.dtype, compute_dtype, A.dim() - 2
    )
    chosen: Resolved | None = None
    error = None
    try:
        chosen = _backend.resolve(request, plan, backend)
    except (BackendError, ValueError) as raised:
        error = str(raised)
    others = {}
    for name in BACKENDS:
        if chosen is not None and name == chosen.backend.name:
            continue
        try:
            outcome = _backend.rejection(name, request, plan)
        except ValueError as raised:
            outcome = str(raised)
        if isinstance(outcome, Resolved):
            outcome = f"would serve it; ask with backend={name!r}"
        others[name] = outcome
    return Explanation(
        chosen.backend.name if chosen else None,
        chosen.plan if chosen else None,
        chosen.compute_dtype if chosen else None,
        request.output_dtype,
        others,
        error,
    )
