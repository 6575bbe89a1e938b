"""The paper's grid of bandwidth and terms: worst and mean SNR of every pair, as table and heat map.

Plans of one leaf in sequential form, as in arXiv 2606.06034, on chunk matrices with the gates of
real models, with operands of float16, and on int16 and int8 grids with scales per chunk. A plan is
exact where terms * (bandwidth + 1) >= C.

    python benchmarks/grid.py [--chunk C] [--rho RHO] [--matrices N] [--out DIR]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neumann_tril import QuantPlan, inverse_quantized, reference, testing
from neumann_tril.benchmark import torch_threads
from neumann_tril.cli.report import (
    console,
    correlation,
    decibel,
    folder,
    plain_table,
    positive,
    progress_bar,
    write_json,
)
from neumann_tril.plan import Plan

GATES = ("qwen3.5-0.8b", "qwen3-next")
BANDS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 15, 31)
TERMS = (1, 2, 4, 6, 8, 12, 16)
FLOOR, CEILING = -20.0, 90.0  # of the colours, dB

Method = Callable[[Plan, Tensor], Tensor]


def in_float16(plan: Plan, A: Tensor) -> Tensor:
    return reference.inverse(A, plan, torch.float16)


def on_grids(bits: int, plan: Plan, A: Tensor) -> Tensor:
    qplan = QuantPlan.dynamic(chunk_size=plan.chunk_size, bits=bits, plan=plan)
    result: Tensor = inverse_quantized(A, qplan, backend="cpu")
    return result


METHODS: dict[str, Method] = {
    "float16": in_float16,
    "int16": partial(on_grids, 16),
    "int8": partial(on_grids, 8),
}


def draw(
    cells: list[dict[str, Any]], terms: Sequence[int], bands: Sequence[int], path: Path
) -> None:
    """A heat map of the worst SNR for every method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6 * len(METHODS), 4.2), layout="constrained")
    axes = figure.subplots(1, len(METHODS), sharey=True)
    for axis, name in zip(axes, METHODS, strict=True):
        worst = [[_of(cells, name, w, s)["worst"] for s in terms] for w in bands]
        shown = [[min(max(v, FLOOR), CEILING) for v in row] for row in worst]
        image = axis.imshow(shown, cmap="viridis", vmin=FLOOR, vmax=CEILING, aspect="auto")
        for i, row in enumerate(worst):
            for j, value in enumerate(row):
                color = "white" if value < 45 else "black"
                text = "" if value == -math.inf else f"{value:.0f}"
                axis.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
        axis.set_xticks(range(len(terms)), [str(s) for s in terms])
        axis.set_yticks(range(len(bands)), [str(w) for w in bands])
        axis.set_xlabel("terms S")
        axis.set_title(name)
    axes[0].set_ylabel("bandwidth w")
    figure.colorbar(image, ax=axes, label="worst SNR of a chunk, dB")
    figure.savefig(path)


def _of(cells: list[dict[str, Any]], name: str, w: int, s: int) -> dict[str, Any]:
    return next(c for c in cells if (c["method"], c["w"], c["S"]) == (name, w, s))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunk", type=int, choices=(32, 64, 128), default=64, help="C (64)")
    parser.add_argument("--rho", type=correlation, default=0.7, help="of the keys (0.7)")
    parser.add_argument("--matrices", type=positive, default=64, help="of each gates (64)")
    parser.add_argument("--out", type=folder, default=Path("out"), help="folder of the files (out)")
    options = parser.parse_args(arguments)

    size = options.chunk
    bands = [w for w in BANDS if w < size]
    terms = [s for s in TERMS if s <= size]
    A = torch.cat(
        [
            testing.chunk_matrices(testing.Regime("", gates, options.rho), size, options.matrices)
            for gates in GATES
        ]
    ).half()
    truth = testing.truth(A)
    cells: list[dict[str, Any]] = []
    with progress_bar() as progress, torch.no_grad(), torch_threads(1):
        task = progress.add_task("", total=len(METHODS) * len(bands) * len(terms))
        for name, method in METHODS.items():
            for w in bands:
                for s in terms:
                    progress.update(task, description=f"{name} w={w} S={s}", advance=1)
                    X = method(Plan(size, w, s, "sequential"), A)
                    snr = testing.snr_mean_worst(X, truth)
                    cells.append(
                        {"method": name, "w": w, "S": s, "worst": snr.worst, "mean": snr.mean}
                    )
    for name in METHODS:
        title = (
            f"{name}, C = {size}, {len(A)} matrices, keys alike {options.rho:g}: worst (mean) dB"
        )
        table = plain_table(title, "w", *(f"S={s}" for s in terms))
        for w in bands:
            table.add_row(str(w), *(decibel(_of(cells, name, w, s)["worst"]) for s in terms))
        console.print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / f"grid_c{size}.json", {"rho": options.rho, "cells": cells})
    draw(cells, terms, bands, options.out / f"grid_c{size}.png")
    console.print(f"Picture: {options.out / f'grid_c{size}.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
