"""The chunk rule on the NPU backend as on the emulator's: results, states, gradients, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from on_stand_in import no_host_waits, tokens
from torch import Tensor

import neumann_tril as nt
from neumann_tril.gdn import chunk_gated_delta_rule, explain

half, bfloat16, float32 = torch.float16, torch.bfloat16, torch.float32
CU = [0, 1, 70, 70, 150]
HEADS, VALUE_HEADS, KEY, VALUE = 1, 2, 32, 16  # of `tokens`


def states(count: int, v_first: bool = False) -> Tensor:
    shape = (VALUE, KEY) if v_first else (KEY, VALUE)
    return torch.randn(count, VALUE_HEADS, *shape, generator=torch.Generator().manual_seed(1))


def results(given: list[Tensor], **options: Any) -> list[Tensor]:
    """o, the final states, those before every chunk."""
    kind = {"output_final_state": True, "output_chunk_states": True}
    return list(chunk_gated_delta_rule(*given, use_qk_l2norm_in_kernel=True, **kind, **options))


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    for x, y in zip(found, expected, strict=True):
        assert x.device.type == "npu" and x.dtype == y.dtype
        assert torch.equal(x.cpu(), y)


def moved(given: list[Tensor]) -> list[Tensor]:
    return [x.npu() for x in given]


@pytest.mark.parametrize("dtype", [half, bfloat16])
@pytest.mark.parametrize("v_first", [False, True])
def test_results_are_those_of_the_emulator(dtype: torch.dtype, v_first: bool) -> None:
    given, initial = tokens(batch=2, dtype=dtype), states(2, v_first)
    options = {"state_v_first": v_first}
    on_device, state = moved(given), initial.npu()
    assert explain(*on_device, state, **options).backend == "npu"
    with no_host_waits():
        found = results(on_device, initial_state=state, **options)
    same(found, results(given, initial_state=initial, backend="emulator", **options))


@pytest.mark.parametrize("place", ["cpu", "npu"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("given", [False, True])
def test_packed(place: str, dtype: torch.dtype, given: bool) -> None:
    given, bounds = tokens(160), torch.tensor(CU, dtype=dtype)
    initial = states(len(CU) - 1) if given else None
    on_device, on_place = moved(given), bounds.to(place)
    state = None if initial is None else initial.npu()
    with no_host_waits():
        found = results(on_device, initial_state=state, cu_seqlens=on_place)
    expected = results(given, initial_state=initial, cu_seqlens=bounds, backend="emulator")
    same(found, expected)


@pytest.mark.parametrize("bounds", [[0], [0, 0]])
def test_no_sequence_has_a_token(bounds: list[int]) -> None:
    given, initial = tokens(70), states(len(bounds) - 1)
    cu_seqlens = torch.tensor(bounds)
    found = results(moved(given), initial_state=initial.npu(), cu_seqlens=cu_seqlens.npu())
    same(found, results(given, initial_state=initial, cu_seqlens=cu_seqlens, backend="emulator"))
    assert not found[0].cpu().any() and torch.equal(found[1].cpu(), initial)


def test_views_of_one_projection_and_no_gates() -> None:
    projected = torch.randn(1, 100, 2 * KEY + VALUE_HEADS * VALUE, dtype=half)
    beta = torch.rand(1, VALUE_HEADS, 100)

    def views(x: Tensor, numbers: Tensor) -> list[Any]:
        q, k, v = x.split([KEY, KEY, VALUE_HEADS * VALUE], -1)
        heads = ((HEADS, KEY), (HEADS, KEY), (VALUE_HEADS, VALUE))
        tokens = (y.unflatten(-1, size) for y, size in zip((q, k, v), heads, strict=True))
        return [*tokens, None, numbers.mT]

    on_device = views(projected.npu(), beta.npu())
    with no_host_waits():
        found = results(on_device, plan="fast", scale=0.5)
    same(found, results(views(projected, beta), plan="fast", scale=0.5, backend="emulator"))


def gradients(inputs: list[Tensor], grads: list[Tensor], **options: Any) -> list[Tensor]:
    """Of q, k, v, g, beta and the initial state."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    *given, state = leaves
    outputs = results(given, initial_state=state, **options)[:2]
    torch.autograd.backward(outputs, grads)
    assert all(x.grad is not None and x.grad.device == x.device for x in leaves)
    return [x.grad.float().cpu() for x in leaves]


@pytest.mark.parametrize("bounds", [None, [0, 70, 70, 150]])
def test_gradients(bounds: list[int] | None) -> None:
    """By torch's products on the device: float32 sums in another order than on the CPU."""
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    state = states(1 if bounds is None else 3)
    inputs = [*tokens(), state]
    r = torch.Generator().manual_seed(2)
    of_o = torch.randn(1, 150, VALUE_HEADS, VALUE, generator=r).half()
    grads = [of_o, torch.randn(state.shape, generator=r)]
    expected = gradients(inputs, grads, cu_seqlens=cu_seqlens, backend="emulator")
    on_device, on_device_grads = moved(inputs), moved(grads)
    with no_host_waits():
        leaves = [x.clone().requires_grad_() for x in on_device]
        outputs = results(leaves[:5], initial_state=leaves[5], cu_seqlens=cu_seqlens)[:2]
        torch.autograd.backward(outputs, on_device_grads)
    for x, y, leaf in zip(expected, leaves, inputs, strict=True):
        unit = torch.finfo(leaf.dtype).eps
        found = y.grad.float().cpu()
        assert (found - x).abs().max() <= max(unit, 1e-5) * x.abs().max()


@pytest.mark.parametrize(
    "kind, reason",
    [
        ({"key_size": 24}, "K and V must be multiples of 16"),
        ({"dtype": float32}, "q, k, v must be float16 or bfloat16 on the NPU"),
    ],
)
def test_what_the_kernel_refuses_is_made_of_torchs_products(
    kind: dict[str, Any], reason: str
) -> None:
    given = tokens(100, **kind)
    on_device = moved(given)
    explained = explain(*on_device)
    assert explained.backend == "npu"
    assert f"torch's products around its inverse: {reason}" in str(explained)
    for bounds in (None, [0, 30, 30, 90]):
        cu_seqlens = None if bounds is None else torch.tensor(bounds)
        with no_host_waits():
            found = results(on_device, cu_seqlens=cu_seqlens)
        expected = results(given, cu_seqlens=cu_seqlens, backend="emulator")
        for x, y in zip(found, expected, strict=True):
            assert x.device.type == "npu" and x.dtype == y.dtype
            bound = max(torch.finfo(y.dtype).eps, 1e-5) * y.abs().max()
            assert (x.cpu() - y).abs().max() <= bound


def test_compile() -> None:
    given = tokens(100)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda *x: chunk_gated_delta_rule(*x)[0], backend="aot_eager", fullgraph=True
    )
    found = compiled(*moved(given))
    same([found], [chunk_gated_delta_rule(*given, backend="emulator")[0]])


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"backend": "emulator"}, nt.BackendError, "takes tensors on cpu"),
        ({"cu_seqlens": torch.tensor([0, 400])}, ValueError, "cu_seqlens must start at 0"),
        ({"cu_seqlens": torch.tensor([0, 70, 30])}, ValueError, "cu_seqlens must start at 0"),
        ({"initial_state": states(1)}, ValueError, "initial_state must be on q's device npu:0"),
    ],
)
def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        results(moved(tokens()), **options)
