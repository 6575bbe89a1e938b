"""A bound on every entry of a plan's error for one A; for all A of a norm: :func:`error_bound`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .arguments import check_tensor
from .context import own_context
from .norms import accumulator, error_bound, operand
from .plan import Plan

__all__ = ["error_bound", "error_envelope"]


@own_context
def error_envelope(A: Tensor, plan: Plan, compute_dtype: Any = "float64") -> Tensor:
    """A bound on every entry of ``|X - (I + A)^-1|`` for this A.

    Running error analysis of :func:`neumann_tril.reference.inverse`: each step's exact-arithmetic
    value is computed beside a bound on what rounding did to it. Much tighter than
    :func:`error_bound`, because it sees the inverse's actual size.

    Args:
        A: (..., C, C), strictly lower triangular, representable in ``compute_dtype``.
        plan: a plan for C.
        compute_dtype: as for :func:`error_bound`.

    Returns:
        (..., C, C) float64; ``inf`` where an intermediate may overflow.
    """
    check_tensor("A", A)
    return _Envelope(A.double().tril(-1), plan, compute_dtype).bound()


@dataclass(frozen=True, slots=True)
class _Tracked:
    """An exact-arithmetic value and a bound on the computed one's distance from it."""

    value: Tensor
    error: Tensor

    @property
    def reach(self) -> Tensor:
        return self.value.abs() + self.error


class _Envelope:
    """The steps of the reference, on values with error bounds."""

    def __init__(self, A: Tensor, plan: Plan, compute_dtype: Any) -> None:
        self.plan = plan
        self.a = A
        self.operand = operand(compute_dtype)
        self.accumulator = accumulator(compute_dtype)
        eye = torch.eye(A.shape[-1], dtype=A.dtype)
        self.identity = eye
        self.exact = torch.linalg.solve_triangular(
            A, eye.expand_as(A), upper=False, unitriangular=True
        )

    def known(self, value: Tensor) -> _Tracked:
        return _Tracked(value, torch.zeros_like(value))

    def rounded(self, x: _Tracked) -> _Tracked:
        error = x.error + self.operand.unit * x.reach + self.operand.tiny * (x.reach > 0).double()
        error = torch.where(x.reach < self.operand.largest, error, math.inf)
        return _Tracked(x.value, error)

    def product_add(self, c: _Tracked, p: _Tracked, q: _Tracked) -> _Tracked:
        """``fl(c + Q(p) Q(q))``."""
        p, q = self.rounded(p), self.rounded(q)
        value = c.value + p.value @ q.value
        error = c.error + p.value.abs() @ q.error + p.error @ q.reach
        return self.accumulated(value, error, c.reach + p.reach @ q.reach)

    def accumulated(self, value: Tensor, error: Tensor, magnitude: Tensor) -> _Tracked:
        # 2^-52 C: the sum in float64, here and in the reference.
        error = error + self.plan.chunk_size * 2.0**-52 * magnitude
        unit, tiny = self.accumulator.unit, self.accumulator.tiny
        return _Tracked(
            value, error + unit * (value.abs() + error) + tiny * (magnitude > 0).double()
        )

    def bound(self) -> Tensor:
        x = self.split(self.a, self.exact, self.plan.splits)
        for _ in range(self.plan.refinements):
            x = self.refined(x)
        # The exact inverse is itself computed in float64.
        m = (self.identity + self.a).abs()
        own = 2 * self.plan.chunk_size * 2.0**-53 * (self.exact.abs() @ m @ self.exact.abs())
        total = (x.value - self.exact).abs() + x.error + own
        return torch.tril(torch.where(total.isnan(), math.inf, total))

    def split(self, a: Tensor, exact: Tensor, splits: int) -> _Tracked:
        if splits == 0:
            return self.leaf(a, exact)
        h = a.shape[-1] // 2
        x11 = self.split(a[..., :h, :h], exact[..., :h, :h], splits - 1)
        x22 = self.split(a[..., h:, h:], exact[..., h:, h:], splits - 1)
        zero = self.known(torch.zeros_like(x11.value))
        t = self.product_add(zero, self.known(a[..., h:, :h]), x11)
        x21 = self.product_add(zero, x22, t)

        def joined(p11: Tensor, p21: Tensor, p22: Tensor) -> Tensor:
            top = torch.cat([p11, torch.zeros_like(p11)], -1)
            return torch.cat([top, torch.cat([p21, p22], -1)], -2)

        return _Tracked(
            joined(x11.value, -x21.value, x22.value), joined(x11.error, x21.error, x22.error)
        )

    def leaf(self, a: Tensor, exact: Tensor) -> _Tracked:
        plan = self.plan
        x0 = self.seed(a, exact)
        if plan.terms == 1:
            return x0
        identity = torch.eye(a.shape[-1], dtype=a.dtype).expand_as(a)
        x0 = self.rounded(x0)
        r = self.residual(identity + a, x0, identity)
        x = x0
        if plan.form == "sequential":
            for _ in range(plan.terms - 1):
                x = self.product_add(x0, x, r)
            return x
        power, count = r, 1
        zero = self.known(torch.zeros_like(a))
        while count < plan.terms:
            x = self.product_add(x, x, power)
            count *= 2
            if count < plan.terms:
                power = self.product_add(zero, power, power)
        return x

    def residual(self, m: Tensor, x: _Tracked, identity: Tensor) -> _Tracked:
        value = identity - m @ x.value
        magnitude = identity + m.abs() @ x.reach
        return self.accumulated(value, m.abs() @ x.error, magnitude)

    def seed(self, a: Tensor, exact: Tensor) -> _Tracked:
        """Substitution within the band: each step rounds a product and a difference."""
        n, w = a.shape[-1], self.plan.bandwidth
        value = torch.tril(exact) - torch.tril(exact, -w - 1)
        error = torch.zeros_like(value)
        unit = 2 * (w + 1) * self.accumulator.unit
        for i in range(1, n):
            first = max(0, i - w)
            row = a[..., i : i + 1, first:i].abs()
            reach = value[..., first:i, first:i].abs() + error[..., first:i, first:i]
            carried = row @ error[..., first:i, first:i]
            fresh = unit * (row @ reach) + n * self.accumulator.tiny
            error[..., i : i + 1, first:i] = (carried + fresh) * (1 + unit)
        return _Tracked(value, error)

    def refined(self, x: _Tracked) -> _Tracked:
        """With D the distance of Q(x) from the exact inverse, the step leaves ``D (I + A) D``."""
        m = (self.identity + self.a).abs()
        x = self.rounded(x)
        d = (x.value - self.exact).abs() + x.error
        e = self.accumulated(m @ d, torch.zeros_like(d), self.identity + m @ x.reach)
        e_error = self.rounded(e).error
        left = self.exact.abs() + d
        error = d @ m @ d + left @ e_error
        return self.accumulated(self.exact, error, left + left @ (m @ d + e_error))
