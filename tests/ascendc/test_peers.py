"""The kernels of peers that validate the model: their numbers, and that none of them races."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from helpers import ROOT
from neumann_tril import emulator

SIDE = 128


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import peers
    finally:
        sys.path.pop(0)
    return peers


# Tokens, heads and cores: odd numbers of chunks, fewer and more pairs than cores, shared keys.
SHAPES = [((1, 3, 2, 1), 2), ((3, 2, 2, 2), 4), ((2, 1, 3, 1), 8)]


@pytest.fixture(params=SHAPES, ids=str)
def case(request: pytest.FixtureRequest, peers: ModuleType) -> tuple[ModuleType, int, dict]:
    shape, cores = request.param
    shape = peers.Shape(*shape)
    return shape, cores, peers.random_inputs(shape)


def by_chunk(x: Tensor, heads: int) -> Tensor:
    """(T, heads of any kind, 128) -> (chunks, heads, 128, 128) in float64."""
    x = x.double().repeat_interleave(heads // x.shape[1], dim=1)
    return x.unflatten(0, (-1, SIDE)).transpose(1, 2)


def gates(x: Tensor) -> Tensor:
    """(heads, T) -> (chunks, heads, 128) in float64."""
    return x.double().unflatten(1, (-1, SIDE)).transpose(0, 1)


def assert_close(actual: Tensor, expected: Tensor, heads: int) -> None:
    """To a few roundings to float16 of operands that are sums of terms below one."""
    if actual.shape != expected.shape:
        actual = by_chunk(actual, heads)
    torch.testing.assert_close(actual.double(), expected, rtol=4e-3, atol=2e-3)


def test_kkt(peers, case) -> None:
    shape, cores, x = case
    outputs, _ = peers.kkt(shape, x, cores)
    k, g, beta = by_chunk(x["k"], shape.heads), gates(x["g"]), gates(x["beta"])
    factors = ((g + beta.log())[..., :, None] - g[..., None, :]).clamp(max=0).exp()
    assert_close(outputs["A"], (k @ k.mT * factors).tril(-1), shape.heads)


def test_solve_tril(peers, case) -> None:
    shape, cores, x = case
    outputs, _ = peers.solve_tril(shape, x, cores)
    assert outputs["X"].dtype == torch.float32
    A = by_chunk(x["A"], shape.heads)
    identity = torch.eye(SIDE, dtype=A.dtype)
    expected = torch.linalg.solve_triangular(A + identity, identity, upper=False)
    assert_close(outputs["X"], expected, shape.heads)


def test_w_u(peers, case) -> None:
    shape, cores, x = case
    outputs, _ = peers.w_u(shape, x, cores)
    k, v, X = (by_chunk(x[name], shape.heads) for name in ("k", "v", "X"))
    beta, g = gates(x["beta"])[..., None, :], gates(x["g"])[..., None, :]
    assert_close(outputs["u"], (X * beta) @ v, shape.heads)
    assert_close(outputs["w"], (X * beta * g.exp()) @ k, shape.heads)


def test_chunk_h(peers, case) -> None:
    shape, cores, x = case
    outputs, _ = peers.chunk_h(shape, x, cores)
    k, w, u = (by_chunk(x[name], shape.heads) for name in ("k", "w", "u"))
    g = gates(x["g"])
    states, values = torch.zeros_like(u), torch.zeros_like(u)
    final = torch.zeros(shape.sequences, shape.heads, SIDE, SIDE, dtype=u.dtype)
    for chunk in range(shape.sequences * shape.chunks):
        sequence, place = divmod(chunk, shape.chunks)
        states[chunk] = 0 if place == 0 else final[sequence]
        values[chunk] = u[chunk] - w[chunk] @ states[chunk]
        last = g[chunk, :, -1, None]
        scaled = k[chunk] * (last - g[chunk]).exp()[..., None]
        final[sequence] = last.exp()[..., None] * states[chunk] + scaled.mT @ values[chunk]
    assert_close(outputs["states"], states, shape.heads)
    assert_close(outputs["v"], values, shape.heads)
    assert_close(outputs["final"], final, shape.heads)


def test_chunk_o(peers, case) -> None:
    shape, cores, x = case
    outputs, _ = peers.chunk_o(shape, x, cores)
    q, k, v = (by_chunk(x[name], shape.heads) for name in ("q", "k", "v"))
    g = gates(x["g"])
    gated = q @ k.mT * (g[..., :, None] - g[..., None, :]).clamp(max=0).exp()
    expected = g.exp()[..., None] * (q @ x["states"].double()) + gated.tril() @ v
    assert_close(outputs["o"], expected, shape.heads)


@pytest.mark.parametrize("name", ["kkt", "solve_tril", "w_u", "chunk_h", "chunk_o"])
def test_no_order_of_the_cores_changes_a_bit(peers, name: str) -> None:
    shape = peers.Shape(1, 3, 2, 1)
    inputs = peers.random_inputs(shape)
    results = []
    for seed in (1, 2):
        with emulator.options(2201, schedule_seed=seed):
            results.append(peers.KERNELS[name].launch(shape, inputs, 2)[0])
    for output in results[0]:
        assert torch.equal(results[0][output], results[1][output])


def test_rounds_are_those_of_the_busiest_core(peers) -> None:
    published = peers.Shape(16, 64, 16)
    assert peers.KERNELS["kkt"].rounds(published) == 11 * 64
    assert peers.KERNELS["w_u"].rounds(published) == 683
    assert peers.KERNELS["solve_tril"].rounds(published) == 684
    for kernel in peers.KERNELS.values():
        for heads in (16, 32, 64):
            shape = kernel.shape(8, heads)
            assert kernel.rounds(shape) >= 8
            assert kernel.rounds(shape) * peers.CORES == shape.tokens // SIDE * heads


def test_a_line_through_two_runs_meets_the_third(peers, monkeypatch) -> None:
    """And every figure of a kernel comes from it."""
    monkeypatch.setattr(peers.Kernel, "shape", lambda _, rounds, heads: peers.Shape(3, rounds, 8))
    line = peers.modelled(peers.KERNELS["kkt"], 2, 16)
    assert abs(line.bend) < 0.02
    rows = list(peers.predictions("kkt", {16: line}))
    assert [(row.length, row.heads) for row in rows] == [(4096, 16), (8192, 16), (16384, 16)]
    assert rows[1].modelled_ms == pytest.approx((line.start_us + 704 * line.round_us) / 1e3)
    assert rows[1].published_ms == 2.18
