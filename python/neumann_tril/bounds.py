"""Error bounds of plans: :func:`error_bound` for a norm of A, :func:`error_envelope` for one A.

In :func:`error_bound` every quantity of a plan is dominated, entry by entry, by a polynomial in
``|A|`` with non-negative coefficients, cut at degree C because ``|A|^C = 0``; its value at
``norm(A)`` bounds the infinity norm. Truncation is carried as such a polynomial, rounding as a
number: standard model of rounding, ``fl(x) = x (1 + d) + e`` with ``|d| <= u`` and ``|e| <= tiny``
(N. Higham, Accuracy and Stability of Numerical Algorithms, chapters 2, 3 and 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .plan import Plan, dtype_name

__all__ = ["error_bound", "error_envelope"]


@dataclass(frozen=True, slots=True)
class Rounding:
    """Unit roundoff, half the smallest subnormal, and largest finite number of a dtype."""

    unit: float
    tiny: float
    largest: float


_ROUNDING = {
    "float16": Rounding(2.0**-11, 2.0**-25, 65504.0),
    "bfloat16": Rounding(2.0**-8, 2.0**-134, 3.38e38),
    "float32": Rounding(2.0**-24, 2.0**-150, 3.40e38),
    "float64": Rounding(2.0**-53, 0.0, 1.79e308),
}


class Series(tuple[float, ...]):
    """Coefficients of a dominating polynomial in ``|A|``, of degree below the length."""

    def __add__(self, other: object) -> Series:
        if not isinstance(other, Series):
            return NotImplemented
        return Series(a + b for a, b in zip(self, other, strict=True))

    def __mul__(self, other: object) -> Series:
        if not isinstance(other, Series):
            return NotImplemented
        n = len(self)
        product = [0.0] * n
        for i, a in enumerate(self):
            if a:
                for j in range(n - i):
                    product[i + j] += a * other[j]
        return Series(product)

    def power(self, exponent: int) -> Series:
        result = Series([1.0] + [0.0] * (len(self) - 1))
        for _ in range(exponent):
            result = result * self
        return result

    def at(self, norm: float) -> float:
        """The value at ``norm``, by Horner; inf where it overflows."""
        value = 0.0
        for coefficient in reversed(self):
            value = value * norm + coefficient
        return value


def _geometric(first: int, last: int, length: int) -> Series:
    return Series(1.0 if first <= n <= last else 0.0 for n in range(length))


def error_bound(plan: Plan, norm: float, compute_dtype: Any = "float64") -> float:
    """Bound on the infinity norm of ``X - (I + A)^-1`` over all A with ``norm(A) <= norm``.

    Covers truncation and every rounding of :func:`neumann_tril.reference.inverse`; A itself is
    taken as representable in ``compute_dtype``. It holds for every matrix, and is therefore far
    above the error of a typical one when ``norm`` is large.

    Args:
        plan: the plan.
        norm: infinity norm of A, finite and not negative.
        compute_dtype: float16, bfloat16, float32 or float64, as a torch dtype or its name.

    Returns:
        The bound; ``inf`` where an intermediate may overflow the dtype.

    Raises:
        ValueError: ``norm`` is negative or not finite, or the dtype is not one of the four.
    """
    if not (math.isfinite(norm) and norm >= 0):
        raise ValueError(f"norm must be finite and not negative, got {norm}")
    bound = _Norms(plan, norm, _checked_name(compute_dtype)).bound()
    return math.inf if math.isnan(bound) else bound


def _checked_name(compute_dtype: Any) -> str:
    name = dtype_name(compute_dtype)
    if name not in _ROUNDING:
        raise ValueError(f"compute_dtype must be one of {', '.join(_ROUNDING)}, got {name}")
    return name


def _accumulator(name: str) -> Rounding:
    return _ROUNDING["float64" if name == "float64" else "float32"]


class _Norms:
    """The steps of the reference, on bounds instead of matrices."""

    def __init__(self, plan: Plan, norm: float, dtype: str) -> None:
        self.plan = plan
        self.a = norm
        self.operand = _ROUNDING[dtype]
        self.accumulator = _accumulator(dtype)
        self.overflowed = False

    def rounded(self, size: float, error: float) -> float:
        """Error of an operand of norm ``size`` after rounding to the operand dtype."""
        reach = size + error
        if not reach < self.operand.largest:
            self.overflowed = True
        return error + self.operand.unit * reach + self.plan.chunk_size * self.operand.tiny

    def accumulated(self, size: float, error: float, magnitude: float) -> float:
        """Error of a sum of norm ``size`` whose terms have norms up to ``magnitude``, after the sum
        in float64 and its one rounding to the accumulator."""
        summed = error + self.plan.chunk_size * 2.0**-52 * magnitude
        unit, tiny = self.accumulator.unit, self.accumulator.tiny
        return summed + unit * (size + summed) + self.plan.chunk_size * tiny

    def product(self, p: float, p_error: float, q: float, q_error: float) -> float:
        """Error of the product of two operands of norms p and q that are rounded first."""
        p_error, q_error = self.rounded(p, p_error), self.rounded(q, q_error)
        return p * q_error + p_error * q + p_error * q_error

    def bound(self) -> float:
        truncation, error = self.leaf()
        size = self.plan.leaf
        while size < self.plan.chunk_size:
            size *= 2
            truncation, error = self.join(truncation, error, size)
        for _ in range(self.plan.refinements):
            truncation, error = self.refine(truncation, error)
        return math.inf if self.overflowed else truncation.at(self.a) + error

    def leaf(self) -> tuple[Series, float]:
        plan, a, length = self.plan, self.a, self.plan.leaf
        inverse = _geometric(0, length - 1, length)
        seed = _geometric(0, plan.bandwidth, length)
        # Outside the band X0 is zero, so R = -A X0 there.
        residual = _geometric(1, 1, length) * seed
        reaches = plan.terms * (plan.bandwidth + 1) >= length
        zero = Series([0.0] * length)
        truncation = zero if reaches else inverse * residual.power(plan.terms)

        x0 = seed.at(a)
        gamma = 2 * (plan.bandwidth + 2) * self.accumulator.unit
        seed_error = gamma / (1 - gamma) * x0 * (1 + a) * x0 / (1 - min(0.5, gamma * x0 * (1 + a)))
        seed_error += length * length * self.accumulator.tiny * x0
        if plan.terms == 1:
            return truncation, seed_error
        seed_error = self.rounded(x0, seed_error)
        r = residual.at(a)
        magnitude = 1 + (1 + a) * (x0 + seed_error)
        r_error = self.accumulated(r, (1 + a) * seed_error, magnitude)
        if plan.form == "sequential":
            return truncation, self.sequential(seed, seed_error, residual, r_error)
        return truncation, self.doubling(seed, seed_error, residual, r_error)

    def sequential(self, seed: Series, seed_error: float, r: Series, r_error: float) -> float:
        total, error = seed, seed_error
        for _ in range(self.plan.terms - 1):
            product_error = self.product(total.at(self.a), error, r.at(self.a), r_error)
            total = seed + total * r
            size = total.at(self.a)
            error = self.accumulated(size, seed_error + product_error, size + product_error)
        return error

    def doubling(self, seed: Series, seed_error: float, r: Series, r_error: float) -> float:
        total, error, power, power_error, count = seed, seed_error, r, r_error, 1
        while count < self.plan.terms:
            p = power.at(self.a)
            product_error = self.product(total.at(self.a), error, p, power_error)
            total = total + total * power
            size = total.at(self.a)
            error = self.accumulated(size, error + product_error, size + product_error)
            count *= 2
            if count < self.plan.terms:
                squared = self.product(p, power_error, p, power_error)
                power = power * power
                power_error = self.accumulated(power.at(self.a), squared, p * p + squared)
        return error

    def join(self, truncation: Series, error: float, size: int) -> tuple[Series, float]:
        """``X21 = -X22 (A21 X11)``; both halves carry the same truncation and error."""
        a, half = self.a, size // 2
        inverse, linear = _geometric(0, half - 1, size), _geometric(1, 1, size)
        cut = Series(tuple(truncation) + (0.0,) * half)
        joined = cut + cut * linear * inverse + inverse * linear * cut + cut * linear * cut
        x = inverse.at(a) + cut.at(a)
        t = a * x
        t_error = self.product(a, 0.0, x, error)
        t_error = self.accumulated(t, t_error, t + t_error)
        x21_error = self.product(x, error, t, t_error)
        x21_error = self.accumulated(x * t, x21_error, x * t + x21_error)
        return joined, error + x21_error

    def refine(self, truncation: Series, error: float) -> tuple[Series, float]:
        """The step leaves the error ``X_exact (I - M X)^2`` and its own roundings."""
        a, size = self.a, self.plan.chunk_size
        inverse, m = _geometric(0, size - 1, size), _geometric(0, 1, size)
        cut, exact = truncation.at(a), inverse.at(a)
        error = self.rounded(exact + cut, error)
        x = exact + cut + error
        e = (1 + a) * (cut + error)
        e_error = self.rounded(e, self.accumulated(e, 0.0, 1 + (1 + a) * x))
        squared = exact * (1 + a) ** 2 * (error * error + 2 * error * cut)
        size_after = exact + exact * e * e
        step = self.accumulated(size_after, squared + x * e_error, x * (1 + e + e_error))
        return inverse * (m * truncation).power(2), step


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
    return _Envelope(A.double().tril(-1), plan, _checked_name(compute_dtype)).bound()


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

    def __init__(self, A: Tensor, plan: Plan, dtype: str) -> None:
        self.plan = plan
        self.a = A
        self.operand = _ROUNDING[dtype]
        self.accumulator = _accumulator(dtype)
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
