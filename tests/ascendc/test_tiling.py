"""The host side of the kernels: what is refused and why, and how much workspace a call takes."""

from __future__ import annotations

import ctypes

import pytest

from neumann_tril import emulator
from neumann_tril.backends import EmulatorBackend
from neumann_tril.native import Chunks, Inversion, PlanStruct

UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))

F16, BF16, F32, F64 = 0, 1, 2, 3


def call(plan=(64, 15, 1, 1, 2, 1), count=100, **fields):
    c = plan[0]
    chunks = Chunks(dims=1, chunk_dim=-1, a_row_stride=c, x_row_stride=c)
    chunks.size[0], chunks.a_stride[0], chunks.x_stride[0] = count, c * c, c * c
    chunks.a_column_stride = chunks.x_column_stride = 1
    inversion = Inversion(plan=PlanStruct(*plan), chunks=chunks, cube_cores=20)
    for name, value in fields.items():
        setattr(inversion.chunks if hasattr(chunks, name) else inversion, name, value)
    return inversion


def refusal(inversion):
    reason = emulator.library().nt_npu_refusal(ctypes.byref(inversion))
    return None if reason is None else reason.decode()


def workspace(inversion):
    return emulator.library().nt_npu_workspace_bytes(ctypes.byref(inversion))


@pytest.mark.parametrize(
    "inversion, reason",
    [
        (call((48, 15, 1, 1, 0, 1)), "chunk_size"),
        (call((64, 15, 1, 1, 3, 1)), "splits"),
        (call((64, 16, 1, 1, 2, 1)), "bandwidth"),
        (call((64, 15, 3, 1, 2, 1)), "power of two"),
        (call((64, 15, 17, 0, 2, 1)), "terms"),
        (call((64, 15, 1, 2, 2, 1)), "form"),
        (call((64, 15, 1, 1, 2, 9)), "refinements"),
        (call(a_dtype=F64), "A must be"),
        (call(x_dtype=F64), "X must be"),
        (call(compute_dtype=F64), "compute_dtype"),
        (call((64, 31, 1, 1, 1, 0), compute_dtype=F32), "splits 0, terms 1, refinements 0"),
        (call((64, 31, 2, 1, 0, 0), compute_dtype=F32), "splits 0, terms 1, refinements 0"),
        (call((64, 63, 1, 1, 0, 1), compute_dtype=F32), "splits 0, terms 1, refinements 0"),
        (call((64, 63, 1, 1, 0, 0), a_dtype=F64, compute_dtype=F32), "A must be"),
        (call(a_dtype=BF16, compute_dtype=F16), "compute dtype"),
        (call(a_column_stride=64), "column"),
        (call(x_column_stride=2), "column"),
        (call(x_row_stride=63), "row stride of X"),
        (call(dims=9), "8 batch dimensions"),
        (call(chunk_dim=1), "chunk_dim"),
        (call(count=-1), "negative"),
        (call(count=1 << 25), "2\\^24"),
        (call(cube_cores=0), "cube_cores"),
    ],
)
def test_refusals(inversion, reason):
    text = refusal(inversion)
    assert text is not None
    assert reason.replace("\\", "") in text
    assert workspace(inversion) == 0


def test_accepts_every_stride_of_a_row():
    for stride in (64, 1, 0, -64, 1 << 40):
        assert refusal(call(a_row_stride=stride)) is None


def test_plans_without_products_take_every_operand_and_no_workspace():
    for compute in (F16, BF16, F32):
        for a in {F32, compute} if compute != F32 else (F16, BF16, F32):
            inversion = call((64, 63, 1, 1, 0, 0), a_dtype=a, compute_dtype=compute)
            assert refusal(inversion) is None
            assert workspace(inversion) == 0


def test_workspace_grows_with_the_cores_that_get_work():
    # A batch is 256 rows: four matrices of 64. Five matrices are work for two cores.
    one, two = workspace(call(count=1)), workspace(call(count=5))
    assert two == 2 * one > 0
    assert workspace(call(count=4)) == one
    assert workspace(call(count=1 << 20)) == workspace(call(count=80)) == 20 * one
    assert workspace(call(count=0)) == 0
