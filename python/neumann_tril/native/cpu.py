"""The functions of the CPU library."""

from __future__ import annotations

import torch
from torch import Tensor

from ..plan import Plan
from .libraries import library
from .structures import DTYPE_CODES, QUANTIZED_DTYPE_CODES, Chunks, PlanStruct, QuantStruct


def cpu_isa() -> str:
    """Instruction set that the CPU kernels use: avx512, avx2, neon or portable."""
    return str(library().nt_cpu_isa().decode())


def quant_constants(plan: Plan) -> int:
    """Numbers in a row of constants of a quantised plan; 0 if the library refuses the plan."""
    return int(library().nt_quant_constants(PlanStruct.of(plan)))


def cpu_inverse(plan: Plan, chunks: Chunks, A: Tensor, X: Tensor) -> None:
    """Fill X with the inverses, on ``torch.get_num_threads()`` threads.

    Raises:
        ValueError: the library refuses the arguments; the text is its reason.
    """
    reason = library().nt_cpu_inverse(
        PlanStruct.of(plan),
        chunks,
        A.data_ptr(),
        DTYPE_CODES[A.dtype],
        X.data_ptr(),
        DTYPE_CODES[X.dtype],
        torch.get_num_threads(),
    )
    if reason is not None:
        raise ValueError(reason.decode())


def cpu_inverse_quantized(
    plan: Plan,
    quant: QuantStruct,
    chunks: Chunks,
    A: Tensor,
    X: Tensor,
    x_scale: Tensor | None = None,
    saturated: Tensor | None = None,
) -> None:
    """Fill X with the inverses on the grids of ``quant``, whose constants must outlive the call.

    Args:
        A: any of ``QUANTIZED_DTYPE_CODES``; integers are codes.
        X: float16, bfloat16 or float32 numbers, or codes, int8 or int16 as the grids' bits.
        x_scale: contiguous float32, takes the scale of the codes of each matrix in batch order.
        saturated: one int64, takes the number of codes beyond their grid, of all intermediates of
            all matrices.

    Raises:
        ValueError: the library refuses the arguments; the text is its reason.
    """
    reason = library().nt_cpu_inverse_quantized(
        PlanStruct.of(plan),
        quant,
        chunks,
        A.data_ptr(),
        QUANTIZED_DTYPE_CODES[A.dtype],
        X.data_ptr(),
        QUANTIZED_DTYPE_CODES[X.dtype],
        None if x_scale is None else x_scale.data_ptr(),
        None if saturated is None else saturated.data_ptr(),
        torch.get_num_threads(),
    )
    if reason is not None:
        raise ValueError(reason.decode())
