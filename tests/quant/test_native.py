"""The native quantised kernels against the reference, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from neumann_tril import Plan
from neumann_tril.native import (
    QuantStruct,
    cpu_inverse_quantized,
    dense_chunks,
    quant_constants,
)
from neumann_tril.quant import QuantPlan
from neumann_tril.quant.plan import quantized_plan_for, steps
from neumann_tril.quant.reference import inverse

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
    for plan in plans(chunk_size):
        A = matrices((2, 3, chunk_size, chunk_size), rng, rng.choice([0.05, 0.2, 0.6]))
        for qplan in (
            static(plan, bits, 1, rng),
            static(plan, bits, 3, rng),
            QuantPlan(plan, bits, "chunk", {}),
        ):
            if not qplan.is_dynamic:
                assert constants(qplan).shape[1] == quant_constants(plan)
            check(A, qplan)
