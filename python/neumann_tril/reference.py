"""The meaning of the project: a plan in, the inverse out, every rounding spelled out.

``Q`` below rounds to ``compute_dtype``, the dtype of the operands of a product; ``fl`` rounds to
the accumulation dtype (float64 for float64, otherwise float32). A product's sum is formed in
float64 and rounded once. Every backend is compared with :func:`inverse`.

The other functions are the methods the field uses, a few lines each, for comparison.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import check_tensor
from .context import own_context
from .plan import Plan, plan_for

__all__ = [
    "COMPUTE_DTYPES",
    "banded_seed",
    "block_doubling",
    "chunk_doubling",
    "forward_substitution",
    "inverse",
]

COMPUTE_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class _Arithmetic:
    """Roundings of one compute dtype; numbers are held in float64."""

    def __init__(self, compute_dtype: torch.dtype) -> None:
        if compute_dtype not in COMPUTE_DTYPES:
            raise ValueError(
                f"compute_dtype must be one of {', '.join(map(str, COMPUTE_DTYPES))}, "
                f"got {compute_dtype}"
            )
        self.operand = compute_dtype
        self.accumulator = torch.float64 if compute_dtype == torch.float64 else torch.float32

    def q(self, x: Tensor) -> Tensor:
        """Round to the operand dtype."""
        return x.to(self.operand).double()

    def fl(self, x: Tensor) -> Tensor:
        """Round to the accumulation dtype."""
        return x.to(self.accumulator).double()

    def product(self, p: Tensor, q: Tensor) -> Tensor:
        """``fl(Q(p) Q(q))``."""
        return self.fl(self.q(p) @ self.q(q))

    def product_add(self, c: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """``fl(c + Q(p) Q(q))``."""
        return self.fl(c + self.q(p) @ self.q(q))


@own_context
def inverse(
    A: Tensor, plan: str | Plan = "exact", compute_dtype: torch.dtype | None = None
) -> Tensor:
    """``(I + tril(A, -1))^-1`` as the plan says, with the roundings of ``compute_dtype``.

    Args:
        A: (..., C, C), any floating dtype; only its strictly lower part is read.
        plan: a plan or its name, see :func:`neumann_tril.plan_for`.
        compute_dtype: dtype of the operands of every product; float64 for float64 input and
            float32 otherwise if None.

    Returns:
        (..., C, C) in the accumulation dtype: float64 for float64, otherwise float32.

    Raises:
        TypeError: A is not a dense tensor of real numbers.
        ValueError: A is not square in its last two dimensions, unsupported chunk size, plan or
            compute dtype.
    """
    check_tensor("A", A)
    if A.dim() < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"A must have shape (..., C, C), got {tuple(A.shape)}")
    if compute_dtype is None:
        compute_dtype = torch.float64 if A.dtype == torch.float64 else torch.float32
    arithmetic = _Arithmetic(compute_dtype)
    plan = plan_for(A.shape[-1], plan, compute_dtype)
    a = arithmetic.q(torch.tril(A, -1))
    x = _split(a, plan, plan.splits, arithmetic)
    m = _identity_like(a) + a
    for _ in range(plan.refinements):
        x = arithmetic.q(x)
        e = arithmetic.product_add(_identity_like(a), -m, x)
        x = arithmetic.product_add(x, x, e)
    # Zero times a non-finite entry is NaN: what lies above the diagonal is zero by definition.
    return torch.tril(x).to(arithmetic.accumulator)


def _identity_like(a: Tensor) -> Tensor:
    return torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)


def _split(a: Tensor, plan: Plan, splits: int, arithmetic: _Arithmetic) -> Tensor:
    """Halve ``splits`` times; ``X21 = -X22 (A21 X11)`` joins two halves."""
    if splits == 0:
        return _leaf(a, plan, arithmetic)
    h = a.shape[-1] // 2
    x11 = _split(a[..., :h, :h], plan, splits - 1, arithmetic)
    x22 = _split(a[..., h:, h:], plan, splits - 1, arithmetic)
    x21 = -arithmetic.product(x22, arithmetic.product(a[..., h:, :h], x11))
    top = torch.cat([x11, torch.zeros_like(x11)], dim=-1)
    return torch.cat([top, torch.cat([x21, x22], dim=-1)], dim=-2)


def _leaf(a: Tensor, plan: Plan, arithmetic: _Arithmetic) -> Tensor:
    """Seed, residual and sum of one leaf."""
    x0 = banded_seed(a, plan.bandwidth, arithmetic.accumulator)
    if plan.terms == 1:
        return x0
    x0 = arithmetic.q(x0)
    m = _identity_like(a) + a
    # Not masked: inside the band it holds the rounding of x0, which the sum then corrects.
    r = arithmetic.product_add(_identity_like(a), -m, x0)
    x = x0
    if plan.form == "sequential":
        for _ in range(plan.terms - 1):
            x = arithmetic.product_add(x0, x, r)
        return x
    power, count = r, 1
    while count < plan.terms:
        # From the left, so that every partial x is itself a bounded approximation.
        x = arithmetic.product_add(x, x, power)
        count *= 2
        if count < plan.terms:
            power = arithmetic.product(power, power)
    return x


@own_context
def banded_seed(a: Tensor, bandwidth: int, accumulator: torch.dtype = torch.float64) -> Tensor:
    """The entries ``0 <= i - j <= bandwidth`` of ``(I + a)^-1``, zero elsewhere.

    They equal those of the truncated Neumann series ``sum_{n<=w} (-a)^n``. Computed by
    substitution in the accumulation dtype, each product and each difference rounded, k ascending:
    ``x[i] = e_i - sum_{k=i-w}^{i-1} a[i, k] x[k]``.

    Args:
        a: (..., C, C) strictly lower triangular, float64 holding accumulation-dtype numbers.
    """
    check_tensor("a", a)
    n = a.shape[-1]
    a = a.to(accumulator)
    x = torch.eye(n, dtype=accumulator, device=a.device).expand(a.shape).clone()
    for i in range(1, n):
        first = max(0, i - bandwidth)
        row = x[..., i, first : i + 1]
        for k in range(first, i):
            row -= a[..., i, k, None] * x[..., k, first : i + 1]
    return x.double()


@own_context
def forward_substitution(A: Tensor, compute_dtype: torch.dtype = torch.float32) -> Tensor:
    """Row by row ``x_i = e_i - A[i, :i] X[:i]``, X kept in ``compute_dtype``.

    FLA does so in blocks of 16 rows.

    Args and result: as :func:`inverse`, without a plan.
    """
    check_tensor("A", A)
    arithmetic = _Arithmetic(compute_dtype)
    a = arithmetic.q(torch.tril(A, -1))
    x = _identity_like(a).expand(a.shape).clone()
    for i in range(1, a.shape[-1]):
        row = arithmetic.fl(-(a[..., i : i + 1, :i] @ x[..., :i, :i]))
        x[..., i : i + 1, :i] = arithmetic.q(row)
    return x.to(arithmetic.accumulator)


def _doubled(a: Tensor, arithmetic: _Arithmetic) -> Tensor:
    """``(I - a)(I + a^2)(I + a^4)...``, every factor stored in the operand dtype."""
    identity = _identity_like(a)
    x, power = identity - a, arithmetic.product(a, a)
    degree = 2
    while degree < a.shape[-1]:
        x = arithmetic.product_add(arithmetic.q(x), x, power)
        power = arithmetic.product(power, power)
        degree *= 2
    return x


@own_context
def chunk_doubling(A: Tensor, compute_dtype: torch.dtype = torch.float16) -> Tensor:
    """Doubling over the whole chunk: ``(I - A)(I + A^2)(I + A^4)...``; the powers of A overflow.

    Args and result: as :func:`inverse`, without a plan.
    """
    check_tensor("A", A)
    arithmetic = _Arithmetic(compute_dtype)
    x = _doubled(arithmetic.q(torch.tril(A, -1)), arithmetic)
    return x.to(arithmetic.accumulator)


@own_context
def block_doubling(A: Tensor, compute_dtype: torch.dtype = torch.float16) -> Tensor:
    """Doubling in 16-blocks, then ``X21 = -X22 A21 X11``: what the fast NPU implementations ship.

    Every step is rounded to ``compute_dtype``. Args and result: as :func:`inverse`, without a plan.
    """
    check_tensor("A", A)
    arithmetic = _Arithmetic(compute_dtype)
    a = arithmetic.q(torch.tril(A, -1))
    n = a.shape[-1]
    x = torch.zeros_like(a)
    for i in range(0, n, 16):
        block = slice(i, i + 16)
        x[..., block, block] = arithmetic.q(_doubled(a[..., block, block], arithmetic))
    half = 16
    while half < n:
        for i in range(0, n - half, 2 * half):
            top, low = slice(i, i + half), slice(i + half, min(i + 2 * half, n))
            t = arithmetic.product(a[..., low, top], x[..., top, top])
            x[..., low, top] = arithmetic.q(-arithmetic.product(x[..., low, low], t))
        half *= 2
    return x.to(arithmetic.accumulator)
