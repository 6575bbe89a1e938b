"""Everything that a run of the study finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from study import Evaluation

__all__ = ["Results"]


@dataclass
class Results:
    """The evaluations of all methods, and of plans over w and S."""

    reference: Evaluation
    rows: list[Evaluation] = field(default_factory=list)
    grid: dict[bool, dict[tuple[int, int], float]] = field(default_factory=dict)  # perplexities
    grid_reference: float = 0.0
    stress: dict[str, list[Evaluation]] = field(default_factory=dict)  # the reference comes first
    tokens: dict[str, int] = field(default_factory=dict)
