"""The chunk rule of Gated DeltaNet as a backend serves it.

A backend with a kernel of the whole rule is a :class:`RuleBackend`. Whatever that kernel does not
take, and every call on other backends, is made of torch's products around the backend's inverse.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..native.launches import Floating
from ..plan import Plan, plan_for
from .registry import Backend, Request, Resolved


class RuleCall(NamedTuple):
    """The arguments of the operator ``chunk_gated_delta_rule``, in the order of its schema.

    q, k (B, T, H, K); v (B, T, HV, V); g, beta (B, T, HV); initial_state (N, HV, K, V), or
    (N, HV, V, K) if ``state_v_first``; cu_seqlens (N + 1,), on q's device or on the host;
    chunk_indices (chunks, 2) as FLA prepares them.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor | None
    beta: Tensor
    initial_state: Tensor | None
    cu_seqlens: Tensor | None
    chunk_indices: Tensor | None
    scale: float
    use_qk_l2norm_in_kernel: bool
    output_final_state: bool
    output_chunk_states: bool
    output_x: bool
    output_wu: bool
    state_v_first: bool
    chunk_size: int
    plan: str
    backend: str | None

    @property
    def tensors(self) -> tuple[Any, ...]:
        """Those that are tensors, or None; they come first."""
        return self[:8]


class RuleOutputs(NamedTuple):
    """The results of the operator; what was not asked for is empty, of shape (0,).

    o (B, T, HV, V) in q's dtype. All others are float32, float64 if an input is: final_state
    (N, HV, K, V); chunk_states (B, NT HV K, V), the state before every chunk, NT = ceil(T / C) or,
    packed, T // C + N with the chunks of all sequences one behind the other, zero behind the last;
    states are (V, K) if ``state_v_first``. (The compiler would make a graph of its own for an NT of
    1; as a factor it is none.) x (B, T, HV, C), w (B, T, HV, K) and
    u (B, T, HV, V): row t of X = (I + A)^-1, of X (beta G k) and of X (beta v) of t's chunk. Rows
    of no sequence are zero.
    """

    o: Tensor
    final_state: Tensor
    chunk_states: Tensor
    x: Tensor
    w: Tensor
    u: Tensor


class RuleRequest(NamedTuple):
    """What decides how a call of the rule is served."""

    device: str
    device_index: int | None
    plan: str
    chunk_size: int
    output_dtype: torch.dtype
    """Of q and of o."""
    dtypes: tuple[torch.dtype | None, ...]
    """Of k, v, g, beta, initial_state."""
    state_dtype: torch.dtype
    """Of the arithmetic around the inverse and of the states."""
    key_size: int
    value_size: int
    heads: int
    value_heads: int
    packed: bool

    def settle(self, backend: Backend) -> str | Resolved:
        """How the backend serves it, or why it does not. Raises ValueError for a plan or chunk size
        that none takes."""
        reason = "it has no kernel of the whole rule"
        if isinstance(backend, RuleBackend):
            work = work_of(backend.rule_dtype, self.plan, self.chunk_size)
            refused = backend.reject_rule(self, work)
            if refused is None:
                return Resolved(backend, work, self.output_dtype)
            reason = refused
        return around_inverse(backend, self[:4], self.state_dtype, self.output_dtype, reason)


class AroundInverse(NamedTuple):
    """Torch's products around the backend's inverse, and why it is not a kernel of the rule."""

    plan: Plan
    compute_dtype: torch.dtype
    reason: str

    @property
    def note(self) -> str:
        """What :func:`explain` says of it."""
        return f"torch's products around its inverse: {self.reason}"


def work_of(dtype: torch.dtype, plan: str, chunk_size: int) -> Floating:
    """What a kernel with products of this dtype is to do. Raises ValueError for a plan or chunk
    size that there is none of."""
    return Floating(plan_for(chunk_size, plan, dtype), dtype)


def around_inverse(
    backend: Backend,
    place: tuple[str, int | None, str, int],
    dtype: torch.dtype,
    output_dtype: torch.dtype,
    reason: str,
) -> str | Resolved:
    """Torch's products around the backend's inverse, where no kernel takes a call for this reason;
    or why there is no such inverse.

    Args:
        place: device, its index, plan and chunk size.
        dtype: of the products and of the inverse.
    """
    inverse = Request(*place, dtype, dtype, None, 4).settle(backend)
    if isinstance(inverse, str):
        return f"{reason}, and its inverse does not serve: {inverse}"
    plan, compute_dtype = inverse.work
    return Resolved(backend, AroundInverse(plan, compute_dtype, reason), output_dtype)


@runtime_checkable
class RuleBackend(Protocol):
    """A backend with a kernel of the whole rule."""

    rule_dtype: torch.dtype
    """Of the operands of its products."""

    def reject_rule(self, request: RuleRequest, work: Floating) -> str | None:
        """Why the kernel does not take the call; None if it does."""

    def run_rule(self, call: RuleCall, outputs: RuleOutputs, work: Floating) -> None:
        """Fill the outputs; there is at least one token."""
