"""The chunk rule as an operator of torch: registration, compilation, saved X, backends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.library import opcheck

from neumann_tril import BackendError, inverse
from neumann_tril.backends import (
    BACKENDS,
    ReferenceBackend,
    RuleCall,
    RuleOutputs,
    RuleRequest,
    register,
    resolve,
)
from neumann_tril.gdn import chunk_gated_delta_rule, explain, naive_recurrent_gated_delta_rule
from neumann_tril.gdn.operator import RULE, chunk_rule, unfold_chunk_states
from neumann_tril.native.launches import Floating

OPS = torch.ops.neumann_tril
LENGTHS = (5, 16, 17, 33, 63, 64, 65, 100, 127, 128, 129, 200, 256, 257, 300, 511, 640)
PACKINGS = (
    [0, 1, 1, 20, 85],
    [0, 0, 3, 4, 5, 6, 7, 70],
    [0, 5, 90],
    [0, 0, 0, 64, 200],
    [0, 0, 128],
)


def draw(length: int, batch: int = 1, seed: int = 0, value_heads: int = 6) -> list[Tensor]:
    """q, k, v, g, beta of 3 heads."""
    r = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(batch, length, 3, 16, generator=r) for _ in range(2))
    v = torch.randn(batch, length, value_heads, 8, generator=r)
    g, beta = (torch.rand(batch, length, value_heads, generator=r) for _ in range(2))
    return [q, torch.nn.functional.normalize(k, dim=-1), v, -g, beta]


def arguments(
    tokens: list[Tensor],
    state: Tensor | None = None,
    bounds: list[int] | None = None,
    outputs: bool = True,
    v_first: bool = False,
    chunk_size: int = 16,
) -> RuleCall:
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    asked = (outputs,) * 4
    tensors = (*tokens, state, cu_seqlens, None)
    return RuleCall(*tensors, 0.25, True, *asked, v_first, chunk_size, "exact", None)


@pytest.mark.parametrize("bounds", [None, [0, 7, 7, 30]])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("outputs", [False, True])
def test_opcheck(bounds: list[int] | None, requires_grad: bool, outputs: bool) -> None:
    if bounds and requires_grad and not outputs:
        pytest.skip("its gradient is formed from what is saved, and reads the bounds")
    tokens = [x.requires_grad_(requires_grad) for x in draw(40, 1 if bounds else 2)]
    state = torch.randn(3 if bounds else 2, 6, 8, 16).requires_grad_(requires_grad)
    call = arguments(tokens, state, bounds, outputs, v_first=True)
    opcheck(OPS.chunk_gated_delta_rule.default, tuple(call))


@pytest.mark.parametrize("bounds", [None, [0, 7, 7, 30]])
@pytest.mark.parametrize("needed", [[True] * 6, [True, False, True, False, True, False]])
def test_opcheck_backward(bounds: list[int] | None, needed: list[bool]) -> None:
    tokens = draw(40)
    results = RULE(*arguments(tokens, bounds=bounds))
    o, state, chunk_states, x, *_ = results
    q, k, v, g, beta = tokens
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    saved = (q, k, v, g, beta, cu_seqlens, x, chunk_states)
    for grads in ((o, state), (o, None), (None, state)):
        opcheck(
            OPS.chunk_gated_delta_rule_backward.default,
            (*saved, *grads, needed, 0.25, True, False, 16, "exact"),
        )


def rows_of(chunk: Tensor, rows: int) -> Tensor:
    return chunk[..., :rows, :]


@pytest.mark.parametrize("bounds", [None, [0, 7, 7, 30, 30, 38]])
@pytest.mark.parametrize("chunk_size", [16, 32])
def test_what_a_backward_pass_needs(bounds: list[int] | None, chunk_size: int) -> None:
    """X, W, U and the states before every chunk, by their definitions and the recurrence."""
    _, k, v, g, beta = tokens = draw(40)
    spans = [(0, 40)] if bounds is None else list(itertools.pairwise(bounds))
    first = torch.randn(len(spans), 6, 16, 8)
    call = arguments(tokens, first, bounds, chunk_size=chunk_size)._replace(plan="exact")
    out = chunk_rule(call)
    out = out._replace(chunk_states=unfold_chunk_states(call, out.chunk_states))
    assert out.x.shape == (1, 40, 6, chunk_size)
    assert out.w.shape == (1, 40, 6, 16) and out.u.shape == (1, 40, 6, 8)
    slots = -(-40 // chunk_size) if bounds is None else 40 // chunk_size + len(spans)
    assert out.chunk_states.shape == (1, slots, 6, 16, 8)
    key = torch.nn.functional.normalize(k, dim=-1).repeat_interleave(2, 2)
    n = 0
    for sequence, (begin, end) in enumerate(spans):
        for start in range(begin, end, chunk_size):
            rows = slice(start, min(start + chunk_size, end))
            count = rows.stop - rows.start
            before = naive_recurrent_gated_delta_rule(
                *(x[:, begin:start].double() for x in tokens),
                initial_state=first[sequence : sequence + 1].double(),
                use_qk_l2norm_in_kernel=True,
                output_final_state=True,
            )[1]
            torch.testing.assert_close(
                out.chunk_states[:, n].double(), before, rtol=1e-4, atol=1e-5
            )
            K, V, b = (x[0, rows].transpose(0, 1) for x in (key, v, beta))
            since = g[0, rows].transpose(0, 1).cumsum(-1)
            A = b[..., None] * (K @ K.mT) * (since[..., None] - since[..., None, :]).exp()
            X = torch.zeros(6, count, count)
            X[:] = torch.linalg.inv(A.tril(-1) + torch.eye(count))
            found = (y[0, rows].transpose(0, 1) for y in (out.x, out.w, out.u))
            wanted = (
                torch.nn.functional.pad(X, (0, chunk_size - count)),
                X @ (b[..., None] * since.exp()[..., None] * K),
                X @ (b[..., None] * V),
            )
            for x, y in zip(found, wanted, strict=True):
                torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)
            n += 1
    assert not out.chunk_states[:, n:].any()
    for x in out[3:]:
        assert not x[:, spans[-1][1] :].any()


@pytest.mark.parametrize("bounds", [None, [0, 30, 30, 100, 140], [0, 0]])
@pytest.mark.parametrize("v_first", [False, True])
@pytest.mark.parametrize("result", [0, 1, 2])
def test_the_saved_gradient_is_that_of_the_composite(
    bounds: list[int] | None, v_first: bool, result: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, over several segments."""
    from neumann_tril.gdn import rule

    monkeypatch.setitem(rule._SEGMENT, "cpu", 2**13)
    leaves = [x.requires_grad_() for x in draw(150)]
    count = 1 if bounds is None else len(bounds) - 1
    state = torch.randn(count, 6, 8, 16) if v_first else torch.randn(count, 6, 16, 8)
    leaves.append(state.requires_grad_())
    call = arguments(leaves[:5], leaves[5], bounds, v_first=v_first)

    def gradients(results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        chosen = results[:2] if result == 2 else results[result : result + 1]
        grads = [torch.linspace(-1, 1, y.numel()).view(y.shape) for y in chosen]
        return torch.autograd.grad(chosen, leaves, grads, materialize_grads=True)

    for x, y in zip(gradients(RULE(*call)), gradients(RULE.composite(*call)), strict=True):
        assert torch.equal(x, y)


def test_second_derivatives_of_the_operator() -> None:
    tokens = [x.double().requires_grad_() for x in draw(20)]
    call = arguments(tokens)

    def rule(*tokens: Tensor) -> Any:
        return RULE(*tokens, *call[5:])[:2]

    assert torch.autograd.gradgradcheck(rule, tokens, fast_mode=True)
    without = arguments(tokens, outputs=False)._replace(output_final_state=True)
    assert torch.autograd.gradcheck(
        lambda *tokens: RULE(*tokens, *without[5:])[:2], tokens, fast_mode=True
    )


def compiled(backend: str = "eager", **options: Any) -> tuple[Any, CompileCounterWithBackend]:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)

    def layer(tokens: list[Tensor], cu_seqlens: Tensor | None = None) -> Any:
        return chunk_gated_delta_rule(
            *tokens,
            cu_seqlens=cu_seqlens,
            output_final_state=True,
            use_qk_l2norm_in_kernel=True,
        )

    return torch.compile(layer, fullgraph=True, backend=counter, **options), counter


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(("dynamic", "graphs"), [(True, 1), (None, 2)])
def test_lengths_do_not_recompile(requires_grad: bool, dynamic: bool | None, graphs: int) -> None:
    """Without ``dynamic`` torch takes the first length for the only one, and the second for proof
    that it is not."""
    run, counter = compiled("aot_eager", dynamic=dynamic)
    for length in LENGTHS:
        tokens = [x.requires_grad_(requires_grad) for x in draw(length)]
        o, state = run(tokens)
        expected, final = chunk_gated_delta_rule(
            *tokens, output_final_state=True, use_qk_l2norm_in_kernel=True
        )
        assert torch.equal(o, expected) and torch.equal(state, final)
    assert counter.frame_count == graphs


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(("dynamic", "graphs"), [(True, 1), (None, 2)])
def test_packings_do_not_recompile(requires_grad: bool, dynamic: bool | None, graphs: int) -> None:
    run, counter = compiled("aot_eager", dynamic=dynamic)
    for bounds in PACKINGS:
        tokens = [x.requires_grad_(requires_grad) for x in draw(bounds[-1] + 9)]
        cu_seqlens = torch.tensor(bounds)
        o, _ = run(tokens, cu_seqlens)
        expected, _ = chunk_gated_delta_rule(
            *tokens, cu_seqlens=cu_seqlens, use_qk_l2norm_in_kernel=True
        )
        assert torch.equal(o, expected)
    assert counter.frame_count == graphs


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("bounds", [None, [0, 30, 30, 100]])
def test_compiled_gradients(backend: str, bounds: list[int] | None) -> None:
    tokens = [x.requires_grad_() for x in draw(100)]
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    run, _ = compiled(backend, dynamic=True)

    def gradients(function: Any, *arguments: Any, **options: Any) -> tuple[Tensor, ...]:
        o, state = function(*arguments, cu_seqlens=cu_seqlens, **options)
        return torch.autograd.grad(o.sum() + state.square().sum(), tokens)

    options = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    expected = gradients(chunk_gated_delta_rule, *tokens, **options)
    for x, y in zip(gradients(run, tokens), expected, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    class Layer(torch.nn.Module):
        def forward(self, *tokens: Tensor) -> Tensor:
            return chunk_gated_delta_rule(*tokens)[0]

    length = torch.export.Dim("length", min=2)
    program = torch.export.export(
        Layer(),
        tuple(draw(70)),
        dynamic_shapes={"tokens": tuple({1: length} for _ in range(5))},
        strict=strict,
    )
    targets = [node.target for node in program.graph.nodes]
    assert OPS.chunk_gated_delta_rule.default in targets
    more = draw(133)
    assert torch.equal(program.module()(*more), chunk_gated_delta_rule(*more)[0])


def test_meta_tensors_give_shapes() -> None:
    for grad in (False, True):
        tokens = [x.to("meta").requires_grad_(grad) for x in draw(100)]
        o, state, states = chunk_gated_delta_rule(
            *tokens, output_final_state=True, output_chunk_states=True, state_v_first=True
        )
        assert o.shape == (1, 100, 6, 8) and o.is_meta
        assert state.shape == (1, 6, 8, 16) and states.shape == (1, 2, 6, 8, 16)


def test_the_npu_key_has_kernels_without_torch_npu() -> None:
    for name in ("chunk_gated_delta_rule", "chunk_gated_delta_rule_backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(
            f"neumann_tril::{name}", "PrivateUse1"
        )


@pytest.mark.parametrize("bounds", [None, [0, 7, 7, 30]])
def test_vmap(bounds: list[int] | None) -> None:
    maps = [draw(40, seed=seed) for seed in range(3)]
    q, k, v, _, beta = (torch.stack(x) for x in zip(*maps, strict=True))
    cu_seqlens = None if bounds is None else torch.tensor(bounds)
    options = {"output_final_state": True, "output_chunk_states": True, "chunk_size": 16}

    def rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Any:
        return chunk_gated_delta_rule(q, k, v, maps[0][3], beta, cu_seqlens=cu_seqlens, **options)

    dims = (0, 1, 3, -1)
    mapped = [x.movedim(0, dim) for x, dim in zip((q, k, v, beta), dims, strict=True)]
    found = torch.vmap(rule, in_dims=dims)(*mapped)
    expected = [rule(*x) for x in zip(q, k, v, beta, strict=True)]
    for x, y in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(x, torch.stack(y))


# --- backends ------------------------------------------------------------------------------------


class WithKernel(ReferenceBackend):
    """A backend whose kernel of the rule takes K = 16 alone, and is the recurrence."""

    name = "with_kernel"
    rule_dtype = torch.float32
    runs = 0

    def reject_rule(self, request: RuleRequest, work: Floating) -> str | None:
        assert work.plan.chunk_size == request.chunk_size
        return None if request.key_size == 16 else f"it takes K = 16, not {request.key_size}"

    def run_rule(self, call: RuleCall, outputs: RuleOutputs, work: Floating) -> None:
        self.runs += 1
        for given, wanted in zip(
            outputs, RULE.composite(*call._replace(backend=None)), strict=True
        ):
            given.copy_(wanted)


@pytest.fixture
def with_kernel() -> Iterator[WithKernel]:
    backend = WithKernel()
    register(backend)
    yield backend
    del BACKENDS[backend.name]
    resolve.cache_clear()


@pytest.mark.parametrize("bounds", [None, [0, 30, 30, 100], [0, 0]])
def test_a_backend_with_a_kernel_of_the_rule(
    with_kernel: WithKernel, bounds: list[int] | None
) -> None:
    """It serves the call and what a backward pass needs, to the composite's bits."""
    leaves = [x.requires_grad_() for x in draw(100)]
    options: dict[str, Any] = {"output_final_state": True, "output_chunk_states": True}
    options["cu_seqlens"] = None if bounds is None else torch.tensor(bounds)

    def run(**more: Any) -> list[Tensor]:
        o, state, states = chunk_gated_delta_rule(*leaves, **options, **more)
        return [o, state, states, *torch.autograd.grad(o.sum() + state.square().sum(), leaves)]

    expected = run()
    assert with_kernel.runs == 0
    found = run(backend="with_kernel")
    assert with_kernel.runs == 1
    for x, y in zip(found, expected, strict=True):
        assert torch.equal(x, y)


def test_no_tokens_go_to_no_kernel(with_kernel: WithKernel) -> None:
    state = torch.randn(1, 6, 16, 8)
    _, final = chunk_gated_delta_rule(
        *draw(0), initial_state=state, output_final_state=True, backend="with_kernel"
    )
    assert with_kernel.runs == 0 and torch.equal(final, state)


def test_what_serves_the_rule_is_told(with_kernel: WithKernel) -> None:
    q, k, v, g, beta = draw(40)
    found = explain(q, k, v, g, beta)
    assert found.backend == "cpu" and found.compute_dtype == torch.float32
    assert found.plan is not None and found.plan.chunk_size == 64
    assert "torch's products around its inverse: it has no kernel of the whole rule" in str(found)
    assert set(found.others) == set(BACKENDS) - {"cpu"}
    assert "backend='with_kernel'" in found.others["with_kernel"]
    found = explain(q, k, v, g, beta, backend="with_kernel")
    assert found.backend == "with_kernel" and found.note is None
    found = explain(q[..., :8], k[..., :8], v, g, beta, backend="with_kernel")
    assert found.note is not None and "it takes K = 16, not 8" in found.note
    found = explain(q.double(), k, v, g, beta, backend="emulator")
    assert found.backend is None and "its inverse does not serve" in str(found.error)
    with pytest.raises(BackendError, match="its inverse does not serve"):
        chunk_gated_delta_rule(q.double(), k, v, g, beta, backend="emulator")


def test_the_plan_is_the_inverses() -> None:
    q, k, v, g, beta = draw(40)
    found = RuleOutputs(*RULE(*arguments([q, k, v, g, beta], chunk_size=64)._replace(plan="paper")))
    exact = RuleOutputs(*RULE(*arguments([q, k, v, g, beta], chunk_size=64)))
    assert not torch.equal(found.x, exact.x)
    A = torch.linalg.inv(exact.x[0, :40, 0, :40]) - torch.eye(40)
    padded = torch.nn.functional.pad(A, (0, 24, 0, 24))
    torch.testing.assert_close(
        inverse(padded, "paper")[:40, :40], found.x[0, :40, 0, :40], rtol=1e-3, atol=1e-4
    )
