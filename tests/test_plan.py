"""Plans: what can be built, what they know, and that their bounds hold."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neumann_tril import Plan, plan_for, reference, testing
from neumann_tril.bounds import error_envelope
from neumann_tril.plan import CHUNK_SIZES

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@st.composite
def plans(draw: st.DrawFn, chunk_sizes: tuple[int, ...] = CHUNK_SIZES) -> Plan:
    """Any plan that can be built."""
    size = draw(st.sampled_from(chunk_sizes))
    splits = draw(st.sampled_from([s for s in range(4) if size % (16 << s) == 0]))
    leaf = size >> splits
    form = draw(st.sampled_from(["sequential", "doubling"]))
    terms = st.integers(1, leaf)
    if form == "doubling":
        terms = st.sampled_from([1 << j for j in range(8) if 1 << j <= leaf])
    return Plan(
        size,
        draw(st.integers(0, leaf - 1)),
        draw(terms),
        form,
        splits,
        draw(st.integers(0, 2)),
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((60, 3, 8), "chunk size must be a multiple of 16 from 16 to 128, got 60"),
        ((256, 3, 8), "got 256"),
        ((64, 64, 8), "bandwidth must be 0 to 63"),
        ((64, -1, 8), "bandwidth"),
        ((64, 3, 0), "terms must be 1 to 64"),
        ((64, 3, 6), "power of two"),
        ((64, 3, 8, "horner"), "form must be one of sequential, doubling, got 'horner'"),
        ((64, 3, 8, "doubling", 3), "splits"),
        ((48, 3, 8, "doubling", 1), "splits"),
        ((64, 40, 1, "doubling", 1), "bandwidth must be 0 to 31"),
        ((64, 3, 8, "doubling", 0, -1), "refinements"),
    ],
)
def test_an_invalid_plan_cannot_be_built(fields: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(*fields)


def test_a_field_of_the_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match="bandwidth must be an integer, got 3.0"):
        Plan(64, 3.0, 8)  # type: ignore[arg-type]


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        plan_for(64).terms = 3  # type: ignore[misc]


def test_products_are_those_that_the_reference_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    original = reference._Arithmetic.product_add

    def counted(self, c, p, q):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        return original(self, c, p, q)

    monkeypatch.setattr(reference._Arithmetic, "product_add", counted)
    monkeypatch.setattr(
        reference._Arithmetic, "product", lambda self, p, q: counted(self, torch.zeros(()), p, q)
    )
    A = testing.chunk_matrices("all ones", 128, 1)
    for plan in (Plan(128, 3, 8), Plan(128, 3, 8, "sequential"), Plan(128, 5, 1, refinements=2)):
        count = 0
        reference.inverse(A, plan)
        assert plan.products == count
    # Leaves lie side by side: their products count once, those of a join once per level.
    split = Plan(128, 3, 8, "doubling", splits=1)
    assert split.products == Plan(64, 3, 8).products + 2


def test_named_plans_are_exact_or_documented_as_truncated() -> None:
    for size in CHUNK_SIZES:
        for dtype in DTYPES:
            assert plan_for(size, "exact", dtype).exact
            assert plan_for(size, "fast", dtype).exact
            assert plan_for(size, "exact", dtype) == plan_for(size, dtype=dtype)
    for dtype in (torch.float32, torch.float64):
        assert plan_for(64, "fast", dtype) == Plan(64, 63, 1)
    assert (
        str(plan_for(64, "paper"))
        == "C=64 w=3 S=8 sequential (8 products, exact below distance 32)"
    )
    assert plan_for(32, "paper").exact_distance == 15
    assert plan_for(128, "paper").leaf == 64
    assert plan_for(16, "paper").exact


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((64, "best"), ValueError, "plan must be a Plan or one of exact, fast, paper, got 'best'"),
        ((48, "paper"), ValueError, "exists for chunk sizes 16, 32, 64, 128, got 48"),
        ((20, "exact"), ValueError, "got 20"),
        ((32, plan_for(64)), ValueError, "plan is for chunk size 64, but A has 32"),
        ((64, 3), TypeError, "plan must be a name or a Plan, got int"),
        ((64, "64:3:8"), ValueError, "plan text"),
        ((64, "exact", torch.int8), ValueError, "dtype must be one of"),
    ],
)
def test_plan_for_names_what_it_cannot_take(args: tuple, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        plan_for(*args)


@given(plans())
def test_a_plan_survives_its_text(plan: Plan) -> None:
    assert Plan.from_text(plan.to_text()) == plan
    assert plan_for(plan.chunk_size, plan.to_text()) == plan


@settings(max_examples=60, deadline=None)
@given(plans((16, 32, 64)), st.floats(0.0, 1.5), st.integers(0, 2**31), st.sampled_from(DTYPES))
def test_error_bound_holds_for_every_matrix_of_the_norm(
    plan: Plan, norm: float, seed: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = plan.chunk_size
    A = torch.randn(4, size, size, generator=generator, dtype=torch.float64).tril(-1)
    A[0] = -torch.ones(size, size).tril(-1)
    A *= norm / A.abs().sum(-1).amax(-1).clamp_min(1e-300)[:, None, None]
    A = A.to(dtype).double()
    actual = A.abs().sum(-1).amax().item()
    X = reference.inverse(A, plan, dtype).double()
    error = (X - testing.truth(A)).abs().sum(-1).amax().item()
    assert error <= plan.error_bound(actual, dtype)


def test_error_bound_is_useful_where_the_norm_is_small() -> None:
    """At norm 1/2 the bound of an exact plan is a modest multiple of the roundoff."""
    for dtype, unit in ((torch.float16, 2.0**-11), (torch.float32, 2.0**-24)):
        assert plan_for(64, "fast", dtype).error_bound(0.5, dtype) < 2000 * unit
    truncated = Plan(64, 3, 4)
    # X R^S with |R| <= a + .. + a^4: (15/16)^4 / (1 - a) at a = 1/2, cut at degree 64.
    assert truncated.error_bound(0.5) == pytest.approx(2 * (15 / 16) ** 4, rel=1e-6)
    assert math.isinf(plan_for(64, "paper").error_bound(1e5, torch.float16))


@pytest.mark.parametrize("norm", [-1.0, math.inf, math.nan])
def test_error_bound_refuses_a_norm_that_is_none(norm: float) -> None:
    with pytest.raises(ValueError, match="norm must be finite and not negative"):
        plan_for(64).error_bound(norm)


def test_error_bound_refuses_an_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="compute_dtype must be one of float16.*got int8"):
        plan_for(64).error_bound(1.0, torch.int8)


@settings(max_examples=60, deadline=None)
@given(plans((16, 32, 64)), st.sampled_from(sorted(testing.REGIMES)), st.sampled_from(DTYPES))
def test_envelope_holds_in_every_regime(plan: Plan, regime: str, dtype: torch.dtype) -> None:
    A = testing.chunk_matrices(regime, plan.chunk_size, 8, dtype=torch.float64).to(dtype)
    X = reference.inverse(A, plan, dtype).double()
    error = (X - testing.truth(A)).abs()
    assert bool((error <= error_envelope(A, plan, dtype)).logical_or(error.isnan()).all())
