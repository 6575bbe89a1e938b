"""Tables, figures and pictures of the study's results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from results import Results
from study import Evaluation

__all__ = ["change", "draw", "figures", "markdown"]


LIMITS = ("A rounded, nothing else", "plan exact, X rounded too")  # not methods of their own


def change(perplexity: float, reference: float) -> float:
    """Percent."""
    return (perplexity / reference - 1) * 100


def percent(value: float) -> str:
    """+0.0012 %: four decimals where they matter; 'NaN' where a logit is."""
    if not math.isfinite(value):
        return "NaN"
    if abs(value) < 0.00005:
        return "0.0000"
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.3g}"


def decibel(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if math.isfinite(value) else ("exact" if value > 0 else "overflow")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def markdown(results: Results) -> str:
    lines = [*_main_table(results), *_layer_table(results)]
    lines += [*_grid_table(results, True), *_grid_table(results, False), *_stress_tables(results)]
    return "\n".join(lines)


def _main_table(results: Results) -> Iterator[str]:
    base = results.reference.perplexity
    tokens = results.tokens
    yield f"{tokens['text']:,} tokens in sequences of {tokens['sequence']:,}; "
    yield f"perplexity under the float64 inverse {base:.6f}."
    yield ""
    head = ("method", "operands", "perplexity, change in %", "mean dB", "worst dB", "own worst dB")
    rows = []
    for row in results.rows:
        figures = (decibel(row.mean), decibel(row.worst), decibel(row.own_worst))
        rows.append((row.method, row.operands, percent(change(row.perplexity, base)), *figures))
    yield from _table(head, rows)


def _layer_table(results: Results) -> Iterator[str]:
    yield "Worst SNR in dB of each layer, against the inverse of A as the model has it:"
    yield ""
    count = len(results.reference.layers)
    rows = [
        (row.method, row.operands, *(decibel(layer.worst) for layer in row.layers))
        for row in results.rows
    ]
    yield from _table(("method", "operands", *(str(n) for n in range(count))), rows)


def _grid_table(results: Results, masked: bool) -> Iterator[str]:
    cells = results.grid[masked]
    orders, terms = sorted({w for w, _ in cells}), sorted({s for _, s in cells})
    mask = "with the band mask" if masked else "without a mask"
    yield f"Perplexity, change in %, float16 operands, {mask} ({results.tokens['grid']:,} tokens):"
    yield ""
    rows = [
        (f"S = {s}", *(percent(change(cells[w, s], results.grid_reference)) for w in orders))
        for s in terms
    ]
    yield from _table(("", *(f"w = {w}" for w in orders)), rows)


def _stress_tables(results: Results) -> Iterator[str]:
    names = list(results.stress)
    base = {name: rows[0].perplexity for name, rows in results.stress.items()}
    count = results.tokens["stress bytes"]
    yield f"Stress texts of {count:,} bytes; change of perplexity in %; worst SNR in dB. NaN: the"
    yield "model's output is; in brackets how many inverses are not finite:"
    yield ""
    rows = [["float64 inverse: perplexity", "", *(f"{base[name]:.5g}" for name in names)]]
    for group in zip(*(results.stress[name][1:] for name in names), strict=True):
        cells = [_stress_cell(row, base[name]) for name, row in zip(names, group, strict=True)]
        rows.append([group[0].method, group[0].operands, *cells])
    yield from _table(("method", "operands", *names), rows)


def _stress_cell(row: Evaluation, reference: float) -> str:
    if row.not_finite:
        return f"NaN ({row.not_finite:,})"
    return f"{percent(change(row.perplexity, reference))}; {decibel(row.worst)}"


def figures(results: Results) -> dict[str, Any]:
    """All numbers, for JSON."""
    return {
        "tokens": results.tokens,
        "reference_perplexity": results.reference.perplexity,
        "rows": [_row(row, results.reference) for row in results.rows],
        "grid_reference_perplexity": results.grid_reference,
        "grid": [
            {"w": w, "S": s, "masked": masked, "perplexity": value}
            for masked, cells in results.grid.items()
            for (w, s), value in cells.items()
        ],
        "stress": {
            name: [_row(row, rows[0]) for row in rows] for name, rows in results.stress.items()
        },
    }


def _row(row: Evaluation, reference: Evaluation) -> dict[str, Any]:
    return {
        "method": row.method,
        "operands": row.operands,
        "perplexity": row.perplexity,
        "change_percent": change(row.perplexity, reference.perplexity),
        "mean_db": row.mean,
        "worst_db": row.worst,
        "own_worst_db": row.own_worst,
        "not_finite": row.not_finite,
        "layers": [
            {"mean_db": layer.mean, "worst_db": layer.worst, "not_finite": layer.not_finite}
            for layer in row.layers
        ],
    }


def draw(results: Results, directory: Path) -> Iterator[Path]:
    """The pictures; none without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    yield _draw_grid(results, Figure(figsize=(9, 4), layout="constrained"), directory)
    yield _draw_layers(results, Figure(figsize=(9, 4.5), layout="constrained"), directory)


def _draw_grid(results: Results, figure: Any, directory: Path) -> Path:
    """Heat maps of the change of perplexity over w and S; grey where it is not a number."""
    axes = figure.subplots(1, 2, sharey=True)
    image = None
    for axis, masked in zip(axes, (True, False), strict=True):
        cells = results.grid[masked]
        orders, terms = sorted({w for w, _ in cells}), sorted({s for _, s in cells})
        changes = [[change(cells[w, s], results.grid_reference) for w in orders] for s in terms]
        shown = [[_logarithm(abs(c)) for c in row] for row in changes]
        axis.set_facecolor("0.8")
        image = axis.imshow(shown, vmin=-4, vmax=3, cmap="RdYlGn_r", origin="lower", aspect="auto")
        for y, row in enumerate(changes):
            for x, value in enumerate(row):
                axis.text(x, y, percent(value), ha="center", va="center", fontsize=7)
        axis.set_xticks(range(len(orders)), [str(w) for w in orders])
        axis.set_yticks(range(len(terms)), [str(s) for s in terms])
        axis.set_xlabel("order w of the seed")
        axis.set_title("with the band mask" if masked else "without a mask")
    axes[0].set_ylabel("terms S of the residual sum")
    bar = figure.colorbar(image, ax=axes, label="change of perplexity, %")
    bar.set_ticks([-4, -2, 0, 2], labels=["0.0001", "0.01", "1", "100"])
    figure.suptitle("float16 operands, C = 64")
    return _saved(figure, directory / "accuracy_grid.png")


def _logarithm(value: float) -> float:
    return math.log10(max(1e-4, value)) if math.isfinite(value) else math.nan


def _draw_layers(results: Results, figure: Any, directory: Path) -> Path:
    """Worst SNR of each layer; points on the floor are worse or not finite."""
    floor = -20.0
    axes = figure.subplots(1, 2, sharey=True)
    for axis, operands in zip(axes, ("float16", "bfloat16"), strict=True):
        for row in results.rows:
            if row.operands == operands and row.own and row.method not in LIMITS:
                style = "-o" if row.method.startswith("plan") else "--s"
                worst = [max(floor, layer.worst) for layer in row.own]
                axis.plot(range(len(worst)), worst, style, ms=4, label=row.method)
        axis.axhline(floor, color="0.6", lw=0.8)
        axis.set_title(f"{operands} operands")
        axis.set_xlabel("Gated DeltaNet layer")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("worst SNR on held-out text, dB")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return _saved(figure, directory / "accuracy_layers.png")


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=100)
    return path
