"""The genuine package's dispatcher with our backend, on CPU tensors."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import neumann_tril as nt
from helpers import needs_emulator
from neumann_tril import integrations, testing
from neumann_tril.gdn import chunk_gated_delta_rule, chunk_gated_delta_rule_fwd_intra, explain
from neumann_tril.integrations import UnsupportedVersionError
from neumann_tril.integrations.base import Settings
from neumann_tril.integrations.fla_rule import refusal as rule_refusal
from neumann_tril.integrations.flash_linear_attention import (
    FlashLinearAttention,
    gate_unit_of,
    intra_refusal,
    refusal,
)

pytest.importorskip("triton", reason="flash-linear-attention needs triton, which is not installed")
pytest.importorskip("fla", reason="flash-linear-attention is not installed")


@pytest.fixture
def solve_tril() -> Callable[..., Tensor]:
    module = importlib.import_module("fla.ops.utils.solve_tril")
    return module.solve_tril  # type: ignore[no-any-return]


def chunk_rows(length: int, chunk_size: int, heads: int = 2) -> Tensor:
    """(1, T, H, C), as FLA holds chunk matrices."""
    chunks = -(-length // chunk_size)
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", chunk_size, heads * chunks)
    rows = A.unflatten(0, (chunks, heads)).transpose(1, 2).flatten(0, 1)
    return rows[None, :length].contiguous()


@pytest.mark.parametrize("chunk_size", [16, 32, 64])
def test_their_function_is_ours(solve_tril: Callable[..., Tensor], chunk_size: int) -> None:
    A = chunk_rows(130, chunk_size)
    with integrations.enable("flash_linear_attention"):
        X = solve_tril(A)
        half = solve_tril(A.bfloat16(), output_dtype=None)
        fast = solve_tril(A=A, output_dtype=torch.float16)
    assert X.dtype == torch.float32 and half.dtype == torch.bfloat16 and fast.dtype == torch.float16
    assert torch.equal(X, nt.solve_tril(A))
    tail = X[0, 130 - 130 % chunk_size :, :, 130 % chunk_size :]
    assert not tail.any()


def test_packed_sequences(solve_tril: Callable[..., Tensor]) -> None:
    """With their own chunk_indices and without; rows of no sequence are zero."""
    index = importlib.import_module("fla.ops.utils.index")
    A = chunk_rows(140, 64)
    cu_seqlens = torch.tensor([0, 70, 70, 130])
    chunk_indices = index.prepare_chunk_indices(cu_seqlens, 64)
    with integrations.enable("flash_linear_attention"):
        X = solve_tril(A, cu_seqlens, chunk_indices, torch.float32)
        assert torch.equal(X, solve_tril(A=A, cu_seqlens=cu_seqlens))
    assert torch.equal(X, nt.solve_tril(A, cu_seqlens))
    assert not X[0, 130:].any()


def test_off_again(solve_tril: Callable[..., Tensor]) -> None:
    """Disabled, a call reaches the package's own kernel, which cannot run on a CPU."""
    A = chunk_rows(64, 64)
    with integrations.enable("flash_linear_attention"):
        solve_tril(A)
    if not torch.cuda.is_available():
        with pytest.raises(Exception):  # noqa: B017
            solve_tril(A)


def test_enabled_twice_it_is_registered_once(solve_tril: Callable[..., Tensor]) -> None:
    for plan in ("exact", "fast", "exact"):
        with integrations.enable("flash_linear_attention", plan=plan):
            assert integrations.status()["flash_linear_attention"].enabled
            assert torch.equal(solve_tril(A := chunk_rows(64, 64)), nt.solve_tril(A, plan=plan))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"A": torch.zeros(1, 8, 16)}, "A must be a (B, T, H, C) tensor"),
        ({"A": torch.zeros(1, 8, 1, 48)}, "chunk size 48 is not among 16, 32, 64"),
        ({"A": torch.zeros(1, 8, 1, 16, dtype=torch.int32)}, "A must be one of float16"),
        ({"A": torch.zeros(1, 8, 1, 16, device="meta")}, "no backend for tensors on meta"),
        ({"cu_seqlens": torch.tensor([0.0, 8.0])}, "cu_seqlens is torch.float32"),
        ({"A": torch.zeros(2, 8, 1, 16), "cu_seqlens": torch.tensor([0, 8])}, "B = 1, got 2"),
        ({"output_dtype": torch.int8}, "output_dtype must be one of"),
        ({"settings": Settings(nt.plan_for(64, "exact"))}, "plan is for chunk size 64"),
    ],
)
def test_refusals_have_reasons(arguments: dict[str, Any], reason: str) -> None:
    defaults = {
        "A": torch.zeros(1, 8, 1, 16),
        "cu_seqlens": None,
        "chunk_indices": None,
        "output_dtype": torch.float32,
        "settings": Settings(),
    }
    assert refusal(**defaults) is None  # type: ignore[arg-type]
    found = refusal(**{**defaults, **arguments})  # type: ignore[arg-type]
    assert found is not None and reason in found


def test_refused_calls_go_to_the_package(solve_tril: Callable[..., Tensor]) -> None:
    with integrations.enable("flash_linear_attention"), pytest.raises(Exception) as error:
        solve_tril(torch.zeros(1, 64, 1, 48))
    assert "neumann" not in str(error.value)


@pytest.mark.parametrize("length", [1, 64, 100])
def test_chunk_rule_against_their_naive_code(length: int) -> None:
    """Both of their references, forward and gradients."""
    pytest.importorskip("einops", reason="their naive code needs einops, which is not installed")
    naive = importlib.import_module("fla.ops.gated_delta_rule.naive")
    r = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, length, 2, 16, generator=r) for _ in range(3))
    k = torch.nn.functional.normalize(k, dim=-1)
    g = -torch.exp(torch.randn(2, length, 2, generator=r))
    beta = torch.sigmoid(torch.randn(2, length, 2, generator=r))
    state = torch.randn(2, 2, 16, 16, generator=r)
    values = {"q": q, "k": k, "v": v, "g": g, "beta": beta, "initial_state": state}

    def evaluate(rule: Callable[..., Any]) -> list[Tensor]:
        leaves = {n: x.clone().requires_grad_() for n, x in values.items()}
        o, final = rule(**leaves, output_final_state=True)
        return [o, final, *torch.autograd.grad(o.sin().sum() + final.sum(), leaves.values())]

    found = evaluate(chunk_gated_delta_rule)
    for rule in (naive.naive_recurrent_gated_delta_rule, naive.naive_chunk_gated_delta_rule):
        for x, y in zip(found, evaluate(rule), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=2e-5)


def test_a_version_without_the_registry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("fla.ops.utils.solve_tril")
    registry = sys.modules[module.dispatch.__module__]
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_DISPATCH_DISABLED", True)
        with pytest.raises(UnsupportedVersionError, match="FLA_DISABLE_BACKEND_DISPATCH was 1"):
            FlashLinearAttention().enable()
    with monkeypatch.context() as patch:
        patch.setattr(module, "solve_tril", lambda A, cu_seqlens: A)
        with pytest.raises(UnsupportedVersionError, match="solve_tril takes A, cu_seqlens"):
            FlashLinearAttention().enable()
    monkeypatch.delattr(module, "dispatch")
    with pytest.raises(UnsupportedVersionError, match="no registry of backends"):
        FlashLinearAttention().enable()


# --- the whole rule ------------------------------------------------------------------------------


def rule_arguments(length: int = 70, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    r = torch.Generator().manual_seed(length)
    q, k, v = (torch.randn(1, length, 2, 16, generator=r).to(dtype) for _ in range(3))
    g = -torch.rand(1, length, 2, generator=r)
    return {"q": q, "k": k, "v": v, "g": g, "beta": torch.rand(1, length, 2, generator=r)}


@pytest.fixture
def their_rule() -> Callable[..., Any]:
    module = importlib.import_module("fla.ops.gated_delta_rule")
    return module.chunk_gated_delta_rule  # type: ignore[no-any-return]


def test_their_chunk_rule_is_ours(their_rule: Callable[..., Any]) -> None:
    """By position and by name, packed, with states of either layout."""
    x = rule_arguments()
    options: dict[str, Any] = {
        "initial_state": torch.randn(3, 2, 16, 16),
        "output_final_state": True,
        "use_qk_l2norm_in_kernel": True,
        "state_v_first": True,
        "cu_seqlens": torch.tensor([0, 0, 30, 70]),
    }
    with integrations.enable("flash_linear_attention"):
        found = their_rule(*x.values(), 0.3, **options)
    expected = chunk_gated_delta_rule(**x, scale=0.3, **options)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    if not torch.cuda.is_available():
        with pytest.raises(Exception):  # noqa: B017
            their_rule(*x.values(), 0.3, **options)


def test_the_kernel_serves_their_chunk_rule(their_rule: Callable[..., Any]) -> None:
    x = rule_arguments()
    with integrations.enable("flash_linear_attention", backend="emulator"):
        assert explain(**x, backend="emulator").note is None
        found, _ = their_rule(**x, use_qk_l2norm_in_kernel=True)
    here = chunk_gated_delta_rule(**x, use_qk_l2norm_in_kernel=True, backend="emulator")
    assert torch.isfinite(found).all() and torch.equal(found, here[0])


def test_gradients_of_their_chunk_rule(their_rule: Callable[..., Any]) -> None:
    def gradients(rule: Callable[..., Any]) -> tuple[Tensor, ...]:
        x = {n: y.requires_grad_() for n, y in rule_arguments(dtype=torch.float32).items()}
        o, _ = rule(**x, use_qk_l2norm_in_kernel=True)
        return torch.autograd.grad(o.sin().sum(), list(x.values()))

    with integrations.enable("flash_linear_attention"):
        found = gradients(their_rule)
    assert all(map(torch.equal, found, gradients(chunk_gated_delta_rule)))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"cp_context": object()}, "cp_context is not supported"),
        ({"head_first": False}, "head_first is not known"),
        ({"chunk_size": 8}, "chunk size must be a multiple of 16"),
        ({"g": torch.zeros(1, 8, 3)}, "g must have shape"),
    ],
)
def test_calls_of_the_rule_that_are_left_to_the_package(
    arguments: dict[str, Any], reason: str
) -> None:
    x = rule_arguments(8)
    assert rule_refusal(x, Settings()) is None
    found = rule_refusal({**x, **arguments}, Settings())
    assert found is not None and reason in found


def test_the_rule_on_other_devices_is_left_to_the_package() -> None:
    x = {name: y.to("meta") for name, y in rule_arguments(8).items()}
    assert "no backend for tensors on meta" in str(rule_refusal(x, Settings()))


# --- chunk_gated_delta_rule_fwd_intra ------------------------------------------------------------


def intra_tokens(length: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    r = torch.Generator().manual_seed(0)
    k = torch.nn.functional.normalize(torch.randn(1, length, 1, 16, generator=r), dim=-1)
    v = torch.randn(1, length, 2, 32, generator=r)
    g, beta = (torch.rand(1, length, 2, generator=r) for _ in range(2))
    return {"k": k.to(dtype), "v": v.to(dtype), "g": -g, "beta": beta}


@needs_emulator
@pytest.mark.parametrize("bounds", [None, [0, 64, 64, 90]])
def test_their_representation_is_ours(bounds: list[int] | None) -> None:
    """g is the sum within the chunk, in powers of two, as their caller forms it."""
    module = importlib.import_module("fla.ops.gated_delta_rule.chunk_fwd")
    tokens = intra_tokens(100)
    sums = torch.zeros_like(tokens["g"])
    for begin, end in ((0, 64), (64, 100 if bounds is None else 90)):
        sums[:, begin:end] = tokens["g"][:, begin:end].cumsum(1) / math.log(2)
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    with integrations.enable("flash_linear_attention", backend="emulator"):
        found = module.chunk_gated_delta_rule_fwd_intra(
            **{**tokens, "g": sums}, cu_seqlens=cu_seqlens
        )
    of_tokens = chunk_gated_delta_rule_fwd_intra(**tokens, cu_seqlens=cu_seqlens)
    for x, y in zip(found, of_tokens, strict=True):
        assert y is not None and x.dtype == torch.bfloat16
        torch.testing.assert_close(x, y, rtol=2e-2, atol=2e-3)


@needs_emulator
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"beta": None}, "beta"),
        ({"chunk_size": 48, "k": torch.zeros(1, 8, 1, 16)}, "48"),
        ({"k": torch.zeros(1, 9, 1, 16)}, "v must have shape (B, T, HV, V) with B = 1, T = 9"),
        ({"chunk_size": 32}, "chunk_size must be 64"),
        ({"settings": Settings()}, "no kernel of the chunks' representation"),
    ],
)
def test_refusals_of_representations(changed: dict[str, Any], reason: str) -> None:
    given = {"gate_unit": 1.0, "settings": Settings(backend="emulator"), **intra_tokens(8)}
    assert intra_refusal(**given) is None  # type: ignore[arg-type]
    found = intra_refusal(**{**given, **changed})
    assert found is not None and reason in found


def test_the_unit_of_their_sums() -> None:
    module = importlib.import_module("fla.ops.gated_delta_rule.chunk_fwd")
    assert gate_unit_of(module) == math.log(2)
    assert gate_unit_of(SimpleNamespace(exp=None)) == 1.0
    assert gate_unit_of(SimpleNamespace(exp=None, exp2=None)) is None
