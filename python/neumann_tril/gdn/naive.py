"""The gated delta rule token by token: the meaning of the chunk rule."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ..context import own_context
from .inputs import check, l2norm


@own_context
def naive_recurrent_gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    *,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor | None]:
    """``S_t = e^(g_t) S_(t-1) + beta_t k_t (v_t - e^(g_t) S_(t-1)^T k_t)^T``, ``o_t = S_t^T q_t``.

    The recurrence as published with Gated DeltaNet (arXiv 2412.06464), slow and plain. Arguments
    and errors are those of :func:`chunk_gated_delta_rule`, which has the same result.

    Args:
        dtype: dtype of all arithmetic and of both results, float64 say; if None as the chunk
            rule: float32 (float64 if an input is), the outputs in q's.
    """
    x = check(q, k, v, g, beta, scale, initial_state, cu_seqlens, dtype)
    group = v.shape[2] // q.shape[2]
    key, query, value, gate, strength = (y.to(x.dtype) for y in (x.k, x.q, x.v, x.g, x.beta))
    if use_qk_l2norm_in_kernel:
        query, key = l2norm(query), l2norm(key)
    query = query.repeat_interleave(group, 2) * x.scale
    key = key.repeat_interleave(group, 2)

    def run(rows: slice, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = [value[:, :0]]
        for t in range(rows.start, rows.stop):
            state = state * gate[:, t].exp()[..., None, None]
            known = torch.einsum("bhk,bhkv->bhv", key[:, t], state)
            written = strength[:, t, :, None] * (value[:, t] - known)
            state = state + key[:, t, :, :, None] * written[:, :, None, :]
            outputs.append(torch.einsum("bhk,bhkv->bhv", query[:, t], state)[:, None])
        return torch.cat(outputs, 1), state

    if x.empty:
        o, state = x.without_tokens()
    elif x.bounds is None:
        o, state = run(slice(0, q.shape[1]), x.state)
    else:
        spans = [slice(*span) for span in itertools.pairwise(x.bounds)]
        parts = [run(span, x.state[n : n + 1]) for n, span in enumerate(spans)]
        rest = value.new_zeros(1, q.shape[1] - x.bounds[-1], *value.shape[2:])
        o = torch.cat([part for part, _ in parts] + [rest], 1)
        state = torch.cat([final for _, final in parts])
    return o.to(dtype or q.dtype), state if output_final_state else None
