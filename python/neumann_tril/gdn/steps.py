"""The gated delta rule in the steps of the NPU kernel, every rounding spelled out.

``csrc/ascendc/gated_delta`` gives these numbers bit for bit. Below, ``T`` rounds to the dtype of
the products' operands and ``fl`` to float32; a product's sum is formed in float64 and rounded once,
with what it is added to. Of a chunk of 64 tokens, rows i and columns j, with names of numbers in T
in capitals and ``rest`` what rounding left over, rounded:

    c_i = fl(g_0 + ... + g_i), by doubling the distance, g at least -104, whose exponential is 0
    L_ij = exp(min(fl(c_i - c_j), 0))
    A = T(fl(fl(<k_i, k_j> L_ij) beta_i)),  A' = rest;  X = (I + A + A')^-1 by the plan: A' has a
        part in the residuals of the refinements, R = fl(fl(I - (I + A) X) - A' X)
    Y = T(X_ij beta_j),  Y' = rest
    P = T(fl(fl(<q_i, k_j> L_ij) scale)),  j <= i
    Q = T(q_i fl(exp(c_i) scale)),  K = T(-k_i exp(c_i)),  G = T(exp(c_63)),  G' = rest
    F = T(k_i exp(fl(c_63 - c_i))),  F' = rest

and, from chunk to chunk, with the state S + S' (where K is above 128, K S and Q S are added to a
sum 128 columns at a time, each rounding it):

    e = fl(T(v) + K S),          E = T(e),  E' = rest
    d = fl(fl(Y E) + Y' E),      D = T(d),  D' = T(fl(fl(d - D) + Y E'))
    o = fl(fl(fl(Q S) + P D) + P D')
    s = fl(fl(fl(fl(G S) + G' S) + G S') + F^T D),  S = T(s)
    s = fl(fl(s + F'^T D) + F^T D'),  S' = T(s - S)

Normalised q and k stand for q_i / |q_i| and k_i / |k_i|: factors of the rows and columns above.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from .. import reference
from ..context import own_context
from ..plan import Plan, plan_for
from .inputs import check

CHUNK = 64
RESET = -104.0
NORM_EPSILON = 1e-6


class Outcome(NamedTuple):
    """o (B, T, HV, V) in q's dtype; the state behind the last token of each sequence
    (N, HV, K, V), the one that each chunk finds (chunks, HV, K, V), and the rows of X of each
    chunk (B, T, HV, 64), float32."""

    o: Tensor
    state: Tensor
    chunk_states: Tensor
    x: Tensor


def fl(x: Tensor) -> Tensor:
    """Round to float32."""
    return x.float().double()


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
    use_qk_l2norm_in_kernel: bool = False,
    cu_seqlens: Tensor | None = None,
    plan: str | Plan = "exact",
    compute_dtype: torch.dtype = torch.float16,
) -> Outcome:
    """The rule with the kernel's roundings; arguments and errors as
    :func:`neumann_tril.gdn.chunk_gated_delta_rule`, q, k, v of float16 or bfloat16.

    Args:
        compute_dtype: of the products' operands.
    """
    x = check(q, k, v, g, beta, scale, initial_state, cu_seqlens)
    steps = _Steps(
        compute_dtype, plan_for(CHUNK, plan, compute_dtype), x.scale, use_qk_l2norm_in_kernel
    )
    group = v.shape[2] // q.shape[2]
    tokens = [y.double() for y in (x.q, x.k, x.v, x.g, x.beta)]
    tokens[:2] = (y.repeat_interleave(group, 2) for y in tokens[:2])
    if x.bounds is None:
        spans = [(b, 0, q.shape[1]) for b in range(len(q))]
    else:
        spans = [(0, *span) for span in itertools.pairwise(x.bounds)]
    o, finals, found = torch.zeros_like(tokens[2]), [], []
    inverses = o.new_zeros(*o.shape[:3], CHUNK)
    for sequence, (batch, begin, end) in enumerate(spans):
        given = [y[batch, begin:end].transpose(0, 1) for y in tokens]
        state = x.state[sequence].double()
        written, rows, final, states = steps.sequence(state, initial_state is not None, *given)
        o[batch, begin:end] = written.transpose(0, 1)
        inverses[batch, begin:end] = rows.transpose(0, 1)
        finals.append(final)
        found += states
    chunk_states = torch.stack(found) if found else x.state.new_zeros(0, *x.state.shape[1:])
    final = torch.stack(finals) if finals else x.state
    return Outcome(o.to(q.dtype), final.float(), chunk_states.float(), inverses.float())


@dataclass(frozen=True, slots=True)
class _Steps:
    """The rule of a call: dtype of the operands, plan of the inverse, scale, normalisation.

    Numbers are held in float64; H counts value heads.
    """

    operands: torch.dtype
    plan: Plan
    scale: float
    normalize: bool

    def sequence(
        self, state: Tensor, given: bool, *tokens: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Of tokens (H, T, ..) and a state (H, K, V): o (H, T, V), the rows of X (H, T, 64), the
        state behind them, and those that the chunks find."""
        length = tokens[0].shape[1]
        known, rest = self.parts(state)
        found, outputs, inverses, final = [], [], [], state
        has_state = given
        for first in range(0, length, CHUNK):
            chunk = [y[:, first : first + CHUNK] for y in tokens]
            missing = CHUNK - chunk[0].shape[1]
            q, k, v = (pad(y, (0, 0, 0, missing)) for y in chunk[:3])
            g, beta = (pad(y, (0, missing)) for y in chunk[3:])
            found.append(final)
            o, x, final, known, rest = self.chunk(has_state, known, rest, q, k, v, g, beta)
            outputs.append(o)
            inverses.append(x)
            has_state = True
        o = torch.cat([*outputs, tokens[2][:, :0]], 1)
        x = torch.cat([*inverses, o.new_zeros(len(o), 0, CHUNK)], 1)
        return o[:, :length], x[:, :length], final, found

    def chunk(
        self,
        has_state: bool,
        known: Tensor,
        rest: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        beta: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """o (H, 64, V), X (H, 64, 64), and the state behind the chunk: in float32, S and S'."""
        c = self.cumulate(g)
        decay = exp((fl(c[..., :, None] - c[..., None, :])).clamp(max=0))
        kk, qk = fl(k @ k.mT), fl(q @ k.mT)
        key_norm = query_norm = torch.ones_like(g)
        if self.normalize:
            key_norm, query_norm = inverse_norms(kk), inverse_norms(fl(q @ q.mT))
            kk = fl(fl(kk * key_norm[..., None]) * key_norm[..., None, :])
            qk = fl(fl(qk * query_norm[..., None]) * key_norm[..., None, :])
        scale = fl(torch.tensor(self.scale, dtype=torch.float64))
        a, a_rest = self.parts(fl(fl(kk * decay) * beta[..., None]).tril(-1))
        p = self.rounded(fl(fl(qk * decay) * scale).tril())
        x = self.inverse(a, a_rest)
        y, y_rest = self.parts(fl(x * beta[..., None, :]))

        since_start, to_end = exp(c), exp(fl(c[..., -1:] - c))
        query = self.rounded(fl(q * fl(fl(since_start * scale) * query_norm)[..., None]))
        key = self.rounded(fl(k * fl(-since_start * key_norm)[..., None]))
        last, last_rest = self.parts(fl(k * fl(to_end * key_norm)[..., None]))
        kept, kept_rest = self.parts(since_start[..., -1, None, None])

        e = self.rounded(v)
        o = torch.zeros_like(v)
        s = torch.zeros_like(known)
        if has_state:
            e, o = self.read(e, key, known), self.read(o, query, known)
            s = fl(fl(fl(kept * known) + kept_rest * known) + kept * rest)
        e, e_rest = self.parts(e)
        d_sum = fl(fl(y @ e) + y_rest @ e)
        d = self.rounded(d_sum)
        d_rest = self.rounded(fl(fl(d_sum - d) + y @ e_rest))
        o = fl(fl(o + p @ d) + p @ d_rest)
        s = fl(s + last.mT @ d)
        known = self.rounded(s)
        s = fl(fl(s + last_rest.mT @ d) + last.mT @ d_rest)
        return o, x, s, known, self.rounded(fl(s - known))

    @staticmethod
    def read(x: Tensor, left: Tensor, state: Tensor) -> Tensor:
        """x + left state, of 128 columns of left at a time."""
        slices = zip(left.split(128, -1), state.split(128, -2), strict=True)
        for columns, rows in slices:
            x = fl(x + columns @ rows)
        return x

    def rounded(self, x: Tensor) -> Tensor:
        """x in the operands' dtype."""
        return x.to(self.operands).double()

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x in the operands' dtype, and what is left of it."""
        rounded = self.rounded(x)
        return rounded, self.rounded(fl(x - rounded))

    @staticmethod
    def cumulate(g: Tensor) -> Tensor:
        """g_0 + ... + g_i along the last dimension."""
        c = g.clamp(min=RESET)
        distance = 1
        while distance < CHUNK:
            c = torch.cat([c[..., :distance], fl(c[..., distance:] + c[..., :-distance])], -1)
            distance *= 2
        return c

    def inverse(self, a: Tensor, rest: Tensor) -> Tensor:
        """(I + a + rest)^-1 by the plan."""
        eye = torch.eye(CHUNK, dtype=a.dtype)
        x = reference.inverse(a, replace(self.plan, refinements=0), self.operands).double()
        for _ in range(self.plan.refinements):
            x = self.rounded(x)
            r = self.rounded(fl(fl(eye - (eye + a) @ x) - rest @ x))
            x = fl(x + x @ r)
        return x.tril()


def exp(x: Tensor) -> Tensor:
    """The exponential, rounded to float32."""
    return fl(torch.exp(x))


def inverse_norms(products: Tensor) -> Tensor:
    """1 / |x_i| from the products of all x_i with each other."""
    squares = fl(products.diagonal(dim1=-2, dim2=-1) + fl(torch.tensor(NORM_EPSILON).double()))
    return fl(1 / fl(squares.sqrt()))


class Representation(NamedTuple):
    """What chunks write into the state: w (B, T, HV, K), u (B, T, HV, V) in k's dtype, and
    X = (I + A)^-1, (B, T, HV, 64) in float32."""

    w: Tensor
    u: Tensor
    x: Tensor


@own_context
def chunk_representation(
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    *,
    cu_seqlens: Tensor | None = None,
    plan: str | Plan = "exact",
    compute_dtype: torch.dtype = torch.float16,
    gate_unit: float = 0.0,
) -> Representation:
    """``w = X (beta G k)`` and ``u = X (beta v)`` with the roundings of the kernel ``RunIntra``.

    A, A' and X as above; with T' the rounding to k's dtype, ``Y = T'(X_ij beta_j)``, ``Y'`` its
    rest, ``Z = T'(fl(fl(X_ij beta_j) G_j))``, ``Z'`` its rest: ``u = fl(fl(Y v) + Y' v)`` and
    ``w = fl(fl(Z k) + Z' k)``.

    Args:
        gate_unit: 0 if g is of each token; otherwise g is its sum within the chunk, in such units.
    """
    x = check(k, k, v, g, beta, None, None, cu_seqlens)
    steps = _Steps(compute_dtype, plan_for(CHUNK, plan, compute_dtype), 1.0, False)
    outer = _Steps(k.dtype, steps.plan, 1.0, False)
    keys = x.k.double().repeat_interleave(v.shape[2] // k.shape[2], 2)
    values, gates, strengths = (y.double() for y in (x.v, x.g, x.beta))
    bounds = [0, k.shape[1]] if x.bounds is None else x.bounds
    w, u = torch.zeros_like(keys), torch.zeros_like(values)
    solved = torch.zeros(*beta.shape, CHUNK, dtype=torch.float64)
    for begin, end in itertools.pairwise(bounds):
        for first in range(begin, end, CHUNK):
            rows = slice(first, min(first + CHUNK, end))
            missing = CHUNK - (rows.stop - rows.start)
            key, value = (
                pad(y[:, rows].transpose(1, 2), (0, 0, 0, missing)) for y in (keys, values)
            )
            gate, strength = (
                pad(y[:, rows].transpose(1, 2), (0, missing)) for y in (gates, strengths)
            )
            c = fl(gate * fl(torch.tensor(gate_unit).double())) if gate_unit else None
            c = steps.cumulate(gate) if c is None else c
            decay = exp((fl(c[..., :, None] - c[..., None, :])).clamp(max=0))
            a = fl(fl(fl(key @ key.mT) * decay) * strength[..., None]).tril(-1)
            inverse = steps.inverse(*steps.parts(a))
            scaled = fl(inverse * strength[..., None, :])
            for y, tokens, out in ((scaled, value, u), (fl(scaled * exp(c)[..., None, :]), key, w)):
                rounded, rest = outer.parts(y)
                found = fl(fl(rounded @ tokens) + rest @ tokens).transpose(1, 2)
                out[:, rows] = found[:, : rows.stop - rows.start]
            solved[:, rows] = inverse.transpose(1, 2)[:, : rows.stop - rows.start]
    return Representation(w.to(k.dtype), u.to(k.dtype), solved.float())
