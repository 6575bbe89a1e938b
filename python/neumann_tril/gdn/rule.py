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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..plan import Plan
from .inputs import Inputs, l2norm
from .packed import Packing, chunk_slots, with_none
from .representation import Decay, chunks_of, numbers_of, represent, rows_of

# Entries of a segment's (n, B, HV, C, K or V) tensors: as many as stay in a CPU's cache; elsewhere
# enough to fill the device.
_SEGMENT = {"cpu": 2**19}
_SEGMENT_ELSEWHERE = 2**26


class Wanted(NamedTuple):
    """What is to be returned beside o and the final states."""

    chunk_states: bool = False
    x: bool = False
    wu: bool = False


class Results(NamedTuple):
    """o (B, T, HV, V) and the final states (N, HV, K, V); where wanted, the states before every
    chunk (B, NT, HV, K, V), and X, W, U (B, T, HV, C or K or V), row by row."""

    o: Tensor
    state: Tensor
    chunk_states: Tensor | None = None
    x: Tensor | None = None
    w: Tensor | None = None
    u: Tensor | None = None


class _Segment(NamedTuple):
    """Several chunks: of each, the output (B HV, C, V) and the state (B HV, K, V) that it finds;
    the state after the last; X, -W (n, B, H, G, C, C or K) and U (n, B, HV, C, V)."""

    outputs: list[Tensor]
    states: list[Tensor]
    state: Tensor
    X: Tensor
    minus_W: Tensor
    U: Tensor


@dataclass(frozen=True, slots=True)
class Rule:
    """What stays the same for all sequences of a call."""

    scale: float
    normalize: bool
    chunk_size: int
    plan: str | Plan
    backend: str | None

    # --- results ---------------------------------------------------------------------------------

    def __call__(self, inputs: Inputs, wanted: Wanted) -> Results:
        """The rule, in differentiable operations of torch."""
        if inputs.empty:
            return self._without_tokens(inputs, wanted)
        if inputs.bounds is None:
            return self._sequences(wanted, inputs.state, *inputs.tokens)
        packing = self._packing(inputs)
        tokens = [with_none(x[0]) for x in inputs.tokens]
        found = [
            self._sequences(
                wanted,
                packing.sequences.take(inputs.state, n),
                *(packing.tokens.take(x, n) for x in tokens),
            )
            for n in packing.batches
        ]
        o, state, *extras = zip(*found, strict=True)
        places = (packing.chunks, packing.tokens, packing.tokens, packing.tokens)
        return Results(
            packing.tokens.join(o)[None],
            packing.sequences.join(state, inputs.state),
            *(
                None if parts[0] is None else place.join(parts)[None]
                for place, parts in zip(places, extras, strict=True)
            ),
        )

    def _without_tokens(self, inputs: Inputs, wanted: Wanted) -> Results:
        o, state = inputs.without_tokens()
        batch, length, heads, value_size = o.shape
        key_size, sequences = state.shape[2], None if inputs.bounds is None else len(state)
        slots = chunk_slots(length, self.chunk_size, sequences)
        shapes = [
            (wanted.chunk_states, (batch, slots, heads, key_size, value_size)),
            (wanted.x, (batch, length, heads, self.chunk_size)),
            (wanted.wu, (batch, length, heads, key_size)),
            (wanted.wu, (batch, length, heads, value_size)),
        ]
        return Results(o, state, *(o.new_zeros(size) if asked else None for asked, size in shapes))

    def _packing(self, inputs: Inputs) -> Packing:
        assert inputs.bounds is not None
        return Packing(inputs.bounds, inputs.v.shape[1], self.chunk_size, inputs.v.device)

    def _sequences(self, wanted: Wanted, state: Tensor, *tokens: Tensor) -> Results:
        """Sequences of one length, from states (B, HV, K, V)."""
        batch, length, heads, _ = tokens[2].shape
        size, chunks = self._segmentation(*tokens)
        outputs: list[Tensor] = []
        states: list[Tensor] = []
        rows: tuple[list[Tensor], ...] = ([], [], [])
        s = state.flatten(0, 1)
        for part in zip(*(x.split(chunks * size, 1) for x in tokens), strict=True):
            segment = self._segment(size, s, None, *part)
            s = segment.state
            outputs += (x.unflatten(0, (batch, heads)).transpose(1, 2) for x in segment.outputs)
            if wanted.chunk_states:
                states += (x.unflatten(0, (batch, heads)) for x in segment.states)
            if wanted.x:
                rows[0].append(pad(rows_of(segment.X.flatten(2, 3)), (0, self.chunk_size - size)))
            if wanted.wu:
                rows[1].append(-rows_of(segment.minus_W.flatten(2, 3)))
                rows[2].append(rows_of(segment.U))
        return Results(
            _joined(outputs, length),
            s.view_as(state),
            torch.stack(states, 1) if states else None,
            *(_joined(parts, length) if parts else None for parts in rows),
        )

    def _segmentation(self, *tokens: Tensor) -> tuple[int, int]:
        """Rows of a chunk, and chunks of a segment."""
        q, _, v, _, _ = tokens
        batch, length, heads, value_size = v.shape
        size = self.chunk_size
        while not isinstance(self.plan, Plan) and size % 32 == 0 and length <= size // 2:
            size //= 2
        chunk_entries = batch * heads * size * max(q.shape[3], value_size)
        return size, max(1, _SEGMENT.get(q.device.type, _SEGMENT_ELSEWHERE) // chunk_entries)

    def _segment(
        self,
        size: int,
        state: Tensor,
        X: Tensor | None,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        beta: Tensor,
    ) -> _Segment:
        """Several chunks, from states (B HV, K, V); X (B, T, HV, C) where it is known."""
        heads, dtype = k.shape[2], state.dtype
        q, k = (chunks_of(x, size, dtype) for x in (q, k))  # (n, B, H, C, K)
        v = chunks_of(v, size, dtype)  # (n, B, HV, C, V)
        g, beta = (numbers_of(x, size, dtype, heads) for x in (g, beta))  # (n, B, H, G, C)
        if self.normalize:
            q, k = l2norm(q, self.scale), l2norm(k)
        else:
            q = q * self.scale

        between, since_start = decay = Decay.of(g)
        attention = (q @ k.mT)[:, :, :, None] * between
        X = None if X is None else chunks_of(X[..., :size], size, dtype)
        X, minus_W, U = represent(k, v, decay, beta, self.plan, self.backend, X)
        # Both that read the state, one above the other: one product serves them.
        readers = torch.cat([minus_W, q[:, :, :, None] * since_start[..., None]], -2)
        writers = (k[:, :, :, None] * between[..., -1, :, None]).mT

        outputs, states = [], []
        for reader, u, attend, writer, kept in zip(
            readers.flatten(1, 3).unbind(),
            U.flatten(1, 2).unbind(),
            attention.flatten(1, 3).unbind(),
            writers.flatten(1, 3).unbind(),
            since_start[..., -1:, None].flatten(1, 3).unbind(),
            strict=True,
        ):
            states.append(state)
            known, read = (reader @ state).split(size, 1)
            written = u + known
            state = torch.baddbmm(kept * state, writer, written)
            outputs.append(torch.baddbmm(read, attend, written))
        return _Segment(outputs, states, state, X, minus_W, U)

    # --- gradients -------------------------------------------------------------------------------

    def gradients(
        self,
        inputs: Inputs,
        needed: Sequence[bool],
        x: Tensor,
        chunk_states: Tensor,
        do: Tensor | None,
        dstate: Tensor | None,
    ) -> tuple[list[Tensor | None], Tensor]:
        """Of q, k, v, g, beta, as far as they are needed, and of the first states.

        Segment by segment from the last, each formed anew from the state that it found: what the
        rule keeps for its gradients is X and the states, and there is memory for one segment.

        Args:
            x, chunk_states: as the rule has returned them.
            do, dstate: of o and of the final states; zero if None.
        """
        if inputs.bounds is None:
            return self._sequence_gradients(needed, x, chunk_states, do, dstate, *inputs.tokens)
        packing = self._packing(inputs)
        tokens = [with_none(y[0]) for y in inputs.tokens]
        x, chunk_states = with_none(x[0]), with_none(chunk_states[0])
        do = None if do is None else with_none(do[0])
        found = [
            self._sequence_gradients(
                needed,
                packing.tokens.take(x, n),
                packing.chunks.take(chunk_states, n),
                None if do is None else packing.tokens.take(do, n),
                None if dstate is None else packing.sequences.take(dstate, n),
                *(packing.tokens.take(y, n) for y in tokens),
            )
            for n in packing.batches
        ]
        of_tokens, of_states = zip(*found, strict=True)
        # Added to zero, as autograd adds what rows get from several places: no zero is negative.
        return [
            packing.tokens.join(parts).add_(0)[None] if need else None
            for need, parts in zip(needed, zip(*of_tokens, strict=True), strict=True)
        ], packing.sequences.join(of_states, dstate)

    def _sequence_gradients(
        self,
        needed: Sequence[bool],
        x: Tensor,
        chunk_states: Tensor,
        do: Tensor | None,
        dstate: Tensor | None,
        *tokens: Tensor,
    ) -> tuple[list[Tensor | None], Tensor]:
        """Of sequences of one length."""
        length, shape = tokens[0].shape[1], chunk_states[:, 0].shape
        size, chunks = self._segmentation(*tokens)
        found: list[list[Tensor]] = [[] for need in needed if need]
        ds: Any = None if dstate is None else dstate.flatten(0, 1)
        for first in reversed(range(0, length, chunks * size)):
            rows = slice(first, first + chunks * size)
            leaves = [
                y[:, rows].detach().requires_grad_(need)
                for y, need in zip(tokens, needed, strict=True)
            ]
            state = chunk_states[:, first // size].flatten(0, 1).detach().requires_grad_()
            segment = self._segment(size, state, x[:, rows], *leaves)
            outputs, grads = ([], []) if ds is None else ([segment.state], [ds])
            if do is not None:
                outputs += segment.outputs
                grads += chunks_of(do[:, rows], size, state.dtype).flatten(1, 2).unbind()
            ds, *parts = torch.autograd.grad(
                outputs,
                [state, *(y for y in leaves if y.requires_grad)],
                grads,
                materialize_grads=True,
            )
            for known, part in zip(found, parts, strict=True):
                known.append(part)
        joined = iter([torch.cat(parts[::-1], 1) for parts in found])
        return [next(joined) if need else None for need in needed], ds.view(shape)


def _joined(parts: list[Tensor], length: int) -> Tensor:
    """Rows (B, ..., heads, D) one behind the other, without those that fill the last chunk."""
    filling = sum(x.shape[1] for x in parts) - length
    if filling:
        parts[-1] = parts[-1][:, :-filling]
    return torch.cat(parts, 1)
