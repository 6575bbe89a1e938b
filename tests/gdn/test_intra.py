"""The representation of chunks as an operator of torch, and its backends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from helpers import needs_emulator
from neumann_tril import BackendError
from neumann_tril.backends import (
    BACKENDS,
    IntraCall,
    IntraOutputs,
    IntraRequest,
    ReferenceBackend,
    register,
    resolve,
)
from neumann_tril.gdn import chunk_gated_delta_rule_fwd_intra, explain_intra, steps
from neumann_tril.gdn.intra import INTRA
from neumann_tril.gdn.operator import RULE
from neumann_tril.native.launches import Floating

OVERLOAD = torch.ops.neumann_tril.chunk_gated_delta_rule_fwd_intra.default
BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32
LN2 = math.log(2)
BOUNDS = [None, [0, 7, 7, 30, 30, 38], [0, 0, 40]]


def draw(length: int = 40, batch: int = 1, dtype: torch.dtype = F32) -> list[Tensor]:
    """k, v, g, beta of 2 heads, 4 value heads."""
    r = torch.Generator().manual_seed(0)
    k = torch.nn.functional.normalize(torch.randn(batch, length, 2, 16, generator=r), dim=-1)
    v = torch.randn(batch, length, 4, 32, generator=r)
    g, beta = (torch.rand(batch, length, 4, generator=r) for _ in range(2))
    return [k.to(dtype), v.to(dtype), -g, beta]


def spans(bounds: list[int] | None, length: int, chunk_size: int) -> Iterator[slice]:
    """The rows of each chunk."""
    for begin, end in itertools.pairwise([0, length] if bounds is None else bounds):
        for start in range(begin, end, chunk_size):
            yield slice(start, min(start + chunk_size, end))


def cumulated(
    g: Tensor, bounds: list[int] | None = None, chunk_size: int = 64, unit: float = 1.0
) -> Tensor:
    """The sums of g within its chunks."""
    sums = torch.zeros_like(g)
    for rows in spans(bounds, g.shape[1], chunk_size):
        sums[:, rows] = g[:, rows].cumsum(1) / unit
    return sums


def packing(bounds: list[int] | None) -> Tensor | None:
    return None if bounds is None else torch.tensor(bounds)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("chunk_size", [16, 64])
@pytest.mark.parametrize("gates", ["of tokens", "sums", "powers of two", "none"])
def test_by_its_definition(bounds: list[int] | None, chunk_size: int, gates: str) -> None:
    k, v, g, beta = (x.double() for x in draw(40, 1 if bounds else 2))
    unit = {"sums": 1.0, "powers of two": LN2}.get(gates, 0.0)
    given: Any = cumulated(g, bounds, chunk_size, unit) if unit else g
    if gates == "none":
        g, given = torch.zeros_like(g), None
    w, u, x = chunk_gated_delta_rule_fwd_intra(
        k, v, given, beta, packing(bounds), chunk_size, gate_unit=unit
    )
    owed = [torch.zeros_like(y) for y in (w, u, x)]
    for rows in spans(bounds, 40, chunk_size):
        keys, values, strengths, sums = (
            y[:, rows].transpose(1, 2)
            for y in (k.repeat_interleave(2, 2), v, beta, cumulated(g, bounds, chunk_size))
        )
        A = strengths[..., None] * (keys @ keys.mT)
        A = (A * (sums[..., :, None] - sums[..., None, :]).exp()).tril(-1)
        X = torch.linalg.inv(A + torch.eye(A.shape[-1]))
        found = (
            X @ ((strengths * sums.exp())[..., None] * keys),
            X @ (strengths[..., None] * values),
            torch.nn.functional.pad(X, (0, chunk_size - X.shape[-1])),
        )
        for y, part in zip(owed, found, strict=True):
            y[:, rows] = part.transpose(1, 2)
    for y, expected in zip((w, u, x), owed, strict=True):
        torch.testing.assert_close(y, expected)


def test_it_is_what_the_rule_saves() -> None:
    k, v, g, beta = draw(200)
    saved = RULE(
        k, k, v, g, beta, *(None,) * 3, 1.0, *(False,) * 3, *(True,) * 2, False, 64, "exact", None
    )
    found = chunk_gated_delta_rule_fwd_intra(k, v, g, beta)
    for y, expected in zip(found, (*saved[4:], saved[3]), strict=True):
        assert torch.equal(y, expected)


@pytest.mark.parametrize("dtype", [BF16, F16, F32])
@pytest.mark.parametrize("x_dtype", [None, F32])
def test_dtypes(dtype: torch.dtype, x_dtype: torch.dtype | None) -> None:
    tokens = draw(70, dtype=dtype)
    w, u, x = chunk_gated_delta_rule_fwd_intra(*tokens, x_dtype=x_dtype)
    assert x is not None
    assert (w.dtype, u.dtype, x.dtype) == (dtype, dtype, x_dtype or dtype)
    without = chunk_gated_delta_rule_fwd_intra(*tokens, output_x=False)
    assert torch.equal(without[0], w) and torch.equal(without[1], u) and without[2] is None


@pytest.mark.parametrize("bounds", [None, [0, 0, 0]])
def test_no_tokens(bounds: list[int] | None) -> None:
    tokens = draw(0 if bounds is None else 5)
    for y in chunk_gated_delta_rule_fwd_intra(*tokens, packing(bounds)):
        assert y is not None and not y.any()


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("output_x", [False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(bounds: list[int] | None, output_x: bool, requires_grad: bool) -> None:
    if requires_grad and (bounds or not output_x):
        pytest.skip("packed, its gradient reads the bounds; without X it is the same")
    tokens = [x.requires_grad_(requires_grad) for x in draw(40, 1 if bounds else 2)]
    arguments = (*tokens, packing(bounds), None, 0.0, output_x, None, 16, "exact", None)
    opcheck(OVERLOAD, arguments)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("unit", [0.0, LN2])
def test_gradients(bounds: list[int] | None, unit: float) -> None:
    tokens = [x.double().requires_grad_() for x in draw(20)]
    bounds = bounds and [min(b, 20) for b in bounds]
    if unit:
        tokens[2] = cumulated(tokens[2].detach(), bounds, 16, unit).requires_grad_()

    def intra(*tokens: Tensor) -> Any:
        return chunk_gated_delta_rule_fwd_intra(*tokens, packing(bounds), 16, gate_unit=unit)

    assert torch.autograd.gradcheck(intra, tokens, fast_mode=True)
    assert torch.autograd.gradgradcheck(intra, tokens, fast_mode=True)


def test_meta_tensors_and_the_npu_key() -> None:
    tokens = [x.to("meta") for x in draw(100)]
    w, u, x = chunk_gated_delta_rule_fwd_intra(*tokens, chunk_size=32)
    assert x is not None and w.is_meta
    assert (w.shape, u.shape) == ((1, 100, 4, 16), (1, 100, 4, 32)) and x.shape == (1, 100, 4, 32)
    name = "neumann_tril::chunk_gated_delta_rule_fwd_intra"
    assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "PrivateUse1")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"k": torch.zeros(1, 40, 16)}, "k must have shape (B, T, H, K), got (1, 40, 16)"),
        ({"k": torch.zeros(1, 40, 3, 16)}, "v must have a multiple of k's 3 heads, got 4"),
        ({"k": torch.zeros(1, 40, 2, 16).int()}, "k must be one of float16, bfloat16"),
        ({"v": torch.zeros(1, 39, 4, 32)}, "v must have shape (B, T, HV, V) with B = 1, T = 40"),
        ({"g": torch.zeros(1, 40, 2)}, "g must have shape (B, T, HV) = (1, 40, 4)"),
        ({"beta": torch.zeros(1, 40, 4, device="meta")}, "beta must be on k's device cpu"),
        ({"chunk_size": 24}, "24"),
        ({"gate_unit": math.inf}, "gate_unit must be finite, got inf"),
        ({"x_dtype": BF16}, "x_dtype must be None, k's torch.float32 or torch.float32"),
        ({"cu_seqlens": torch.tensor([0, 41])}, "cu_seqlens"),
        ({"chunk_indices": torch.zeros(1, 2).long()}, "chunk_indices needs cu_seqlens"),
        ({"plan": "best"}, "best"),
    ],
)
def test_errors_name_the_argument(changed: dict[str, Any], reason: str) -> None:
    tokens = dict(zip(("k", "v", "g", "beta"), draw(), strict=True))
    with pytest.raises(ValueError) as error:
        chunk_gated_delta_rule_fwd_intra(**{**tokens, **changed})
    assert reason in str(error.value)


def test_what_is_no_tensor() -> None:
    k, v, g, _ = draw()
    with pytest.raises(TypeError, match="beta"):
        chunk_gated_delta_rule_fwd_intra(k, v, g, None)  # type: ignore[arg-type]


# --- backends ------------------------------------------------------------------------------------


class WithKernel(ReferenceBackend):
    """A backend whose kernel takes K = 16 alone."""

    name = "with_intra"
    rule_dtype = F16
    runs = 0

    def reject_intra(self, request: IntraRequest, work: Floating) -> str | None:
        assert work.plan.chunk_size == request.chunk_size
        return None if request.key_size == 16 else f"it takes K = 16, not {request.key_size}"

    def run_intra(self, call: IntraCall, outputs: IntraOutputs, work: Floating) -> None:
        self.runs += 1
        wanted = INTRA.composite(*call._replace(backend=None))  # type: ignore[misc]
        for given, y in zip(outputs, wanted, strict=True):
            given.copy_(y)


def test_a_backend_with_a_kernel() -> None:
    backend = WithKernel()
    register(backend)
    try:
        k, v, g, beta = draw()
        expected = chunk_gated_delta_rule_fwd_intra(k, v, g, beta)
        assert backend.runs == 0
        found = chunk_gated_delta_rule_fwd_intra(k, v, g, beta, backend="with_intra")
        assert backend.runs == 1
        assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))
        assert explain_intra(k, v, g, beta, backend="with_intra").note is None
        told = explain_intra(k[..., :8], v, g, beta, backend="with_intra")
        assert told.note is not None and "it takes K = 16, not 8" in told.note
    finally:
        del BACKENDS[backend.name]
        resolve.cache_clear()
    told = explain_intra(k, v, g, beta)
    assert told.backend == "cpu"
    assert told.note is not None and "no kernel of the chunks' representation" in told.note


@needs_emulator
@pytest.mark.parametrize("bounds", [None, [0, 0, 65, 130, 130]])
@pytest.mark.parametrize("unit", [0.0, 1.0, LN2])
@pytest.mark.parametrize("x_dtype", [None, F32])
def test_the_npu_kernel(bounds: list[int] | None, unit: float, x_dtype: torch.dtype | None) -> None:
    """The operator on the emulated kernel: its numbers, zeros in rows of no sequence."""
    k, v, g, beta = draw(140, dtype=BF16)
    g = cumulated(g, bounds, 64, unit) if unit else g
    found = chunk_gated_delta_rule_fwd_intra(
        *(k, v, g, beta, packing(bounds)), gate_unit=unit, x_dtype=x_dtype, backend="emulator"
    )
    owed = steps.chunk_representation(k, v, g, beta, cu_seqlens=packing(bounds), gate_unit=unit)
    for y, expected in zip(found, owed, strict=True):
        assert y is not None and torch.equal(y, expected.to(y.dtype))
    turned = k.transpose(-1, -2).contiguous().transpose(-1, -2)
    again = chunk_gated_delta_rule_fwd_intra(
        *(turned, v, g, beta, packing(bounds)), gate_unit=unit, output_x=False, backend="emulator"
    )
    assert torch.equal(again[0], found[0]) and torch.equal(again[1], found[1])


@needs_emulator
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": F16}, "k, v must have one dtype, got torch.bfloat16, torch.float16"),
        ({"beta": torch.float64}, "the kernel does not take beta of torch.float64"),
        ({"k": F32, "v": F32}, "must be float16 or bfloat16"),
    ],
)
def test_what_the_npu_kernel_leaves_to_torch(change: dict[str, torch.dtype], reason: str) -> None:
    tokens = dict(zip(("k", "v", "g", "beta"), draw(dtype=BF16), strict=True))
    for name, dtype in change.items():
        tokens[name] = tokens[name].to(dtype)
    if tokens["beta"].dtype == torch.float64:
        with pytest.raises(BackendError, match="its inverse does not serve"):
            chunk_gated_delta_rule_fwd_intra(**tokens, backend="emulator")
        assert reason in str(explain_intra(**tokens, backend="emulator").error)
    else:
        assert reason in str(explain_intra(**tokens, backend="emulator").note)
        chunk_gated_delta_rule_fwd_intra(**tokens, backend="emulator")
