"""The functions that call the chunk rule, with the signature of flash-linear-attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..arguments import check_tensor
from ..backends import RuleCall
from ..context import own_context
from ..ops import Explanation, explanation, plan_text
from ..plan import Plan
from .operator import chunk_rule, request_for, unfold_chunk_states


@own_context
def chunk_gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    state_v_first: bool = False,
    cu_seqlens: Tensor | None = None,
    cu_seqlens_cpu: Tensor | None = None,
    chunk_indices: Tensor | None = None,
    cp_context: None = None,
    *,
    use_gate_in_kernel: bool = False,
    A_log: Tensor | None = None,
    dt_bias: Tensor | None = None,
    output_chunk_states: bool = False,
    chunk_size: int = 64,
    plan: str | Plan = "exact",
    backend: str | None = None,
    check: bool = False,
    **removed: Any,
) -> tuple[Any, ...]:
    """The gated delta rule; names, positions and layouts are those of FLA 0.6.

    Differentiable in all tensors but ``cu_seqlens`` and ``chunk_indices``; time and memory are
    linear in T. Arithmetic is in float32, in float64 if one of q, k, v, g, beta is.

    Args:
        q, k: (B, T, H, K); float16, bfloat16, float32 or float64.
        v: (B, T, HV, V), HV a multiple of H: value heads share the query and key head
            ``value head // (HV / H)``.
        g: (B, T, HV), logarithm of the decay, at most 0; None: nothing decays.
        beta: (B, T, HV), write strength.
        scale: factor on q; K^-0.5 if None.
        initial_state: (N, HV, K, V) for N sequences (N = B without ``cu_seqlens``); zero if None.
        output_final_state: whether to return the states after the last tokens.
        use_qk_l2norm_in_kernel: normalise each q and k to length 1 first.
        use_beta_sigmoid_in_kernel: take ``sigmoid(beta)`` for beta.
        allow_neg_eigval: twice that; needs ``use_beta_sigmoid_in_kernel``.
        state_v_first: states, given and returned, are (V, K) instead of (K, V).
        cu_seqlens: (N + 1,) int32 or int64: starts of packed sequences and the end of the last,
            from 0, not decreasing, at most T; B must be 1 then. Sequences may be empty. Their
            values are read on the host.
        cu_seqlens_cpu: the same on the host, which then need not wait for the device.
        chunk_indices: (chunks, 2) as FLA's ``prepare_chunk_indices`` makes them for
            ``cu_seqlens``, from which they follow.
        cp_context: not supported.
        use_gate_in_kernel: take ``-exp(A_log) softplus(g + dt_bias)`` for g.
        A_log, dt_bias: (HV,), for ``use_gate_in_kernel``; no bias if None.
        output_chunk_states: whether to return the state before every chunk (FLA's h); no gradient
            passes through it.
        chunk_size: C, a multiple of 16 from 16 to 128; shorter sequences take a smaller one
            unless ``plan`` is a :class:`Plan`.
        plan, backend: of the inverse, see :func:`neumann_tril.inverse`.
        check: look at g, for which the host waits, and refuse values above 0.

    Returns:
        o (B, T, HV, V) in q's dtype, zero in rows of no sequence, and the final state
        (N, HV, K, V) in the dtype of the arithmetic, or None. With ``output_chunk_states`` also
        (B, NT, HV, K, V): chunk n of a sequence is the n-th, NT = ceil(T / C); packed sequences
        follow one another, NT = T // C + N, zero behind the last chunk.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the inverse; the message says why.
    """
    state_v_first = _earlier_names(removed, state_v_first)
    if cp_context is not None:
        raise ValueError(
            "cp_context is not supported: give each rank whole sequences, or pass states on with "
            "initial_state and output_final_state"
        )
    if cu_seqlens is None and cu_seqlens_cpu is not None:
        raise ValueError("cu_seqlens_cpu needs cu_seqlens")
    for name, x in (("q", q), ("k", k), ("v", v), ("beta", beta)):
        check_tensor(name, x)
    optional = (
        *(("g", g), ("initial_state", initial_state), ("A_log", A_log), ("dt_bias", dt_bias)),
        *(("cu_seqlens", cu_seqlens), ("cu_seqlens_cpu", cu_seqlens_cpu)),
        ("chunk_indices", chunk_indices),
    )
    for name, given in optional:
        if given is not None:
            check_tensor(name, given)
    if use_gate_in_kernel:
        g = _gates(g, A_log, dt_bias)
    elif A_log is not None or dt_bias is not None:
        raise ValueError("A_log and dt_bias need use_gate_in_kernel=True")
    if use_beta_sigmoid_in_kernel:
        beta = _strengths(beta, 2.0 if allow_neg_eigval else 1.0)
    elif allow_neg_eigval:
        raise ValueError("allow_neg_eigval=True needs use_beta_sigmoid_in_kernel=True")
    if check and g is not None:
        _check_gates(g)

    call = RuleCall(
        *(q, k, v, g, beta, initial_state),
        cu_seqlens if cu_seqlens_cpu is None else cu_seqlens_cpu,
        chunk_indices,
        q.shape[-1] ** -0.5 if scale is None else float(scale),
        use_qk_l2norm_in_kernel,
        output_final_state,
        output_chunk_states,
        False,
        False,
        state_v_first,
        chunk_size,
        plan_text(plan),
        backend,
    )
    results = chunk_rule(call)
    found = (results.o, results.final_state if output_final_state else None)
    if not output_chunk_states:
        return found
    return *found, unfold_chunk_states(call, results.chunk_states.detach())


def chunk_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, **options: Any
) -> tuple[Any, ...]:
    """The delta rule without gates: :func:`chunk_gated_delta_rule`, with its options, where nothing
    decays."""
    return chunk_gated_delta_rule(q, k, v, None, beta, **options)


@own_context
def explain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    initial_state: Tensor | None = None,
    cu_seqlens: Tensor | None = None,
    *,
    state_v_first: bool = False,
    chunk_size: int = 64,
    plan: str | Plan = "exact",
    backend: str | None = None,
) -> Explanation:
    """Which backend serves a call of :func:`chunk_gated_delta_rule` with these arguments, by a
    kernel of the whole rule or by torch's products around its inverse, and why no other does."""
    for name, x in {"q": q, "k": k, "v": v, "beta": beta}.items():
        check_tensor(name, x)
    tensors = (q, k, v, g, beta, initial_state, cu_seqlens, None)
    call = RuleCall(
        *tensors, 1.0, *(False,) * 5, state_v_first, chunk_size, plan_text(plan), backend
    )
    return explanation(request_for(call), backend)


def _earlier_names(removed: dict[str, Any], state_v_first: bool) -> bool:
    """``state_v_first``, which had another name once; raises for what is known no more."""
    if "head_first" in removed:
        raise ValueError(
            "head_first was removed from FLA, too: pass q, k, v as (B, T, H, ...) and g, beta as "
            "(B, T, H), by transpose(1, 2)"
        )
    earlier = removed.pop("transpose_state_layout", None)
    if removed:
        raise TypeError(
            f"chunk_gated_delta_rule got an unexpected keyword argument {next(iter(removed))!r}"
        )
    if earlier is not None and state_v_first:
        raise ValueError("transpose_state_layout is the earlier name of state_v_first; pass one")
    return bool(earlier) or state_v_first


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _gates(g: Tensor | None, A_log: Tensor | None, dt_bias: Tensor | None) -> Tensor:
    if g is None or A_log is None:
        raise ValueError("use_gate_in_kernel=True needs g and A_log")
    for name, x in (("A_log", A_log), ("dt_bias", dt_bias)):
        if x is not None and x.shape != g.shape[-1:]:
            heads = g.shape[-1]
            raise ValueError(f"{name} must have shape (HV,) = ({heads},), got {tuple(x.shape)}")
    g = _wide(g)
    return -_wide(A_log).exp() * softplus(g if dt_bias is None else g + _wide(dt_bias))


def _strengths(beta: Tensor, limit: float) -> Tensor:
    return limit * _wide(beta).sigmoid()


def _check_gates(g: Tensor) -> None:
    if torch.compiler.is_compiling():
        raise ValueError("check=True looks at g's values, which a compiled graph cannot; leave it")
    highest = float(g.max()) if g.numel() else 0.0
    if highest > 0:
        raise ValueError(
            f"g must be at most 0, the logarithm of the decay, got a largest value of {highest:.4g}"
            "; for decays between 0 and 1 pass their log()"
        )
