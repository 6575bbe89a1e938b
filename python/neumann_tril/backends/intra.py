"""The representation of the chunks of Gated DeltaNet as a backend serves it.

A backend with a kernel of it is an :class:`IntraBackend`; else as for the whole rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..native.launches import Floating
from .registry import Backend, Resolved
from .rule import around_inverse, work_of


class IntraCall(NamedTuple):
    """The arguments of the operator ``chunk_gated_delta_rule_fwd_intra``, in the order of its
    schema; tensors as in :class:`RuleCall`.

    gate_unit: 0 if g is of each token; otherwise g is its sum within the chunk, in such units.
    x_dtype: of X; None: k's.
    """

    k: Tensor
    v: Tensor
    g: Tensor | None
    beta: Tensor
    cu_seqlens: Tensor | None
    chunk_indices: Tensor | None
    gate_unit: float
    output_x: bool
    x_dtype: torch.dtype | None
    chunk_size: int
    plan: str
    backend: str | None

    @property
    def tensors(self) -> tuple[Any, ...]:
        """Those that are tensors, or None; they come first."""
        return self[:6]


class IntraOutputs(NamedTuple):
    """The results of the operator: w (B, T, HV, K) in k's dtype, u (B, T, HV, V) in v's and
    x (B, T, HV, C), of shape (0,) if it was not asked for. Rows of no sequence are zero."""

    w: Tensor
    u: Tensor
    x: Tensor


class IntraRequest(NamedTuple):
    """What decides how a call is served."""

    device: str
    device_index: int | None
    plan: str
    chunk_size: int
    output_dtype: torch.dtype
    """Of k and of w."""
    dtypes: tuple[torch.dtype | None, ...]
    """Of v, g, beta, and of X; None: there is no such tensor."""
    state_dtype: torch.dtype
    """Of the arithmetic around the inverse."""
    gate_unit: float
    key_size: int
    value_size: int
    heads: int
    value_heads: int
    packed: bool

    def settle(self, backend: Backend) -> str | Resolved:
        """How the backend serves it, or why it does not. Raises ValueError for a plan or chunk size
        that none takes."""
        reason = "it has no kernel of the chunks' representation"
        if isinstance(backend, IntraBackend):
            work = work_of(backend.rule_dtype, self.plan, self.chunk_size)
            refused = backend.reject_intra(self, work)
            if refused is None:
                return Resolved(backend, work, self.output_dtype)
            reason = refused
        return around_inverse(backend, self[:4], self.state_dtype, self.output_dtype, reason)


@runtime_checkable
class IntraBackend(Protocol):
    """A backend with a kernel of the chunks' representation."""

    rule_dtype: torch.dtype
    """Of the operands of the inverse."""

    def reject_intra(self, request: IntraRequest, work: Floating) -> str | None:
        """Why the kernel does not take the call; None if it does."""

    def run_intra(self, call: IntraCall, outputs: IntraOutputs, work: Floating) -> None:
        """Fill the outputs; there is at least one token."""
