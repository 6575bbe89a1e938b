"""The gated delta rule by chunks: all of it is matrix products, only the state goes step by step.

Within a chunk of C tokens, with L[i, j] = exp(g_{j+1} + ... + g_i) for j <= i and zero above,
G_i = exp(g_0 + ... + g_i), and the state S (K, V) that the chunk finds (all rows are tokens):

    A     = tril(beta_i L_ij <k_i, k_j>, -1)
    X     = (I + A)^-1                          the operator of this package
    U, W  = X (beta v),  X (beta G k)           (C, V) and (C, K)
    D     = U - W S                             what the tokens write, (C, V)
    o     = scale ((G q) S + (L * q k^T) D)
    S'    = G_last S + (L_last k)^T D           the state that the next chunk finds

Only D and S' wait for the chunk before: two products in sequence per chunk. The rest is formed
for a segment of several chunks at once, as long as a CPU's cache holds its temporaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..context import own_context
from ..ops import inverse
from ..plan import Plan, check_chunk_size
from .inputs import check, l2norm
from .packed import group_sequences

# Entries of a segment's (n, B, HV, C, K or V) tensors: as many as stay in a CPU's cache; elsewhere
# enough to fill the device.
_SEGMENT = {"cpu": 2**19}
_SEGMENT_ELSEWHERE = 2**26


@own_context
def chunk_gated_delta_rule(
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
    chunk_size: int = 64,
    plan: str | Plan = "exact",
    backend: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The gated delta rule; the layouts and names are FLA's.

    Differentiable in all tensors but ``cu_seqlens``; time and memory are linear in T. Arithmetic
    is in float32, in float64 if one of q, k, v, g, beta is.

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
        cu_seqlens: (N + 1,) int32 or int64: starts of packed sequences and the end of the last,
            from 0, not decreasing, at most T; B must be 1 then. Sequences may be empty. Their
            values are read on the host.
        chunk_size: C, a multiple of 16 from 16 to 128; shorter sequences take a smaller one
            unless ``plan`` is a :class:`Plan`.
        plan, backend: of the inverse, see :func:`neumann_tril.inverse`.

    Returns:
        o (B, T, HV, V) in q's dtype, zero in rows of no sequence, and the final state
        (N, HV, K, V) in the dtype of the arithmetic, or None.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the inverse; the message says why.
    """
    check_chunk_size(chunk_size)
    x = check(q, k, v, g, beta, scale, initial_state, cu_seqlens)
    rule = _Rule(x.scale, use_qk_l2norm_in_kernel, chunk_size, plan, backend)
    tokens = (x.q, x.k, x.v, x.g, x.beta)
    if x.empty:
        o, state = x.without_tokens()
    elif x.bounds is None:
        o, state = rule.sequences(x.state, *tokens)
    else:
        o, state = rule.packed(x.state, x.bounds, *tokens)
    return o.to(q.dtype), state if output_final_state else None


def chunk_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, **options: Any
) -> tuple[Tensor, Tensor | None]:
    """The delta rule without gates: :func:`chunk_gated_delta_rule`, with its options, where nothing
    decays."""
    return chunk_gated_delta_rule(q, k, v, None, beta, **options)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What stays the same for all sequences of a call."""

    scale: float
    normalize: bool
    chunk_size: int
    plan: str | Plan
    backend: str | None

    def packed(self, state: Tensor, bounds: list[int], *tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Packed sequences, from states (N, HV, K, V); the tokens' B is 1."""
        length, device = tokens[0].shape[1], state.device
        padded = [torch.cat([x[0], x.new_zeros(1, *x.shape[2:])]) for x in tokens]
        # Where each token's output, and each sequence's state, lies in what the groups return.
        outputs, row = [padded[2][-1:].to(state.dtype)], torch.zeros(length, dtype=torch.int64)
        finals, place = [state], torch.arange(len(state))
        for group in group_sequences(bounds, length, self.chunk_size):
            members, rows = group.members.to(device), group.rows.to(device)
            batch = [x.index_select(0, rows.flatten()).unflatten(0, rows.shape) for x in padded]
            o, final = self.sequences(state.index_select(0, members), *batch)
            present = group.rows < length
            row[group.rows[present]] = present.flatten().nonzero()[:, 0] + sum(map(len, outputs))
            place[group.members] = torch.arange(len(final)) + sum(map(len, finals))
            outputs.append(o.flatten(0, 1))
            finals.append(final)
        o = torch.cat(outputs).index_select(0, row.to(device))
        return o[None], torch.cat(finals).index_select(0, place.to(device))

    def sequences(self, state: Tensor, *tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Sequences of one length, from states (B, HV, K, V): o (B, T, HV, V) and the states."""
        q, _, v, _, _ = tokens
        batch, length, heads, value_size = v.shape
        size = self.chunk_size
        while not isinstance(self.plan, Plan) and size % 32 == 0 and length <= size // 2:
            size //= 2
        chunk_entries = batch * heads * size * max(q.shape[3], value_size)
        chunks = max(1, _SEGMENT.get(q.device.type, _SEGMENT_ELSEWHERE) // chunk_entries)
        outputs: list[Tensor] = []
        s = state.flatten(0, 1)
        for part in zip(*(x.split(chunks * size, 1) for x in tokens), strict=True):
            o, s = self._segment(size, s, *part)
            outputs += (x.unflatten(0, (batch, heads)).transpose(1, 2) for x in o)
        return torch.cat(outputs, 1)[:, :length], s.view_as(state)

    def _segment(
        self, size: int, state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """The outputs of each chunk, (B HV, C, V), and the state (B HV, K, V) after the last."""
        heads, group, dtype = k.shape[2], v.shape[2] // k.shape[2], state.dtype
        q, k = (_chunks(x, size, dtype) for x in (q, k))  # (n, B, H, C, K)
        v = _chunks(v, size, dtype)  # (n, B, HV, C, V)
        g, beta = (
            _chunks(x[..., None], size, dtype)[..., 0].unflatten(2, (heads, group))
            for x in (g, beta)
        )  # (n, B, H, G, C)
        if self.normalize:
            q, k = l2norm(q, self.scale), l2norm(k)
        else:
            q = q * self.scale

        # Each exponent is a sum of its own terms: no difference of long sums, nothing to overflow.
        exponent = g[..., None].expand(*g.shape, size).tril(-1).cumsum(-2)
        decay = exponent.exp().tril()  # L, (n, B, H, G, C, C)
        since_start = g.cumsum(-1).exp()  # G, (n, B, H, G, C)
        # The keys' products are shared by the value heads of a group.
        A = (k @ k.mT)[:, :, :, None] * (decay * beta[..., None])
        attention = (q @ k.mT)[:, :, :, None] * decay
        X = inverse(A, self.plan, backend=self.backend) * beta[..., None, :]
        U = X.flatten(2, 3) @ v
        minus_W = (X * -since_start[..., None, :]).flatten(3, 4) @ k
        # Both that read the state, one above the other: one product serves them.
        readers = torch.cat(
            [minus_W.unflatten(3, (group, size)), q[:, :, :, None] * since_start[..., None]], -2
        )
        writers = (k[:, :, :, None] * decay[..., -1, :, None]).mT

        outputs = []
        for reader, u, attend, writer, kept in zip(
            readers.flatten(1, 3).unbind(),
            U.flatten(1, 2).unbind(),
            attention.flatten(1, 3).unbind(),
            writers.flatten(1, 3).unbind(),
            since_start[..., -1:, None].flatten(1, 3).unbind(),
            strict=True,
        ):
            known, read = (reader @ state).split(size, 1)
            written = u + known
            state = torch.baddbmm(kept * state, writer, written)
            outputs.append(torch.baddbmm(read, attend, written))
        return outputs, state


def _chunks(x: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """(B, T, heads, D) to (n, B, heads, C, D), the last chunk filled up with zeros."""
    if missing := -x.shape[1] % size:
        x = pad(x, (0, 0, 0, 0, 0, missing))
    chunks: Tensor = x.unflatten(1, (-1, size))
    return chunks.movedim((1, 2), (0, 3)).to(dtype).contiguous()
