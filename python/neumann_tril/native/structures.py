"""The structures of the C interfaces, and the codes of dtypes."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..grids import QuantPlan
from ..layout import ChunkTable, Problem
from ..plan import Plan

MAX_DIMS = 8

DTYPE_CODES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2, torch.float64: 3}
"""Codes of the dtypes of the floating-point inverse."""
QUANTIZED_DTYPE_CODES = {**DTYPE_CODES, torch.int8: 4, torch.int16: 5}
"""Codes of the dtypes of the quantised inverse."""
NONE_CODE = -1
"""In place of the dtype of a tensor that is not there."""


class PlanStruct(ctypes.Structure):
    """``nt_plan``."""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("chunk_size", "bandwidth", "terms", "form", "splits", "refinements")
    ]

    @staticmethod
    @cache
    def of(plan: Plan) -> PlanStruct:
        """The plan's; shared, not to be changed."""
        return PlanStruct(*plan.to_ints())


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
    """``nt_quant``; ``constants`` is an address."""

    _fields_ = [
        ("bits", ctypes.c_int32),
        ("groups", ctypes.c_int32),
        ("group_dim", ctypes.c_int32),
        ("constants", ctypes.c_void_p),
    ]


class Entry(NamedTuple):
    """The C functions that take a structure of the NPU kernels."""

    refusal: str
    workspace_bytes: str
    launch: str


class Inversion(ctypes.Structure):
    """``nt_npu_inversion``."""

    entry: ClassVar = Entry("nt_npu_refusal", "nt_npu_workspace_bytes", "nt_npu_inverse")
    _fields_ = [
        ("plan", PlanStruct),
        ("chunks", Chunks),
        ("a_dtype", ctypes.c_int32),
        ("x_dtype", ctypes.c_int32),
        ("compute_dtype", ctypes.c_int32),
        ("cube_cores", ctypes.c_int32),
        ("a", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
    ]


class QuantizedInversion(ctypes.Structure):
    """``nt_npu_quantized``."""

    entry: ClassVar = Entry(
        "nt_npu_quantized_refusal", "nt_npu_quantized_workspace_bytes", "nt_npu_inverse_quantized"
    )
    _fields_ = [
        ("plan", PlanStruct),
        ("chunks", Chunks),
        ("quant", QuantStruct),
        ("a_dtype", ctypes.c_int32),
        ("x_dtype", ctypes.c_int32),
        ("cube_cores", ctypes.c_int32),
        ("a", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
    ]


class TokenStrides(ctypes.Structure):
    """``nt_token_strides``, of the first three dimensions of (B, T, H, ..)."""

    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "time", "head")]

    @staticmethod
    def of(x: Tensor) -> TokenStrides:
        return TokenStrides(*x.stride()[:3])


class TokenNumbers(ctypes.Structure):
    """``nt_token_numbers``."""

    _fields_ = [("strides", TokenStrides), ("data_dtype", ctypes.c_int32)]

    @staticmethod
    def of(x: Tensor | None) -> TokenNumbers:
        if x is None:
            return TokenNumbers(TokenStrides(), NONE_CODE)
        return TokenNumbers(TokenStrides.of(x), DTYPE_CODES[x.dtype])


class RuleAddresses(ctypes.Structure):
    """``nt_npu_rule_tensors``."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            "q",
            "k",
            "v",
            "g",
            "beta",
            "initial_state",
            "bounds",
            "o",
            "final_state",
            "chunk_states",
            "x",
            "workspace",
        )
    ]


class Rule(ctypes.Structure):
    """``nt_npu_rule``."""

    entry: ClassVar = Entry(
        "nt_npu_rule_refusal", "nt_npu_rule_workspace_bytes", "nt_npu_gated_delta_rule"
    )
    _fields_ = [
        ("plan", PlanStruct),
        ("dtype", ctypes.c_int32),
        ("compute_dtype", ctypes.c_int32),
        ("heads", ctypes.c_int32),
        ("value_heads", ctypes.c_int32),
        ("key_size", ctypes.c_int32),
        ("value_size", ctypes.c_int32),
        ("sequences", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("q", TokenStrides),
        ("k", TokenStrides),
        ("v", TokenStrides),
        ("g", TokenNumbers),
        ("beta", TokenNumbers),
        ("packed", ctypes.c_int32),
        ("normalize", ctypes.c_int32),
        ("initial_state", ctypes.c_int32),
        ("final_state", ctypes.c_int32),
        ("chunk_states", ctypes.c_int32),
        ("x", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("cube_cores", ctypes.c_int32),
        ("tensors", RuleAddresses),
    ]


class IntraAddresses(ctypes.Structure):
    """``nt_npu_intra_tensors``."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("k", "v", "g", "beta", "bounds", "w", "u", "x", "workspace")
    ]


class Intra(ctypes.Structure):
    """``nt_npu_intra``."""

    entry: ClassVar = Entry(
        "nt_npu_intra_refusal", "nt_npu_intra_workspace_bytes", "nt_npu_gated_delta_intra"
    )
    _fields_ = [
        ("plan", PlanStruct),
        ("dtype", ctypes.c_int32),
        ("compute_dtype", ctypes.c_int32),
        ("heads", ctypes.c_int32),
        ("value_heads", ctypes.c_int32),
        ("key_size", ctypes.c_int32),
        ("value_size", ctypes.c_int32),
        ("sequences", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("k", TokenStrides),
        ("v", TokenStrides),
        ("g", TokenNumbers),
        ("beta", TokenNumbers),
        ("packed", ctypes.c_int32),
        ("x_dtype", ctypes.c_int32),
        ("gate_unit", ctypes.c_float),
        ("cube_cores", ctypes.c_int32),
        ("tensors", IntraAddresses),
    ]


@lru_cache(maxsize=1024)
def constant_rows(qplan: QuantPlan) -> np.ndarray:
    """The constants as the kernels take them; a single zero where scales are dynamic.

    Kept for as many plans as models have layers.
    """
    return np.zeros(1, np.float32) if qplan.is_dynamic else qplan.constants.rows()


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


def chunks_of(problem: Problem) -> Chunks:
    """Where the matrices of a call lie; its tensors must outlive the structure."""
    A, X, time, table = problem
    return time_chunks(A, X, table) if time else dense_chunks(A, X)
