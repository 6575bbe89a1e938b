"""Quantised plans: a plan, the grids of its intermediates, and the constants that follow from them.

A *grid* holds the numbers ``code * scale`` for integer codes up to ``q_max``: 127 for 8 bits, and
32639 for 16, which is what two int8 limbs ``256 high + low`` hold. Matrices with a unit diagonal
(``M = I + A`` where a residual is formed, X, and ``I + R`` for the residual and its powers) have
scales ``1 / n`` with an integer n <= q_max, so that a one is the code n, exactly: the unit diagonal
is never rounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from ..plan import Plan, plan_for

FORMAT_VERSION = 1
Q_MAX = {8: 127, 16: 32639}
"""Largest code by bits."""
CODES = {8: torch.int8, 16: torch.int16}
"""Dtype of the codes by bits."""
GRANULARITIES = ("tensor", "head", "chunk")
A_LIMIT = 128.0
"""Largest magnitude of A that a grid may hold: seeds of 16 rows then stay finite in float32."""
SCALE_LIMITS = (2.0**-60, 2.0**60)


class Step(NamedTuple):
    """A matrix product of a plan that leaves an intermediate on a grid of its own."""

    name: str
    unit: bool
    """Its grid is 1 / n, because a unit diagonal is added to it."""


def steps(plan: Plan) -> tuple[Step, ...]:
    """The intermediates of a plan that have a grid, in the order in which they are formed.

    ``A``; ``X`` (one grid for the seed and for all that is joined to it); ``R`` and ``P1``,
    ``P2``.. (the residual of the leaves and its powers R^2, R^4..); ``T0``, ``T1``.. (``A21 X11``
    of each join, from the leaves up); ``E0``.. (the residual of each refinement).
    """
    residual = plan.terms > 1 or plan.refinements > 0
    found = [Step("A", residual), Step("X", True)]
    if plan.terms > 1:
        found.append(Step("R", True))
        if plan.form == "doubling":
            factors = plan.terms.bit_length() - 1
            found += [Step(f"P{k}", True) for k in range(1, factors)]
    found += [Step(f"T{level}", False) for level in range(plan.splits)]
    found += [Step(f"E{r}", True) for r in range(plan.refinements)]
    return tuple(found)


def quantized_plan_for(chunk_size: int, plan: str | Plan) -> Plan:
    """The plan that a name stands for when it is quantised.

    ``"exact"`` and ``"fast"`` are the same: leaves of 16 rows whose seed is their whole inverse,
    joined by product pairs. A refinement would not help: what limits the result is A's own grid.
    """
    if plan == "exact":
        plan = "fast"
    return plan_for(chunk_size, plan, "float16")


class Scales(Mapping[str, tuple[float, ...]]):
    """The scales of each group by intermediate; they cannot be changed."""

    __slots__ = ("_held",)

    def __init__(self, scales: Mapping[str, Iterable[float]]) -> None:
        self._held = tuple((name, tuple(map(float, values))) for name, values in scales.items())

    def __getitem__(self, name: str) -> tuple[float, ...]:
        return dict(self._held)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return repr(dict(self._held))


@dataclass(frozen=True)
class QuantPlan:
    """A plan evaluated on integer grids.

    Symmetric, round half to even, saturating. Static scales belong to the whole tensor or to each
    head; with granularity ``"chunk"`` (:meth:`dynamic`) every chunk finds its own on the fly.

    Args:
        plan: the plan; see :func:`steps` for the intermediates that have a grid.
        bits: 8 or 16.
        granularity: ``"tensor"``, ``"head"`` or ``"chunk"``.
        scales: intermediate -> scale of each group (one group, or one for each head); empty for
            granularity ``"chunk"``. A scale of a matrix with a unit diagonal is ``1 / n``.
        report: what :func:`neumann_tril.quant.calibrate` found; informative, saved with the plan.

    Raises:
        TypeError, ValueError: a field is not as above; the message names it.
    """

    plan: Plan
    bits: int
    granularity: str
    scales: Mapping[str, Sequence[float]]
    report: Mapping[str, Any] | None = field(default=None, compare=False)
    text: str = field(init=False, repr=False, compare=False)
    """The plan without its report as compact JSON, as operators take it."""

    def __post_init__(self) -> None:
        if not isinstance(self.plan, Plan):
            raise TypeError(f"plan must be a Plan, got {type(self.plan).__name__}")
        if not isinstance(self.bits, int) or self.bits not in Q_MAX:
            raise ValueError(f"bits must be 8 or 16, got {self.bits!r}")
        if self.granularity not in GRANULARITIES:
            raise ValueError(
                f"granularity must be one of {', '.join(GRANULARITIES)}, got {self.granularity!r}"
            )
        if not isinstance(self.scales, Mapping):
            raise TypeError(
                "scales must map intermediates to the scales of each group, "
                f"got {type(self.scales).__name__}"
            )
        wanted = [] if self.granularity == "chunk" else [step.name for step in steps(self.plan)]
        if sorted(self.scales) != sorted(wanted):
            raise ValueError(
                f"scales must be given for {', '.join(wanted) or 'nothing'} "
                f"(granularity {self.granularity!r}), got {', '.join(self.scales) or 'nothing'}"
            )
        for name in wanted:
            if not isinstance(self.scales[name], Iterable):
                raise TypeError(
                    f"scales of {name} must be a sequence, one for each group, "
                    f"got {self.scales[name]!r}"
                )
        held = Scales({name: self.scales[name] for name in wanted})
        object.__setattr__(self, "scales", held)
        self._check_scales()
        # Here, and not when it is first asked for, so that torch.compile finds a plain attribute.
        object.__setattr__(self, "text", json.dumps(self._fields(), separators=(",", ":")))

    def _check_scales(self) -> None:
        counts = {name: len(values) for name, values in self.scales.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"scales must have one value for each group, got {counts}")
        if self.granularity == "tensor" and self.groups != 1:
            raise ValueError(f"scales of a tensor must be one number each, got {self.groups}")
        if self.granularity == "head" and self.groups < 1:
            raise ValueError("scales must have a value for each head, got none")
        low, high = SCALE_LIMITS
        for step in self.scaled_steps:
            for value in self.scales[step.name]:
                if not (math.isfinite(value) and low <= value <= high):
                    raise ValueError(
                        f"scale of {step.name} must lie in {low:g}..{high:g}, got {value}"
                    )
                if step.unit and not self._is_reciprocal(value):
                    raise ValueError(
                        f"scale of {step.name} must be 1 / n with an integer n of "
                        f"1 to {self.q_max}, got {value}"
                    )
                if step.name == "A" and value * self.q_max > A_LIMIT * 1.0001:
                    raise ValueError(
                        f"scale of A must be at most {A_LIMIT:g} / {self.q_max}, got {value}"
                    )

    def _is_reciprocal(self, scale: float) -> bool:
        n = round(1 / scale)
        return 1 <= n <= self.q_max and abs(scale * n - 1) < 1e-6

    @classmethod
    def dynamic(
        cls, *, chunk_size: int = 64, bits: int = 8, plan: str | Plan = "exact"
    ) -> QuantPlan:
        """Scales per chunk, found on the fly; needs no calibration."""
        return cls(quantized_plan_for(chunk_size, plan), bits, "chunk", {})

    def __hash__(self) -> int:
        return hash(self.text)

    def repeated(self, count: int) -> QuantPlan:
        """The plan for ``count`` times as many heads, the same scales over and over."""
        if self.granularity != "head":
            return self
        scales = {name: tuple(values) * count for name, values in self.scales.items()}
        return QuantPlan(self.plan, self.bits, "head", scales)

    @property
    def q_max(self) -> int:
        """Largest code."""
        return Q_MAX[self.bits]

    @property
    def is_dynamic(self) -> bool:
        """Whether scales are found on the fly, chunk by chunk."""
        return self.granularity == "chunk"

    @property
    def forms_m(self) -> bool:
        """Whether a product has M = I + A as an operand; otherwise only blocks of A below the
        leaves are operands, and A's grid holds nothing else."""
        return steps(self.plan)[0].unit

    @property
    def scaled_steps(self) -> tuple[Step, ...]:
        """The intermediates that have static scales."""
        return () if self.is_dynamic else steps(self.plan)

    @property
    def groups(self) -> int:
        """Sets of static scales: 1, or the number of heads; 0 for dynamic scales."""
        return 0 if self.is_dynamic else len(self.scales["A"])

    @cached_property
    def constants(self) -> Constants:
        """What the kernels multiply with. Raises ValueError for dynamic scales."""
        return Constants.of(self)

    # --- text

    def _fields(self) -> dict[str, Any]:
        return {
            "format": "neumann_tril.QuantPlan",
            "version": FORMAT_VERSION,
            "plan": self.plan.to_text(),
            "bits": self.bits,
            "granularity": self.granularity,
            "scales": {name: list(values) for name, values in self.scales.items()},
        }

    def to_json(self) -> str:
        """The plan as JSON; :meth:`from_json` reads it."""
        return json.dumps({**self._fields(), "report": self.report}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> QuantPlan:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: not JSON, not this format, another version, or a field out of its range.
        """
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"a quantised plan must be JSON: {error}") from None
        if not isinstance(fields, dict) or fields.get("format") != "neumann_tril.QuantPlan":
            raise ValueError("the JSON is no quantised plan: format must be neumann_tril.QuantPlan")
        if fields.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"version of the quantised plan must be {FORMAT_VERSION}, "
                f"got {fields.get('version')!r}"
            )
        wanted = {"plan", "bits", "granularity", "scales"}
        missing = wanted - fields.keys()
        if missing:
            raise ValueError(f"the quantised plan lacks {', '.join(sorted(missing))}")
        scales = fields["scales"]
        if not isinstance(scales, dict) or not all(
            isinstance(values, list) and all(isinstance(v, (int, float)) for v in values)
            for values in scales.values()
        ):
            raise ValueError("scales must map intermediates to lists of numbers")
        report = fields.get("report")
        if not isinstance(report, (dict, type(None))):
            raise ValueError(f"report must be an object or null, got {report!r}")
        if not isinstance(fields["plan"], str):
            raise ValueError(f"plan must be text, got {fields['plan']!r}")
        return cls(
            Plan.from_text(fields["plan"]), fields["bits"], fields["granularity"], scales, report
        )

    def save(self, path: str) -> None:
        """Write :meth:`to_json` to a file."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.to_json() + "\n")

    @classmethod
    def load(cls, path: str) -> QuantPlan:
        """Read a file written by :meth:`save`. Raises as :meth:`from_json`."""
        with open(path, encoding="utf-8") as file:
            return cls.from_json(file.read())

    def __str__(self) -> str:
        kind = "scales per chunk" if self.is_dynamic else f"static scales per {self.granularity}"
        return f"int{self.bits}, {kind}: {self.plan}"


def rounded_scale(value: Any) -> Any:
    """Float32 numbers rounded to the 1 + 8 + 10 bits of a scale in the cube's output unit."""
    bits = np.asarray(value, np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(
        0xFFFFE000
    )
    return bits.view(np.float32)


@dataclass(frozen=True)
class Constants:
    """Multipliers of a static plan, float32 arrays with one entry for each group.

    a_inverse, a_scale: ``code = rint(A a_inverse)``, ``A ~ code a_scale``.
    units: name -> n of the grids 1 / n: "X", and where formed "A" (m), "R", "P1".., "E0"...
    to_grid: name -> multiplier that brings a sum to the grid of that intermediate.
    to_x: name -> multiplier that brings the sum with that intermediate on the right (X (I + R),
        X22 T0, ..) to X's grid.
    wide: name -> multiplier that brings the same sum to a number.

    For 8 bits ``to_grid``, ``to_x`` and the ``wide`` of joins have the 11 significant bits of the
    cube's output unit; everything else is float32.
    """

    a_inverse: np.ndarray
    a_scale: np.ndarray
    units: Mapping[str, np.ndarray]
    to_grid: Mapping[str, np.ndarray]
    to_x: Mapping[str, np.ndarray]
    wide: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, qplan: QuantPlan) -> Constants:
        if qplan.is_dynamic:
            raise ValueError("scales per chunk have no constants")
        scale = {name: np.asarray(v, np.float64) for name, v in qplan.scales.items()}
        units = {
            step.name: np.rint(1 / scale[step.name]).astype(np.float32)
            for step in qplan.scaled_steps
            if step.unit
        }
        exact = {name: values.astype(np.float64) for name, values in units.items()}
        fit = rounded_scale if qplan.bits == 8 else np.float32
        n = exact["X"]
        a_scale = (1 / exact["A"]) if "A" in exact else scale["A"]
        to_grid, to_x, wide = {}, {}, {}
        previous = "R"
        for step in qplan.scaled_steps[2:]:
            name = step.name
            if name[0] == "T":
                to_grid[name] = fit(a_scale / n / scale[name])
                # What the rounded multiplier makes of the grid: its scale is no longer `scale`.
                held = a_scale / n / to_grid[name].astype(np.float64)
                to_x[name], wide[name] = fit(held), fit(held / n)
                continue
            p = exact[name]
            if name[0] == "P":
                to_grid[name] = fit(p / exact[previous] ** 2)
                previous = name
            else:
                to_grid[name] = fit(p / (exact["A"] * n))
            to_x[name], wide[name] = fit(1 / p), np.float32(1 / (n * p))
        return cls(
            (1 / a_scale).astype(np.float32), a_scale.astype(np.float32), units, to_grid, to_x, wide
        )

    def rows(self) -> np.ndarray:
        """The rows of constants of ``neumann_tril_quant.h``, float32 (groups, constants)."""
        none = np.zeros_like(self.a_scale)
        columns = [self.a_inverse, self.a_scale, self.units.get("A", none), self.units["X"]]
        for name in self.to_grid:
            columns += [
                self.units.get(name, none),
                self.to_grid[name],
                self.to_x[name],
                self.wide[name],
            ]
        return np.ascontiguousarray(np.stack(columns, 1))
