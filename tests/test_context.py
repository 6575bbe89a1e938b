"""Every public function gives the same bits whatever context its caller has set up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import neumann_tril
from neumann_tril import QuantPlan, bounds, plan_for, quant, reference, testing
from neumann_tril.gdn import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    explain,
    naive_recurrent_gated_delta_rule,
)
from neumann_tril.grids import reference as on_grids

A = testing.chunk_matrices("qwen3-next rho 0.3", 32, 8).reshape(2, 4, 32, 32)
TIME = testing.layer("qwen3-next rho 0.3", 75, 32, heads=4)
X = neumann_tril.inverse(A)
BOUNDS = torch.tensor([0, 0, 40, 70])
INDICES = torch.tensor([[1, 0], [1, 1], [2, 0]])
QPLAN = neumann_tril.calibrate(A, plan="fast")
DYNAMIC = QuantPlan.dynamic(chunk_size=32, bits=16)


def _tokens() -> dict[str, Tensor]:
    r = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 70, 2, 16, generator=r) for _ in range(3))
    g, beta = (torch.rand(1, 70, 2, generator=r) for _ in range(2))
    return {"q": q, "k": k, "v": v, "g": -g, "beta": beta}


RULE: dict[str, Any] = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
TOKENS = _tokens()
UNGATED = {name: x for name, x in TOKENS.items() if name != "g"}


def _gradients(function: Callable[..., Any], *tensors: Tensor) -> list[Tensor]:
    """Of the sum of all results, in the tensors; made under the caller's context."""
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [x.clone().requires_grad_() for x in tensors]
        found = _flat(function(*leaves))
        return list(torch.autograd.grad(found, leaves, [torch.ones_like(x) for x in found]))


CALLS: dict[str, Callable[[], Any]] = {
    "inverse": lambda: neumann_tril.inverse(A),
    "inverse, reference": lambda: neumann_tril.inverse(A, backend="reference"),
    "inverse, out": lambda: neumann_tril.inverse(A, out=torch.empty_like(A)),
    "inverse, gradient": lambda: _gradients(neumann_tril.inverse, A),
    "solve_tril": lambda: neumann_tril.solve_tril(TIME),
    "solve_tril, packed": lambda: neumann_tril.solve_tril(TIME, BOUNDS, INDICES),
    "solve_tril, reference": lambda: neumann_tril.solve_tril(TIME, BOUNDS, backend="reference"),
    "solve_tril, gradient": lambda: _gradients(lambda a: neumann_tril.solve_tril(a, BOUNDS), TIME),
    "explain": lambda: str(neumann_tril.explain(A)),
    "inverse_quantized": lambda: neumann_tril.inverse_quantized(A, QPLAN, return_saturated=True),
    "inverse_quantized, codes": lambda: neumann_tril.inverse_quantized(
        *_codes(), output_dtype=torch.int8
    ),
    "inverse_quantized, dynamic": lambda: neumann_tril.inverse_quantized(
        A, DYNAMIC, output_dtype=torch.int16
    ),
    "inverse_quantized, reference": lambda: neumann_tril.inverse_quantized(
        A, DYNAMIC, backend="reference"
    ),
    "solve_tril_quantized": lambda: neumann_tril.solve_tril_quantized(TIME, QPLAN, BOUNDS),
    "solve_tril_quantized, codes": lambda: neumann_tril.solve_tril_quantized(
        TIME, QPLAN, output_dtype=torch.int8
    ),
    "quantize": lambda: quant.quantize(A, QPLAN),
    "dequantize": lambda: quant.quantize(A, QPLAN).dequantize(),
    "calibrate": lambda: neumann_tril.calibrate(A, integer_input=True).text,
    "error_report": lambda: str(quant.error_report(A, QPLAN)),
    "chunk rule": lambda: chunk_gated_delta_rule(**TOKENS, **RULE),
    "chunk rule, packed": lambda: chunk_gated_delta_rule(**TOKENS, **RULE, cu_seqlens=BOUNDS),
    "chunk rule, bfloat16": lambda: chunk_gated_delta_rule(
        **{n: x.bfloat16() for n, x in TOKENS.items()}, **RULE
    ),
    "chunk rule, raw gates and strengths": lambda: chunk_gated_delta_rule(
        **TOKENS,
        use_gate_in_kernel=True,
        A_log=torch.ones_like(TOKENS["g"][0, 0]),
        use_beta_sigmoid_in_kernel=True,
        check=True,
    ),
    "chunk rule, states": lambda: chunk_gated_delta_rule(
        **TOKENS, output_chunk_states=True, state_v_first=True, cu_seqlens=BOUNDS
    ),
    "explain of the chunk rule": lambda: str(explain(*TOKENS.values())),
    "chunk rule without gates": lambda: chunk_delta_rule(**UNGATED, **RULE),
    "recurrence": lambda: naive_recurrent_gated_delta_rule(**TOKENS, **RULE, cu_seqlens=BOUNDS),
    "reference.inverse": lambda: reference.inverse(A),
    "banded_seed": lambda: reference.banded_seed(A.double().tril(-1), 3),
    "forward_substitution": lambda: reference.forward_substitution(A),
    "chunk_doubling": lambda: reference.chunk_doubling(A),
    "block_doubling": lambda: reference.block_doubling(A),
    "reference on grids": lambda: on_grids.inverse(A.flatten(0, 1), DYNAMIC).wide,
    "error_envelope": lambda: bounds.error_envelope(A, plan_for(32), "float32"),
    "tokens": lambda: testing.tokens("qwen3.5-0.8b rho 0", 40),
    "repeated tokens": lambda: testing.tokens("all ones", 40),
    "layer": lambda: testing.layer("qwen3-next rho 0.3", 40, 32),
    "split_chunks": lambda: testing.split_chunks(TIME, 32),
    "chunk_matrices": lambda: testing.chunk_matrices("qwen3-next rho 0.95", 32, 3),
    "trained_chunks": lambda: testing.trained_chunks(),
    "truth": lambda: testing.truth(A),
    "is_finite": lambda: testing.is_finite(X),
    "finite_fraction": lambda: testing.finite_fraction(X),
    "snr": lambda: testing.snr(X, testing.truth(A)),
    "snr_mean_worst": lambda: testing.snr_mean_worst(X, testing.truth(A)),
    "ceiling": lambda: testing.ceiling(testing.truth(A), torch.bfloat16),
    "residual": lambda: testing.residual(A, X),
}


def _codes() -> tuple[Tensor, QuantPlan]:
    return quant.quantize(A, QPLAN).codes, QPLAN


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


CONTEXTS: dict[str, Callable[[], Any]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device meta": lambda: torch.device("meta"),
    "default device meta": lambda: default_device("meta"),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic": deterministic,
}


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [x for part in value for x in _flat(part)]
    return [value]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", CALLS)
def test_the_callers_context_changes_no_bit(name: str, context: str) -> None:
    plain = _flat(CALLS[name]())
    with CONTEXTS[context]():
        found = _flat(CALLS[name]())
    for x, y in zip(found, plain, strict=True):
        if isinstance(x, Tensor):
            assert (x.dtype, x.device, x.shape) == (y.dtype, y.device, y.shape)
            assert torch.equal(x.nan_to_num(), y.nan_to_num())
        else:
            assert x == y


def test_gradients_of_the_rule_called_under_autocast() -> None:
    def gradients(context: contextlib.AbstractContextManager[Any]) -> list[Tensor]:
        leaves = {name: x.clone().requires_grad_() for name, x in TOKENS.items()}
        with context:
            o, state = chunk_gated_delta_rule(**leaves, **RULE)
        assert state is not None
        return list(torch.autograd.grad(o.sum() + state.sum(), list(leaves.values())))

    autocast = torch.autocast("cpu", torch.bfloat16)
    for x, y in zip(gradients(autocast), gradients(contextlib.nullcontext()), strict=True):
        assert torch.equal(x, y)


def test_compiled_under_autocast() -> None:
    plain, final = chunk_gated_delta_rule(**TOKENS, **RULE)
    assert final is not None
    with torch.autocast("cpu", torch.bfloat16):
        o, state = torch.compile(chunk_gated_delta_rule, backend="aot_eager", fullgraph=True)(
            **TOKENS, **RULE
        )
    assert state.dtype == torch.float32
    assert torch.allclose(o, plain, rtol=1e-5, atol=1e-5)
    assert torch.allclose(state, final, rtol=1e-5, atol=1e-5)


def test_what_makes_samples_keeps_its_context() -> None:
    def samples() -> Iterator[Tensor]:
        assert torch.is_autocast_enabled("cpu")
        yield A

    with torch.autocast("cpu", torch.bfloat16):
        assert neumann_tril.calibrate(samples(), plan="fast") == QPLAN


def test_every_public_function_is_called_here() -> None:
    public = {
        name
        for module in (neumann_tril, quant, reference, testing)
        for name in module.__all__
        if callable(getattr(module, name)) and not isinstance(getattr(module, name), type)
    }
    without_tensors = {"backends", "plan_for", "plot"}
    assert public - without_tensors <= {word.strip(",") for word in " ".join(CALLS).split()}
