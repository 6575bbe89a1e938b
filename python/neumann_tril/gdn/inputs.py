"""What the gated delta rule takes: checks, and the values that stand for what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..arguments import check_tensor
from ..layout import check_packing, sequence_bounds
from ..ops import savable

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked arguments, with nothing left out.

    q, k (B, T, H, K), v (B, T, HV, V), g, beta (B, T, HV); state (N, HV, K, V) in ``dtype``, in
    which everything is computed; bounds the N + 1 ends of packed sequences, or None.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor
    beta: Tensor
    scale: float
    state: Tensor
    bounds: list[int] | None
    dtype: torch.dtype

    @property
    def tokens(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What has a time axis."""
        return self.q, self.k, self.v, self.g, self.beta

    @property
    def empty(self) -> bool:
        """Whether no sequence has a token."""
        return not self.v.numel() or (self.bounds is not None and not self.bounds[-1])

    def without_tokens(self) -> tuple[Tensor, Tensor]:
        """What an empty call returns: o of zeros, and the states as they were, in memory of their
        own. Both have gradients, zeros, in every tensor: ranks without tokens wait for none."""
        nothing = [x[:0].reshape(-1).to(self.dtype) for x in (*self.tokens, self.state)]
        o, state = (
            torch.cat([x.reshape(-1), *nothing]).view(x.shape)
            for x in (self.v.new_zeros(self.v.shape, dtype=self.dtype), self.state)
        )
        return o, state


def l2norm(x: Tensor, length: float = 1.0) -> Tensor:
    """Vectors of this length along the last dimension, with the 1e-6 of FLA and transformers."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * (torch.rsqrt(norm * norm + 1e-6) * length)


def _shape(name: str, x: Tensor, axes: str, expected: tuple[int, ...]) -> None:
    if tuple(x.shape) != expected:
        raise ValueError(f"{name} must have shape {axes} = {expected}, got {tuple(x.shape)}")


def read_bounds(cu_seqlens: Tensor | None, length: int) -> list[int] | None:
    """The ends of packed sequences, read on the host. Raises ValueError if they are none."""
    if cu_seqlens is None:
        return None
    bounds: list[int] = sequence_bounds(cu_seqlens, length).tolist()
    return bounds


def _check_tensors(**tensors: Tensor | None) -> None:
    device = None
    for name, x in tensors.items():
        if x is None:
            continue
        check_tensor(name, x)
        if x.dtype not in DTYPES:
            accepted = ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
            raise ValueError(f"{name} must be one of {accepted}, got {x.dtype}")
        device = device or x.device
        if x.device != device:
            first = next(iter(tensors))
            raise ValueError(f"{name} must be on {first}'s device {device}, got {x.device}")


class Sizes(NamedTuple):
    """What the shapes and dtypes of a call say."""

    batch: int
    length: int
    heads: int
    key_size: int
    value_heads: int
    value_size: int
    sequences: int
    dtype: torch.dtype
    """Of all arithmetic and of the states: float32, or float64 if an input is."""

    def state_shape(self, v_first: bool) -> tuple[int, int, int, int]:
        """(N, HV, K, V), or (N, HV, V, K)."""
        sizes = (self.value_size, self.key_size) if v_first else (self.key_size, self.value_size)
        return (self.sequences, self.value_heads, *sizes)


def check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None = None,
    *,
    state_v_first: bool = False,
    leading: str = "q",
) -> Sizes:
    """The sizes of a call; no numbers are looked at. ``leading`` is q's name in messages: calls
    without it give k in its place.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
    """
    _check_tensors(**{leading: q, "k": k}, v=v, g=g, beta=beta, initial_state=initial_state)
    if q.dim() != 4 or 0 in q.shape[2:]:
        raise ValueError(f"{leading} must have shape (B, T, H, K), got {tuple(q.shape)}")
    batch, length, heads, key_size = q.shape
    _shape("k", k, "(B, T, H, K)", (batch, length, heads, key_size))
    if v.dim() != 4 or v.shape[:2] != q.shape[:2]:
        raise ValueError(
            f"v must have shape (B, T, HV, V) with B = {batch}, T = {length}, got {tuple(v.shape)}"
        )
    value_heads, value_size = v.shape[2:]
    if not value_heads or value_heads % heads:
        raise ValueError(f"v must have a multiple of {leading}'s {heads} heads, got {value_heads}")
    _shape("beta", beta, "(B, T, HV)", (batch, length, value_heads))
    if g is not None:
        _shape("g", g, "(B, T, HV)", (batch, length, value_heads))
    sequences = batch
    if cu_seqlens is not None:
        check_tensor("cu_seqlens", cu_seqlens)
        check_packing(cu_seqlens, leading, batch, chunk_indices)
        sequences = cu_seqlens.shape[0] - 1
    elif chunk_indices is not None:
        raise ValueError("chunk_indices needs cu_seqlens")
    wide = torch.float64 in (x.dtype for x in (q, k, v, g, beta) if x is not None)
    dtype = torch.float64 if wide else torch.float32
    sizes = Sizes(batch, length, heads, key_size, value_heads, value_size, sequences, dtype)
    if initial_state is not None:
        axes = "(N, HV, V, K)" if state_v_first else "(N, HV, K, V)"
        _shape("initial_state", initial_state, axes, sizes.state_shape(state_v_first))
    return sizes


def check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dtype: torch.dtype | None = None,
) -> Inputs:
    """The arguments with their defaults filled in; ``dtype`` None: that of the sizes.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
    """
    sizes = check_shapes(q, k, v, g, beta, initial_state, cu_seqlens)
    return fill(sizes, q, k, v, g, beta, scale, initial_state, cu_seqlens, dtype)


def fill(
    sizes: Sizes,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dtype: torch.dtype | None = None,
) -> Inputs:
    """:func:`check`, but for the shapes and dtypes."""
    dtype = dtype or sizes.dtype
    if g is None:
        g = beta.new_zeros(()).expand(beta.shape)
    if initial_state is None:
        initial_state = q.new_zeros(sizes.state_shape(False), dtype=dtype)
    scale = sizes.key_size**-0.5 if scale is None else float(scale)
    q, k, v, g, beta, state = map(savable, (q, k, v, g, beta, initial_state))
    bounds = read_bounds(cu_seqlens, sizes.length)
    return Inputs(q, k, v, g, beta, scale, state.to(dtype), bounds, dtype)
