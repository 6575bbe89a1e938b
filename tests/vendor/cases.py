"""A case: one function of the library on given numbers, and what documents and numpy say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
class Case:
    """``body`` builds a program with ``function`` in it and returns what to look at after its run."""

    core: str
    function: str
    label: str
    body: Callable[[Program], Sequence[Outcome]]
    also: Sequence[str] = field(default=())
    """Other functions of the library that the body calls."""

    def run(self, library: Library) -> str:
        """An empty text, or the disagreement."""
        program = Program(library)
        outcomes = self.body(program)
        error = program.run()
        if error:
            return error
        return "; ".join(filter(None, (outcome.difference() for outcome in outcomes)))
