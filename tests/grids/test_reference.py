"""The quantised reference: against Python's own integers, at the extremes, and its accuracy."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from neumann_tril import testing
from neumann_tril.grids import reference
from neumann_tril.plan import Plan
from neumann_tril.quant import QuantPlan, calibrate

PLANS = {
    "joined": Plan(32, 15, 1, "doubling", 1),
    "doubling": Plan(32, 7, 4),
    "sequential": Plan(32, 3, 4, "sequential"),
    "refined": Plan(32, 15, 1, "doubling", 1, 1),
}


def samples(chunk_size, count=16, regime="qwen3-next rho 0.7", seed=5):
    return testing.chunk_matrices(regime, chunk_size, count, seed=seed)


def clamp_round(value: Fraction, low: int, high: int) -> int:
    return max(low, min(high, round(value)))  # Python rounds half to even


def float32(value: Fraction) -> Fraction:
    """Rounded to float32: a ratio of integers is correctly rounded to float64 first only when it
    is exact there, which holds for all sums and products of this test."""
    assert Fraction(float(value)) == value
    return Fraction(float(np.float32(float(value))))


def join_by_hand(A: np.ndarray, qplan: QuantPlan) -> np.ndarray:
    """X21 = -X22 (A21 X11) of one 32 x 32 chunk in unbounded integers and fractions."""
    k = qplan.constants
    low, high = (-128, 127) if qplan.bits == 8 else (-32639, 32639)
    seeds = reference.banded_seed(torch.from_numpy(np.tril(A, -1))[None], 15, torch.float32)[0]
    n = int(k.units["X"][0])

    def code(x: Fraction, lowest: int = low) -> int:
        return clamp_round(x, lowest, high)

    def total(sums: list[int]) -> Fraction:
        if qplan.bits == 8:
            return Fraction(sums[0])
        first = float32(Fraction(sums[1] * 65536)) + float32(Fraction(sums[2] * 256))
        return float32(float32(first) + sums[3])

    def product(p: list[list[int]], q: list[list[int]]) -> list[list[Fraction]]:
        def limbs(v: int) -> tuple[int, int]:
            h = (v + 128) // 256
            return h, v - 256 * h

        rows = []
        for i in range(16):
            row = []
            for j in range(16):
                sums = [0, 0, 0, 0]
                for x, y in zip(p[i], (r[j] for r in q), strict=True):
                    (xh, xl), (yh, yl) = limbs(x), limbs(y)
                    sums = [
                        sums[0] + x * y,
                        sums[1] + xh * yh,
                        sums[2] + xh * yl + xl * yh,
                        sums[3] + xl * yl,
                    ]
                assert all(abs(s) < 2**24 for s in sums[1:])
                row.append(total(sums))
            rows.append(row)
        return rows

    def times(x: Fraction, factor: np.floating) -> Fraction:
        return float32(x * Fraction(float(factor)))

    a = [[-code(times(Fraction(float(v)), k.a_inverse[0]), -high) for v in r] for r in A[16:, :16]]
    x11 = [[code(times(Fraction(float(v)), np.float32(n))) for v in r] for r in seeds[:16, :16]]
    x22 = [[code(times(Fraction(float(v)), np.float32(n))) for v in r] for r in seeds[16:, 16:]]
    t = [[code(times(v, k.to_grid["T0"][0])) for v in row] for row in product(a, x11)]
    x21 = product(x22, t)
    return np.array([[float(times(v, k.wide["T0"][0])) for v in row] for row in x21])


@pytest.mark.parametrize("bits", [8, 16])
def test_a_join_equals_python_integers(bits):
    A = samples(32, 2)
    qplan = calibrate(A, plan="exact", bits=bits, granularity="tensor")
    X = reference.inverse(A, qplan).wide
    by_hand = join_by_hand(A[1].numpy(), qplan)
    assert np.array_equal(X[1, 16:, :16].numpy(), by_hand)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", PLANS)
def test_finer_grids_are_closer_to_the_plan(name, bits):
    """The noise of rounding is what separates it from the same plan in float64."""
    A = samples(32)
    exact = testing.truth(A) if PLANS[name].exact else None
    if exact is None:
        from neumann_tril import reference as wide

        exact = wide.inverse(A.double(), PLANS[name])
    for qplan in (
        QuantPlan.dynamic(chunk_size=32, bits=bits, plan=PLANS[name]),
        calibrate(A, plan=PLANS[name], bits=bits, granularity="tensor"),
    ):
        worst = testing.snr(reference.inverse(A, qplan).wide, exact).min()
        assert worst > (27 if bits == 8 else 74)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", PLANS)
def test_nothing_wraps_and_nothing_is_lost_to_infinity(name, bits):
    plan = PLANS[name]
    A = samples(32, 8)
    static = calibrate(A, plan=plan, bits=bits, granularity="tensor")
    hard = A.repeat(2, 1, 1)
    hard[0] = 1e30
    hard[1] = float("nan")
    hard[2] = float("inf")
    hard[3] = -float("inf")
    hard[4] = 1e-40
    hard[5] = torch.where(torch.rand(32, 32) < 0.5, 128.0, -128.0)
    hard[6] = 0
    for qplan in (static, QuantPlan.dynamic(chunk_size=32, bits=bits, plan=plan)):
        found = reference.inverse(hard, qplan)
        assert bool(torch.isfinite(found.wide).all())
        low, high = (-128, 127) if bits == 8 else (-32639, 32639)
        assert int(found.codes.min()) >= low and int(found.codes.max()) <= high
        assert torch.equal(torch.triu(found.wide, 1), torch.zeros_like(found.wide))
        ones = torch.diagonal(found.wide, dim1=1, dim2=2)
        assert torch.equal(ones, torch.ones_like(ones)) or plan.terms > 1 or plan.refinements
        for zero in (1, 4, 6):
            assert testing.snr(found.wide[zero], torch.eye(32)) > 120
        assert torch.equal(found.wide[8:], reference.inverse(A, qplan).wide)  # its own chunk only
        assert int(found.saturated[0]) > 0 and int(found.saturated[6]) == 0


def test_static_scales_belong_to_the_group_of_the_matrix():
    A = samples(32, 4)
    scales = {"A": [1 / 127, 1 / 64], "X": [1 / 127, 1 / 60], "T0": [1 / 100, 1 / 50]}
    both = QuantPlan(PLANS["joined"], 8, "head", scales)
    single = [
        QuantPlan(PLANS["joined"], 8, "tensor", {k: [v[g]] for k, v in scales.items()})
        for g in range(2)
    ]
    X = reference.inverse(A, both, torch.tensor([0, 1, 1, 0])).wide
    assert torch.equal(X[[0, 3]], reference.inverse(A[[0, 3]], single[0]).wide)
    assert torch.equal(X[[1, 2]], reference.inverse(A[[1, 2]], single[1]).wide)


TARGETS = {  # worst and median SNR in dB at correlations up to 0.7, worst at 0.95
    (16, "chunk"): (82, 85, 80),
    (16, "head"): (60, 84, 58),
    (8, "chunk"): (35, 39, 33),
    (8, "head"): (33, 38, 28),
}


@pytest.mark.parametrize("gates", ["qwen3.5-0.8b", "qwen3-next"])
@pytest.mark.parametrize("bits, granularity", TARGETS)
def test_accuracy_on_the_gates_of_real_models(bits, granularity, gates):
    """Scales are calibrated on other tokens than those that are tested."""
    worst, median, worst_alike = TARGETS[bits, granularity]
    for rho in (0.7, 0.95):
        regime = testing.Regime("", gates, rho)
        if granularity == "head":
            tokens = testing.layer(regime, 4096, 64, seed=100)
            qplan = calibrate(testing.split_chunks(tokens, 64), bits=bits)
        else:
            qplan = QuantPlan.dynamic(bits=bits)
        A = testing.chunk_matrices(regime, 64, 128, dtype=torch.float64, seed=1)
        found = reference.inverse(A, qplan, torch.arange(128) % regime.heads)
        snr = testing.snr(found.wide, testing.truth(A))
        if rho == 0.95:
            assert snr.min() >= worst_alike
        else:
            assert snr.min() >= worst and snr.median() >= median
