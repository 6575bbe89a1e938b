"""Calls of the chunk rule as its NPU kernel takes them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..native.launches import Floating, Kernels
from ..native.rule import RuleTensors, RuleWork, refusal
from ..native.structures import DTYPE_CODES, NONE_CODE, PlanStruct, Rule, TokenNumbers
from .rule import RuleCall, RuleOutputs, RuleRequest

COMPUTE_DTYPE = torch.float16
"""Of the products' operands, for tokens of bfloat16 too: three more digits. What is above 65,504
overflows, and is seen in the result."""


def reject(kernels: Kernels, request: RuleRequest, work: Floating) -> str | None:
    """Why the kernel does not take the call; None if it does."""
    k, v, g, beta, state = request.dtypes
    if k != request.output_dtype or v != request.output_dtype:
        return f"q, k, v must have one dtype, got {request.output_dtype}, {k}, {v}"
    for name, dtype in (("q", k), ("g", g), ("beta", beta), ("initial_state", state)):
        if dtype is not None and DTYPE_CODES.get(dtype, 3) > 2:
            return f"the kernel does not take {name} of {dtype}"
    rule = Rule(
        plan=PlanStruct.of(work.plan),
        dtype=DTYPE_CODES[request.output_dtype],
        compute_dtype=DTYPE_CODES[work.compute_dtype],
        heads=request.heads,
        value_heads=request.value_heads,
        key_size=request.key_size,
        value_size=request.value_size,
        g=TokenNumbers(data_dtype=NONE_CODE if g is None else DTYPE_CODES[g]),
        beta=TokenNumbers(data_dtype=DTYPE_CODES[beta] if beta else NONE_CODE),
        packed=request.packed,
        cube_cores=kernels.cube_cores,
    )
    return refusal(kernels, rule)


def tensors_of(call: RuleCall, outputs: RuleOutputs) -> RuleTensors:
    """What the kernel is given for a call. Outputs that it does not write everywhere are prepared;
    states are (K, V) here."""
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (call.q, call.k, call.v))
    turned = call.state_v_first
    initial, bounds = call.initial_state, call.cu_seqlens
    if initial is not None:
        initial = (initial.mT if turned else initial).float().contiguous()
    if bounds is not None:
        bounds = bounds.to(q.device, torch.int64).contiguous()
    final = outputs.final_state if call.output_final_state else None
    found = _chunk_states(call, outputs)
    if turned:
        final, found = (None if x is None else x.mT.contiguous() for x in (final, found))
    if bounds is not None:
        # Rows of no sequence, states of those without tokens, and what is behind the last chunk.
        outputs.o.zero_()
        for x in (found, outputs.x if call.output_x else None):
            if x is not None:
                x.zero_()
        if final is not None:
            final.zero_() if initial is None else final.copy_(initial)
    x = outputs.x if call.output_x else None
    return RuleTensors(q, k, v, call.g, call.beta, initial, bounds, outputs.o, final, found, x)


def work_of(call: RuleCall, work: Floating) -> RuleWork:
    """What the kernel is told of a call."""
    return RuleWork(work.plan, work.compute_dtype, call.scale, call.use_qk_l2norm_in_kernel)


def turn_states(call: RuleCall, outputs: RuleOutputs, tensors: RuleTensors) -> None:
    """The states to (V, K), where they are wanted so."""
    if call.state_v_first:
        for to, found in (
            (outputs.final_state, tensors.final_state),
            (_chunk_states(call, outputs), tensors.chunk_states),
        ):
            if found is not None and to is not None:
                to.copy_(found.mT)


def _chunk_states(call: RuleCall, outputs: RuleOutputs) -> Tensor | None:
    """(B, NT, HV, K, V), or with (V, K), of the memory for them."""
    if not call.output_chunk_states:
        return None
    rows = (call.v if call.state_v_first else call.k).shape[3]
    found: Tensor = outputs.chunk_states.unflatten(1, (-1, call.v.shape[2], rows))
    return found
