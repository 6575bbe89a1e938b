"""The chunk rule against the recurrence in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neumann_tril import plan_for, testing
from neumann_tril.gdn import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    naive_recurrent_gated_delta_rule,
)

# Every output and gradient is a short chain of sums of at most K + C products of float32 numbers,
# evaluated on normalised keys; each chain loses a few units of float32 in the root mean square.
FLOAT32 = 16 * torch.finfo(torch.float32).eps


def draw(
    length: int,
    *,
    batch: int = 1,
    heads: int = 2,
    group: int = 1,
    key_size: int = 16,
    value_size: int = 24,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> dict[str, Tensor]:
    """q, k, v, g, beta of a layer; the decays range from none to e^-166 within each head."""
    r = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=r, dtype=torch.float64)

    value_heads = heads * group
    k = torch.nn.functional.normalize(normal(batch, length, heads, key_size), dim=-1)
    g = -torch.exp(2 * normal(batch, length, value_heads) - 3)
    reset = torch.rand(g.shape, generator=r) < 0.05
    inputs = {
        "q": normal(batch, length, heads, key_size),
        "k": k,
        "v": normal(batch, length, value_heads, value_size),
        "g": torch.where(reset, -166.0, g),
        "beta": torch.sigmoid(normal(batch, length, value_heads)),
    }
    return {name: x.to(dtype) for name, x in inputs.items()}


def ratio(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the error, relative to that of what was expected."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-30))


def check(inputs: dict[str, Tensor], tolerance: float = FLOAT32, **options: Any) -> None:
    """Output, state and all gradients agree with the float64 recurrence."""
    state = options.pop("initial_state", None)
    bounds = options.get("cu_seqlens")
    count = inputs["q"].shape[0] if bounds is None else len(bounds) - 1
    shape = (count, inputs["v"].shape[2], inputs["q"].shape[3], inputs["v"].shape[3])
    if state is None:
        state = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    named = {n: x for n, x in {**inputs, "initial_state": state}.items() if x is not None}
    chunk_only = {n: options.pop(n) for n in ("chunk_size", "plan", "backend") if n in options}

    def run(rule: Any, **extra: Any) -> list[Tensor]:
        leaves = {n: x.detach().clone().requires_grad_() for n, x in named.items()}
        o, final = rule(**leaves, output_final_state=True, **options, **extra)
        r = torch.Generator().manual_seed(2)
        loss = sum(
            (y.double() * torch.randn(y.shape, generator=r, dtype=torch.float64)).sum()
            for y in (o, final)
        )
        return [o, final, *torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)]

    found = run(chunk_gated_delta_rule, **chunk_only)
    expected = run(naive_recurrent_gated_delta_rule, dtype=torch.float64)
    for name, x, y in zip(["o", "final_state", *named], found, expected, strict=True):
        assert x.shape == y.shape, name
        assert torch.isfinite(x).all(), name
        assert ratio(x, y) <= tolerance, f"{name}: {ratio(x, y):.2e}"


@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("group", [1, 3])
def test_every_length(length: int, group: int) -> None:
    check(draw(length, batch=2, group=group), use_qk_l2norm_in_kernel=True)


@pytest.mark.parametrize("chunk_size", [16, 32, 48, 64, 96, 128])
def test_every_chunk_size(chunk_size: int) -> None:
    check(draw(150), chunk_size=chunk_size)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_options(backend: str) -> None:
    plan = plan_for(64, "fast")
    check(draw(40), scale=0.7, plan=plan, backend=backend)


def test_many_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    from neumann_tril.gdn import rule

    monkeypatch.setitem(rule._SEGMENT, "cpu", 1)
    check(draw(200, group=2), chunk_size=32)


@pytest.mark.parametrize(
    "bounds", [[0, 70], [0, 1, 1, 20, 85, 85, 150], [0, 0], [0, 0, 3, 4, 5, 6, 7, 70], [0, 5, 90]]
)
@pytest.mark.parametrize("beyond", [0, 7])
def test_packed_sequences(bounds: list[int], beyond: int) -> None:
    """Each sequence by itself, whatever its length; rows behind the last are zero."""
    inputs = draw(bounds[-1] + beyond, group=2)
    if not inputs["q"].numel():
        return
    check(inputs, cu_seqlens=torch.tensor(bounds, dtype=torch.int32), chunk_size=16)
    o, _ = chunk_gated_delta_rule(**inputs, cu_seqlens=torch.tensor(bounds))
    assert not o[:, bounds[-1] :].any()


def test_packed_is_what_each_sequence_gives_alone() -> None:
    inputs = draw(100)
    o, state = chunk_gated_delta_rule(
        **inputs, cu_seqlens=torch.tensor([0, 30, 30, 100]), output_final_state=True
    )
    assert state is not None
    for n, (first, end) in enumerate([(0, 30), (30, 30), (30, 100)]):
        part, final = chunk_gated_delta_rule(
            **{name: x[:, first:end] for name, x in inputs.items()}, output_final_state=True
        )
        assert final is not None
        torch.testing.assert_close(o[:, first:end], part, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(state[n : n + 1], final, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=6),
    chunk_size=st.sampled_from([16, 64]),
    seed=st.integers(0, 99),
)
def test_packed_any_lengths(lengths: list[int], chunk_size: int, seed: int) -> None:
    bounds = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    inputs = draw(bounds[-1], heads=1, key_size=8, value_size=4, seed=seed)
    cu_seqlens = torch.tensor(bounds)
    found = chunk_gated_delta_rule(
        **inputs, cu_seqlens=cu_seqlens, chunk_size=chunk_size, output_final_state=True
    )
    expected = naive_recurrent_gated_delta_rule(
        **inputs, cu_seqlens=cu_seqlens, dtype=torch.float64, output_final_state=True
    )
    for x, y in zip(found, expected, strict=True):
        assert x is not None and y is not None
        assert x.shape == y.shape and (not y.numel() or ratio(x, y) <= FLOAT32)


def test_the_state_carries_over() -> None:
    inputs = draw(150)
    whole, last = chunk_gated_delta_rule(**inputs, output_final_state=True)
    state, parts = None, []
    for first, end in ((0, 50), (50, 51), (51, 150)):
        o, state = chunk_gated_delta_rule(
            **{n: x[:, first:end] for n, x in inputs.items()},
            initial_state=state,
            output_final_state=True,
        )
        parts.append(o)
    assert last is not None and state is not None
    assert ratio(torch.cat(parts, 1), whole) <= FLOAT32
    assert ratio(state, last) <= FLOAT32


def test_the_state_is_returned_on_request() -> None:
    assert chunk_gated_delta_rule(**draw(20))[1] is None


def test_no_tokens() -> None:
    state = torch.randn(1, 2, 16, 24)
    o, final = chunk_gated_delta_rule(**draw(0), initial_state=state, output_final_state=True)
    assert o.shape == (1, 0, 2, 24)
    assert final is not None and torch.equal(final, state)


@pytest.mark.parametrize("rule", [chunk_gated_delta_rule, naive_recurrent_gated_delta_rule])
@pytest.mark.parametrize("result", [0, 1])
@pytest.mark.parametrize(
    ("length", "bounds"), [(0, None), (0, [0]), (0, [0, 0]), (7, [0, 0, 0]), (7, [0])]
)
def test_no_tokens_have_gradients_of_zeros(
    rule: Any, result: int, length: int, bounds: list[int] | None
) -> None:
    """A rank without tokens that had none would stall those it shares gradients with."""
    count = 1 if bounds is None else len(bounds) - 1
    inputs = {**draw(length), "initial_state": torch.randn(count, 2, 16, 24)}
    inputs["v"][:] = math.nan  # rows of no sequence
    leaves = {name: x.requires_grad_() for name, x in inputs.items()}
    found = rule(
        **leaves,
        output_final_state=True,
        cu_seqlens=None if bounds is None else torch.tensor(bounds),
    )
    assert not found[0].any() and torch.equal(found[1], leaves["initial_state"])
    found[result].sum().backward()
    for name, x in leaves.items():
        assert x.grad is not None, name
        expected = 1.0 if name == "initial_state" and result == 1 else 0.0
        assert torch.equal(x.grad, torch.full_like(x, expected)), name


@pytest.mark.parametrize("rule", [chunk_gated_delta_rule, naive_recurrent_gated_delta_rule])
@pytest.mark.parametrize(("length", "bounds"), [(0, None), (7, [0, 0]), (7, [0, 0, 7])])
def test_the_returned_state_is_the_calls_own(
    rule: Any, length: int, bounds: list[int] | None
) -> None:
    state = torch.randn(1 if bounds is None else len(bounds) - 1, 2, 16, 24)
    before = state.clone()
    _, final = rule(
        **draw(length),
        initial_state=state,
        output_final_state=True,
        cu_seqlens=None if bounds is None else torch.tensor(bounds),
    )
    final.mul_(2)
    assert torch.equal(state, before)


@pytest.mark.parametrize("regime", ["qwen3-next rho 0.3", "qwen3-next rho 0.95"])
def test_gates_of_a_real_layer(regime: str) -> None:
    """Decays down to e^-167 per token, betas near 1, correlated keys."""
    k, beta, g = (x[None].float() for x in testing.tokens(regime, 130))
    r = torch.Generator().manual_seed(0)
    q, v = (torch.randn(k.shape, generator=r) for _ in range(2))
    # Correlated keys multiply rounding by the condition number of I + A.
    check({"q": q, "k": k, "v": v, "g": g, "beta": beta}, tolerance=64 * FLOAT32)


def test_decay_after_resets_keeps_its_digits() -> None:
    """A difference of cumulated sums near 60 * 166 has lost every digit of 1e-4."""
    inputs = draw(64)
    inputs["g"] = torch.full_like(inputs["g"], -1e-4)
    inputs["g"][:, :60:2] = -166.0
    check(inputs)


def test_total_reset() -> None:
    """g = -inf is a decay of exactly zero: what follows does not know what was before."""
    inputs = draw(100)
    inputs["g"][:, 40] = -math.inf
    o, state = chunk_gated_delta_rule(**inputs, output_final_state=True)
    tail, final = chunk_gated_delta_rule(
        **{n: x[:, 40:] for n, x in inputs.items()}, output_final_state=True
    )
    assert state is not None and final is not None
    assert ratio(o[:, 40:], tail) <= FLOAT32
    assert ratio(state, final) <= FLOAT32


def test_non_finite_token_spoils_nothing_before_it() -> None:
    inputs = draw(200)
    clean, _ = chunk_gated_delta_rule(**inputs)
    inputs["v"][:, 130] = math.nan
    o, _ = chunk_gated_delta_rule(**inputs)
    assert torch.equal(o[:, :128], clean[:, :128])
    assert o[:, 130].isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs(dtype: torch.dtype) -> None:
    """All arithmetic and the state are float32: the only error is the output's rounding."""
    inputs = draw(100, dtype=dtype)
    o, state = chunk_gated_delta_rule(**inputs, output_final_state=True)
    exact, final = naive_recurrent_gated_delta_rule(
        **inputs, output_final_state=True, dtype=torch.float64
    )
    assert o.dtype == dtype and state is not None and state.dtype == torch.float32
    assert final is not None and ratio(state, final) <= FLOAT32
    assert ratio(o, exact) <= torch.finfo(dtype).eps / 2


def test_gradients_of_float64() -> None:
    inputs = draw(20, heads=1, group=2, key_size=3, value_size=2, dtype=torch.float64)
    inputs["g"] = inputs["g"].clamp(min=-3)  # finite differences of e^-166 see nothing
    leaves = [x.requires_grad_() for x in inputs.values()]

    def rule(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Any:
        return chunk_gated_delta_rule(
            q, k, v, g, beta, output_final_state=True, use_qk_l2norm_in_kernel=True, chunk_size=16
        )

    assert torch.autograd.gradcheck(rule, leaves, fast_mode=True)


def test_delta_rule_is_the_gated_one_without_decay() -> None:
    inputs = draw(70)
    zero = torch.zeros_like(inputs.pop("g"))
    o, state = chunk_delta_rule(**inputs, output_final_state=True)
    gated, final = naive_recurrent_gated_delta_rule(
        **inputs, g=zero, output_final_state=True, dtype=torch.float64
    )
    assert state is not None and final is not None
    assert ratio(o, gated) <= FLOAT32 and ratio(state, final) <= FLOAT32


def test_memory_is_linear_in_length() -> None:
    """What autograd keeps for T = 512 is at most twice what it keeps for T = 256, and one state."""

    def kept(length: int) -> int:
        seen: dict[int, int] = {}

        def note(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            keep.append(x)
            return x

        keep: list[Tensor] = []
        inputs = {n: x.requires_grad_() for n, x in draw(length).items()}
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            chunk_gated_delta_rule(**inputs)
        return sum(seen.values())

    assert kept(512) <= 2.1 * kept(256)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("q", torch.zeros(1, 20, 2), "q must have shape (B, T, H, K), got (1, 20, 2)"),
        ("q", "text", "q must be a tensor, got str"),
        ("k", torch.zeros(1, 20, 2, 15), "k must have shape (B, T, H, K) = (1, 20, 2, 16)"),
        ("v", torch.zeros(1, 19, 2, 24), "v must have shape (B, T, HV, V)"),
        ("v", torch.zeros(1, 20, 3, 24), "v must have a multiple of q's 2 heads, got 3"),
        ("g", torch.zeros(1, 20, 1), "g must have shape (B, T, HV) = (1, 20, 2), got (1, 20, 1)"),
        ("beta", torch.zeros(1, 20, 2, dtype=torch.int32), "beta must be one of float16"),
        ("initial_state", torch.zeros(1, 2, 24, 16), "initial_state must have shape (N, HV, K, V)"),
        ("cu_seqlens", torch.tensor([0, 21]), "end at most at T = 20, got [0, 21]"),
        ("cu_seqlens", torch.tensor([0.0, 20.0]), "cu_seqlens must be int32 or int64"),
        ("cu_seqlens", [0, 20], "cu_seqlens must be a tensor, got list"),
        ("chunk_size", 60, "chunk size must be a multiple of 16 from 16 to 128, got 60"),
        ("plan", "best", "plan must be a Plan or one of"),
        ("backend", "gpu", "backend must be None or one of"),
    ],
)
def test_bad_arguments(name: str, value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        chunk_gated_delta_rule(**{**draw(20), name: value})
    assert message in str(error.value)


@pytest.mark.parametrize("rule", [chunk_gated_delta_rule, naive_recurrent_gated_delta_rule])
@pytest.mark.parametrize("name", ["q", "k", "v", "g", "beta", "initial_state", "cu_seqlens"])
def test_training_on_what_inference_mode_has_made(rule: Any, name: str) -> None:
    inputs = {**draw(16, heads=1), "initial_state": torch.ones(1, 1, 16, 24)}
    leaves = {n: x.requires_grad_() for n, x in inputs.items()}
    if name == "cu_seqlens":
        leaves[name] = torch.tensor([0, 16])
    with torch.inference_mode():
        made = leaves[name].detach().clone()

    def gradients(given: Tensor) -> tuple[Tensor, ...]:
        o, state = rule(**{**leaves, name: given}, output_final_state=True)
        others = [x for n, x in leaves.items() if n not in (name, "cu_seqlens")]
        return torch.autograd.grad(o.sum() + state.sum(), others)

    for x, y in zip(gradients(made), gradients(leaves[name]), strict=True):
        assert torch.equal(x, y)


def test_packed_sequences_need_one_batch() -> None:
    with pytest.raises(ValueError, match="the batch of q must be 1"):
        chunk_gated_delta_rule(**draw(20, batch=2), cu_seqlens=torch.tensor([0, 20]))
