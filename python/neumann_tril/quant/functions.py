"""The quantised inverse as functions, and codes to give it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..arguments import check_tensor
from ..context import own_context
from ..grids import CODES, QuantPlan
from ..grids.matrices import check_dense, groups_of, scale_shape
from ..grids.reference import codes_of
from ..ops import INVERSE_QUANTIZED, SOLVE_TRIL_QUANTIZED

FLOATS = (torch.float16, torch.bfloat16, torch.float32)


class Quantized(NamedTuple):
    """Integer codes and their scale: the numbers are ``codes * scale``.

    scale: float32, of as many dimensions as codes and to be broadcast over them.
    """

    codes: Tensor
    scale: Tensor

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The numbers."""
        return (self.codes.to(torch.float32) * self.scale).to(dtype)


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
    if isinstance(scale, Tensor):
        check_tensor("scale", scale)
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


@own_context
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
    found = INVERSE_QUANTIZED(A, qplan.text, head_dim, output_dtype, return_saturated, backend)
    return _returned(found, return_saturated)


@own_context
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
    found = SOLVE_TRIL_QUANTIZED(
        A, cu_seqlens, chunk_indices, qplan.text, output_dtype, layout, return_saturated, backend
    )
    return _returned(found, return_saturated)


@own_context
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
    head = check_dense(A, qplan, head_dim)
    constants = qplan.constants
    group = groups_of(A, head)
    inverse = torch.from_numpy(constants.a_inverse)[group][..., None, None].to(A.device)
    numbers = torch.nan_to_num(torch.tril(A, -1).float(), nan=0.0)
    codes, _ = codes_of(numbers * inverse, qplan.bits, "A")
    scale = torch.from_numpy(constants.a_scale).to(A.device).reshape(scale_shape(A, qplan, head))
    return Quantized(codes.to(CODES[qplan.bits]), scale)
