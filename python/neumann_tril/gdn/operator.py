"""The chunk rule as an operator of torch: opaque to the compiler, with saved X for its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..backends import AroundInverse, RuleCall, RuleOutputs, RuleRequest, resolve
from ..ops import Gradient, Operator, recording, savable, transformed
from ..plan import Plan, check_chunk_size, is_fixed
from .inputs import Sizes, check, check_shapes, fill
from .packed import chunk_slots
from .rule import Rule, Wanted

Results = tuple[Tensor, ...]


def _sizes(call: RuleCall) -> Sizes:
    """The sizes of a call whose shapes and dtypes fit; raises for others."""
    check_chunk_size(call.chunk_size)
    return check_shapes(*call.tensors, state_v_first=call.state_v_first)


def request_for(call: RuleCall) -> RuleRequest:
    """What the backends are asked for; raises for shapes and dtypes that do not fit."""
    return _request(call, _sizes(call))


def _request(call: RuleCall, sizes: Sizes) -> RuleRequest:
    device = call.q.device
    dtypes = tuple(None if x is None else x.dtype for x in call.tensors[1:6])
    return RuleRequest(
        device.type,
        device.index,
        call.plan,
        call.chunk_size,
        call.q.dtype,
        dtypes,
        sizes.dtype,
        sizes.key_size,
        sizes.value_size,
        sizes.heads,
        sizes.value_heads,
        call.cu_seqlens is not None,
    )


def _allocate(call: RuleCall, sizes: Sizes) -> RuleOutputs:
    """Memory for the results."""
    batch, length, _, key_size, heads, value_size, sequences, dtype = sizes
    slots = chunk_slots(length, call.chunk_size, sequences if call.cu_seqlens is not None else None)
    state = sizes.state_shape(call.state_v_first)
    shapes = (
        (state, call.output_final_state),
        ((batch, slots * heads * state[2], state[3]), call.output_chunk_states),
        ((batch, length, heads, call.chunk_size), call.output_x),
        ((batch, length, heads, key_size), call.output_wu),
        ((batch, length, heads, value_size), call.output_wu),
    )
    device = call.q.device
    return RuleOutputs(
        torch.empty((batch, length, heads, value_size), dtype=call.q.dtype, device=device),
        *(
            torch.empty(shape if asked else (0,), dtype=dtype, device=device)
            for shape, asked in shapes
        ),
    )


def _kernel(*arguments: Any) -> Results:
    call = RuleCall(*arguments)
    sizes = _sizes(call)
    served = resolve(_request(call, sizes), call.backend)
    # No kernel returns W and U.
    if isinstance(served.work, AroundInverse) or not call.q.numel() or call.output_wu:
        return _compose(call, sizes)
    outputs = _allocate(call, sizes)
    served.backend.run_rule(call, outputs, served.work)  # type: ignore[attr-defined]
    return outputs


def _fake(*arguments: Any) -> Results:
    call = RuleCall(*arguments)
    return tuple(_allocate(call, _sizes(call)))


def as_plan(text: str) -> str | Plan:
    """A plan, of the text that operators take; a name stays one."""
    return Plan.from_text(text) if is_fixed(text) else text


def _composite(*arguments: Any) -> Results:
    """The operator in differentiable operations."""
    call = RuleCall(*arguments)
    return _compose(call, _sizes(call))


def _compose(call: RuleCall, sizes: Sizes) -> Results:
    q, k, v, g, beta, state, cu_seqlens, _ = call.tensors
    turn = call.state_v_first
    state = state.mT if turn and state is not None else state
    inputs = fill(sizes, q, k, v, g, beta, call.scale, state, cu_seqlens)
    wanted = Wanted(call.output_chunk_states, call.output_x, call.output_wu)
    normalize, plan = call.use_qk_l2norm_in_kernel, as_plan(call.plan)
    rule = Rule(call.scale, normalize, call.chunk_size, plan, call.backend)
    o, final, states, *rows = rule(inputs, wanted)
    kept = final if call.output_final_state else None
    if turn:
        kept, states = (None if x is None else x.mT.contiguous() for x in (kept, states))
    states = None if states is None else states.flatten(1, 3)
    found = (final.new_empty(0) if x is None else x for x in (kept, states, *rows))
    return o.to(q.dtype), *found


# --- gradients -----------------------------------------------------------------------------------


def _backward_kernel(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    cu_seqlens: Tensor | None,
    x: Tensor,
    chunk_states: Tensor,
    do: Tensor | None,
    dstate: Tensor | None,
    needed: list[bool],
    scale: float,
    use_qk_l2norm_in_kernel: bool,
    state_v_first: bool,
    chunk_size: int,
    plan: str,
) -> Results:
    inputs = check(q, k, v, g, beta, scale, None, cu_seqlens)
    rows = (v if state_v_first else q).shape[3]
    chunk_states = chunk_states.unflatten(1, (-1, v.shape[2], rows))
    if state_v_first:
        chunk_states, dstate = chunk_states.mT, None if dstate is None else dstate.mT
    if inputs.empty:
        of_tokens: list[Tensor | None] = [torch.zeros_like(y) for y in inputs.tokens]
        of_state = inputs.state if dstate is None else dstate.clone()
    else:
        rule = Rule(scale, use_qk_l2norm_in_kernel, chunk_size, as_plan(plan), None)
        with recording():
            of_tokens, of_state = rule.gradients(inputs, needed[:5], x, chunk_states, do, dstate)
    if state_v_first:
        of_state = of_state.mT
    found = (*of_tokens, of_state)
    return tuple(
        y.contiguous() if need and y is not None else x.new_empty(0)
        for y, need in zip(found, needed, strict=True)
    )


def _backward_fake(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    cu_seqlens: Tensor | None,
    x: Tensor,
    chunk_states: Tensor,
    do: Tensor | None,
    dstate: Tensor | None,
    needed: list[bool],
    scale: float,
    use_qk_l2norm_in_kernel: bool,
    state_v_first: bool,
    *_: Any,
) -> Results:
    state = check_shapes(q, k, v, g, beta, None, cu_seqlens).state_shape(state_v_first)
    made = [
        torch.empty(y.shape, dtype=y.dtype, device=y.device) if need else x.new_empty(0)
        for y, need in zip((q, k, v, beta if g is None else g, beta), needed[:5], strict=True)
    ]
    return *made, x.new_empty(state if needed[5] else (0,))


BACKWARD = Operator(
    "chunk_gated_delta_rule_backward(Tensor q, Tensor k, Tensor v, Tensor? g, Tensor beta, "
    "Tensor? cu_seqlens, Tensor x, Tensor chunk_states, Tensor? do, Tensor? dstate, "
    "bool[] needed, float scale, bool use_qk_l2norm_in_kernel, bool state_v_first, "
    "int chunk_size, str plan) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _backward_kernel,
    _backward_fake,
)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Results) -> None:
    call, outputs = RuleCall(*inputs), RuleOutputs(*output)
    ctx.set_materialize_grads(False)
    unwanted = () if call.output_final_state else (outputs.final_state,)
    ctx.mark_non_differentiable(*unwanted, *outputs[2:])
    tensors = (None if y is None else savable(y) for y in call.tensors)
    ctx.save_for_backward(*tensors, outputs.x, outputs.chunk_states)
    ctx.options = call[len(call.tensors) :]


def _differentiate(
    ctx: Any, do: Tensor | None, dstate: Tensor | None, *_: None
) -> tuple[Tensor | None, ...]:
    *tensors, x, chunk_states = ctx.saved_tensors
    call = RuleCall(*tensors, *ctx.options)
    needed = list(ctx.needs_input_grad[:6])
    saved = call.output_x and call.output_chunk_states
    if not saved or torch.is_grad_enabled() or transformed():
        found: Sequence[Any] = derive(_composite, call, needed, (do, dstate))
    else:
        q, k, v, g, beta, _, cu_seqlens, _ = tensors
        found = BACKWARD(
            *(q, k, v, g, beta, cu_seqlens, x, chunk_states, do, dstate, needed),
            *(call.scale, call.use_qk_l2norm_in_kernel, call.state_v_first),
            *(call.chunk_size, call.plan),
        )
    grads = (
        y.to(given.dtype) if need else None
        for y, given, need in zip(found, tensors[:6], needed, strict=True)
    )
    return *grads, *(None for _ in call[6:])


def derive(
    composite: Callable[..., Results],
    arguments: Sequence[Any],
    needed: Sequence[bool],
    grads: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of the first arguments, as far as they are needed, from the composite, formed
    anew: they can be differentiated themselves.

    Args:
        grads: of the first results; None: zero.
    """
    leaves = list(arguments[: len(needed)])
    with torch.enable_grad():
        for n, need in enumerate(needed):
            leaves[n] = leaves[n].view_as(leaves[n]) if need else leaves[n]
        results = composite(*leaves, *arguments[len(needed) :])
        given = [n for n, grad in enumerate(grads) if grad is not None]
        found = iter(
            torch.autograd.grad(
                [results[n] for n in given],
                [x for x, need in zip(leaves, needed, strict=True) if need],
                [grads[n] for n in given],
                create_graph=True,
                materialize_grads=True,
            )
        )
    return [next(found) if need else None for need in needed]


# --- vmap ----------------------------------------------------------------------------------------


_HEADS = (2, 2, 2, 2, 2, 1)
"""Where the heads are in q, k, v, g, beta, initial_state."""
_HEADS_OUT = (2, 1, 2, 2, 2, 2)
"""And in the results, the chunk states as (B, NT, HV, K, V)."""


def unfold_chunk_states(call: RuleCall, chunk_states: Tensor) -> Tensor:
    """(B, NT HV K, V) to (B, NT, HV, K, V)."""
    rows = (call.v if call.state_v_first else call.q).shape[3]
    found: Tensor = chunk_states.unflatten(1, (-1, call.v.shape[2], rows))
    return found


def _vmap(
    info: Any, in_dims: tuple[Any, ...], *arguments: Any
) -> tuple[Results, tuple[int | None, ...]]:
    """The mapped dimension becomes part of the heads."""
    count = info.batch_size
    if in_dims[6] is not None or in_dims[7] is not None:
        raise NotImplementedError("vmap of the chunk rule does not map over cu_seqlens")
    tensors: list[Any] = [
        None if x is None else _into_heads(x, dim, axis, count)
        for x, dim, axis in zip(arguments[:6], in_dims[:6], _HEADS, strict=True)
    ]
    call = RuleCall(*tensors, *arguments[6:])
    results = RuleOutputs(*RULE(*call))
    if call.output_chunk_states:
        results = results._replace(chunk_states=unfold_chunk_states(call, results.chunk_states))
    dims = [axis if x.dim() > 1 else None for x, axis in zip(results, _HEADS_OUT, strict=True)]
    o, final_state, states, *rows = (
        x if dim is None else x.unflatten(dim, (count, -1))
        for x, dim in zip(results, dims, strict=True)
    )
    if dims[2] is not None:
        states, dims[2] = states.movedim(2, 0).flatten(2, 4), 0
    return (o, final_state, states, *rows), tuple(dims)


def _into_heads(x: Tensor, dim: int | None, heads: int, count: int) -> Tensor:
    """The mapped dimension in front of the heads, and part of them."""
    mapped = x.expand(count, *x.shape).movedim(0, heads) if dim is None else x.movedim(dim, heads)
    return mapped.flatten(heads, heads + 1)


RULE = Operator(
    "chunk_gated_delta_rule(Tensor q, Tensor k, Tensor v, Tensor? g, Tensor beta, "
    "Tensor? initial_state, Tensor? cu_seqlens, Tensor? chunk_indices, float scale, "
    "bool use_qk_l2norm_in_kernel, bool output_final_state, bool output_chunk_states, "
    "bool output_x, bool output_wu, bool state_v_first, int chunk_size, str plan, str? backend) "
    "-> (Tensor o, Tensor final_state, Tensor chunk_states, Tensor x, Tensor w, Tensor u)",
    _kernel,
    _fake,
    Gradient(_save, _differentiate),
    _vmap,
    _composite,
)


def chunk_rule(call: RuleCall) -> RuleOutputs:
    """What the operator returns, differentiable in o and the final states.

    Where the rule is made of torch's products, autograd records these: cheaper than to form them
    again, from what the operator saves.
    """
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in call.tensors):
        hidden = torch.compiler.is_compiling() or call.q.is_meta
        if not hidden:
            sizes = _sizes(call)
            if isinstance(resolve(_request(call, sizes), call.backend).work, AroundInverse):
                return RuleOutputs(*_compose(call, sizes))
        call = call._replace(output_chunk_states=True, output_x=True)
    return RuleOutputs(*RULE(*call))
