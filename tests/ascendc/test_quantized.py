"""The quantised NPU kernels under the emulator, every check on: bit for bit the reference."""

from __future__ import annotations

import ctypes
import itertools

import pytest
import torch
from torch import Tensor

from neumann_tril import emulator
from neumann_tril.backends import EmulatorBackend
from neumann_tril.grids import quantized_plan_for, steps
from neumann_tril.grids.reference import inverse
from neumann_tril.layout import chunk_table
from neumann_tril.native import (
    PlanStruct,
    QuantizedInversion,
    QuantStruct,
    dense_chunks,
    time_chunks,
)
from neumann_tril.plan import Plan
from neumann_tril.quant import QuantPlan

F16, I8, I16 = torch.float16, torch.int8, torch.int16
UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
SIZES = (16, 32, 64, 128)
BITS = {8: I8, 16: I16}


def qplan(
    c: int, a: float = 0.01, n: int = 60, t: float = 0.02, groups: int = 1, bits: int = 8
) -> QuantPlan:
    """Scales that differ from step to step and from group to group; those of 8 bits are given."""
    plan, scales = quantized_plan_for(c, "exact"), {}
    if bits == 16:
        a, n, t = a / 257, min(256 * n, 32639 - groups), t / 256
    for i, step in enumerate(steps(plan)):
        if step.name == "X":
            scales["X"] = [1 / (n + g) for g in range(groups)]
        else:
            base = a if step.name == "A" else t * (1 + 0.3 * i)
            scales[step.name] = [base * (1 + 0.1 * g) for g in range(groups)]
    return QuantPlan(plan, bits, "tensor" if groups == 1 else "head", scales)


def codes(*shape: int, limit: int = 30, seed: int = 0, dtype: torch.dtype = I8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    limit = limit * (1 if dtype == I8 else 257)
    return torch.randint(-limit, limit + 1, shape, generator=generator).to(dtype)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """float16 with all that is hard: infinite, not a number, large; NaN above the diagonal."""
    generator = torch.Generator().manual_seed(seed)
    A, c = torch.randn(*shape, generator=generator) * 0.3, shape[-1]
    A[1, c - 1, 0], A[2, c // 2, 1], A[3, 5, 2] = torch.inf, torch.nan, -torch.inf
    A[4] *= 100
    return torch.where(torch.ones(c, c).tril(-1).bool(), A, torch.nan).half()


def expected(A: Tensor, q: QuantPlan, dtype: torch.dtype, group: Tensor | None = None) -> Tensor:
    """What the reference makes of (N, C, C) codes or numbers."""
    if not A.is_floating_point():
        scale = torch.from_numpy(q.constants.a_scale)
        A = A.float() * (scale[0] if group is None else scale[group][:, None, None])
    result = inverse(A, q, group)
    if not dtype.is_floating_point:
        return result.codes.to(dtype)
    largest = torch.finfo(dtype).max
    return result.wide.clamp(-largest, largest).to(dtype)


def run(A: Tensor, q: QuantPlan, dtype: torch.dtype, arch: int = 2201, cores: int = 2) -> Tensor:
    X = torch.full(A.shape, 77, dtype=dtype)
    chunks = dense_chunks(A, X)
    group_dim = 0 if q.groups > 1 else -1
    emulator.inverse_quantized(A, X, q, group_dim, chunks, arch=arch, cube_cores=cores)
    return X


@pytest.mark.parametrize("arch", emulator.ARCHITECTURES)
@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("bits", BITS)
def test_equals_the_reference(c: int, arch: int, bits: int) -> None:
    """Both dtypes in and out, more matrices than one round of a core holds."""
    q, integer = qplan(c, bits=bits), BITS[bits]
    for A, dtype in itertools.product(
        (codes(5000 // c, c, c, dtype=integer), numbers(2000 // c, c, c)), (integer, F16)
    ):
        assert torch.equal(run(A, q, dtype, arch), expected(A, q, dtype)), (A.dtype, dtype)


@pytest.mark.parametrize("c", SIZES)
@pytest.mark.parametrize("bits", BITS)
def test_scales_per_head(c: int, bits: int) -> None:
    q, integer = qplan(c, groups=5, bits=bits), BITS[bits]
    group = torch.arange(5).repeat_interleave(7)
    for A in (codes(5, 7, c, c, dtype=integer), numbers(35, c, c).view(5, 7, c, c)):
        for dtype in (integer, F16):
            X = run(A, q, dtype).flatten(0, 1)
            assert torch.equal(X, expected(A.flatten(0, 1), q, dtype, group))


HARD = {
    "largest codes": ({"limit": 127, "sign": 1}, {}),
    "smallest codes": ({"limit": 127, "sign": -1}, {}),
    "no codes": ({"limit": 0}, {}),
    "A reaches 128": ({"limit": 127, "sign": -1}, {"a": 128 / 127}),
    "all saturates": ({"limit": 127}, {"a": 0.9, "n": 127, "t": 2.0**-20}),
    "all rounds to zero": ({"limit": 127}, {"a": 2.0**-40, "n": 1, "t": 0.5}),
    "one is 1": ({"limit": 9}, {"a": 0.1, "n": 1, "t": 0.05}),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("c", (32, 128))
@pytest.mark.parametrize("bits", BITS)
def test_extremes(c: int, name: str, bits: int) -> None:
    entries, scales = HARD[name]
    A, q = codes(9, c, c, limit=entries["limit"], dtype=BITS[bits]), qplan(c, **scales, bits=bits)
    if "sign" in entries:
        A.fill_(entries["sign"] * q.q_max)
    assert torch.equal(run(A, q, A.dtype), expected(A, q, A.dtype))


def by_chunks(A: Tensor, first_row: Tensor, valid_rows: Tensor, q: QuantPlan, dtype) -> Tensor:
    """The reference on (B, T, H, C), chunk by chunk; a head is a group."""
    B, _, H, c = A.shape
    X = torch.full(A.shape, 77, dtype=dtype)
    for b, h, n in itertools.product(range(B), range(H), range(len(first_row))):
        rows = slice(int(first_row[n]), int(first_row[n] + valid_rows[n]))
        chunk = torch.zeros(1, c, c, dtype=A.dtype)
        chunk[0, : valid_rows[n]] = A[b, rows, h]
        group = torch.tensor([h if q.groups > 1 else 0])
        X[b, rows, h] = expected(chunk, q, dtype, group)[0, : valid_rows[n]]
    return X


@pytest.mark.parametrize("arch, c", [(2201, 16), (2201, 32), (2201, 64), (2201, 128), (3510, 64)])
def test_time_layouts_with_tails(c: int, arch: int) -> None:
    T, H = 3 * c + c // 2 + 3, 3
    given = codes(2, T, H, c)
    for A, dtype, bits in (
        (given, I8, 8),
        (given, F16, 8),
        ((given / 90).half(), I8, 8),
        (given.to(I16) * 257, I16, 16),
    ):
        q = qplan(c, groups=H, bits=bits)
        X = torch.full(A.shape, 77, dtype=dtype)
        chunks = time_chunks(A, X, None)
        emulator.inverse_quantized(A, X, q, 2, chunks, arch=arch, cube_cores=2)
        first = torch.arange(0, T, c)
        assert torch.equal(X, by_chunks(A, first, (T - first).clamp(max=c), q, dtype))


@pytest.mark.parametrize("c", (16, 64, 128))
def test_packed_sequences(c: int) -> None:
    cu_seqlens = torch.tensor([0, c, c + 1, 3 * c + 7, 3 * c + 7, 5 * c])
    table = chunk_table(5 * c, c, cu_seqlens, None)
    A, q = codes(1, 5 * c, 2, c), qplan(c)
    X = torch.full(A.shape, 77, dtype=I8)
    emulator.inverse_quantized(A, X, q, -1, time_chunks(A, X, table), table, cube_cores=2)
    assert torch.equal(X, by_chunks(A, table.first_row, table.valid_rows, q, I8))


def test_strides() -> None:
    """Gaps, rows backwards, rows further apart than an instruction can say."""
    base, q = codes(6, 64, 64), qplan(64)
    X = expected(base, q, I8)
    wide = torch.zeros(64, 6, 200, dtype=I8)
    wide[..., 8:72] = base.transpose(0, 1)
    far = torch.zeros(6, 64, 70_000, dtype=I8)
    far[..., :64] = base
    for A in (wide[..., 8:72].transpose(0, 1), far[..., :64]):
        assert torch.equal(run(A, q, I8), X)
    out = torch.full((6, 64, 100), 77, dtype=I8)
    emulator.inverse_quantized(base, out[..., :64], q, -1, dense_chunks(base, out[..., :64]))
    assert torch.equal(out[..., :64], X) and (out[..., 64:] == 77).all()
    rows_backwards = base.flip(1).contiguous()
    chunks = dense_chunks(rows_backwards, out[..., :64])
    chunks.a_row_stride = -64
    last_row = rows_backwards.flatten()[63 * 64 :]  # where the first row of the first matrix lies
    emulator.inverse_quantized(last_row, out[..., :64], q, -1, chunks)
    assert torch.equal(out[..., :64], X)


def test_schedules_do_not_matter() -> None:
    A, q = codes(60, 64, 64), qplan(64)
    for seed in (1, 2):
        with emulator.options(schedule_seed=seed):
            assert torch.equal(run(A, q, I8, cores=3), expected(A, q, I8))


@pytest.mark.parametrize(
    "c, bits, count, limit_us",
    [(64, 8, 1024, 20.5), (64, 16, 512, 45.5), (128, 8, 256, 18.5), (128, 16, 256, 79.0)],
)
def test_modelled_time(c: int, bits: int, count: int, limit_us: float) -> None:
    """Codes in and out on Ascend 910B4; of 1,024 float16 matrices test_model.py allows 32 us (C =
    64) and 110 us (C = 128), a quarter of them takes a quarter and what starting takes."""
    A = codes(count, c, c, dtype=BITS[bits])
    X = torch.empty_like(A)
    q = qplan(c, a=0.002, bits=bits)
    report = emulator.inverse_quantized(A, X, q, -1, dense_chunks(A, X))
    assert report.time_us <= limit_us
    assert torch.equal(X[::100], expected(A[::100], q, X.dtype))


def quantized(plan=(64, 15, 1, 1, 2, 0), bits=8, groups=1, group_dim=-1, **fields):
    A = codes(3, plan[0], plan[0])
    inversion = QuantizedInversion(
        plan=PlanStruct(*plan),
        chunks=dense_chunks(A, A),
        quant=QuantStruct(bits, groups, group_dim, None),
        a_dtype=4,
        x_dtype=4,
        cube_cores=20,
    )
    for name, value in fields.items():
        setattr(inversion.chunks if hasattr(inversion.chunks, name) else inversion, name, value)
    return inversion


@pytest.mark.parametrize(
    "inversion, reason",
    [
        (quantized((48, 15, 1, 1, 0, 0)), "chunk_size"),
        (quantized((64, 15, 1, 1, 1, 0)), "blocked"),
        (quantized((64, 14, 1, 1, 2, 0)), "blocked"),
        (quantized((64, 15, 2, 1, 2, 0)), "blocked"),
        (quantized((64, 15, 1, 1, 2, 1)), "blocked"),
        (quantized(bits=4), "bits"),
        (quantized(groups=0), "calibrate"),
        (quantized(groups=2), "groups"),
        (quantized(group_dim=1), "group_dim"),
        (quantized(a_dtype=1), "A must be"),
        (quantized(x_dtype=2), "X must be"),
        (quantized(a_column_stride=64), "column"),
        (quantized(cube_cores=0), "cube_cores"),
    ],
)
def test_refusals(inversion: QuantizedInversion, reason: str) -> None:
    loaded = emulator.library()
    text = loaded.nt_npu_quantized_refusal(ctypes.byref(inversion))
    assert text is not None and reason in text.decode()
    assert loaded.nt_npu_quantized_workspace_bytes(ctypes.byref(inversion)) == 0


def test_dynamic_plans_are_refused() -> None:
    A = codes(2, 64, 64)
    X = torch.empty_like(A)
    with pytest.raises(ValueError, match="calibrate"):
        emulator.inverse_quantized(A, X, QuantPlan.dynamic(), -1, dense_chunks(A, X))
    with pytest.raises(ValueError, match="blocked"):
        other = Plan(64, 31, 1, "doubling", 1)
        scales = {step.name: [0.01 if step.name != "X" else 1 / 60] for step in steps(other)}
        emulator.inverse_quantized(
            A, X, QuantPlan(other, 8, "tensor", scales), -1, dense_chunks(A, X)
        )


def test_no_matrices() -> None:
    A = codes(0, 64, 64)
    assert run(A, qplan(64), I8).shape == (0, 64, 64)
