"""The function ``inverse``: accuracy, strides, dtypes, confinement, errors."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import neumann_tril as nt
from neumann_tril import Plan, plan_for, reference, testing

BACKENDS = ["cpu", "reference"]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
CHUNK_SIZES = [16, 32, 48, 64, 80, 96, 112, 128]


def substitution_bound(A: Tensor, unit: float) -> Tensor:
    """``gamma_n |X| |I + A| |X|``: forward substitution, column by column (Higham, theorem 8.5)."""
    n = A.shape[-1]
    X = testing.truth(A).abs()
    M = A.double().tril(-1).abs() + torch.eye(n, dtype=torch.float64)
    gamma = n * unit / (1 - n * unit)
    # 1 + gamma: the bound has the computed X on the right; 2^-50: the truth is computed too.
    bound = (gamma * (1 + gamma) + n * 2.0**-50) * (X @ M @ X)
    # Products of small numbers underflow: half the smallest float32 each, n to an entry.
    underflow = 2.0**-150 if unit == 2.0**-24 else 0.0
    return bound + n * underflow * X @ torch.ones_like(X).tril()


def solve_triangular(A: Tensor) -> Tensor:
    eye = torch.eye(A.shape[-1], dtype=A.dtype)
    return torch.linalg.solve_triangular(A, eye.expand_as(A), upper=False, unitriangular=True)


@pytest.mark.parametrize("regime", sorted(testing.REGIMES))
@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
def test_exact_is_within_the_bound_of_substitution(regime: str, chunk_size: int) -> None:
    for dtype, unit in ((torch.float32, 2.0**-24), (torch.float64, 2.0**-53)):
        A = testing.chunk_matrices(regime, chunk_size, 16, dtype=dtype)
        error = (nt.inverse(A).double() - testing.truth(A)).abs()
        assert bool((error <= substitution_bound(A, unit)).all())


def test_exact_is_within_the_bound_of_substitution_on_a_trained_model() -> None:
    for dtype, unit in ((torch.float32, 2.0**-24), (torch.float64, 2.0**-53)):
        A = testing.trained_chunks(dtype)[:, :, 6:]
        error = (nt.inverse(A).double() - testing.truth(A)).abs()
        assert bool((error <= substitution_bound(A, unit)).all())


def substitution_term_by_term(A: Tensor) -> Tensor:
    """Substitution in float32, one fused term after the other, k ascending. A: (B, C, C)."""
    sums = torch.eye(A.shape[-1]).expand_as(A).clone()
    for k in range(A.shape[-1] - 1):
        # A product of float32 is exact in float64.
        terms = A[:, k + 1 :, k, None].double() * sums[:, k, None, :].double()
        sums[:, k + 1 :] = (sums[:, k + 1 :] - terms).float()
    return sums


@pytest.mark.parametrize("regime", sorted(testing.REGIMES))
@pytest.mark.parametrize("chunk_size", [16, 32, 64, 96, 128])
def test_exact_is_as_accurate_as_sums_of_one_term_after_the_other(
    regime: str, chunk_size: int
) -> None:
    """Whatever order torch's solver has here: oneMKL's code for AVX-512 has this one, others not.

    It is the most accurate one where the terms cancel, as do those of correlated keys.
    """
    A = testing.chunk_matrices(regime, chunk_size, 16)
    truth = testing.truth(A)
    worst = testing.snr(nt.inverse(A), truth).min()
    assert worst >= testing.snr(substitution_term_by_term(A), truth).min() - 3


@pytest.mark.parametrize("regime", sorted(testing.REGIMES))
@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
def test_exact_is_as_accurate_as_the_output_dtype_allows(regime: str, chunk_size: int) -> None:
    A = testing.chunk_matrices(regime, chunk_size, 16)
    truth = testing.truth(A)
    for dtype in (torch.float16, torch.bfloat16):
        worst = testing.snr(nt.inverse(A, output_dtype=dtype), truth).min()
        assert worst >= testing.ceiling(truth, dtype).min() - 3
    worst = testing.snr(nt.inverse(A), truth).min()
    assert worst >= testing.snr(solve_triangular(A), truth).min() - 3


@pytest.mark.parametrize("regime", ["qwen3-next rho 0.3", "no decay rho 0.95", "beta 2 rho 0.7"])
@pytest.mark.parametrize(
    "plan",
    [
        plan_for(64, "paper"),
        plan_for(128, "paper"),
        Plan(64, 3, 8),
        Plan(64, 0, 5, "sequential"),
        Plan(64, 7, 1),
        Plan(64, 5, 2, "doubling", splits=1),
        Plan(64, 3, 2, "doubling", splits=2, refinements=1),
        Plan(32, 4, 3, "sequential", refinements=1),
        Plan(48, 2, 3, "sequential"),
    ],
    ids=str,
)
def test_a_truncated_plan_gives_the_truncated_result(regime: str, plan: Plan) -> None:
    """Against the reference in float64; both computed inverses feel |X|, |M| and the residual."""
    assert not plan.exact
    A = testing.chunk_matrices(regime, plan.chunk_size, 16, dtype=torch.float64)
    expected = reference.inverse(A, plan)
    scale = expected.abs().amax((-2, -1), keepdim=True).clamp_min(1)
    unit64 = torch.finfo(torch.float64).eps
    condition = substitution_bound(A, unit64).amax((-2, -1), keepdim=True) / unit64
    X = nt.inverse(A, plan)
    assert bool(((X - expected).abs() <= 64 * unit64 * condition * scale).all())
    unit32 = torch.finfo(torch.float32).eps
    X32 = nt.inverse(A.float(), plan).double()
    expected32 = reference.inverse(A.float().double(), plan)
    difference = (X32 - expected32).abs()
    assert bool((difference <= 64 * unit32 * condition * scale).all())
    # The truncation is there, and it is the plan's: far above the rounding.
    outside = (X - testing.truth(A)).abs().amax()
    assert outside > 1e-12


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
def test_every_chunk_size_and_dtype(backend: str, chunk_size: int) -> None:
    A64 = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", chunk_size, 4, dtype=torch.float64)
    for dtype in DTYPES:
        A = A64.to(dtype)
        truth = testing.truth(A)
        for output_dtype in [None, *DTYPES]:
            X = nt.inverse(A, output_dtype=output_dtype, backend=backend)
            assert X.dtype == (output_dtype or dtype)
            assert X.is_contiguous() and X.shape == A.shape
            # Substitution keeps all but the last few of the 24 digits of float32.
            floor = min(testing.ceiling(truth, X.dtype).min().item() - 3, 135)
            assert testing.snr(X, truth).min() >= floor
            assert torch.equal(X, X.tril())
            assert torch.equal(
                X.diagonal(dim1=-2, dim2=-1), torch.ones(4, chunk_size, dtype=X.dtype)
            )


def strided(A: Tensor, kind: str) -> Tensor:
    """The same numbers with other strides."""
    if kind == "transposed":
        return A.mT.contiguous().mT
    if kind == "every other":
        wide = torch.full((*A.shape[:-1], 2 * A.shape[-1]), math.nan, dtype=A.dtype)
        wide[..., ::2] = A
        return wide[..., ::2]
    if kind == "row pitch":
        wide = torch.full((*A.shape[:-1], A.shape[-1] + 7), math.nan, dtype=A.dtype)
        wide[..., 3:-4] = A
        return wide[..., 3:-4]
    if kind == "batch reversed order":
        return A.transpose(0, 1).contiguous().transpose(0, 1)
    if kind == "expanded":
        return A[:1, :1].expand(A.shape)
    return A


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "kind", ["transposed", "every other", "row pitch", "batch reversed order", "expanded"]
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk_size", [16, 64])
def test_strides_do_not_matter(
    backend: str, kind: str, dtype: torch.dtype, chunk_size: int
) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", chunk_size, 6, dtype=dtype).unflatten(
        0, (2, 3)
    )
    view = strided(A, kind)
    assert torch.equal(
        nt.inverse(view, backend=backend), nt.inverse(view.contiguous(), backend=backend)
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["transposed", "every other", "row pitch"])
def test_out_takes_any_strides_and_leaves_the_gaps_alone(backend: str, kind: str) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 32, 6).unflatten(0, (2, 3))
    out = strided(torch.full_like(A, math.nan), kind)
    base = out if out._base is None else out._base
    gaps = int(base.isnan().sum()) - out.numel()
    assert nt.inverse(A, backend=backend, out=out) is out
    assert torch.equal(out, nt.inverse(A, backend=backend))
    assert int(base.isnan().sum()) == gaps


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (3, 1, 2), (1,) * 8])
def test_batch_shapes(backend: str, shape: tuple[int, ...]) -> None:
    count = math.prod(shape)
    A = testing.chunk_matrices("all ones", 16, max(count, 1))[:count].reshape(*shape, 16, 16)
    X = nt.inverse(A, backend=backend)
    assert X.shape == A.shape
    assert torch.equal(X, testing.truth(A).float())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("plan", ["exact", "paper", Plan(64, 3, 2, refinements=1)], ids=str)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_input_stays_in_its_matrix(backend: str, plan: str | Plan, value: float) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 64, 5)
    clean = nt.inverse(A, plan, backend=backend)
    A[2, 40, 3] = value
    X = nt.inverse(A, plan, backend=backend)
    others = [0, 1, 3, 4]
    assert torch.equal(X[others], clean[others])
    assert not X[2].isfinite().all()
    assert torch.equal(X[2].triu(1), torch.zeros(64, 64))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plan", ["exact", "paper"])
def test_what_lies_on_and_above_the_diagonal_is_never_read(
    backend: str, dtype: torch.dtype, plan: str
) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 64, 4, dtype=dtype)
    garbage = A + torch.full_like(A, math.nan).triu()
    assert torch.equal(
        nt.inverse(A, plan, backend=backend), nt.inverse(garbage, plan, backend=backend)
    )


@pytest.mark.parametrize("plan", ["exact", "paper"])
@pytest.mark.parametrize("count", [1, 3, 130])
def test_threads_and_batch_mates_do_not_change_a_bit(plan: str, count: int) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.95", 64, count)
    results = []
    for threads in (2, 1):
        torch.set_num_threads(threads)
        results.append(nt.inverse(A, plan))
    assert torch.equal(*results)
    assert torch.equal(results[0][-1], nt.inverse(A[-1], plan))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CHUNK_SIZES),
    st.integers(1, 5),
    st.floats(0.0, 3.0),
    st.integers(0, 2**31),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_any_matrix_is_inverted_within_the_bound(
    chunk_size: int, count: int, scale: float, seed: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    A = scale * torch.rand(count, chunk_size, chunk_size, generator=generator, dtype=dtype)
    A = A.tril(-1)
    unit = torch.finfo(dtype).eps / 2
    error = (nt.inverse(A).double() - testing.truth(A)).abs()
    bound = substitution_bound(A, unit)
    assert bool(((error <= bound) | ~error.isfinite() & (bound > torch.finfo(dtype).max)).all())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CHUNK_SIZES), st.integers(0, 2**31))
def test_the_inverse_of_the_inverse_is_the_matrix(chunk_size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    A = torch.rand(2, chunk_size, chunk_size, generator=generator, dtype=torch.float64).tril(-1) / 8
    X = nt.inverse(A)
    back = nt.inverse(X.tril(-1)).tril(-1)
    torch.testing.assert_close(back, A, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda A: nt.inverse(A[0, 0]),
            ValueError,
            r"A must have shape \(\.\.\., C, C\), got \(16,\)",
        ),
        (lambda A: nt.inverse(A[:, :8]), ValueError, r"got \(2, 8, 16\)"),
        (lambda A: nt.inverse(A[:, :8, :8]), ValueError, "chunk size must be a multiple of 16"),
        (lambda A: nt.inverse(A.numpy()), TypeError, "A must be a tensor, got ndarray"),
        (lambda A: nt.inverse(A.int()), ValueError, "A must be one of float16.*dtype torch.int32"),
        (lambda A: nt.inverse(A, output_dtype=torch.int8), ValueError, "output_dtype must be one"),
        (lambda A: nt.inverse(A, plan="best"), ValueError, "plan must be a Plan or one of exact"),
        (lambda A: nt.inverse(A, plan=3), TypeError, "plan must be a name or a Plan, got int"),
        (lambda A: nt.inverse(A, plan=plan_for(64)), ValueError, "plan is for chunk size 64"),
        (lambda A: nt.inverse(A, backend="gpu"), ValueError, "backend must be None or one of cpu"),
        (
            lambda A: nt.inverse(A, compute_dtype=torch.float16),
            nt.BackendError,
            "backend 'cpu' cannot serve this call: it computes torch.float32 to torch.float32 in "
            "torch.float32, not in torch.float16",
        ),
        (
            lambda A: nt.inverse(A[(None,) * 8]),
            nt.BackendError,
            "A has 9 batch dimensions, at most 8",
        ),
        (lambda A: nt.inverse(A, out=A[:1].clone()), ValueError, "out must have A's shape"),
        (lambda A: nt.inverse(A, out=3), TypeError, "out must be a tensor, got int"),
        (
            lambda A: nt.inverse(A, out=A.clone(), output_dtype=torch.float64),
            ValueError,
            "output_dtype is torch.float64, but out has torch.float32",
        ),
        (
            lambda A: nt.inverse(A.clone().requires_grad_(), out=A.clone()),
            ValueError,
            "out does not support gradients",
        ),
        (lambda A: nt.inverse(A, out=A), ValueError, "out must not share memory with A"),
        (
            lambda A: nt.inverse(A, out=A[:1].clone().expand(2, 16, 16)),
            ValueError,
            "out must not overlap",
        ),
    ],
)
def test_bad_arguments_are_named(call, error: type, message: str) -> None:  # type: ignore[no-untyped-def]
    A = testing.chunk_matrices("all ones", 16, 2)
    before = A.clone()
    with pytest.raises(error, match=message):
        call(A)
    assert torch.equal(A, before)


def test_explain_says_which_path_a_call_takes_and_why() -> None:
    A = testing.chunk_matrices("all ones", 64, 2, dtype=torch.bfloat16)
    taken = nt.explain(A)
    assert (taken.backend, taken.error) == ("cpu", None)
    assert taken.plan == plan_for(64, "exact", torch.float32)
    assert (taken.compute_dtype, taken.output_dtype) == (torch.float32, torch.bfloat16)
    assert "backend='reference'" in taken.others["reference"]

    half = nt.explain(A, compute_dtype=torch.float16)
    assert half.error is not None and half.backend is None
    with pytest.raises(nt.BackendError) as raised:
        nt.inverse(A, compute_dtype=torch.float16)
    assert str(raised.value) == half.error
    assert nt.explain(
        A, "paper", backend="reference", compute_dtype=torch.float16
    ).plan == plan_for(64, "paper")
    assert "backend: cpu" in str(taken) and "raises" in str(half)


def test_backends_are_available_here() -> None:
    assert nt.backends()["cpu"] == "available"
    assert nt.backends()["reference"] == "available"


def test_the_reference_backend_is_the_reference() -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.95", 64, 4, dtype=torch.float16)
    X = nt.inverse(A, backend="reference", compute_dtype=torch.float16, output_dtype=torch.float32)
    assert torch.equal(X, reference.inverse(A, "exact", torch.float16))
