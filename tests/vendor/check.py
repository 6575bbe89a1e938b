"""All cases, on libraries that are built for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vendor import (
    bitcode,
    cast_cases,
    cube_cases,
    elementwise_cases,
    l1_cases,
    layout_cases,
    reduction_cases,
)
from vendor.machine import Library

MODULES = (cube_cases, l1_cases, elementwise_cases, cast_cases, reduction_cases, layout_cases)


@dataclass
class Function:
    """What became of the cases of one function."""

    core: str
    name: str
    agreements: int = 0
    explanations: dict[str, str] = field(default_factory=dict)
    disagreements: dict[str, str] = field(default_factory=dict)
    """Label of a case -> why."""

    def row(self) -> str:
        """A line of the table, and a line for each case that does not agree."""
        cases = self.agreements + len(self.explanations) + len(self.disagreements)
        verdict = "agrees" if self.agreements == cases else f"{self.agreements} agree"
        lines = [f"{self.name:<64} {self.core}  {cases:>3} cases  {verdict}"]
        for word, found in (("explained", self.explanations), ("DISAGREES", self.disagreements)):
            lines += [f"    {word} ({label}): {why}" for label, why in found.items()]
        return "\n".join(lines)


def check(folder: Path) -> list[Function]:
    """Builds the libraries in a folder and runs every case. Raises ``bitcode.Missing``."""
    for core in ("aic", "aiv"):
        bitcode.library(core)
    prepared = [case.prepared() for module in MODULES for case in module.cases()]
    needed: dict[str, set[str]] = {"aic": set(), "aiv": set()}
    for item in prepared:
        needed[item.case.core] |= item.program.functions()
    built = bitcode.build(needed, folder)
    libraries = {core: Library(core, path) for core, path in built.items()}
    functions: dict[tuple[str, str], Function] = {}
    for item in prepared:
        case = item.case
        function = functions.setdefault(
            (case.core, case.function), Function(case.core, case.function)
        )
        verdict, why = item.verdict(libraries[case.core])
        if verdict == "agrees":
            function.agreements += 1
        elif verdict == "explained":
            function.explanations[case.label] = why
        else:
            function.disagreements[case.label] = why
    return list(functions.values())


def summary(functions: Sequence[Function]) -> str:
    """How many functions of each type of core agree, in how many cases."""
    lines = [f"{bitcode.PACKAGE} {bitcode.version()}, dav-2201, strict"]
    for core in ("aic", "aiv"):
        own = [function for function in functions if function.core == core]
        agreeing = [f for f in own if f.agreements and not f.disagreements]
        counts = Counter(
            agree=sum(f.agreements for f in own),
            explained=sum(len(f.explanations) for f in own),
            disagree=sum(len(f.disagreements) for f in own),
        )
        cases = ", ".join(f"{count} {word}" for word, count in counts.items())
        lines.append(f"{core}: {len(agreeing)} of {len(own)} functions agree; cases: {cases}")
    return "\n".join(lines)
