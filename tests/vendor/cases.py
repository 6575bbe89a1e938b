"""A case: one function of the library on given numbers, and what documents and numpy say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vendor import numbers
from vendor.machine import Library, Program


@dataclass(frozen=True)
class Outcome:
    """What a program wrote, what was expected, and the relative error that is granted."""

    got: np.ndarray
    expected: np.ndarray
    tolerance: float = 0.0
    kind: str = ""

    def difference(self) -> str:
        """An empty text where the two agree."""
        got = numbers.values(self.got, self.kind)
        expected = numbers.values(self.expected, self.kind)
        if got.shape != expected.shape:
            return f"shape {got.shape} for {expected.shape}"
        with np.errstate(all="ignore"):
            same = np.isclose(
                got.astype(np.float64),
                expected.astype(np.float64),
                rtol=self.tolerance,
                atol=0,
                equal_nan=True,
            )
            if self.tolerance == 0:
                same &= np.isnan(got) | (got == expected)
        if same.all():
            return ""
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        count = int((~same).sum())
        return f"{count} of {got.size} differ, first at {at}: {got[at]} for {expected[at]}"


@dataclass(frozen=True)
class Explanation:
    """Why a case does not agree: what the disagreement says, and what the public documents say.

    ``without``: the numbers agree on the emulator without "strict", or without any "checks".
    """

    disagreement: str
    reason: str
    without: Literal["strict", "checks"] | None = None


@dataclass(frozen=True)
class Case:
    """A program with one function of the library, and what is to come of it.

    ``body`` builds the program and returns what to look at after its run.
    """

    core: str
    function: str
    label: str
    body: Callable[[Program], Sequence[Outcome]]
    explanation: Explanation | None = None

    def prepared(self) -> Prepared:
        program = Program()
        return Prepared(self, program, self.body(program))


@dataclass(frozen=True)
class Prepared:
    """A case with its program and its numbers."""

    case: Case
    program: Program
    outcomes: Sequence[Outcome]

    def disagreement(self, library: Library, without: str | None = None) -> str:
        """Runs the program; an empty text where the emulator and numpy agree."""
        error = self.program.run(library, without != "checks", without is None)
        if error:
            return error
        return "; ".join(filter(None, (outcome.difference() for outcome in self.outcomes)))

    def verdict(self, library: Library) -> tuple[str, str]:
        """ "agrees", "explained" or "disagrees", and why."""
        found, expected = self.disagreement(library), self.case.explanation
        if expected is None:
            return ("disagrees", found) if found else ("agrees", "")
        if expected.disagreement not in found:
            return (
                "disagrees",
                f"expected was: {expected.disagreement}; found: {found or 'nothing'}",
            )
        numbers_differ = expected.without and self.disagreement(library, expected.without)
        return ("disagrees", numbers_differ) if numbers_differ else ("explained", expected.reason)
