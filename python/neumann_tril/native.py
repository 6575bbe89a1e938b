"""The native library, reached by ctypes through its C interface, ``neumann_tril.h``."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from .layout import ChunkTable
from .plan import Plan

__all__ = [
    "DTYPE_CODES",
    "QUANTIZED_DTYPE_CODES",
    "Chunks",
    "QuantStruct",
    "cpu_inverse",
    "cpu_inverse_quantized",
    "cpu_isa",
    "dense_chunks",
    "library",
    "quant_constants",
    "time_chunks",
]

VERSION = 1
MAX_DIMS = 8
LIBRARY = "libneumann_tril.so"

DTYPE_CODES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
"""Codes of the dtypes of the floating-point inverse."""
QUANTIZED_DTYPE_CODES = {**DTYPE_CODES, torch.int8: 4, torch.int16: 5}
"""Codes of the dtypes of the quantised inverse."""


class PlanStruct(ctypes.Structure):
    """``nt_plan``."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("chunk_size", "bandwidth", "terms", "form", "splits", "refinements")
    ]


class Chunks(ctypes.Structure):
    """``nt_chunks``."""

    _fields_ = [
        ("dims", ctypes.c_int32),
        ("chunk_dim", ctypes.c_int32),
        ("size", ctypes.c_int64 * MAX_DIMS),
        ("a_stride", ctypes.c_int64 * MAX_DIMS),
        ("x_stride", ctypes.c_int64 * MAX_DIMS),
        ("a_row_stride", ctypes.c_int64),
        ("a_column_stride", ctypes.c_int64),
        ("x_row_stride", ctypes.c_int64),
        ("x_column_stride", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("first_row", ctypes.c_void_p),
        ("valid_rows", ctypes.c_void_p),
    ]


class QuantStruct(ctypes.Structure):
    """``nt_quant``."""

    _fields_ = [
        ("bits", ctypes.c_int32),
        ("groups", ctypes.c_int32),
        ("group_dim", ctypes.c_int32),
        ("constants", ctypes.c_void_p),
    ]


class NativeLibraryError(RuntimeError):
    """The native library is missing or of another version."""


@cache
def library() -> ctypes.CDLL:
    """The loaded library.

    Raises:
        NativeLibraryError: it is not beside the package, cannot be loaded, or has another version.
    """
    path = Path(__file__).with_name(LIBRARY)
    if not path.exists():
        raise NativeLibraryError(f"{LIBRARY} is not beside the package; reinstall neumann-tril")
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeLibraryError(f"{LIBRARY} cannot be loaded: {error}") from error
    version = loaded.nt_version()
    if version != VERSION:
        raise NativeLibraryError(f"{LIBRARY} has interface {version}, this package needs {VERSION}")
    loaded.nt_cpu_isa.restype = ctypes.c_char_p
    loaded.nt_cpu_inverse.restype = ctypes.c_char_p
    loaded.nt_cpu_inverse.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_int32,
    ]
    loaded.nt_quant_constants.argtypes = [ctypes.c_void_p]
    loaded.nt_cpu_inverse_quantized.restype = ctypes.c_char_p
    loaded.nt_cpu_inverse_quantized.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int32,
    ]
    return loaded


def cpu_isa() -> str:
    """Instruction set that the CPU kernels use: avx512, avx2, neon or portable."""
    return str(library().nt_cpu_isa().decode())


@cache
def _plan_struct(plan: Plan) -> PlanStruct:
    return PlanStruct(*plan.to_ints())


def dense_chunks(A: Tensor, X: Tensor) -> Chunks:
    """The matrices of A and X, both (..., C, C) with at most 8 batch dimensions."""
    return dense_chunks_of(A.shape, A.stride(), X.stride())


# Remembered, because filling the structure takes longer than a small inversion.
@lru_cache(maxsize=256)
def dense_chunks_of(shape: tuple[int, ...], a: tuple[int, ...], x: tuple[int, ...]) -> Chunks:
    """The same by the shape of A and X and their strides."""
    dims = len(shape) - 2
    if dims > MAX_DIMS:
        raise ValueError(f"A has {dims} batch dimensions, at most {MAX_DIMS} are taken")
    chunks = Chunks(dims=dims, chunk_dim=-1)
    if dims:
        chunks.size[:dims] = shape[:-2]
        chunks.a_stride[:dims] = a[:-2]
        chunks.x_stride[:dims] = x[:-2]
    chunks.a_row_stride, chunks.a_column_stride = a[-2:]
    chunks.x_row_stride, chunks.x_column_stride = x[-2:]
    return chunks


def time_chunks(A: Tensor, X: Tensor, table: ChunkTable | None) -> Chunks:
    """The chunks of A and X, both seen as (B, T, H, C); of a packed batch by its table, which must
    outlive the call."""
    if table is None:
        return time_chunks_of(A.shape, A.stride(), X.stride(), -(-A.shape[1] // A.shape[3]))
    count = len(table.first_row)
    chunks = Chunks.from_buffer_copy(time_chunks_of(A.shape, A.stride(), X.stride(), count))
    chunks.first_row = table.first_row.data_ptr()
    chunks.valid_rows = table.valid_rows.data_ptr()
    return chunks


@lru_cache(maxsize=256)
def time_chunks_of(
    shape: tuple[int, ...], a: tuple[int, ...], x: tuple[int, ...], count: int
) -> Chunks:
    """``count`` chunks by the shape of A and X, seen as (B, T, H, C), and their strides."""
    chunks = Chunks(dims=3, chunk_dim=1, length=shape[1])
    chunks.size[:3] = (shape[0], count, shape[2])
    chunks.a_stride[:3] = (a[0], 0, a[2])
    chunks.x_stride[:3] = (x[0], 0, x[2])
    chunks.a_row_stride, chunks.a_column_stride = a[1], a[3]
    chunks.x_row_stride, chunks.x_column_stride = x[1], x[3]
    return chunks


def cpu_inverse(plan: Plan, chunks: Chunks, A: Tensor, X: Tensor) -> None:
    """Fill X with the inverses, on ``torch.get_num_threads()`` threads.

    Raises:
        ValueError: the library refuses the arguments; the text is its reason.
    """
    reason = library().nt_cpu_inverse(
        ctypes.byref(_plan_struct(plan)),
        ctypes.byref(chunks),
        A.data_ptr(),
        DTYPE_CODES[A.dtype],
        X.data_ptr(),
        DTYPE_CODES[X.dtype],
        torch.get_num_threads(),
    )
    if reason is not None:
        raise ValueError(reason.decode())


def quant_constants(plan: Plan) -> int:
    """Numbers in a row of constants of a quantised plan; 0 if the library refuses the plan."""
    return int(library().nt_quant_constants(ctypes.byref(_plan_struct(plan))))


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
        ctypes.byref(_plan_struct(plan)),
        ctypes.byref(quant),
        ctypes.byref(chunks),
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
