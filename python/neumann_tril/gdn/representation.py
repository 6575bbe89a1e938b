"""The WY representation of chunks: what their tokens write into the state, two products of X.

Names as in ``rule.py``: with A = tril(beta_i L_ij <k_i, k_j>, -1), X = (I + A)^-1, and
U = X (beta v), W = X (beta G k). Nothing here depends on the chunk before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..ops import input_gradient, inverse
from ..plan import Plan


class Decay(NamedTuple):
    """L (..., C, C), zero above the diagonal, and G (..., C)."""

    between: Tensor
    since_start: Tensor

    @classmethod
    def of(cls, g: Tensor) -> Decay:
        """From the logarithms of each token's decay, (..., C)."""
        # Each exponent is a sum of its own terms: no difference of long sums, nothing to overflow.
        exponent = g[..., None].expand(*g.shape, g.shape[-1]).tril(-1).cumsum(-2)
        return cls(exponent.exp().tril(), g.cumsum(-1).exp())

    @classmethod
    def of_sums(cls, sums: Tensor) -> Decay:
        """From their sums within the chunk, (..., C)."""
        exponent = (sums[..., :, None] - sums[..., None, :]).clamp(max=0)
        return cls(exponent.exp().tril(), sums.exp())


class Representation(NamedTuple):
    """Of chunks: X and -W (n, B, H, G, C, C or K), U (n, B, HV, C, V)."""

    X: Tensor
    minus_W: Tensor
    U: Tensor


class _KnownInverse(torch.autograd.Function):
    """X, which is the inverse of I + A."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, X: Tensor) -> Tensor:
        ctx.save_for_backward(X)
        return X.view_as(X)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return input_gradient(ctx.saved_tensors[0], grad), None


def represent(
    k: Tensor,
    v: Tensor,
    decay: Decay,
    beta: Tensor,
    plan: str | Plan,
    backend: str | None,
    X: Tensor | None = None,
) -> Representation:
    """Of k (n, B, H, C, K), v (n, B, HV, C, V), decays and beta (n, B, H, G, C).

    Args:
        plan, backend: of the inverse.
        X: (n, B, H, G, C, C) where it is known.
    """
    group = beta.shape[3]
    # The keys' products are shared by the value heads of a group.
    A = (k @ k.mT)[:, :, :, None] * (decay.between * beta[..., None])
    X = inverse(A, plan, backend=backend) if X is None else _KnownInverse.apply(A, X.view_as(A))
    of_v = X * beta[..., None, :]
    U = of_v.flatten(2, 3) @ v
    minus_W = (of_v * -decay.since_start[..., None, :]).flatten(3, 4) @ k
    return Representation(X, minus_W.unflatten(3, (group, -1)), U)


def chunks_of(x: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """(B, T, heads, D) to (n, B, heads, C, D), the last chunk filled up with zeros."""
    if missing := -x.shape[1] % size:
        x = pad(x, (0, 0, 0, 0, 0, missing))
    chunks: Tensor = x.unflatten(1, (-1, size))
    return chunks.movedim((1, 2), (0, 3)).to(dtype).contiguous()


def numbers_of(x: Tensor, size: int, dtype: torch.dtype, heads: int) -> Tensor:
    """(B, T, HV) to (n, B, H, G, C)."""
    numbers: Tensor = chunks_of(x[..., None], size, dtype)[..., 0].unflatten(2, (heads, -1))
    return numbers


def rows_of(chunks: Tensor) -> Tensor:
    """(n, B, heads, C, D) to (B, T, heads, D)."""
    return chunks.permute(1, 0, 3, 2, 4).flatten(1, 2)
