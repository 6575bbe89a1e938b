"""How far the assumptions of the emulator's model of time move a modelled time.

A launch is recorded once and priced at many tables of costs. Costs that nothing public states are
halved and doubled; those of which a second public source has another value take that value. First
one at a time, then all at once, each at a value of its own drawn at random. A range is the smallest
and the largest of all these: what would be believed, had other values been assumed. It is not a
confidence interval, and says nothing about what the model leaves out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .emulator import Cost, Recording

__all__ = ["Priced", "Study", "Swing", "Table", "choices", "study"]

Table = Mapping[str, float]
"""Costs that differ from the chip's, by name."""


@dataclass(frozen=True, slots=True)
class Priced:
    """Modelled microseconds at a table of costs, of the kernel and of what it is compared with."""

    table: Table
    time_us: float
    baseline_us: float | None

    @property
    def ratio(self) -> float | None:
        """How many times as long the other one takes, if there is one."""
        return self.baseline_us and self.baseline_us / self.time_us


@dataclass(frozen=True, slots=True)
class Swing:
    """One cost at its other values, all other costs as in the chip's table."""

    cost: Cost
    priced: tuple[Priced, ...]

    def time_range(self, base: Priced) -> tuple[float, float]:
        """Smallest and largest time in microseconds, that of the chip's table included."""
        return _range([base.time_us, *(priced.time_us for priced in self.priced)])


@dataclass(frozen=True, slots=True)
class Study:
    """``swings`` come widest range of time first; ``joint`` are the draws of all costs at once."""

    base: Priced
    swings: tuple[Swing, ...]
    joint: tuple[Priced, ...]

    @property
    def singles(self) -> tuple[Priced, ...]:
        """The chip's table, and every change of one cost."""
        return (self.base, *(priced for swing in self.swings for priced in swing.priced))

    @property
    def time_range(self) -> tuple[float, float]:
        """Smallest and largest time in microseconds of all tables tried."""
        return _range([priced.time_us for priced in self.singles + self.joint])

    @property
    def single_time_range(self) -> tuple[float, float]:
        """The same with one cost changed at a time."""
        return _range([priced.time_us for priced in self.singles])

    @property
    def baseline_range(self) -> tuple[float, float] | None:
        """Smallest and largest time of what the kernel is compared with."""
        found = [priced.baseline_us for priced in self.singles + self.joint]
        return None if self.base.baseline_us is None else _range([us for us in found if us])

    @property
    def ratio_range(self) -> tuple[float, float] | None:
        """Smallest and largest ratio; both times are always those of the same table."""
        found = [priced.ratio for priced in self.singles + self.joint]
        return None if self.base.ratio is None else _range([ratio for ratio in found if ratio])


def _range(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)


def choices(cost: Cost) -> tuple[float, ...]:
    """The other values a cost might have: none where it is published and no source disagrees."""
    if cost.evidence != "published":
        return (cost.value / 2, cost.value * 2)
    return (cost.second,) if cost.second else ()


def study(
    kernel: Recording,
    baseline: Recording | None,
    costs: Sequence[Cost],
    draws: int = 200,
    seed: int = 0,
    track: Callable[[Sequence[Table]], Iterable[Table]] = iter,
) -> Study:
    """Price two recorded launches at many tables of costs, always both at the same.

    Args:
        costs: the table of the chip that they ran on.
        draws: tables with all costs at once at the chip's or another value, with equal chances.
        seed: of the draws.
        track: goes through the tables, showing progress.
    """
    open_costs = [cost for cost in costs if choices(cost)]
    singles: list[Table] = [{cost.name: value} for cost in open_costs for value in choices(cost)]
    generator = random.Random(seed)
    joint: list[Table] = [
        {cost.name: generator.choice((cost.value, *choices(cost))) for cost in open_costs}
        for _ in range(draws)
    ]
    priced = [
        Priced(table, kernel.time_us(table), None if baseline is None else baseline.time_us(table))
        for table in track([{}, *singles, *joint])
    ]
    base, found = priced[0], iter(priced[1:])
    swings = [Swing(cost, tuple(next(found) for _ in choices(cost))) for cost in open_costs]
    widths = {swing.cost.name: _width(swing.time_range(base)) for swing in swings}
    swings.sort(key=lambda swing: widths[swing.cost.name], reverse=True)
    return Study(base, tuple(swings), tuple(found))


def _width(span: tuple[float, float]) -> float:
    return span[1] - span[0]
