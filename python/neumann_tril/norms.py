"""A bound on a plan's error that holds for every A of a norm.

Every quantity of a plan is dominated, entry by entry, by a polynomial in
``|A|`` with non-negative coefficients, cut at degree C because ``|A|^C = 0``; its value at
``norm(A)`` bounds the infinity norm. Truncation is carried as such a polynomial, rounding as a
number: standard model of rounding, ``fl(x) = x (1 + d) + e`` with ``|d| <= u`` and ``|e| <= tiny``
(N. Higham, Accuracy and Stability of Numerical Algorithms, chapters 2, 3 and 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Rounding", "accumulator", "dtype_name", "error_bound", "operand"]


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


def error_bound(plan: Any, norm: float, compute_dtype: Any = "float64") -> float:
    """Bound on the infinity norm of ``X - (I + A)^-1`` over all A with ``norm(A) <= norm``.

    Covers truncation and every rounding of :func:`neumann_tril.reference.inverse`; A itself is
    taken as representable in ``compute_dtype``. It holds for every matrix, and is therefore far
    above the error of a typical one when ``norm`` is large.

    Args:
        plan: a :class:`neumann_tril.Plan`, which offers this as a method.
        norm: infinity norm of A, finite and not negative.
        compute_dtype: float16, bfloat16, float32 or float64, as a torch dtype or its name.

    Returns:
        The bound; ``inf`` where an intermediate may overflow the dtype.

    Raises:
        ValueError: ``norm`` is negative or not finite, or the dtype is not one of the four.
    """
    if not (math.isfinite(norm) and norm >= 0):
        raise ValueError(f"norm must be finite and not negative, got {norm}")
    bound = _Norms(plan, norm, operand(compute_dtype), accumulator(compute_dtype)).bound()
    return math.inf if math.isnan(bound) else bound


def dtype_name(dtype: Any) -> str:
    """``"float16"`` for ``torch.float16`` and for ``"float16"``."""
    return str(dtype).removeprefix("torch.")


def operand(compute_dtype: Any) -> Rounding:
    """How the operands of products are rounded. Raises ValueError for an unknown dtype."""
    name = dtype_name(compute_dtype)
    if name not in _ROUNDING:
        raise ValueError(f"compute_dtype must be one of {', '.join(_ROUNDING)}, got {name}")
    return _ROUNDING[name]


def accumulator(compute_dtype: Any) -> Rounding:
    """How the sums of products are rounded."""
    return _ROUNDING["float64" if dtype_name(compute_dtype) == "float64" else "float32"]


class _Norms:
    """The steps of the reference, on bounds instead of matrices."""

    def __init__(self, plan: Any, norm: float, operand: Rounding, accumulator: Rounding) -> None:
        self.plan = plan
        self.chunk_size: int = plan.chunk_size
        self.a = norm
        self.operand = operand
        self.accumulator = accumulator
        self.overflowed = False

    def rounded(self, size: float, error: float) -> float:
        """Error of an operand of norm ``size`` after rounding to the operand dtype."""
        reach = size + error
        if not reach < self.operand.largest:
            self.overflowed = True
        return error + self.operand.unit * reach + self.chunk_size * self.operand.tiny

    def accumulated(self, size: float, error: float, magnitude: float) -> float:
        """Error of a sum of norm ``size`` whose terms have norms up to ``magnitude``, after the sum
        in float64 and its one rounding to the accumulator."""
        summed = error + self.chunk_size * 2.0**-52 * magnitude
        unit, tiny = self.accumulator.unit, self.accumulator.tiny
        return summed + unit * (size + summed) + self.chunk_size * tiny

    def product(self, p: float, p_error: float, q: float, q_error: float) -> float:
        """Error of the product of two operands of norms p and q that are rounded first."""
        p_error, q_error = self.rounded(p, p_error), self.rounded(q, q_error)
        return p * q_error + p_error * q + p_error * q_error

    def bound(self) -> float:
        truncation, error = self.leaf()
        size = self.plan.leaf
        while size < self.chunk_size:
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
        a, size = self.a, self.chunk_size
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
