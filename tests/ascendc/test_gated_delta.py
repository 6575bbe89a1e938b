"""The kernel of the chunk rule under the emulator, every check on: bit for bit the step-exact
reference. Its outputs hold NaN before, and still do where nothing is owed."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from ascendc.rule_calls import (
    BF16,
    CHUNK,
    F16,
    F32,
    Call,
    Tokens,
    check_bits,
    draw,
    with_gates,
    with_initial,
)
from helpers import needs_emulator
from neumann_tril import emulator, testing
from neumann_tril.native.rule import RuleTensors
from neumann_tril.plan import Plan

pytestmark = needs_emulator
every_architecture = pytest.mark.parametrize("arch", emulator.ARCHITECTURES)


@every_architecture
@pytest.mark.parametrize("dtype, compute", ((F16, F16), (BF16, F16), (BF16, BF16)))
@pytest.mark.parametrize("normalize", (False, True))
def test_dtypes(dtype, compute, normalize, arch):
    tokens = draw(150, (2, 4), (128, 128), dtype=dtype, unit=not normalize)
    with_initial(Call(tokens, compute=compute, normalize=normalize)).check(arch=arch)


@every_architecture
@pytest.mark.parametrize("first", (1, 17, 33, 49))
def test_tails(first, arch):
    for length in range(first, first + 16):
        Call(draw(length, sizes=(16, 32))).check(arch=arch)
    with_initial(Call(draw(CHUNK + first, sizes=(32, 16)))).check(arch=arch)


SIZES = [(16, 16), (16, 256), (32, 144), (48, 80), (64, 64), (80, 144), (96, 192), (112, 128)]
SIZES += [(128, 240), (128, 256), (144, 80), (192, 96), (208, 176), (240, 16), (256, 256)]


@every_architecture
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes(sizes, arch):
    call = Call(draw(2 * CHUNK + 9, (1, 2), sizes))
    call.check(arch=arch)
    normal = replace(call, tokens=draw(CHUNK + 7, (1, 2), sizes, unit=False), normalize=True)
    with_initial(normal).check(arch=arch, cores=1)


@pytest.mark.parametrize("heads", ((1, 1), (1, 6), (3, 3), (2, 10), (7, 7)), ids=str)
def test_heads(heads):
    Call(draw(70, heads, B=2)).check()


BOUNDS = [
    [0, 130],
    [0, 0, 65, 65, 130, 194, 194],
    [0, 3, 3, 64, 65],
    [0, 0, 0],
    [0, 0, 128, 128, 131],
]


@every_architecture
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("cores", (1, 20))
def test_packed_sequences(bounds, cores, arch):
    """Rows of no sequence and states of empty ones are left alone."""
    call = Call(draw(200, (1, 2)), bounds=bounds)
    call.check(arch=arch, cores=cores)
    with_initial(call).check(arch=arch, cores=cores)


@every_architecture
@pytest.mark.parametrize("cores", (1, 2, 3))
def test_many_streams_on_a_core(cores, arch):
    """Streams begin and end inside of batches of 8, then of 12 chunks."""
    with_initial(Call(draw(100, (1, 5), B=3))).check(arch=arch, cores=cores)
    Call(draw(1, (1, 33))).check(arch=arch, cores=cores)


@every_architecture
@pytest.mark.parametrize("chunks", (8, 9, 20, 31))
def test_many_chunks_on_a_core(chunks, arch):
    """Batches that are full, and one chunk more."""
    with_initial(Call(draw(chunks * CHUNK - 3, sizes=(16, 16)))).check(arch=arch, cores=1)


@pytest.mark.parametrize("other", ((), ("final_state",), ("chunk_states",), ("x",)), ids=str)
@pytest.mark.parametrize("sizes", ((32, 48), (144, 128)), ids=str)
def test_outputs_that_are_not_wanted(other, sizes):
    outputs = ("o", *other)
    call = Call(draw(2 * CHUNK + 5, (1, 2), sizes), bounds=[0, 100, 133])
    call.check(outputs)
    with_initial(call).check(outputs, cores=1)


@every_architecture
@pytest.mark.parametrize("g_dtype", (None, F16, BF16, F32), ids=str)
@pytest.mark.parametrize("beta_dtype", (F16, BF16, F32), ids=str)
def test_dtypes_of_gates(g_dtype, beta_dtype, arch):
    for length in (CHUNK, 89):
        Call(with_gates(draw(length, (1, 2)), g_dtype, beta_dtype)).check(arch=arch)


def test_views_of_one_projection():
    generator = torch.Generator().manual_seed(3)
    H, HV, K, V = 2, 4, 32, 48
    whole = torch.randn(2, 100, H * K * 2 + HV * V, generator=generator).to(BF16) * 0.25
    q, k, v = whole.split((H * K, H * K, HV * V), -1)
    gates = torch.rand(2, 100, 2, HV, generator=generator)
    q, k, v = q.unflatten(-1, (H, K)), k.unflatten(-1, (H, K)), v.unflatten(-1, (HV, V))
    Call(Tokens(q, k, v, -gates[:, :, 0], gates[:, :, 1])).check()


class Strided:
    """Copies of tensors in other memory, as another order of steps."""

    @staticmethod
    def heads_first(x):
        return x.transpose(1, 2).contiguous().transpose(1, 2)

    @staticmethod
    def time_first(x):
        return x.transpose(0, 1).contiguous().transpose(0, 1)

    @staticmethod
    def huge(x):
        """Steps in time that no instruction has a field for."""
        apart = 70_000 + (x.shape[-1] if x.ndim == 4 else 0)
        memory = torch.full((x.shape[1] * apart,), torch.nan, dtype=x.dtype)
        size, last = x.shape, x[0, 0].numel()
        strides = (last, apart, x.shape[-1], 1) if x.ndim == 4 else (last, apart, 1)
        assert size[0] * last <= apart
        return memory.as_strided(size, strides).copy_(x)

    @staticmethod
    def expanded(x):
        """Every token the same."""
        return x[:, :1].expand(x.shape)


@every_architecture
@pytest.mark.parametrize("order", ("heads_first", "time_first", "huge", "expanded"))
def test_strides(order, arch):
    y = draw(90, (2, 4), B=2)
    tokens = Tokens(*(getattr(Strided, order)(x) for x in (y.q, y.k, y.v, y.g, y.beta)))
    Call(tokens).check(arch=arch)


class Backwards(RuleTensors):
    """Tokens of one batch, the last one first in memory; torch has no strides for that."""

    def structure(self, work, cube_cores):
        rule = super().structure(work, cube_cores)
        for name in ("q", "k", "v", "g", "beta"):
            x, given = getattr(self, name), getattr(rule, name)
            strides = given.strides if name in ("g", "beta") else given
            last = x.data_ptr() + (x.shape[1] - 1) * x.stride(1) * x.element_size()
            setattr(rule.tensors, name, last)
            strides.time = -strides.time
        return rule


@every_architecture
def test_negative_strides(arch):
    call = Call(draw(150, (2, 4)))
    y, made = call.tokens, call.blank(("o",))
    turned = Tokens(*(x.flip(1) for x in (y.q, y.k, y.v, y.g, y.beta)))
    given = replace(call, tokens=turned).given(made)
    tensors = Backwards(*(getattr(given, each.name) for each in fields(given)))
    emulator.gated_delta(tensors, call.work, arch)
    check_bits("o", made.o, call.owed.o)


@every_architecture
@pytest.mark.parametrize(
    "plan",
    (
        "fast",
        "exact",
        Plan(64, 3, 4, "doubling", splits=0),
        Plan(64, 7, 3, "sequential", splits=0, refinements=1),
        Plan(64, 3, 4, "doubling", splits=1),
        Plan(64, 31, 2, "sequential", splits=1, refinements=2),
        Plan(64, 15, 1, splits=2, refinements=1),
        Plan(64, 31, 1, splits=1),
        Plan(64, 0, 16, splits=2, refinements=1),
    ),
    ids=str,
)
@pytest.mark.parametrize("compute", (F16, BF16))
def test_plans(plan, compute, arch):
    call = Call(draw(15 * CHUNK + 9, sizes=(32, 16)), plan=plan, compute=compute)
    call.check(arch=arch, cores=1)


HARD = ["qwen3.5-0.8b rho 0.999", "qwen3-next one token", "no decay rho 0.999", "beta 2 rho 0.999"]
HARD += ["beta 2 repeated tokens", "all ones", "all twos"]


def tokens_of(regime: str, length: int, heads: int = 2) -> Tokens:
    """Tokens of a regime of `testing`, bfloat16; queries that agree with the keys in part."""
    key, beta, g = testing.tokens(regime, length, heads=heads)
    generator = torch.Generator().manual_seed(1)
    key = torch.nn.functional.pad(key, (0, 128 - key.shape[-1]))
    v = torch.randn(*key.shape, generator=generator)
    q = torch.nn.functional.normalize(torch.randn(*key.shape, generator=generator) + 4 * key)
    return Tokens(*(x[None].to(BF16) for x in (q, key, v)), g[None].float(), beta[None].float())


@pytest.mark.parametrize("regime", HARD)
def test_regimes(regime):
    Call(tokens_of(regime, 3 * CHUNK)).check()


@every_architecture
@pytest.mark.parametrize("decay", (0.0, 5.0, 166.0, 1e30, torch.inf))
def test_decay(decay, arch):
    """No product of a decay that is zero with one that is infinite."""
    y = draw(150, (1, 2))
    some = torch.rand(y.g.shape, generator=torch.Generator().manual_seed(4)) < 0.2
    for g in (torch.where(some, -decay, y.g), torch.full_like(y.g, -decay)):
        call = with_initial(Call(replace(y, g=g)))
        call.check(arch=arch)
        assert call.owed.o.isfinite().all() and call.owed.final_state.isfinite().all()


@pytest.mark.parametrize("scale", (1.0, -3.5, 0.0, 1e-3))
def test_scale(scale):
    Call(draw(70), scale=scale).check()
    Call(draw(70), scale=scale, normalize=True).check()


def test_zero_tokens_are_normalised():
    y = draw(80)
    y.k[:, 5], y.q[:, 7] = 0, 0
    Call(y, normalize=True).check()


def test_schedules_do_not_matter():
    call = with_initial(Call(draw(5 * CHUNK + 3, (1, 3)), bounds=[0, 65, 65, 300]))
    for seed in (1, 2, 3, 4):
        with emulator.options(schedule_seed=seed):
            call.check(cores=2)


@pytest.mark.parametrize("poisoned", ("q", "k", "v", "g", "beta"))
@pytest.mark.parametrize("number", (torch.nan, torch.inf))
def test_non_finite_tokens_stay_in_their_sequence_and_head(poisoned, number):
    """They spoil their own chunk and later ones of it, nothing else."""
    bounds, bad = [0, 150, 320], 70  # the second chunk of the first sequence
    clean = Call(draw(320, (2, 4)), bounds=bounds)
    x = getattr(clean.tokens, poisoned).clone()
    x[0, bad, 1] = number
    spoilt = range(2, 4) if poisoned in ("q", "k") else range(1, 2)
    heads = [head for head in range(4) if head not in spoilt]
    made = replace(clean, tokens=replace(clean.tokens, **{poisoned: x})).run(cores=1)
    expected = clean.run(cores=1)
    for name in ("o", "x"):
        a, b = getattr(made, name), getattr(expected, name)
        assert torch.equal(a[:, :, heads], b[:, :, heads])
        assert torch.equal(a[:, :CHUNK], b[:, :CHUNK]) and torch.equal(a[:, 150:], b[:, 150:])
    assert torch.equal(made.final_state[1], expected.final_state[1])
    assert torch.equal(made.final_state[:, heads], expected.final_state[:, heads])
    if poisoned in ("q", "v"):
        assert torch.equal(made.x, expected.x)
    assert not made.o[0, CHUNK:150, list(spoilt)].isfinite().all()


def test_nothing_to_do():
    y = draw(0)
    made = Call(y).run()
    assert made.o.shape == (1, 0, 1, 32) and bool(made.final_state.isnan().all())
    Call(draw(0), bounds=[0]).run()
