"""Invert the chunk matrices of a whole layer and compare accuracy and speed with other methods.

The layer has 8,192 tokens and 16 heads with the gates of Qwen3.5-0.8B and correlated keys. Methods
with float16 and bfloat16 operands, as NPUs run them, are emulated on some of its matrices: their
roundings are exact, their time is not theirs and is not shown.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from .. import reference, testing
from ..benchmark import SOLVE, machine, medians, solve_triangular, torch_threads
from ..ops import inverse, solve_tril
from ..plan import Plan, plan_for
from ..quant import QuantPlan, calibrate, inverse_quantized
from ..testing import Regime
from . import npu_demo
from .report import (
    chunk_size,
    console,
    correlation,
    decibel,
    duration,
    folder,
    plain_table,
    positive,
    progress_bar,
    write_json,
)

HELP = "accuracy and speed on one layer, with a picture"
DEVICES = ("cpu", "npu", "stand-in")

GATES = "qwen3.5-0.8b"
OPERANDS = (torch.float16, torch.bfloat16)
BITS = (16, 8)
INTEGERS = "integer"
CALIBRATION_TOKENS = 4096  # of another draw
CURVE = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)
CURVE_MATRICES = 64

Method = Callable[[Tensor, torch.dtype], Tensor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=positive, default=8192, help="tokens of the layer (8192)")
    parser.add_argument("--heads", type=positive, default=16, help="heads of the layer (16)")
    parser.add_argument(
        "--chunk-sizes", type=chunk_size, nargs="+", default=[64, 128], metavar="C", help="(64 128)"
    )
    parser.add_argument(
        "--rho", type=correlation, default=0.7, help="correlation of the keys in the tables (0.7)"
    )
    parser.add_argument(
        "--emulated", type=positive, default=256, help="matrices that are emulated (256)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random layer (0)")
    parser.add_argument(
        "--out", type=folder, default=Path("out"), help="folder of the picture (out)"
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="npu: the layer through torch_npu; stand-in: the same without an NPU (cpu)",
    )


@dataclass(frozen=True)
class Row:
    """One line of a table: accuracy in dB against the float64 inverse, seconds if it was timed."""

    chunk_size: int
    method: str
    operands: str
    matrices: int
    products: int | None
    worst: float
    mean: float
    finite: float
    seconds: float | None = None
    speedup: float | None = None


def run(options: argparse.Namespace) -> int:
    """0 if it was shown, 1 otherwise."""
    if options.device != "cpu":
        return npu_demo.run(options)
    rows: list[Row] = []
    curve: list[dict[str, Any]] = []
    steps = len(options.chunk_sizes) * (1 + _emulated_rows() + 2 * len(BITS)) + len(CURVE)
    # One thread: torch's small batched products stall for seconds when a core is taken away.
    with progress_bar() as progress, torch.no_grad(), torch_threads(1):
        task = progress.add_task("", total=steps)
        for size in options.chunk_sizes:
            progress.update(task, description=f"C = {size}: the layer")
            for row in _layer_rows(size, options):
                rows.append(row)
                progress.update(task, description=f"C = {size}: {row.method}")
                if row.seconds is None:
                    progress.advance(task)
            progress.advance(task)
        drawn, count = options.chunk_sizes[0], min(options.emulated, CURVE_MATRICES)
        for rho in CURVE:
            progress.update(task, description=f"C = {drawn}: keys of correlation {rho:g}")
            curve += _curve_points(drawn, rho, count, options.seed)
            progress.advance(task)

    console.print(
        f"A layer of {options.tokens:,} tokens and {options.heads} heads, gates of Qwen3.5-0.8B, "
        f"keys of correlation {options.rho:g}\n"
    )
    for table in _tables(rows):
        console.print(table)
    console.print(
        "SNR against the float64 inverse of A as the method gets it; results are kept in float32. "
        "Emulated: every product's operands are rounded, its sums exact, then rounded to float32. "
        "Times: all matrices in one call, on one thread, into a preallocated result."
    )
    picture = _draw(curve, drawn, options.out)
    if picture is None:
        console.print("No picture: matplotlib is missing; pip install 'neumann-tril\\[plot]'")
    else:
        console.print(f"Accuracy against the correlation of keys: {picture}", soft_wrap=True)
    write_json(
        options.json,
        {
            "command": "demo",
            "machine": machine(),
            "threads": 1,
            "tokens": options.tokens,
            "heads": options.heads,
            "rho": options.rho,
            "rows": [asdict(row) for row in rows],
            "curve": curve,
            "picture": None if picture is None else str(picture),
        },
    )
    return 0


def _named_plans(size: int, dtype: torch.dtype) -> dict[str, Plan]:
    """The named plans that exist for a chunk size; names of one plan are joined."""
    names: dict[Plan, list[str]] = {}
    for name in ("exact", "fast", "paper"):
        try:
            names.setdefault(plan_for(size, name, dtype), []).append(name)
        except ValueError:
            continue  # "paper" names four sizes only
    return {", ".join(aliases): plan for plan, aliases in names.items()}


def _emulated_methods(size: int, dtype: torch.dtype) -> Iterator[tuple[str, int | None, Method]]:
    """Name, products and function of every method that is emulated."""
    levels = math.ceil(math.log2(size))
    yield "forward substitution", None, reference.forward_substitution
    yield "doubling, whole chunk", 2 * (levels - 1), reference.chunk_doubling
    yield "doubling in 16-blocks, merges", 6 + 2 * (levels - 4), reference.block_doubling
    for name, plan in _named_plans(size, dtype).items():
        yield (f"plan {name}", plan.products, partial(_by_plan, plan))


def _by_plan(plan: Plan, A: Tensor, dtype: torch.dtype) -> Tensor:
    return reference.inverse(A, plan, dtype)


def _layer_rows(size: int, options: argparse.Namespace) -> Iterator[Row]:
    regime = Regime(gates=GATES, rho=options.rho)
    A = testing.layer(regime, options.tokens, size, heads=options.heads, seed=options.seed)
    chunks = testing.split_chunks(A, size).flatten(0, 1)
    yield from _timed_rows(A, chunks.flatten(0, 1))
    # Whole chunks, all heads of each, evenly over the layer.
    wanted = max(1, min(len(chunks), options.emulated // options.heads))
    chosen = torch.linspace(0, len(chunks) - 1, wanted).long()
    sample = chunks[chosen].flatten(0, 1)
    for dtype in OPERANDS:
        yield from _emulated_rows_of(sample, dtype)
    other = testing.layer(
        regime, CALIBRATION_TOKENS, size, heads=options.heads, seed=options.seed + 1
    )
    yield from _quantised_rows(chunks[chosen], testing.split_chunks(other, size))


def _quantised_rows(A: Tensor, other: Tensor) -> Iterator[Row]:
    """A (N, H, C, C), on integer grids; static scales come from the other tokens."""
    size = A.shape[-1]
    truth = testing.truth(A).flatten(0, 1)
    for bits in BITS:
        plans = {
            f"int{bits}, scales per chunk": QuantPlan.dynamic(chunk_size=size, bits=bits),
            f"int{bits}, static scales per head": calibrate(other, bits=bits),
        }
        for name, qplan in plans.items():
            X = inverse_quantized(A, qplan, backend="cpu").flatten(0, 1)
            yield _row(f"plan exact, {name}", INTEGERS, qplan.plan.products, X, truth)


def _timed_rows(A: Tensor, chunks: Tensor) -> Iterator[Row]:
    """float32 on this CPU, for the whole layer: A (B, T, H, C), and its matrices (N, C, C)."""
    size = A.shape[-1]
    # A short last chunk has no inverse in its missing rows.
    valid = testing.split_chunks(torch.ones_like(A), size).flatten(0, 2)
    truth = testing.truth(chunks) * valid
    plans = _named_plans(size, torch.float32)
    out = torch.empty_like(chunks)
    calls = {SOLVE: partial(solve_triangular, chunks, out)}
    for name, plan in plans.items():
        calls[name] = partial(inverse, chunks, plan, backend="cpu", out=out)
    seconds = medians(calls, budget=1.0)
    baseline = seconds[SOLVE]
    X = solve_triangular(chunks, out) * valid
    yield _row(SOLVE, "float32", None, X, truth, baseline, baseline)
    for name, plan in plans.items():
        X = testing.split_chunks(solve_tril(A, plan=plan, backend="cpu"), size).flatten(0, 2)
        yield _row(f"plan {name}", "float32", plan.products, X, truth, seconds[name], baseline)


def _emulated_rows_of(sample: Tensor, dtype: torch.dtype) -> Iterator[Row]:
    size = sample.shape[-1]
    A = sample.to(dtype)
    truth = testing.truth(A)
    operands = str(dtype).removeprefix("torch.")
    yield _row("true inverse, rounded", operands, None, truth.to(dtype), truth)
    for name, products, method in _emulated_methods(size, dtype):
        yield _row(name, operands, products, method(A, dtype), truth)


def _emulated_rows() -> int:
    """How many emulated rows a table has, for the progress bar."""
    return sum(len(list(_emulated_methods(64, dtype))) + 1 for dtype in OPERANDS)


def _row(
    method: str,
    operands: str,
    products: int | None,
    X: Tensor,
    truth: Tensor,
    seconds: float | None = None,
    baseline: float | None = None,
) -> Row:
    snr = testing.snr_mean_worst(X, truth)
    finite = testing.finite_fraction(X)
    speedup = baseline / seconds if seconds and baseline else None
    size = truth.shape[-1]
    count = len(truth)
    return Row(
        size, method, operands, count, products, snr.worst, snr.mean, finite, seconds, speedup
    )


def _tables(rows: list[Row]) -> Iterator[Table]:
    """A table for every chunk size and dtype of operands."""
    for (size, operands), group in groupby(rows, lambda row: (row.chunk_size, row.operands)):
        lines = list(group)
        count = f"{lines[0].matrices:,} matrices of {size} x {size}"
        if lines[0].seconds:
            yield _timed_table(lines, f"{operands} on this CPU, {count}")
        elif operands == INTEGERS:
            yield _emulated_table(lines, f"quantised, operands and intermediates, {count}")
        else:
            yield _emulated_table(lines, f"{operands} operands, emulated, {count}")


def _timed_table(rows: list[Row], title: str) -> Table:
    table = plain_table(title, "method", "products", "worst dB", "mean dB", "time", "speed-up")
    for row in rows:
        seconds, speedup = duration(row.seconds or 0.0), f"{row.speedup:.1f}x"
        table.add_row(*_accuracy_cells(row), seconds, speedup)
    return table


def _emulated_table(rows: list[Row], title: str) -> Table:
    table = plain_table(title, "method", "products", "worst dB", "mean dB", "finite")
    for row in rows:
        table.add_row(*_accuracy_cells(row), f"{row.finite:.0%}")
    return table


def _accuracy_cells(row: Row) -> tuple[str, str, str, str]:
    products = "" if row.products is None else str(row.products)
    return row.method, products, decibel(row.worst), decibel(row.mean)


def _curve_points(size: int, rho: float, count: int, seed: int) -> list[dict[str, Any]]:
    """Worst SNR of every emulated method for one correlation of the keys."""
    A = testing.chunk_matrices(Regime(gates=GATES, rho=rho), size, count, seed=seed)
    points = []
    for dtype in OPERANDS:
        truth = testing.truth(A.to(dtype))
        for name, _, method in _emulated_methods(size, dtype):
            worst = testing.snr_mean_worst(method(A.to(dtype), dtype), truth).worst
            operands = str(dtype).removeprefix("torch.")
            points.append({"operands": operands, "method": name, "rho": rho, "worst": worst})
    return points


def _draw(curve: list[dict[str, Any]], size: int, directory: Path) -> Path | None:
    """Save the picture; None without matplotlib. Below -20 dB all points lie on the floor."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    floor = -20.0
    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    positions = range(len(CURVE))
    for axis, dtype in zip(axes, OPERANDS, strict=True):
        operands = str(dtype).removeprefix("torch.")
        points = [point for point in curve if point["operands"] == operands]
        for method in dict.fromkeys(point["method"] for point in points):
            worst = [point["worst"] for point in points if point["method"] == method]
            style = "-o" if method.startswith("plan") else "--s"
            axis.plot(positions, [max(w, floor) for w in worst], style, ms=4, label=method)
        axis.set_xticks(positions, [f"{rho:g}" for rho in CURVE])
        axis.set_xlabel("correlation of the keys")
        axis.set_title(f"{operands} operands (emulated)")
        axis.axhline(floor, color="0.6", lw=0.8)
        axis.text(0, floor + 1.5, "overflow, or worse than -20 dB", color="0.4", fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("worst SNR of a chunk, dB")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.suptitle(f"Accuracy of (I + A)^-1, C = {size}, gates of Qwen3.5-0.8B")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"accuracy_c{size}.png"
    figure.savefig(path)
    return path
