"""Plans: how the inverse of ``I + A`` is evaluated.

A plan fixes the result up to rounding; a backend is free to choose how it gets there.
Source of the method: arXiv 2606.06034; of the exact region: the band mask keeps the entries in
which the truncated Neumann series is already exact, so ``R = I - (I + A) X0`` vanishes for
``i - j <= w`` and ``R^s`` for ``i - j < s (w + 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .norms import dtype_name, error_bound

__all__ = ["CHUNK_SIZES", "Plan", "plan_for"]

CHUNK_SIZES = tuple(range(16, 129, 16))
"""Chunk sizes C that a plan accepts."""

FORMS = ("sequential", "doubling")
MAX_SPLITS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Bandwidth, terms and form of a masked Neumann inversion.

    The chunk is halved ``splits`` times. Each leaf (a diagonal block of ``leaf`` rows) is inverted
    by

    1. the *seed* ``X0``: the band ``0 <= i - j <= bandwidth`` of the inverse,
    2. the *residual* ``R = I - (I + A) X0``,
    3. the *sum* ``X = X0 (I + R + ... + R^(terms - 1))``;

    two halves are joined by ``X21 = -X22 A21 X11``; at last the whole chunk takes ``refinements``
    residual steps ``X <- X + X (I - (I + A) X)``.

    Args:
        chunk_size: C, one of ``CHUNK_SIZES``.
        bandwidth: w, ``0 <= w < leaf``.
        terms: S >= 1; a power of two in doubling form.
        form: ``"sequential"`` (Horner, S - 1 products) or ``"doubling"``
            (``(I + R)(I + R^2)(I + R^4)...``, applied to ``X0`` from the left).
        splits: halvings of the chunk, 0 to 3; the leaf stays a multiple of 16.
        refinements: residual steps on the whole chunk, 0 or more.

    Raises:
        TypeError: a field is not an integer (``form``: not a string).
        ValueError: a field is out of its range; the message names it.
    """

    chunk_size: int
    bandwidth: int
    terms: int
    form: Literal["sequential", "doubling"] = "doubling"
    splits: int = 0
    refinements: int = 0

    def __post_init__(self) -> None:
        for name in ("chunk_size", "bandwidth", "terms", "splits", "refinements"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, got {value!r}")
        check_chunk_size(self.chunk_size)
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {self.form!r}")
        if not 0 <= self.splits <= MAX_SPLITS or self.chunk_size % (16 << self.splits):
            raise ValueError(
                f"splits must be 0 to {MAX_SPLITS} and leave leaves of a multiple of 16 rows, "
                f"got {self.splits} for chunk_size {self.chunk_size}"
            )
        if not 0 <= self.bandwidth < self.leaf:
            raise ValueError(
                f"bandwidth must be 0 to {self.leaf - 1} (the leaf has {self.leaf} rows), "
                f"got {self.bandwidth}"
            )
        if not 1 <= self.terms <= self.leaf:
            raise ValueError(
                f"terms must be 1 to {self.leaf} (R^{self.leaf} is zero), got {self.terms}"
            )
        if self.form == "doubling" and self.terms & (self.terms - 1):
            raise ValueError(f"terms must be a power of two in doubling form, got {self.terms}")
        if not 0 <= self.refinements <= 8:
            raise ValueError(f"refinements must be 0 to 8, got {self.refinements}")

    @property
    def leaf(self) -> int:
        """Rows of a leaf, ``chunk_size / 2^splits``."""
        return self.chunk_size >> self.splits

    @property
    def exact_distance(self) -> int:
        """The result has no truncation error where ``i - j`` is below this; C if nowhere."""
        reach = self.terms * (self.bandwidth + 1)
        if reach >= self.leaf:
            return self.chunk_size
        # A residual step squares I - (I + A) X, which starts at distance `reach`.
        return min(self.chunk_size, reach << self.refinements)

    @property
    def exact(self) -> bool:
        """Whether the plan has no truncation error."""
        return self.exact_distance == self.chunk_size

    @property
    def products(self) -> int:
        """Dependent matrix products: residual and sum of the leaves (all leaves side by side count
        as one product), two for each join, two for each refinement. The seed needs none."""
        return self.leaf_products + 2 * self.splits + 2 * self.refinements

    @property
    def leaf_products(self) -> int:
        """Products of the residual and of the sum."""
        if self.terms == 1:
            return 0
        if self.form == "sequential":
            return 1 + (self.terms - 1)
        factors = self.terms.bit_length() - 1
        return 1 + factors + (factors - 1)

    def error_bound(self, norm: float, compute_dtype: Any = "float64") -> float:
        """A bound on ``max_i sum_j |X - (I + A)^-1|_ij`` that holds for every A of this norm.

        Args:
            norm: infinity norm of A (largest row sum of absolute values).
            compute_dtype: dtype to which the operands of every product are rounded; A itself is
                taken as representable in it. See :func:`neumann_tril.bounds.error_bound`.
        """
        return error_bound(self, norm, compute_dtype)

    def to_ints(self) -> list[int]:
        """The fields in the order of the C struct ``nt_plan``."""
        return [
            self.chunk_size,
            self.bandwidth,
            self.terms,
            FORMS.index(self.form),
            self.splits,
            self.refinements,
        ]

    def to_text(self) -> str:
        """The fields as one word, ``"64:3:8:sequential:0:0"``, which :func:`plan_for` reads."""
        return (
            f"{self.chunk_size}:{self.bandwidth}:{self.terms}:{self.form}"
            f":{self.splits}:{self.refinements}"
        )

    @classmethod
    def from_text(cls, text: str) -> Plan:
        """The inverse of :meth:`to_text`. Raises ValueError if the text is not of that form."""
        fields = text.split(":")
        try:
            size, bandwidth, terms, form, splits, refinements = fields
            numbers = [int(f) for f in (size, bandwidth, terms, splits, refinements)]
        except ValueError:
            raise ValueError(
                "plan text must be chunk_size:bandwidth:terms:form:splits:refinements, "
                f"got {text!r}"
            ) from None
        return cls(numbers[0], numbers[1], numbers[2], form, numbers[3], numbers[4])  # type: ignore[arg-type]

    def __str__(self) -> str:
        parts = [f"C={self.chunk_size}", f"w={self.bandwidth}", f"S={self.terms}", self.form]
        if self.splits:
            parts.append(f"splits={self.splits}")
        if self.refinements:
            parts.append(f"refinements={self.refinements}")
        kind = "exact" if self.exact else f"exact below distance {self.exact_distance}"
        return f"{' '.join(parts)} ({self.products} products, {kind})"


def check_chunk_size(chunk_size: int) -> None:
    """Raise ValueError unless ``chunk_size`` is one that a plan accepts."""
    if chunk_size not in CHUNK_SIZES:
        raise ValueError(
            f"chunk size must be a multiple of 16 from 16 to 128, got {chunk_size}; "
            "pad a smaller chunk with zero rows and columns"
        )


def is_fixed(plan: str) -> bool:
    """Whether the text is a plan, for one chunk size, and not a name, for any."""
    return ":" in plan


def plan_for(chunk_size: int, plan: str | Plan = "exact", dtype: Any = None) -> Plan:
    """The plan that a name stands for.

    Args:
        chunk_size: C.
        plan: ``"exact"``, ``"fast"``, ``"paper"``, or a plan, which is checked and returned.

            * ``"exact"``: no truncation error, and the most accurate of all exact plans for the
              dtype: leaves of 16 rows whose seed is their whole inverse, joined by product pairs,
              then refined (a chunk of 16 rows is one leaf and needs neither).
            * ``"fast"``: float16, bfloat16: ``"exact"`` without the refinements. float32, float64:
              the whole inverse as seed, that is, substitution without any product.
            * ``"paper"``: the settings of arXiv 2606.06034, which truncate; for C in
              {16, 32, 64, 128}.
        dtype: dtype to which the operands of the products are rounded: float16, bfloat16,
            float32 (also if None) or float64.

    Raises:
        TypeError: ``plan`` is neither a name nor a plan.
        ValueError: unknown name, unsupported chunk size, or a plan for another chunk size.
    """
    if isinstance(plan, Plan):
        if plan.chunk_size != chunk_size:
            raise ValueError(f"plan is for chunk size {plan.chunk_size}, but A has {chunk_size}")
        return plan
    if not isinstance(plan, str):
        raise TypeError(f"plan must be a name or a Plan, got {type(plan).__name__}")
    check_chunk_size(chunk_size)
    if is_fixed(plan):
        return plan_for(chunk_size, Plan.from_text(plan))
    if plan not in _NAMED:
        raise ValueError(f"plan must be a Plan or one of {', '.join(_NAMED)}, got {plan!r}")
    return _NAMED[plan](chunk_size, "float32" if dtype is None else dtype_name(dtype))


# Residual steps that bring the joined leaves to the accumulator's accuracy: each adds about the
# operands' digits, and has nothing to add where operands are as wide as the accumulator.
_REFINEMENTS = {"float16": 1, "bfloat16": 2, "float32": 1, "float64": 0}


def _blocked(chunk_size: int, refinements: int) -> Plan:
    splits = min(MAX_SPLITS, ((chunk_size // 16) & -(chunk_size // 16)).bit_length() - 1)
    leaf_blocks = (chunk_size >> splits) // 16
    terms = 1 << (leaf_blocks - 1).bit_length()
    return Plan(chunk_size, 15, terms, "doubling", splits, refinements)


def _exact(chunk_size: int, dtype: str) -> Plan:
    if dtype not in _REFINEMENTS:
        raise ValueError(f"dtype must be one of {', '.join(_REFINEMENTS)}, got {dtype}")
    # A chunk of one leaf is its seed, which no product has rounded.
    return _blocked(chunk_size, _REFINEMENTS[dtype] if chunk_size > 16 else 0)


def _fast(chunk_size: int, dtype: str) -> Plan:
    if dtype in ("float32", "float64"):
        return Plan(chunk_size, chunk_size - 1, 1)
    return _blocked(chunk_size, 0)


# The paper gives C = 32, 64 and 128. Its rule, binomial(C, w) below the largest float16, lets
# every w pass at C = 16; w = 7 with S = 2 is the cheapest of those that are exact there.
_PAPER = {
    16: Plan(16, 7, 2, "sequential"),
    32: Plan(32, 4, 3, "sequential"),
    64: Plan(64, 3, 8, "sequential"),
    128: Plan(128, 3, 8, "sequential", splits=1),
}


def _paper(chunk_size: int, dtype: str) -> Plan:
    if chunk_size not in _PAPER:
        raise ValueError(
            f"plan 'paper' exists for chunk sizes {', '.join(map(str, _PAPER))}, got {chunk_size}"
        )
    return _PAPER[chunk_size]


_NAMED = {"exact": _exact, "fast": _fast, "paper": _paper}
