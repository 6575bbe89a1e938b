"""The NPU kernels under the emulator, every check on: bit for bit the step-exact reference."""

from __future__ import annotations

import itertools

import pytest
import torch

from neumann_tril import emulator, inverse, reference, solve_tril, testing
from neumann_tril.backends import BackendError, EmulatorBackend
from neumann_tril.bounds import error_envelope
from neumann_tril.native import dense_chunks
from neumann_tril.plan import Plan, plan_for

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))


def chunk_matrices(count: int, c: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Random below the diagonal, NaN elsewhere: nothing but the strict lower part may be used."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(count, c, c, generator=generator) * c**-0.5
    lower = torch.ones(c, c, dtype=torch.bool).tril(-1)
    return torch.where(lower, a, torch.nan).to(dtype)


def run(A, plan, compute_dtype, output_dtype=F32, cores=2, arch=2201):
    X = torch.full(A.shape, torch.nan, dtype=output_dtype)
    emulator.inverse(A, X, plan, compute_dtype, dense_chunks(A, X), arch=arch, cube_cores=cores)
    return X


def named_cases():
    for c, dtype, name in itertools.product((16, 32, 64, 128), (F16, BF16), ("exact", "paper")):
        yield c, dtype, dtype, F32, plan_for(c, name, dtype)
    for c, output in itertools.product((16, 32, 64, 128), (F16, BF16)):
        yield c, F32, BF16, output, plan_for(c, "exact", BF16)


PLANS = [
    Plan(16, 0, 1),
    Plan(16, 15, 1),
    Plan(16, 0, 16, refinements=2),
    Plan(32, 7, 3, "sequential", refinements=1),
    Plan(32, 31, 1, splits=0),
    Plan(32, 10, 4, "doubling", splits=1),
    Plan(64, 3, 8, "doubling"),
    Plan(64, 63, 1),
    Plan(64, 15, 1, splits=2),
    Plan(64, 7, 4, "sequential", splits=1, refinements=2),
    Plan(64, 31, 2, refinements=1),
    Plan(128, 127, 1),
    Plan(128, 7, 16, "doubling"),
    Plan(128, 3, 5, "sequential", refinements=1),
    Plan(128, 15, 4, "doubling", splits=1),
    Plan(128, 5, 3, "sequential", splits=2),
    Plan(128, 15, 1, splits=3, refinements=3),
]


@pytest.mark.parametrize("arch", emulator.ARCHITECTURES)
@pytest.mark.parametrize("c, dtype, compute, output, plan", list(named_cases()))
def test_named_plans(c, dtype, compute, output, plan, arch):
    A = chunk_matrices(900 // c, c, dtype)
    X = run(A, plan, compute, output, arch=arch)
    assert torch.equal(X, reference.inverse(A, plan, compute).to(output))


def test_exact_is_within_its_bound_on_a_trained_model():
    A = testing.trained_chunks()[:, :, 7:].flatten(0, 2)[::13]  # every layer, every kind of chunk
    for dtype in (F16, BF16):
        rounded = A.to(dtype)
        plan = plan_for(64, "exact", dtype)
        X = run(rounded, plan, dtype)
        bound = error_envelope(rounded, plan, dtype)
        assert bool(((X.double() - testing.truth(rounded)).abs() <= bound).all())


@pytest.mark.parametrize("arch", emulator.ARCHITECTURES)
@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("compute", (F16, BF16))
def test_any_plan(plan, compute, arch):
    A = chunk_matrices(700 // plan.chunk_size, plan.chunk_size, compute, seed=1)
    assert torch.equal(run(A, plan, compute, arch=arch), reference.inverse(A, plan, compute))


@pytest.mark.parametrize("arch", emulator.ARCHITECTURES)
@pytest.mark.parametrize("c", (16, 32, 64, 128))
def test_float32_operands(c, arch):
    for dtype, output, w in itertools.product(
        (F32, F16, BF16), (F32, F16, BF16), (0, 1, 7, c // 2, c - 1)
    ):
        A = chunk_matrices(700 // c, c, dtype, seed=4)
        plan = Plan(c, w, 1)
        X = run(A, plan, F32, output, arch=arch)
        assert torch.equal(X, reference.inverse(A, plan, F32).to(output))


@pytest.mark.parametrize("c", (16, 64, 128))
def test_float32_operands_in_time_layouts(c):
    call = {"plan": "fast", "compute_dtype": F32}
    A = torch.randn(2, 2 * c + c // 2 + 3, 3, c, generator=torch.Generator().manual_seed(5)) * 0.1
    X = solve_tril(A, backend="emulator", **call)
    assert torch.equal(X, solve_tril(A, backend="reference", **call))
    packed = A[:1, : 2 * c + 9]
    call["cu_seqlens"] = torch.tensor([0, c - 3, c - 3, c + 1, 2 * c + 9])
    X = solve_tril(packed, backend="emulator", **call)
    assert torch.equal(X, solve_tril(packed, backend="reference", **call))


def test_float32_operands_keep_non_finite_numbers_in_their_chunk():
    A = chunk_matrices(8, 64, F32)
    expected = run(A, Plan(64, 63, 1), F32)
    A[3, 40, 5] = torch.inf
    X = run(A, Plan(64, 63, 1), F32)
    good = [i for i in range(8) if i != 3]
    assert torch.equal(X[good], expected[good]) and not X[3].isfinite().all()
    assert torch.equal(X[3].triu(1), torch.zeros(64, 64))


def test_schedules_do_not_matter():
    A = chunk_matrices(40, 64, F16)
    plan = plan_for(64, "exact", F16)
    expected = reference.inverse(A, plan, F16)
    for seed in (1, 2, 3):
        with emulator.options(schedule_seed=seed):
            assert torch.equal(run(A, plan, F16, cores=3), expected)


# With a float32 result the exact float16 plan stands at 140 dB, on the rounding of the float32 sums
# themselves, so there the order is all that is left to see.
@pytest.mark.parametrize("c", (64, 128))
@pytest.mark.parametrize("dtype, output", ((F16, F16), (BF16, BF16), (BF16, F32)))
def test_order_of_sums_moves_snr_by_less_than_1_db(c, dtype, output):
    plan = plan_for(c, "exact", dtype)
    A = chunk_matrices(12, c, dtype)
    lower = torch.tril(A.double(), -1)
    true = torch.linalg.inv(torch.eye(c).double() + lower)

    def worst(X):
        error = (X.double() - true).flatten(1).norm(dim=1)
        return (20 * torch.log10(true.flatten(1).norm(dim=1) / error)).min()

    exact = worst(run(A, plan, dtype, output))
    for seed in (1, 2):
        with emulator.options(perturb_seed=seed):
            assert abs(worst(run(A, plan, dtype, output)) - exact) < 1


@pytest.mark.parametrize("c", (16, 32, 64, 128))
@pytest.mark.parametrize("layout", ("bthc", "bhtc"))
def test_time_layouts_with_tails(c, layout):
    T, H = 3 * c + c // 2 + 3, 3
    A = torch.randn(2, T, H, c, generator=torch.Generator().manual_seed(2)).half() * 0.1
    A = A if layout == "bthc" else A.transpose(1, 2).contiguous()
    X = solve_tril(A, layout=layout, backend="emulator", output_dtype=F32)
    expected = solve_tril(
        A, layout=layout, backend="reference", output_dtype=F32, compute_dtype=F16
    )
    assert torch.equal(X, expected)


@pytest.mark.parametrize("c", (16, 64, 128))
def test_packed_sequences(c):
    cu_seqlens = torch.tensor([0, c, c + 1, 3 * c + 7, 3 * c + 7, 6 * c])
    A = torch.randn(1, 6 * c, 2, c, generator=torch.Generator().manual_seed(3)).bfloat16() * 0.1
    X = solve_tril(A, cu_seqlens=cu_seqlens, backend="emulator", output_dtype=F32)
    expected = solve_tril(
        A, cu_seqlens=cu_seqlens, backend="reference", output_dtype=F32, compute_dtype=BF16
    )
    assert torch.equal(X, expected)


def test_strides():
    base = chunk_matrices(3 * 5, 64, F16).view(3, 5, 64, 64)
    wide = torch.zeros(5, 3, 64, 200, dtype=F16)
    wide[..., 8:72] = base.transpose(0, 1)
    A = wide[..., 8:72].transpose(0, 1)
    expected = inverse(base.contiguous(), backend="emulator", output_dtype=F32)
    assert torch.equal(inverse(A, backend="emulator", output_dtype=F32), expected)
    flipped = base.flip(0).flip(0).transpose(-1, -2).contiguous().transpose(-1, -2)
    assert torch.equal(inverse(flipped, backend="emulator", output_dtype=F32), expected)


def test_non_finite_stays_in_its_chunk():
    for c, dtype in itertools.product((16, 64, 128), (F16, BF16)):
        plan = plan_for(c, "exact", dtype)
        A = chunk_matrices(12 * 128 // c, c, dtype)
        expected = run(A, plan, dtype)
        bad = A.clone()
        bad[3, c - 1, 0] = torch.inf
        bad[5, c // 2, 1] = torch.nan
        X = run(bad, plan, dtype)
        good = [i for i in range(A.shape[0]) if i not in (3, 5)]
        assert torch.equal(X[good], expected[good])
        assert not X[3].isfinite().all() and not X[5].isfinite().all()


def test_refusals_name_the_reason():
    A = chunk_matrices(2, 64, F16)
    X = torch.empty(2, 64, 64)
    with pytest.raises(ValueError, match="compute dtype"):
        emulator.inverse(A, X, plan_for(64, "exact", F16), BF16, dense_chunks(A, X))
    with pytest.raises(ValueError, match="column"):
        t = A.transpose(1, 2)
        emulator.inverse(t, X, plan_for(64, "exact", F16), F16, dense_chunks(t, X))
    with pytest.raises(ValueError, match="only plans without products"):
        emulator.inverse(A, X, Plan(64, 3, 2), F32, dense_chunks(A, X))
    with pytest.raises(BackendError, match="without products"):
        inverse(A.float(), "exact", backend="emulator", compute_dtype=F32)
    with pytest.raises(BackendError, match="chunk sizes"):
        inverse(torch.zeros(2, 48, 48).half(), backend="emulator")


def test_no_matrices():
    assert inverse(torch.zeros(0, 64, 64).half(), backend="emulator").shape == (0, 64, 64)
