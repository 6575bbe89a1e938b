"""The kernel of the chunks' representation under the emulator: bit for bit the step-exact
reference. Its outputs hold NaN before, and still do where nothing is owed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ascendc.rule_calls import BF16, CHUNK, F16, F32, Tokens, check_bits, draw, poisoned
from helpers import needs_emulator
from neumann_tril import emulator, testing
from neumann_tril.gdn import chunk_gated_delta_rule_fwd_intra, steps
from neumann_tril.native.rule import IntraTensors, IntraWork
from neumann_tril.plan import plan_for

pytestmark = needs_emulator
every_architecture = pytest.mark.parametrize("arch", emulator.ARCHITECTURES)


def check(
    y: Tokens,
    arch: int = 2201,
    bounds: list[int] | None = None,
    x_dtype: torch.dtype | None = F32,
    unit: float = 0.0,
    compute: torch.dtype = F16,
    cores: int | None = None,
) -> list[Tensor]:
    """w, u and x, each what is owed to the bit."""
    shape = y.v.shape
    w = poisoned(*shape[:3], y.k.shape[3], dtype=y.k.dtype)
    u = poisoned(*shape, dtype=y.k.dtype)
    x = None if x_dtype is None else poisoned(*shape[:3], CHUNK, dtype=x_dtype)
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    tensors = IntraTensors(y.k, y.v, y.g, y.beta, cu_seqlens, w, u, x)
    work = IntraWork(plan_for(CHUNK, "exact", compute), compute, unit)
    emulator.gated_delta(tensors, work, arch, cores)
    owed = steps.chunk_representation(
        *(y.k, y.v, y.g, y.beta),
        cu_seqlens=cu_seqlens,
        compute_dtype=compute,
        gate_unit=unit,
    )
    end = shape[1] if bounds is None else bounds[-1]
    made = [z for z in (w, u, x) if z is not None]
    for name, found, expected in zip("wux", made, owed, strict=False):
        expected = expected.to(found.dtype)
        expected[:, end:] = torch.nan
        check_bits(name, found, expected)
    return made


@every_architecture
@pytest.mark.parametrize("dtype, compute", ((F16, F16), (BF16, F16), (BF16, BF16)))
@pytest.mark.parametrize("x_dtype", (None, "input", F32), ids=str)
def test_dtypes(dtype, compute, x_dtype, arch):
    tokens = draw(130, (2, 4), (128, 128), dtype=dtype)
    check(tokens, arch, x_dtype=dtype if x_dtype == "input" else x_dtype, compute=compute)


@every_architecture
@pytest.mark.parametrize("length", (1, 15, 16, 17, 33, 63, 64, 65, 127))
def test_tails(length, arch):
    check(draw(length, sizes=(16, 32), B=2), arch)


@every_architecture
@pytest.mark.parametrize("sizes", ((16, 256), (80, 144), (256, 16), (144, 128), (256, 256)))
def test_sizes(sizes, arch):
    check(draw(CHUNK + 9, (1, 3), sizes), arch)


@every_architecture
@pytest.mark.parametrize("cores", (1, 20))
@pytest.mark.parametrize("bounds", ([0, 0, 65, 65, 130, 194, 194], [0, 3, 3, 64, 65], [0, 0]))
def test_packed_sequences(bounds, cores, arch):
    check(draw(200, (1, 2)), arch, bounds, cores=cores)


@every_architecture
@pytest.mark.parametrize("chunks", (8, 9, 31))
def test_many_chunks_on_a_core(chunks, arch):
    check(draw(chunks * CHUNK - 3, sizes=(16, 16)), arch, cores=1)


@every_architecture
@pytest.mark.parametrize("unit", (1.0, math.log(2)))
def test_cumulated_gates(unit, arch):
    y = draw(2 * CHUNK, (1, 2))
    sums = y.g.unflatten(1, (2, CHUNK)).cumsum(2).flatten(1, 2) / unit
    check(replace(y, g=sums), arch, unit=unit)


@pytest.mark.parametrize("decay", (None, 0.0, 166.0, torch.inf))
def test_decay(decay):
    y = draw(100)
    made = check(replace(y, g=None if decay is None else torch.full_like(y.g, -decay)))
    assert all(z.isfinite().all() for z in made)


HARD = ("qwen3.5-0.8b rho 0.999", "no decay rho 0.999", "beta 2 repeated tokens", "all ones")


def tokens_of(regime: str) -> Tokens:
    key, beta, g = testing.tokens(regime, 2 * CHUNK, heads=2)
    key = torch.nn.functional.pad(key, (0, 128 - key.shape[-1]))
    v = torch.randn(*key.shape, generator=torch.Generator().manual_seed(1))
    k, v = (x[None].to(BF16) for x in (key, v))
    return Tokens(k, k, v, g[None].float(), beta[None].float())


@pytest.mark.parametrize("regime", HARD)
def test_regimes(regime):
    check(tokens_of(regime))


@pytest.mark.parametrize("regime", HARD[:2])
def test_accuracy(regime):
    """Against float64 from the same inputs: little more than rounding the results to bfloat16."""
    y = tokens_of(regime)
    owed = chunk_gated_delta_rule_fwd_intra(*(z.double() for z in (y.k, y.v, y.g, y.beta)))
    for found, truth in zip(check(y), owed, strict=True):
        assert (found.double() - truth).norm() <= 4e-3 * truth.norm()


@pytest.mark.parametrize("x_dtype, unit, reason", ((F16, 0.0, "X must"), (F32, math.inf, "finite")))
def test_refusals(x_dtype, unit, reason):
    with pytest.raises(ValueError, match=reason):
        check(draw(10), x_dtype=x_dtype, unit=unit)
