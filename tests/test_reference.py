"""The reference: its meaning, in all regimes, and the methods it is compared with."""

from __future__ import annotations

import math

import pytest
import torch

from neumann_tril import Plan, plan_for, reference, testing
from neumann_tril.bounds import error_envelope

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("regime", sorted(testing.REGIMES))
@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
def test_named_plans_keep_their_bounds(regime: str, chunk_size: int) -> None:
    for dtype in DTYPES:
        A = testing.chunk_matrices(regime, chunk_size, 8, dtype=torch.float64).to(dtype)
        truth = testing.truth(A)
        for name in ("exact", "fast", "paper"):
            plan = plan_for(chunk_size, name, dtype)
            X = reference.inverse(A, plan, dtype).double()
            envelope = error_envelope(A, plan, dtype)
            error = (X - truth).abs()
            assert bool(((error <= envelope) | (error.isnan() & envelope.isinf())).all())


@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float16, 11), (torch.bfloat16, 8)])
def test_exact_is_no_worse_than_rounding_the_inverse(
    chunk_size: int, dtype: torch.dtype, digits: int
) -> None:
    """With real gates, whatever the correlation of the keys; 3 dB for one more rounding."""
    for regime in testing.REGIMES:
        if not regime.startswith("qwen"):
            continue
        A = testing.chunk_matrices(regime, chunk_size, 16, dtype=dtype)
        truth = testing.truth(A)
        X = reference.inverse(A, "exact", dtype)
        assert testing.snr(X, truth).min() > testing.ceiling(truth, dtype).min() - 3
        # Two roundings of the result's size are the floor of a result left in float32.
        assert testing.snr(X, truth).min() > 20 * math.log10(2**digits)


def test_exact_never_overflows_where_doubling_does() -> None:
    A = testing.chunk_matrices("no decay rho 0.95", 64, 16, dtype=torch.float16)
    truth = testing.truth(A)
    assert testing.snr(reference.chunk_doubling(A), truth).max() < 0
    block = testing.snr(reference.block_doubling(A), truth).min()
    exact = testing.snr(reference.inverse(A, "exact", torch.float16), truth).min()
    assert exact > 100 > block


@pytest.mark.parametrize("form", ["sequential", "doubling"])
@pytest.mark.parametrize("refinements", [0, 1])
def test_a_truncated_plan_leaves_the_inverse_times_a_power_of_the_residual(
    form: str, refinements: int
) -> None:
    """In float64: X = X_exact (I - (R^S)^(2^refinements)), zero error below the exact distance."""
    plan = Plan(64, 3, 4, form, refinements=refinements)  # type: ignore[arg-type]
    A = testing.chunk_matrices("qwen3-next rho 0.7", 64, 8, dtype=torch.float64)
    eye = torch.eye(64, dtype=torch.float64)
    truth = testing.truth(A)
    seed = reference.banded_seed(A, 3)
    R = eye - (eye + A) @ seed
    expected = truth @ (eye - torch.linalg.matrix_power(R, 4 << refinements))
    X = reference.inverse(A, plan)
    torch.testing.assert_close(X, expected, rtol=0, atol=1e-11 * expected.abs().max().item())
    distance = torch.arange(64)[:, None] - torch.arange(64)
    inside = distance < plan.exact_distance
    assert plan.exact_distance == 16 << refinements
    assert ((X - truth) * inside).abs().max() < 1e-11
    assert ((X - truth) * ~inside).abs().max() > 1e-3


def test_the_two_forms_agree_up_to_rounding() -> None:
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", 64, 16, dtype=torch.float64)
    sequential = reference.inverse(A, Plan(64, 7, 4, "sequential"))
    doubling = reference.inverse(A, Plan(64, 7, 4, "doubling"))
    torch.testing.assert_close(sequential, doubling, rtol=0, atol=1e-11)


def test_the_seed_is_the_masked_truncated_series() -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 32, 8, dtype=torch.float64)
    series = torch.eye(32, dtype=torch.float64) - A + A @ A - A @ A @ A
    band = series.tril() - series.tril(-4)
    torch.testing.assert_close(reference.banded_seed(A, 3), band, rtol=0, atol=1e-13)


def test_a_split_plan_joins_the_inverses_of_its_halves() -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.7", 128, 4, dtype=torch.float64)
    X = reference.inverse(A, "paper")
    for half in (slice(0, 64), slice(64, 128)):
        assert torch.equal(X[:, half, half], reference.inverse(A[:, half, half], "paper"))
    low, top = slice(64, 128), slice(0, 64)
    torch.testing.assert_close(
        X[:, low, top], -X[:, low, low] @ (A[:, low, top] @ X[:, top, top]), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("plan", ["exact", "fast", "paper", Plan(64, 3, 16)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_lies_on_and_above_the_diagonal_is_never_read(
    plan: str | Plan, dtype: torch.dtype
) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 64, 4, dtype=dtype)
    garbage = A + torch.full_like(A, math.nan).triu()
    X = reference.inverse(A, plan, dtype)
    assert torch.equal(X, reference.inverse(garbage, plan, dtype))
    assert torch.equal(X, X.tril())


def test_a_non_finite_entry_stays_in_its_matrix() -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.3", 64, 3)
    clean = reference.inverse(A, "exact", torch.float16)
    for value in (math.nan, math.inf):
        A[1, 40, 3] = value
        X = reference.inverse(A, "exact", torch.float16)
        assert torch.equal(X[0], clean[0]) and torch.equal(X[2], clean[2])
        assert not X[1].isfinite().all()
        assert torch.equal(X[1].triu(1), torch.zeros(64, 64))


def test_results_are_in_the_accumulation_dtype() -> None:
    A = testing.chunk_matrices("all ones", 16, 1, dtype=torch.float16)
    for dtype in DTYPES:
        expected = torch.float64 if dtype == torch.float64 else torch.float32
        assert reference.inverse(A, compute_dtype=dtype).dtype == expected
    assert reference.inverse(A).dtype == torch.float32
    assert reference.inverse(A.double()).dtype == torch.float64


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"A must have shape \(\.\.\., C, C\), got \(4, 16\)"):
        reference.inverse(torch.zeros(4, 16))
    with pytest.raises(ValueError, match="compute_dtype must be one of.*got torch.int8"):
        reference.inverse(torch.zeros(16, 16), compute_dtype=torch.int8)


@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
def test_methods_of_the_field_are_right_where_they_do_not_overflow(chunk_size: int) -> None:
    """In float64 all of them are the inverse; only their roundings tell them apart."""
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0", chunk_size, 16, dtype=torch.float64)
    truth = testing.truth(A)
    for method in (
        reference.forward_substitution,
        reference.chunk_doubling,
        reference.block_doubling,
    ):
        X = method(A, torch.float64)
        assert X.dtype == torch.float64
        torch.testing.assert_close(X, truth, rtol=0, atol=1e-9)
