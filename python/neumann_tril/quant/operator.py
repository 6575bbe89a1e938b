"""The operators ``neumann_tril::*_quantized`` and the functions that call them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from .. import native
from .._dispatch import refuse_tangents
from ..backend import BACKENDS, BackendError
from ..layout import (
    ChunkTable,
    check_layout,
    chunk_table_on,
    gather_chunks,
    join_chunks,
    time_view,
)
from ..operator import _check_tensor as check_tensor
from ..operator import _input_gradient as input_gradient
from ..operator import _library as library
from ..plan import check_chunk_size
from . import reference
from .calibration import head_index
from .plan import QuantPlan

__all__ = [
    "QUANTIZED_BACKENDS",
    "Quantized",
    "QuantizedBackend",
    "inverse_quantized",
    "quantize",
    "register_quantized",
    "solve_tril_quantized",
]

PLANS_AT_HAND = 1024
"""Plans that are kept as the kernels take them: a model has one for each layer."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32)
CODES = {8: torch.int8, 16: torch.int16}


class Quantized(NamedTuple):
    """Integer codes and their scale: the numbers are ``codes * scale``.

    scale: float32, of as many dimensions as codes and to be broadcast over them.
    """

    codes: Tensor
    scale: Tensor

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The numbers."""
        return (self.codes.to(torch.float32) * self.scale).to(dtype)


@dataclass(frozen=True, slots=True)
class Problem:
    """One call as a backend sees it.

    A, X: (..., C, C), or (B, T, H, C) on the time axis. group_dim: the batch dimension of A that
    counts the groups of static scales (of (B, N, H) on the time axis), -1 for one group.
    scale: None, or a float32 tensor that takes the scale 1 / n of X's grid of every matrix, in the
    order of the batch dimensions. saturated: None, or an int64 tensor of one entry for the count.
    """

    A: Tensor
    X: Tensor
    qplan: QuantPlan
    group_dim: int
    scale: Tensor | None
    saturated: Tensor | None
    time: bool = False
    table: ChunkTable | None = None


class QuantizedBackend(Protocol):
    """One way of computing the quantised inverse."""

    name: str
    devices: tuple[str, ...]

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""

    def reject(
        self, qplan: QuantPlan, dtype: torch.dtype, output_dtype: torch.dtype, counts: bool
    ) -> str | None:
        """Why it cannot serve such calls; None if it can."""

    def run(self, problem: Problem) -> None:
        """Fill X, and the scale and the count that are asked for."""


class ReferenceQuantized:
    """:func:`neumann_tril.quant.reference.inverse`."""

    name = "reference"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self) -> str | None:
        return None

    def reject(
        self, qplan: QuantPlan, dtype: torch.dtype, output_dtype: torch.dtype, counts: bool
    ) -> str | None:
        return None

    def run(self, problem: Problem) -> None:
        if not problem.time:
            self._run(problem, problem.A, problem.X)
            return
        A = problem.A
        chunks = gather_chunks(A, problem.table).transpose(1, 2)  # (B, N, H, C, C)
        X = torch.empty(chunks.shape, dtype=problem.X.dtype)
        self._run(problem, chunks, X)
        problem.X.copy_(join_chunks(X.transpose(1, 2), problem.table, A.shape[1]))

    def _run(self, problem: Problem, A: Tensor, X: Tensor) -> None:
        qplan = problem.qplan
        group = _groups(A, problem.group_dim)
        numbers = _numbers(A, qplan, group)
        c = qplan.plan.chunk_size
        found = reference.inverse(numbers.reshape(-1, c, c), qplan, group.reshape(-1))
        result = found.wide if X.dtype.is_floating_point else found.codes
        X.copy_(fitting(result, X.dtype).reshape(X.shape))
        if problem.scale is not None:
            problem.scale.copy_(found.scale.reshape(problem.scale.shape))
        if problem.saturated is not None:
            problem.saturated.fill_(found.saturated.sum())


def fitting(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Rounded to dtype; beyond its largest number, that number."""
    if dtype.is_floating_point:
        limit = torch.finfo(dtype).max
        x = x.clamp(-limit, limit)
    return x.to(dtype)


def _groups(A: Tensor, group_dim: int) -> Tensor:
    """The group of every matrix of A (..., C, C)."""
    group = torch.zeros(A.shape[:-2], dtype=torch.int64)
    return group if group_dim < 0 else group + head_index(A, group_dim)


def _numbers(A: Tensor, qplan: QuantPlan, group: Tensor) -> Tensor:
    if A.dtype.is_floating_point:
        return A.float()
    return A.float() * torch.from_numpy(qplan.constants.a_scale)[group][..., None, None]


class CpuQuantized:
    """The native kernels of ``csrc/cpu``."""

    name = "cpu"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self) -> str | None:
        return BACKENDS["cpu"].unavailable()

    def reject(
        self, qplan: QuantPlan, dtype: torch.dtype, output_dtype: torch.dtype, counts: bool
    ) -> str | None:
        return None

    def run(self, problem: Problem) -> None:
        A, X, qplan = problem.A, problem.X, problem.qplan
        if problem.time:
            chunks = native.time_chunks(A, X, problem.table)
        else:
            chunks = native.dense_chunks(A, X)
        constants = constant_rows(qplan)
        native.cpu_inverse_quantized(
            qplan.plan,
            native.QuantStruct(qplan.bits, qplan.groups, problem.group_dim, constants.ctypes.data),
            chunks,
            A,
            X,
            problem.scale,
            problem.saturated,
        )


@lru_cache(maxsize=PLANS_AT_HAND)
def constant_rows(qplan: QuantPlan) -> np.ndarray:
    """The constants as the native kernels take them; a single zero where scales are dynamic."""
    return np.zeros(1, np.float32) if qplan.is_dynamic else qplan.constants.rows()


QUANTIZED_BACKENDS: dict[str, QuantizedBackend] = {}
_DEFAULT = {"cpu": "cpu", "npu": "npu"}


def register_quantized(backend: QuantizedBackend) -> None:
    """Make a backend known by its name."""
    QUANTIZED_BACKENDS[backend.name] = backend


register_quantized(CpuQuantized())
register_quantized(ReferenceQuantized())


def _choose(
    device: str,
    qplan: QuantPlan,
    dtype: torch.dtype,
    output_dtype: torch.dtype,
    counts: bool,
    backend: str | None,
) -> QuantizedBackend:
    if backend is not None and backend not in QUANTIZED_BACKENDS:
        raise ValueError(
            f"backend must be None or one of {', '.join(QUANTIZED_BACKENDS)}, got {backend!r}"
        )
    name = backend or _DEFAULT.get(device)
    if name is None or name not in QUANTIZED_BACKENDS:
        raise BackendError(f"no backend computes the quantised inverse of tensors on {device}")
    chosen = QUANTIZED_BACKENDS[name]
    reason = None
    if device not in chosen.devices:
        reason = f"takes tensors on {' or '.join(chosen.devices)}, A is on {device}"
    reason = reason or chosen.unavailable() or chosen.reject(qplan, dtype, output_dtype, counts)
    if reason is not None:
        raise BackendError(f"backend {name!r} cannot serve this call: {reason}")
    return chosen


# --- operators -----------------------------------------------------------------------------------

library.define(
    "inverse_quantized(Tensor A, str qplan, int head_dim, ScalarType output_dtype, bool counts, "
    "str? backend) -> (Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
library.define(
    "solve_tril_quantized(Tensor A, Tensor? cu_seqlens, Tensor? chunk_indices, str qplan, "
    "ScalarType output_dtype, str layout, bool counts, str? backend) -> (Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_inverse_quantized = torch.ops.neumann_tril.inverse_quantized.default
_solve_tril_quantized = torch.ops.neumann_tril.solve_tril_quantized.default
# A quantised plan travels as JSON, so that a traced graph is complete.
_read = lru_cache(maxsize=PLANS_AT_HAND)(QuantPlan.from_json)


def _counter(A: Tensor, counts: bool) -> Tensor:
    allocate = torch.zeros if counts else torch.empty
    return allocate(int(counts), dtype=torch.int64, device=A.device)


def _scale_shape(A: Tensor, qplan: QuantPlan, head: int) -> tuple[int, ...]:
    """Of the scale that goes with A's shape: one for each chunk, head or tensor."""
    if qplan.granularity == "chunk":
        return (*A.shape[:-2], 1, 1)
    shape = [1] * A.dim()
    if qplan.granularity == "head":
        shape[head] = A.shape[head]
    return tuple(shape)


def _static_scale(A: Tensor, qplan: QuantPlan, head: int) -> Tensor:
    return _x_scale(qplan, A.device).reshape(_scale_shape(A, qplan, head))


@cache
def _x_scale(qplan: QuantPlan, device: torch.device) -> Tensor:
    """The scales of X on a device, sent once and kept."""
    return (1 / torch.from_numpy(qplan.constants.units["X"])).to(device)


def _check_dense(A: Tensor, qplan: QuantPlan, head_dim: int) -> int:
    """The batch dimension that counts heads; -1 if the plan has none."""
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


def _check_time(A: Tensor, qplan: QuantPlan, layout: str, output_dtype: torch.dtype) -> int:
    """The dimension of A that counts heads."""
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


def _inverse_quantized_kernel(
    A: Tensor,
    qplan: str,
    head_dim: int,
    output_dtype: torch.dtype,
    counts: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    plan = _read(qplan)
    head = _check_dense(A, plan, head_dim)
    chosen = _choose(A.device.type, plan, A.dtype, output_dtype, counts, backend)
    X = torch.empty(A.shape, dtype=output_dtype, device=A.device)
    saturated = _counter(A, counts)
    scale = None
    if plan.is_dynamic and not output_dtype.is_floating_point:
        scale = torch.empty(A.shape[:-2], dtype=torch.float32, device=A.device)
    if A.numel():
        chosen.run(Problem(A, X, plan, head, scale, saturated if counts else None))
    if output_dtype.is_floating_point:
        return X, torch.empty(0, device=A.device), saturated
    found = _static_scale(A, plan, head) if scale is None else scale[..., None, None]
    return X, found, saturated


def _solve_tril_quantized_kernel(
    A: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    qplan: str,
    output_dtype: torch.dtype,
    layout: str,
    counts: bool,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor]:
    plan = _read(qplan)
    check_layout(A, layout, cu_seqlens, chunk_indices)
    head = _check_time(A, plan, layout, output_dtype)
    chosen = _choose(A.device.type, plan, A.dtype, output_dtype, counts, backend)
    view = time_view(A, layout)
    table = None
    if cu_seqlens is not None:
        table = chunk_table_on(A.device, view.shape[1], A.shape[-1], cu_seqlens, chunk_indices)
    allocate = torch.empty if table is None or table.covers else torch.zeros
    X = allocate(A.shape, dtype=output_dtype, device=A.device)
    saturated = _counter(A, counts)
    if A.numel():
        group_dim = 2 if plan.granularity == "head" else -1
        chosen.run(
            Problem(
                view,
                time_view(X, layout),
                plan,
                group_dim,
                None,
                saturated if counts else None,
                True,
                table,
            )
        )
    if output_dtype.is_floating_point:
        return X, torch.empty(0, device=A.device), saturated
    return X, _static_scale(A, plan, head), saturated


def register_quantized_kernels(dispatch_key: str) -> None:
    """Register the kernels for one dispatch key; they run the backend of the tensors' device."""
    library.impl("inverse_quantized", _inverse_quantized_kernel, dispatch_key)
    library.impl("solve_tril_quantized", _solve_tril_quantized_kernel, dispatch_key)


register_quantized_kernels("CPU")


@torch.library.register_fake("neumann_tril::inverse_quantized", lib=library)
def _(A, qplan, head_dim, output_dtype, counts, backend):  # type: ignore[no-untyped-def]
    plan = _read(qplan)
    head = _check_dense(A, plan, head_dim)
    shape = (0,) if output_dtype.is_floating_point else _scale_shape(A, plan, head)
    X = torch.empty(A.shape, dtype=output_dtype, device=A.device)
    return X, torch.empty(shape, device=A.device), _counter(A, counts)


@torch.library.register_fake("neumann_tril::solve_tril_quantized", lib=library)
def _(A, cu_seqlens, chunk_indices, qplan, output_dtype, layout, counts, backend):  # type: ignore[no-untyped-def]
    plan = _read(qplan)
    check_layout(A, layout, cu_seqlens, chunk_indices)
    head = _check_time(A, plan, layout, output_dtype)
    shape = (0,) if output_dtype.is_floating_point else _scale_shape(A, plan, head)
    X = torch.empty(A.shape, dtype=output_dtype, device=A.device)
    return X, torch.empty(shape, device=A.device), _counter(A, counts)


# --- gradients: the quantisers count as the identity --------------------------------------------


def _save_dense(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.save_for_backward(output[0])
    ctx.dtype = inputs[0].dtype


def _differentiate_dense(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    (X,) = ctx.saved_tensors
    return input_gradient(X, grad).to(ctx.dtype), None, None, None, None, None


def _save_time(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    A, cu_seqlens, chunk_indices, _, _, ctx.layout, *_ = inputs
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.save_for_backward(output[0], cu_seqlens, chunk_indices)
    ctx.dtype = A.dtype


def _differentiate_time(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    X, cu_seqlens, chunk_indices = ctx.saved_tensors
    dA = torch.ops.neumann_tril.solve_tril_backward(
        X, grad, cu_seqlens, chunk_indices, ctx.dtype, ctx.layout
    )
    return dA, None, None, None, None, None, None, None


torch.library.register_autograd(
    "neumann_tril::inverse_quantized", _differentiate_dense, setup_context=_save_dense, lib=library
)
torch.library.register_autograd(
    "neumann_tril::solve_tril_quantized",
    _differentiate_time,
    setup_context=_save_time,
    lib=library,
)


# --- functions -----------------------------------------------------------------------------------


def check_operands(A: Tensor, qplan: QuantPlan) -> None:
    """Raise TypeError unless they are a tensor and a plan."""
    check_tensor("A", A)
    if not isinstance(qplan, QuantPlan):
        raise TypeError(f"qplan must be a QuantPlan, got {type(qplan).__name__}")


def _check_call(
    A: Tensor, qplan: QuantPlan, scale: Any, output_dtype: torch.dtype | None
) -> tuple[Tensor, torch.dtype]:
    """A as a backend takes it, and the dtype of the result."""
    check_operands(A, qplan)
    refuse_tangents(A)
    codes = CODES[qplan.bits]
    if A.dtype == torch.float64:
        A = A.float()
    if A.dtype not in (*FLOATS, codes):
        raise ValueError(
            f"A must be float16, bfloat16, float32, float64 or, for int{qplan.bits} plans, "
            f"{codes}, got {A.dtype}"
        )
    output_dtype = output_dtype or (A.dtype if A.dtype.is_floating_point else torch.float32)
    if output_dtype not in (*FLOATS, codes):
        raise ValueError(
            f"output_dtype must be float16, bfloat16, float32 or, for int{qplan.bits} plans, "
            f"{codes}, got {output_dtype}"
        )
    if A.dtype.is_floating_point:
        if scale is not None:
            raise ValueError(f"scale belongs to integer A, but A is {A.dtype}")
        return A, output_dtype
    if scale is None:
        if qplan.is_dynamic:
            raise ValueError("scale is required for integer A where scales are found on the fly")
        return A, output_dtype
    return A.float() * _checked_scale(scale, A), output_dtype


def _checked_scale(scale: Any, A: Tensor) -> Tensor:
    if not isinstance(scale, (Tensor, int, float)):
        raise TypeError(f"scale must be a tensor or a number, got {type(scale).__name__}")
    scale = torch.as_tensor(scale, dtype=torch.float32)
    # A device's numbers are not looked at: the host would have to wait for them.
    if scale.device.type == "cpu" and not bool((torch.isfinite(scale) & (scale > 0)).all()):
        raise ValueError("scale must be positive and finite throughout")
    try:
        fits = bool(torch.broadcast_shapes(scale.shape, A.shape) == A.shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"scale {tuple(scale.shape)} cannot be broadcast over A {tuple(A.shape)}")
    checked: Tensor = scale.to(A.device, non_blocking=True)
    return checked


def _returned(
    found: tuple[Tensor, Tensor, Tensor], return_saturated: bool
) -> Tensor | Quantized | tuple[Tensor | Quantized, Tensor]:
    X, scale, saturated = found
    result: Tensor | Quantized = X if X.dtype.is_floating_point else Quantized(X, scale)
    return (result, saturated[0]) if return_saturated else result


def inverse_quantized(
    A: Tensor,
    qplan: QuantPlan,
    *,
    scale: Tensor | float | None = None,
    output_dtype: torch.dtype | None = None,
    head_dim: int = -3,
    backend: str | None = None,
    return_saturated: bool = False,
) -> Any:
    """The inverse of ``I + tril(A, -1)`` on integer grids.

    Never non-finite and never wrapped: NaN in A counts as zero, everything else saturates.
    Differentiable in floating-point A: ``dA = -tril(X^T dX X^T, -1)`` with the quantised X, the
    quantisers counting as the identity (straight through).

    Args:
        A: (..., C, C): float16, bfloat16, float32, float64 (taken as float32), or int8/int16
            codes for a plan of 8/16 bits. Only the strictly lower part is read.
        qplan: for chunk size C; with scales per head, for the heads of A.
        scale: of integer A, to be broadcast over it; None: A is on the grid of the plan.
        output_dtype: float16, bfloat16, float32, or int8/int16 by the plan's bits; A's dtype if
            None, and float32 for integer A.
        head_dim: the dimension of A that counts heads; read where scales are per head.
        backend: "cpu", "reference", ...; by A's device if None.
        return_saturated: also return how many codes saturated.

    Returns:
        X (..., C, C); for an integer dtype :class:`Quantized`, X's codes (the diagonal is the
        code of a one) and their scale. With ``return_saturated`` a pair of that and an int64
        tensor.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the call; the message says why.
    """
    A, output_dtype = _check_call(A, qplan, scale, output_dtype)
    found = _inverse_quantized(A, qplan.text, head_dim, output_dtype, return_saturated, backend)
    return _returned(found, return_saturated)


def solve_tril_quantized(
    A: Tensor,
    qplan: QuantPlan,
    cu_seqlens: Tensor | None = None,
    chunk_indices: Tensor | None = None,
    *,
    layout: str = "bthc",
    scale: Tensor | float | None = None,
    output_dtype: torch.dtype | None = None,
    backend: str | None = None,
    return_saturated: bool = False,
) -> Any:
    """:func:`inverse_quantized` in the layouts of :func:`neumann_tril.solve_tril`.

    Scales per head belong to the layout's H. Integer results need static scales.

    Args, result and errors: as for those two functions.
    """
    A, output_dtype = _check_call(A, qplan, scale, output_dtype)
    for name, value in (("cu_seqlens", cu_seqlens), ("chunk_indices", chunk_indices)):
        if value is not None:
            check_tensor(name, value)
    found = _solve_tril_quantized(
        A, cu_seqlens, chunk_indices, qplan.text, output_dtype, layout, return_saturated, backend
    )
    return _returned(found, return_saturated)


def quantize(A: Tensor, qplan: QuantPlan, *, head_dim: int = -3) -> Quantized:
    """Codes of A (..., C, C) on the plan's grid, as :func:`inverse_quantized` takes them.

    Calibrate with ``integer_input=True`` for this: the grid then holds all of A, not only the
    blocks that are operands of a product.

    Args:
        A: (..., C, C), floating point. NaN counts as zero; what lies beyond the grid saturates.
        qplan, head_dim: as for :func:`inverse_quantized`.

    Returns:
        int8 or int16 codes of A's shape, zero on and above the diagonal, and their scale.

    Raises:
        TypeError, ValueError: A is not as above, scales are found on the fly, or A does not fit
            the plan.
    """
    check_operands(A, qplan)
    if not A.dtype.is_floating_point:
        raise ValueError(f"A must have a floating dtype, got {A.dtype}")
    if qplan.is_dynamic:
        raise ValueError("qplan must have static scales, got scales per chunk")
    head = _check_dense(A, qplan, head_dim)
    constants = qplan.constants
    group = _groups(A, head)
    inverse = torch.from_numpy(constants.a_inverse)[group][..., None, None].to(A.device)
    numbers = torch.nan_to_num(torch.tril(A, -1).float(), nan=0.0)
    codes, _ = reference.codes_of(numbers * inverse, qplan.bits, "A")
    scale = torch.from_numpy(constants.a_scale).to(A.device).reshape(_scale_shape(A, qplan, head))
    return Quantized(codes.to(CODES[qplan.bits]), scale)
