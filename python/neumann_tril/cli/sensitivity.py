"""The assumptions that matter for a modelled time, as a table and as a tornado."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

from ..sensitivity import Priced, Study, Swing
from .report import console, plain_table

NEGLIGIBLE = 0.002
"""Part of the time; a cost that moves it by less is only named."""


def figures(study: Study) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "time_range_us": study.time_range,
        "single_time_range_us": study.single_time_range,
        "baseline_range_us": study.baseline_range,
        "ratio_range": study.ratio_range,
        "draws": len(study.joint),
        "costs": [
            {
                "name": swing.cost.name,
                "value": swing.cost.value,
                "unit": swing.cost.unit,
                "evidence": swing.cost.evidence,
                "source": swing.cost.source,
                "changes": [
                    {
                        "value": priced.table[swing.cost.name],
                        "time_us": priced.time_us,
                        "baseline_us": priced.baseline_us,
                        "ratio": priced.ratio,
                    }
                    for priced in swing.priced
                ],
            }
            for swing in study.swings
        ],
    }


def show(study: Study) -> None:
    """Print the ranges and the table."""
    singles = sum(len(swing.priced) for swing in study.swings)
    console.print(f"\nSensitivity: {singles} single changes, {len(study.joint)} draws of all")
    for text, one, every in (
        ("time", study.single_time_range, study.time_range),
        ("published method", None, study.baseline_range),
        ("ratio", None, study.ratio_range),
    ):
        if every is not None:
            single = f" ({one[0]:.4g} to {one[1]:.4g} one at a time)" if one else ""
            console.print(f"{text}: {every[0]:.4g} to {every[1]:.4g}{single}")
    shown = [swing for swing in study.swings if _matters(swing, study.base)]
    table = plain_table("", "cost", "table", "other values", "time, us", "ratio")
    for swing in shown:
        values = [f"{priced.table[swing.cost.name]:g}" for priced in swing.priced]
        times = [f"{priced.time_us:.1f}" for priced in swing.priced]
        ratios = [f"{priced.ratio:.2f}" for priced in swing.priced if priced.ratio is not None]
        table.add_row(
            f"{swing.cost.name} ({swing.cost.evidence})",
            f"{swing.cost.value:g}",
            *("  ".join(texts) for texts in (values, times, ratios)),
        )
    console.print(table)
    rest = [swing.cost.name for swing in study.swings if swing not in shown]
    if rest:
        console.print(f"Under {NEGLIGIBLE:.1%}: {', '.join(rest)}")


def draw(study: Study, title: str, path: Path) -> Path | None:
    """The tornado: what each cost alone does to the time and the ratio; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError:
        return None
    swings = [swing for swing in study.swings if _matters(swing, study.base)][::-1]
    quantities = [(_TIME, study.time_range)]
    if study.ratio_range is not None:
        quantities.append((_RATIO, study.ratio_range))
    figure = Figure(figsize=(10, 0.35 * len(swings) + 1.6), layout="constrained")
    panels = figure.subplots(1, len(quantities), sharey=True, squeeze=False)[0]
    for axes, ((name, of), span) in zip(panels, quantities, strict=True):
        base = of(study.base)
        axes.axvspan(*span, color="0.92")
        for row, swing in enumerate(swings):
            for priced in swing.priced:
                label = _label(swing, priced)
                at = row + _OFFSETS.get(label, 0.0)
                axes.barh(at, of(priced) - base, 0.35, left=base, color=_COLOURS[label])
        axes.axvline(base, color="black", linewidth=0.8)
        axes.set_xlabel(name)
    panels[0].set_yticks(
        range(len(swings)),
        [f"{swing.cost.name}, {swing.cost.value:g} {swing.cost.unit}" for swing in swings],
        fontsize=8,
    )
    handles = [Patch(color=colour, label=label) for label, colour in _COLOURS.items()]
    handles.append(Patch(color="0.92", label="all costs at once"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


_COLOURS = {"half": "C0", "twice": "C3", "second source": "C2"}
_OFFSETS = {"half": 0.2, "twice": -0.2}
_TIME: tuple[str, Any] = ("modelled time, us", attrgetter("time_us"))
_RATIO: tuple[str, Any] = ("ratio to the published method", attrgetter("ratio"))


def _matters(swing: Swing, base: Priced) -> bool:
    low, high = swing.time_range(base)
    return high - low > NEGLIGIBLE * base.time_us


def _label(swing: Swing, priced: Priced) -> str:
    value = priced.table[swing.cost.name]
    if swing.cost.evidence == "published":
        return "second source"
    return "half" if value < swing.cost.value else "twice"
