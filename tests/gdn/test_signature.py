"""What flash-linear-attention's signature offers: each argument works, or says what to use."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from neumann_tril.gdn import chunk_gated_delta_rule, naive_recurrent_gated_delta_rule

FLA = (
    *("q", "k", "v", "g", "beta", "scale", "initial_state", "output_final_state"),
    *("use_qk_l2norm_in_kernel", "use_beta_sigmoid_in_kernel", "allow_neg_eigval"),
    *("state_v_first", "cu_seqlens", "cu_seqlens_cpu", "chunk_indices", "cp_context"),
)
"""The arguments of FLA 0.6, in their order."""


def draw(length: int = 70, batch: int = 1) -> dict[str, Tensor]:
    r = torch.Generator().manual_seed(0)
    q, k = (torch.randn(batch, length, 2, 16, generator=r) for _ in range(2))
    v = torch.randn(batch, length, 4, 8, generator=r)
    g, beta = (torch.rand(batch, length, 4, generator=r) for _ in range(2))
    return {"q": q, "k": normalize(k, dim=-1), "v": v, "g": -g, "beta": beta}


def close(found: Any, expected: Any) -> None:
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x.double(), y.double(), rtol=1e-4, atol=1e-5)


def recurrence(**options: Any) -> tuple[Tensor, Tensor | None]:
    return naive_recurrent_gated_delta_rule(**options, dtype=torch.float64)


def test_the_order_of_arguments() -> None:
    parameters = inspect.signature(inspect.unwrap(chunk_gated_delta_rule)).parameters
    positional = [
        name for name, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert tuple(positional) == FLA
    inputs, state = draw(), torch.randn(2, 4, 8, 16)
    bounds = torch.tensor([0, 30, 70])
    found = chunk_gated_delta_rule(
        *inputs.values(), 0.3, state, True, True, False, False, True, bounds, bounds, None, None
    )
    expected = chunk_gated_delta_rule(
        **inputs,
        scale=0.3,
        initial_state=state,
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
        state_v_first=True,
        cu_seqlens=bounds,
    )
    for x, y in zip(found, expected, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("bounds", [None, [0, 30, 30, 64], [0, 0], [0]])
@pytest.mark.parametrize("length", [70, 0])
def test_states_with_v_first(bounds: list[int] | None, length: int) -> None:
    """The same numbers, transposed; gradients too."""
    if bounds is not None and bounds[-1] > length:
        return
    inputs = {name: x.requires_grad_() for name, x in draw(length).items()}
    count = 1 if bounds is None else len(bounds) - 1
    state = torch.randn(count, 4, 16, 8)
    options: dict[str, Any] = {"output_final_state": True, "output_chunk_states": True}
    options |= {"cu_seqlens": None if bounds is None else torch.tensor(bounds), "chunk_size": 32}

    def run(state: Tensor, **more: Any) -> tuple[list[Tensor], list[Tensor]]:
        state = state.clone().requires_grad_()
        o, final, states = chunk_gated_delta_rule(**inputs, initial_state=state, **options, **more)
        loss = o.sum() + final.square().sum()
        leaves = [*inputs.values(), state]
        assert final.is_contiguous() and states.is_contiguous()
        return [o, final, states], list(torch.autograd.grad(loss, leaves, materialize_grads=True))

    (o, final, states), grads = run(state)
    results, turned = run(state.mT.contiguous(), state_v_first=True)
    assert torch.equal(results[0], o)
    assert torch.equal(results[1].mT, final) and torch.equal(results[2].mT, states)
    assert torch.equal(turned.pop().mT, grads.pop())
    for x, y in zip(turned, grads, strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("bounds", [None, [0, 0, 40, 40, 57, 63], [0, 0, 0], [0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_state_before_every_chunk(bounds: list[int] | None, dtype: torch.dtype) -> None:
    """In the order of FLA's h; what is behind the last chunk is zero."""
    inputs = {name: x.to(dtype) for name, x in draw().items()}
    spans = [(0, 70)] if bounds is None else list(itertools.pairwise(bounds))
    first = torch.randn(len(spans), 4, 16, 8)
    _, final, states = chunk_gated_delta_rule(
        **inputs,
        initial_state=first,
        output_final_state=True,
        output_chunk_states=True,
        cu_seqlens=None if bounds is None else torch.tensor(bounds),
        chunk_size=16,
    )
    slots = 5 if bounds is None else 70 // 16 + len(spans)
    assert states.shape == (1, slots, 4, 16, 8) and states.dtype == torch.float32
    n = 0
    for sequence, (begin, end) in enumerate(spans):
        for start in range(begin, end, 16):
            part = {name: x[:, begin:start] for name, x in inputs.items()}
            state = first[sequence : sequence + 1]
            _, before = recurrence(**part, initial_state=state, output_final_state=True)
            close([states[:, n]], [before])
            n += 1
    assert not states[:, n:].any()
    assert final.shape == first.shape


def test_no_gradient_passes_through_states_before_chunks() -> None:
    inputs = {name: x.requires_grad_() for name, x in draw().items()}
    o, _, states = chunk_gated_delta_rule(**inputs, output_chunk_states=True)
    assert o.requires_grad and not states.requires_grad


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_beta_as_logits(negative: bool, dtype: torch.dtype) -> None:
    inputs = {name: x.to(dtype) for name, x in draw().items()}
    logits = torch.randn(1, 70, 4).to(dtype)
    found = chunk_gated_delta_rule(
        **{**inputs, "beta": logits},
        use_beta_sigmoid_in_kernel=True,
        allow_neg_eigval=negative,
        output_final_state=True,
    )
    beta = logits.double().sigmoid() * (2 if negative else 1)
    expected = recurrence(**{**inputs, "beta": beta}, output_final_state=True)
    close([found[1]], [expected[1]])
    assert found[0].dtype == dtype


@pytest.mark.parametrize("bias", [False, True])
def test_gates_formed_inside(bias: bool) -> None:
    inputs = draw()
    raw, A_log = torch.randn(1, 70, 4), torch.randn(4, requires_grad=True)
    dt_bias = torch.randn(4, requires_grad=True) if bias else None
    options = {"use_gate_in_kernel": True, "A_log": A_log, "dt_bias": dt_bias}
    o, _ = chunk_gated_delta_rule(**{**inputs, "g": raw}, **options)
    g = -A_log.exp() * softplus(raw if dt_bias is None else raw + dt_bias)
    expected, _ = recurrence(**{**inputs, "g": g})
    close([o], [expected])
    o.sum().backward()
    assert A_log.grad is not None and A_log.grad.any()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_bounds_on_the_host_and_chunk_indices(dtype: torch.dtype) -> None:
    inputs, bounds = draw(), torch.tensor([0, 30, 30, 70], dtype=dtype)
    indices = torch.tensor([[0, 0], [2, 0]], dtype=dtype)
    expected, _ = chunk_gated_delta_rule(**inputs, cu_seqlens=bounds)
    found, _ = chunk_gated_delta_rule(
        **inputs, cu_seqlens=bounds, cu_seqlens_cpu=bounds, chunk_indices=indices
    )
    assert torch.equal(found, expected)


def test_the_earlier_name_of_v_first() -> None:
    inputs = draw()
    found = chunk_gated_delta_rule(**inputs, output_final_state=True, transpose_state_layout=True)
    expected = chunk_gated_delta_rule(**inputs, output_final_state=True, state_v_first=True)
    assert torch.equal(found[1], expected[1])
    with pytest.raises(ValueError, match="earlier name of state_v_first; pass one"):
        chunk_gated_delta_rule(**inputs, state_v_first=True, transpose_state_layout=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head_first": True}, "pass q, k, v as (B, T, H, ...) and g, beta as (B, T, H)"),
        ({"cp_context": object()}, "give each rank whole sequences, or pass states on"),
        ({"allow_neg_eigval": True}, "needs use_beta_sigmoid_in_kernel=True"),
        ({"A_log": torch.zeros(4)}, "A_log and dt_bias need use_gate_in_kernel=True"),
        ({"use_gate_in_kernel": True}, "use_gate_in_kernel=True needs g and A_log"),
        (
            {"use_gate_in_kernel": True, "A_log": torch.zeros(3)},
            "A_log must have shape (HV,) = (4,), got (3,)",
        ),
        ({"cu_seqlens_cpu": torch.tensor([0, 70])}, "cu_seqlens_cpu needs cu_seqlens"),
        ({"chunk_indices": torch.zeros(2, 2).int()}, "chunk_indices needs cu_seqlens"),
        (
            {"chunk_indices": torch.zeros(2).int(), "cu_seqlens": torch.tensor([0, 70])},
            "chunk_indices must have shape (chunks, 2)",
        ),
        ({"state_v_first": True, "initial_state": torch.zeros(1, 4, 16, 8)}, "(N, HV, V, K)"),
        ({"gate": 1}, "got an unexpected keyword argument 'gate'"),
    ],
)
def test_what_is_refused_says_what_to_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        chunk_gated_delta_rule(**draw(), **options)
    assert message in str(error.value)


def test_decays_passed_for_their_logarithms_are_refused_on_request() -> None:
    inputs = draw()
    expected = chunk_gated_delta_rule(**inputs)[0]
    assert torch.equal(chunk_gated_delta_rule(**inputs, check=True)[0], expected)
    assert chunk_gated_delta_rule(**{**inputs, "g": None}, check=True)[0].isfinite().all()
    with pytest.raises(ValueError, match="g must be at most 0.* pass their log"):
        chunk_gated_delta_rule(**{**inputs, "g": inputs["g"].exp()}, check=True)
    chunk_gated_delta_rule(**draw(0), check=True)


@pytest.mark.parametrize("name", ["cu_seqlens", "chunk_indices"])
def test_training_with_index_tensors_of_an_evaluation_step(name: str) -> None:
    """Of its gradient, whether autograd records the products or the operator saves them."""
    from neumann_tril.gdn.operator import RULE

    inputs = {name: x.requires_grad_() for name, x in draw().items()}
    given = {"cu_seqlens": [0, 30, 70], "chunk_indices": [[0, 0], [1, 0]]}
    tensors = {n: torch.tensor(x) for n, x in given.items()}
    with torch.inference_mode():
        tensors[name] = torch.tensor(given[name])
    o, _ = chunk_gated_delta_rule(**inputs, **tensors)
    flags = (False, True, True, True, False, False)
    tokens = (*inputs.values(), None)
    saved, *_ = RULE(*tokens, *tensors.values(), 0.25, *flags, 64, "exact", None)
    leaves = list(inputs.values())
    for x, y in zip(
        torch.autograd.grad(o.sum(), leaves), torch.autograd.grad(saved.sum(), leaves), strict=True
    ):
        assert torch.equal(x, y)
