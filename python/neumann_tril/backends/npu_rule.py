"""Calls of the chunk rule, and of its representation, as their NPU kernels take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..layout import sequence_bounds_on
from ..native.launches import Floating, Kernels
from ..native.rule import IntraTensors, RuleTensors, RuleWork, refusal
from ..native.structures import DTYPE_CODES, NONE_CODE, Intra, PlanStruct, Rule, TokenNumbers
from .intra import IntraCall, IntraOutputs, IntraRequest
from .rule import RuleCall, RuleOutputs, RuleRequest

COMPUTE_DTYPE = torch.float16
"""Of the products' operands, for tokens of bfloat16 too: three more digits. What is above 65,504
overflows, and is seen in the result."""


def reject(kernels: Kernels, request: RuleRequest, work: Floating) -> str | None:
    """Why the kernel does not take the call; None if it does."""
    k, v, g, beta, state = request.dtypes
    if k != request.output_dtype or v != request.output_dtype:
        return f"q, k, v must have one dtype, got {request.output_dtype}, {k}, {v}"
    reason = _unknown(q=k, g=g, beta=beta, initial_state=state)
    if reason is not None:
        return reason
    return refusal(kernels, Rule(**_shared(kernels, request, work, g, beta)))


def reject_intra(kernels: Kernels, request: IntraRequest, work: Floating) -> str | None:
    """Why the kernel of the representation does not take the call; None if it does."""
    v, g, beta, x = request.dtypes
    if v != request.output_dtype:
        return f"k, v must have one dtype, got {request.output_dtype}, {v}"
    reason = _unknown(k=v, g=g, beta=beta, x=x)
    if reason is not None:
        return reason
    shared = _shared(kernels, request, work, g, beta)
    return refusal(kernels, Intra(**shared, x_dtype=_code(x), gate_unit=request.gate_unit))


def _code(dtype: torch.dtype | None) -> int:
    return NONE_CODE if dtype is None else DTYPE_CODES[dtype]


def _shared(
    kernels: Kernels,
    request: RuleRequest | IntraRequest,
    work: Floating,
    g: torch.dtype | None,
    beta: torch.dtype | None,
) -> dict[str, Any]:
    """The fields that the structures of both kernels have, as far as a request knows them."""
    return {
        "plan": PlanStruct.of(work.plan),
        "dtype": _code(request.output_dtype),
        "compute_dtype": _code(work.compute_dtype),
        "heads": request.heads,
        "value_heads": request.value_heads,
        "key_size": request.key_size,
        "value_size": request.value_size,
        "g": TokenNumbers(data_dtype=_code(g)),
        "beta": TokenNumbers(data_dtype=_code(beta)),
        "packed": request.packed,
        "cube_cores": kernels.cube_cores,
    }


def _unknown(**dtypes: torch.dtype | None) -> str | None:
    """Which tensor has a dtype that the C interface does not know."""
    for name, dtype in dtypes.items():
        if dtype is not None and DTYPE_CODES.get(dtype, 3) > 2:
            return f"the kernel does not take {name} of {dtype}"
    return None


def tensors_of(call: RuleCall, outputs: RuleOutputs) -> RuleTensors:
    """What the kernel is given for a call. Outputs that it does not write everywhere are prepared;
    states are (K, V) here."""
    q, k, v = (_with_rows(x) for x in (call.q, call.k, call.v))
    turned = call.state_v_first
    initial, bounds = call.initial_state, _bounds(call)
    if initial is not None:
        initial = (initial.mT if turned else initial).float().contiguous()
    final = outputs.final_state if call.output_final_state else None
    found = _chunk_states(call, outputs)
    if turned:
        final, found = (None if x is None else x.new_empty(x.mT.shape) for x in (final, found))
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


def intra_tensors_of(call: IntraCall, outputs: IntraOutputs) -> IntraTensors:
    """What the kernel of the representation is given for a call."""
    bounds, x = _bounds(call), outputs.x if call.output_x else None
    if bounds is not None:
        for rows in outputs:  # those of no sequence
            rows.zero_()
    k, v = _with_rows(call.k), _with_rows(call.v)
    return IntraTensors(k, v, call.g, call.beta, bounds, outputs.w, outputs.u, x)


def _with_rows(x: Tensor) -> Tensor:
    """x, or a copy of it, with a contiguous last dimension."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _bounds(call: RuleCall | IntraCall) -> Tensor | None:
    """The ends of packed sequences, int64, beside the tokens."""
    if call.cu_seqlens is None:
        return None
    return sequence_bounds_on(call.k.device, call.k.shape[1], call.cu_seqlens)


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
