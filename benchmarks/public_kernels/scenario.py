"""What every set of public scenarios has in common: an outcome for each, and a table."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from findings import finding

Status = Literal[
    "right", "wrong", "refused", "not compared", "not compiled", "not for this architecture"
]


@dataclass(frozen=True)
class Outcome:
    """One scenario on one architecture; ``detail`` says why it is not right."""

    project: str
    commit: str
    arch: int
    scenario: str
    status: Status
    detail: str = ""

    @property
    def fault(self) -> str:
        """Whose fault a wrong result is: "theirs" where a finding says so, else "ours"."""
        if self.status != "wrong":
            return ""
        return "theirs" if finding(self.scenario, self.detail) else "ours"

    def __str__(self) -> str:
        parts = [f"{self.arch} {self.project} {self.scenario}: {self.status}", self.detail]
        if self.status == "wrong":
            parts[0] += f", {self.fault}"
            parts.append(finding(self.scenario, self.detail))
        return ": ".join(part for part in parts if part)


def commit_of(checkout: Path) -> str:
    """Abbreviated commit of a checkout."""
    done = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short=10", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown, one row per project and architecture."""
    rows: dict[tuple[str, str, int], Counter[str]] = {}
    for outcome in outcomes:
        key = (outcome.project, outcome.commit, outcome.arch)
        rows.setdefault(key, Counter())[outcome.fault or outcome.status] += 1
    lines = [
        "| name | commit | architecture | scenarios | compiled | right | not compared "
        "| refused | wrong: theirs | wrong: ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (project, commit, arch), count in rows.items():
        ran = ("right", "not compared", "refused", "theirs", "ours")
        compiled = sum(count[kind] for kind in ran)
        total = compiled + count["not compiled"]
        lines.append(
            f"| {project} | {commit} | {arch} | {total} | {compiled} | {count['right']} "
            f"| {count['not compared']} | {count['refused']} | {count['theirs']} "
            f"| {count['ours']} |"
        )
    return "\n".join(lines)
