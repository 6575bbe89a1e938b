"""The native quantised kernels against the reference, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import neumann_tril
from neumann_tril import Plan
from neumann_tril.grids import quantized_plan_for, steps
from neumann_tril.grids.reference import inverse
from neumann_tril.layout import chunk_table, gather_chunks, join_chunks
from neumann_tril.native import (
    QuantStruct,
    cpu_inverse_quantized,
    dense_chunks,
    quant_constants,
    time_chunks,
)
from neumann_tril.quant import QuantPlan

LARGEST = {dtype: torch.finfo(dtype).max for dtype in (torch.float16, torch.bfloat16)}


def plans(chunk_size: int) -> list[Plan]:
    """Every path through a plan, as far as the chunk size allows it."""
    c = chunk_size
    found = [
        Plan(c, c - 1, 1),
        Plan(c, 3, 4, "doubling"),
        Plan(c, 3, 4, "sequential", 0, 1),
        Plan(c, 0, 8, "doubling"),
        Plan(c, 5, 1, "doubling", 0, 2),
    ]
    if c % 32 == 0:
        found += [Plan(c, 4, 3, "sequential", 1), Plan(c, 3, 2, "doubling", 1, 1)]
        found += [quantized_plan_for(c, "exact")] if c & (c - 1) == 0 else []
    return found


def static(plan: Plan, bits: int, groups: int, rng: np.random.Generator) -> QuantPlan:
    """Scales that no calibration chose: some hold all codes, some make them saturate."""
    q_max = 127 if bits == 8 else 32639
    scales = {}
    for step in steps(plan):
        if step.unit:
            n = np.floor(q_max / rng.uniform(1, 6, groups))
            scales[step.name] = list(1 / n)
        else:
            scales[step.name] = list(rng.uniform(0.3, 3, groups) / q_max)
    return QuantPlan(plan, bits, "head" if groups > 1 else "tensor", scales)


def constants(qplan: QuantPlan) -> Tensor:
    """The rows of constants of ``neumann_tril_quant.h``."""
    c = qplan.constants
    groups = qplan.groups
    zero = np.zeros(groups, np.float32)
    columns = [c.a_inverse, c.a_scale, c.units.get("A", zero), c.units["X"]]
    for step in steps(qplan.plan)[2:]:
        p = c.units[step.name] if step.unit else zero
        columns += [p, c.to_grid[step.name], c.to_x[step.name], c.wide[step.name]]
    return torch.from_numpy(np.stack(columns, 1).copy())


def quant_struct(qplan: QuantPlan, rows: Tensor | None, group_dim: int) -> QuantStruct:
    data = None if rows is None else rows.data_ptr()
    return QuantStruct(qplan.bits, qplan.groups, group_dim if qplan.groups > 1 else -1, data)


def run(A: Tensor, qplan: QuantPlan, dtype: torch.dtype) -> tuple[Tensor, Tensor, int]:
    """(N, C, C) matrices, or (N, H, C, C) with a group for each h: X, scales, saturated codes."""
    X = torch.full(A.shape, 77, dtype=dtype)
    scale, saturated = torch.zeros(A.shape[:-2]), torch.zeros((), dtype=torch.int64)
    rows = None if qplan.is_dynamic else constants(qplan)
    struct = quant_struct(qplan, rows, 1)
    cpu_inverse_quantized(qplan.plan, struct, dense_chunks(A, X), A, X, scale, saturated)
    return X, scale, int(saturated)


def narrowed(wide: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers of the dtype, never infinite."""
    most = LARGEST.get(dtype, math.inf)
    return wide.clamp(-most, most).to(dtype)


def same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit but for the sign of a zero."""
    return a.dtype == b.dtype and torch.equal(a, b)


def matrices(
    shape: Sequence[int], rng: np.random.Generator, size: float = 0.5, dtype: str = "float32"
) -> Tensor:
    """Random numbers everywhere: what lies on and above the diagonal must not matter."""
    return torch.from_numpy(rng.uniform(-size, size, tuple(shape))).to(getattr(torch, dtype))


def check(A: Tensor, qplan: QuantPlan, numbers: Tensor | None = None) -> int:
    """All outputs of the kernels for A; ``numbers``: what its codes stand for."""
    flat = (A if numbers is None else numbers).reshape(-1, *A.shape[-2:])
    groups = max(qplan.groups, 1)
    group = torch.arange(flat.shape[0]) % groups
    expected = inverse(flat, qplan, group)
    codes = torch.int8 if qplan.bits == 8 else torch.int16
    for dtype in (torch.float32, torch.float16, torch.bfloat16, codes):
        X, scale, saturated = run(A, qplan, dtype)
        source = expected.codes if dtype == codes else expected.wide
        wanted = narrowed(source, dtype).reshape(A.shape)
        assert same(X, wanted), f"{qplan}, {A.dtype} to {dtype}: {(wanted != X).sum()} differ"
        assert same(scale, expected.scale.float().reshape(scale.shape))
        assert saturated == expected.saturated.sum()
    return int(expected.saturated.sum())


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("chunk_size", range(16, 129, 16))
def test_kernels_equal_the_reference(chunk_size: int, bits: int) -> None:
    rng = np.random.default_rng(chunk_size + bits)
    # The reference takes its time: large chunks take the paths of small ones.
    chosen = plans(chunk_size) if chunk_size in (16, 32, 64) else plans(chunk_size)[1:3]
    for plan in chosen if chunk_size < 128 else plans(128)[-1:]:
        A = matrices((1, 3, chunk_size, chunk_size), rng, rng.choice([0.05, 0.2, 0.6]))
        for qplan in (
            static(plan, bits, 1, rng),
            static(plan, bits, 3, rng),
            QuantPlan(plan, bits, "chunk", {}),
        ):
            if not qplan.is_dynamic:
                assert constants(qplan).shape[1] == quant_constants(plan)
            check(A, qplan)


EXTREMES = (math.nan, math.inf, -math.inf, 3e38, -3e38, 128.0, -128.5, 127.5, 1e-40, 0.0)


@pytest.mark.parametrize("bits", [8, 16])
def test_extreme_numbers(bits: int) -> None:
    """NaN, infinities, huge and tiny numbers, zeros, and matrices in which all codes saturate."""
    rng = np.random.default_rng(bits)
    for plan in plans(32):
        A = matrices((4, 3, 32, 32), rng, 0.4)
        place = torch.from_numpy(rng.random(A.shape)) < 0.02
        A[0][place[0]] = torch.from_numpy(rng.choice(EXTREMES, int(place[0].sum()))).float()
        A[1] = 0
        A[2] = 1000 * torch.from_numpy(rng.choice([-1.0, 1.0], (3, 32, 32)))
        for qplan in (
            static(plan, bits, 3, rng),
            static(plan, bits, 1, rng),
            QuantPlan(plan, bits, "chunk", {}),
        ):
            saturated = check(A, qplan)
            # Without an operand among A's numbers nothing of a single leaf can saturate but X.
            assert saturated > 0 or qplan.is_dynamic
            for dtype in (torch.bfloat16, torch.float64):
                check(A.to(dtype), qplan, A.to(dtype).float())


@pytest.mark.parametrize("bits", [8, 16])
def test_integer_matrices(bits: int) -> None:
    """Codes instead of numbers, among them the smallest and largest of either integer dtype."""
    rng = np.random.default_rng(bits)
    for plan in plans(48)[1:4] + plans(64)[-1:]:
        for dtype in (torch.int8, torch.int16):
            info = torch.iinfo(dtype)
            A = torch.from_numpy(rng.integers(-20, 21, (3, 3, plan.chunk_size, plan.chunk_size)))
            A[1] = torch.from_numpy(rng.choice([info.min, info.max], A[1].shape))
            A[2] = 0
            A = A.to(dtype)
            for groups in (1, 3):
                qplan = static(plan, bits, groups, rng)
                scale = torch.from_numpy(qplan.constants.a_scale)[torch.arange(3) % groups]
                check(A, qplan, A.float() * scale[:, None, None])


@pytest.mark.parametrize("bits", [8, 16])
def test_tails_packed_tables_and_strides(bits: int) -> None:
    """(B, T, H, C) with a tail, with a table of chunks, and with columns that are not contiguous;
    heads with constants of their own; nothing else is written."""
    rng = np.random.default_rng(bits)
    batch, length, heads, c = 2, 150, 3, 32
    plan = quantized_plan_for(c, "exact")
    packed = chunk_table(length, c, torch.tensor([0, 5, 5, 77, 140]), None)
    for qplan in (static(plan, bits, heads, rng), QuantPlan(plan, bits, "chunk", {})):
        rows = None if qplan.is_dynamic else constants(qplan)
        codes = torch.int8 if bits == 8 else torch.int16
        for table in (None, packed):
            for dtype in (torch.float32, torch.bfloat16, codes):
                A = matrices((batch, length, heads, c), rng).transpose(1, 3).contiguous()
                A = A.transpose(1, 3)  # columns are `length * heads` apart
                X = torch.full((batch, heads, length, c), 77, dtype=dtype).transpose(1, 2)
                chunks = -(-length // c) if table is None else len(table.first_row)
                scale, saturated = torch.zeros(batch, chunks, heads), torch.zeros(1).long()
                struct = quant_struct(qplan, rows, 2)
                native = time_chunks(A, X, table)
                cpu_inverse_quantized(plan, struct, native, A, X, scale, saturated)

                group = torch.arange(heads).expand(batch, heads)[..., None].expand(-1, -1, chunks)
                flat = gather_chunks(A, table)
                group = group.flatten() if qplan.groups else None
                expected = inverse(flat.flatten(0, 2), qplan, group)
                source = expected.codes if dtype == codes else expected.wide
                wanted = join_chunks(source.reshape(flat.shape).float(), table, length)
                present = join_chunks(torch.ones(flat.shape), table, length) > 0
                wanted = torch.where(present, wanted, 77)
                wanted = narrowed(wanted, dtype)
                assert same(X, wanted)
                shape = (batch, heads, chunks)
                assert same(scale, expected.scale.float().reshape(shape).transpose(1, 2))
                assert saturated == expected.saturated.sum()


def test_threads_do_not_change_results() -> None:
    rng = np.random.default_rng(0)
    A = matrices((200, 3, 64, 64), rng, 0.6)
    qplan = static(quantized_plan_for(64, "exact"), 8, 3, rng)
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(A, qplan, torch.float16))
    finally:
        torch.set_num_threads(1)
    for X, scale, saturated in results[1:]:
        assert same(X, results[0][0]) and same(scale, results[0][1])
        assert saturated == results[0][2] > 0


def test_refusals() -> None:
    plan = Plan(32, 3, 4, "doubling", 1)
    qplan = static(plan, 8, 3, np.random.default_rng(0))
    A = torch.zeros(2, 3, 32, 32)
    good = constants(qplan)
    wrong_n, wrong_p, infinite = good.clone(), good.clone(), good.clone()
    wrong_n[1, 3] = 0.5
    wrong_p[2, 4] = 128
    infinite[0, 5] = math.inf

    def refusal(
        a: Tensor, x: Tensor, bits: int = 8, groups: int = 3, dim: int = 1, rows: Tensor = good
    ) -> str:
        struct = QuantStruct(bits, groups, dim, rows.data_ptr())
        with pytest.raises(ValueError) as error:
            cpu_inverse_quantized(plan, struct, dense_chunks(a, x), a, x)
        return str(error.value)

    assert "quant.bits" in refusal(A, A, bits=4)
    assert "quant.groups" in refusal(A, A, groups=-1)
    assert "quant.group_dim" in refusal(A, A, dim=2)
    assert "size of batch dimension" in refusal(A, A, dim=0)
    assert "m and n" in refusal(A, A, rows=wrong_n)
    assert "for p" in refusal(A, A, rows=wrong_p)
    assert "2^64" in refusal(A, A, rows=infinite)
    assert "x_dtype" in refusal(A, A.short())
    assert "x_dtype" in refusal(A, A.double())
    assert "a_dtype" in refusal(A.to(torch.int8), A, groups=0)
    for x in (A, A.to(torch.int8), A.half()):
        cpu_inverse_quantized(plan, QuantStruct(8, 3, 1, good.data_ptr()), dense_chunks(A, x), A, x)
    with pytest.raises(ValueError, match="A must be one of float16, bfloat16, float32, float64"):
        neumann_tril.inverse(A.to(torch.int8))
