"""A chunk of A that is not finite: so is its result, whatever Fixpipe does, and nobody else's."""

from __future__ import annotations

import itertools

import pytest
import torch

from neumann_tril import emulator, solve_tril
from neumann_tril.backends import EmulatorBackend
from neumann_tril.native import dense_chunks
from neumann_tril.plan import Plan, plan_for

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = [
    pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE)),
    pytest.mark.parametrize("saturates", (False, True)),
]

PLANS = [
    *(plan_for(c, name, F16) for c in (16, 32, 64, 128) for name in ("exact", "fast", "paper")),
    *(plan_for(c, "exact", BF16) for c in (32, 64, 128)),
    Plan(16, 0, 16, refinements=2),
    Plan(32, 7, 3, "sequential", splits=1),
    Plan(32, 31, 1, refinements=1),
    Plan(64, 15, 4, "doubling", splits=1),
    Plan(128, 127, 1, refinements=1),
    Plan(128, 5, 3, "sequential", splits=2),
]


def chunk_matrices(count: int, c: int, dtype: torch.dtype) -> torch.Tensor:
    """Random below the diagonal, NaN elsewhere, which is no part of A."""
    a = torch.randn(count, c, c, generator=torch.Generator().manual_seed(7)) * 0.1
    lower = torch.ones(c, c, dtype=torch.bool).tril(-1)
    return torch.where(lower, a, torch.nan).to(dtype)


def run(A, plan, compute_dtype, output_dtype, saturates, arch=2201):
    X = torch.full(A.shape, 7.0, dtype=output_dtype)
    chunks = dense_chunks(A, X)
    with emulator.options(arch, fixpipe_saturates=saturates):
        emulator.inverse(A, X, plan, compute_dtype, chunks, arch=arch, cube_cores=2)
    return X


def has_products(plan: Plan) -> bool:
    return plan.splits > 0 or plan.terms > 1 or plan.refinements > 0


def assert_poisoned(X: torch.Tensor) -> None:
    """Of all rows, NaN on and below the diagonal, zero above."""
    lower = torch.ones(X.shape, dtype=torch.bool).tril()
    assert torch.equal(X.isnan(), lower) and not X[~lower].any()


def spoiled(A: torch.Tensor) -> dict[int, tuple[int, int, float]]:
    """Places in a batch: first and last entry of a matrix, neighbours, first and last matrix."""
    c, last = A.shape[-1], A.shape[0] - 1
    return {
        0: (1, 0, torch.inf),
        3: (c - 1, c - 2, -torch.inf),
        4: (c - 1, 0, torch.nan),
        last: (c // 2, c // 2 - 1, torch.inf),
    }


@pytest.mark.parametrize("arch", emulator.ARCHITECTURES)
@pytest.mark.parametrize("output", (None, F32))
@pytest.mark.parametrize("dtype", (F16, BF16))
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_plan(plan, dtype, output, arch, saturates):
    c, output = plan.chunk_size, output or dtype
    A = chunk_matrices(12 * 128 // c - 1, c, dtype)
    expected = run(A, plan, dtype, output, False, arch)
    bad = A.clone()
    for matrix, (row, column, value) in spoiled(A).items():
        bad[matrix, row, column] = value
    X = run(bad, plan, dtype, output, saturates, arch)
    good = [m for m in range(A.shape[0]) if m not in spoiled(A)]
    # Finite numbers have nothing to do with the option, unless a sum overflows.
    assert torch.equal(X[good], expected[good]) and expected.isfinite().all()
    for matrix, (row, column, _) in spoiled(A).items():
        if has_products(plan):
            assert_poisoned(X[matrix])
        else:
            assert not X[matrix, row, column].isfinite()


@pytest.mark.parametrize("c", (16, 32, 64, 128))
def test_float32_input(c, saturates):
    """Also what the operands' dtype cannot hold is not finite."""
    plan = plan_for(c, "paper", F16)
    A = chunk_matrices(6 * 128 // c, c, F32)
    expected = run(A, plan, F16, F32, False)
    A[2, c - 1, 1], A[5, 3, 2] = 1e6, torch.nan
    X = run(A, plan, F16, F32, saturates)
    good = [m for m in range(A.shape[0]) if m not in (2, 5)]
    assert torch.equal(X[good], expected[good])
    assert_poisoned(X[2])
    assert_poisoned(X[5])


@pytest.mark.parametrize("c", (16, 32, 64, 128))
@pytest.mark.parametrize("dtype", (F32, F16, BF16))
def test_float32_operands(c, dtype, saturates):
    plan = Plan(c, c - 1, 1)
    A = chunk_matrices(6 * 128 // c, c, dtype)
    expected = run(A, plan, F32, dtype, False)
    A[1, c - 1, 0] = torch.inf
    X = run(A, plan, F32, dtype, saturates)
    good = [m for m in range(A.shape[0]) if m != 1]
    assert torch.equal(X[good], expected[good])
    assert not X[1, c - 1, 0].isfinite() and not X[1].triu(1).any()


@pytest.mark.parametrize("c", (16, 32, 64, 128))
@pytest.mark.parametrize("plan", ("fast", "paper"))
def test_large_bfloat16_numbers_are_finite(c, plan, saturates):
    """From 2^121 on they look infinite at first sight."""
    plan = plan_for(c, plan, BF16)
    A = torch.zeros(3 * 128 // c, c, c, dtype=BF16)
    A[1, c - 1, 0] = 2.0**126
    X = run(A, plan, BF16, BF16, saturates)
    expected = torch.eye(c).to(BF16).repeat(A.shape[0], 1, 1)
    expected[1, c - 1, 0] = -(2.0**126)
    assert torch.equal(X, expected)


@pytest.mark.parametrize("c", (16, 32, 64, 128))
@pytest.mark.parametrize("plan", ("exact", "paper"))
@pytest.mark.parametrize("dtype", (F16, BF16))
@pytest.mark.parametrize("packed", (False, True))
def test_tails(c, plan, dtype, packed, saturates):
    """(B, T, H, C) with rows that no chunk has; sequences of one row, none and a part of C."""
    T, H = 4 * c + c // 2 + 3, 3
    starts = [0, c, c + 1, c + 1, 3 * c + 7, T] if packed else [0, T]
    generator = torch.Generator().manual_seed(8)
    A = (torch.randn(1, T, H, c, generator=generator) * 0.1).to(dtype)
    chunks = [
        (first, min(first + c, end))
        for begin, end in itertools.pairwise(starts)
        for first in range(begin, end, c)
    ]
    call = {"plan": plan, "backend": "emulator"}
    if packed:
        call["cu_seqlens"] = torch.tensor(starts)
    expected = solve_tril(A, **call)
    hit = [(first, end, n % H) for n, (first, end) in enumerate(chunks) if end - first > 2]
    for n, (_, end, head) in enumerate(hit):
        A[0, end - 1, head, n % 2] = (torch.inf, torch.nan)[n % 2]
    with emulator.options(fixpipe_saturates=saturates):
        X = solve_tril(A, **call)
    for first, end, head in hit:
        rows = X[0, first:end, head]
        if has_products(plan_for(c, plan, dtype)):
            assert_poisoned(rows)
        else:
            assert not rows[-1].isfinite().all()
        expected[0, first:end, head] = rows
    assert torch.equal(X.nan_to_num(nan=3.0), expected.nan_to_num(nan=3.0))
