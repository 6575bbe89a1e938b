"""Accuracy of the quantised inverse, and its speed on this CPU beside float32.

Accuracy: worst and median SNR over chunk matrices with the gates of real models; static scales come
from other tokens than those tested. Speed: median time of one call on one thread, all methods in
turn, as a ratio to the float32 plan "exact".

    python benchmarks/quantised.py [--chunk-sizes C ...] [--rhos RHO ...] [--matrices N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neumann_tril import QuantPlan, calibrate, inverse, inverse_quantized, quant, testing
from neumann_tril.benchmark import machine, medians, torch_threads
from neumann_tril.cli.report import (
    chunk_size,
    console,
    correlation,
    decibel,
    duration,
    plain_table,
    positive,
    progress_bar,
    write_json,
)

GATES = ("qwen3.5-0.8b", "qwen3-next")
CALIBRATION_TOKENS = 8192
KINDS = ("scales per chunk", "static per head", "static per tensor")


def quantised_plan(kind: str, bits: int, size: int, other: Tensor) -> QuantPlan:
    """other: chunk matrices to calibrate with, (B, N, H, C, C)."""
    if kind == KINDS[0]:
        return QuantPlan.dynamic(chunk_size=size, bits=bits)
    return calibrate(other, bits=bits, granularity="head" if kind == KINDS[1] else "tensor")


def accuracy(size: int, rho: float, count: int) -> Iterator[dict[str, Any]]:
    """A row for each gates, bits and kind of scales."""
    for gates in GATES:
        regime = testing.Regime("", gates, rho)
        other = testing.split_chunks(
            testing.layer(regime, CALIBRATION_TOKENS, size, seed=100), size
        )
        rows = max(1, count // regime.heads)
        A = testing.split_chunks(testing.layer(regime, rows * size, size, seed=1), size)
        truth = testing.truth(A)
        for bits in (16, 8):
            for kind in KINDS:
                X = inverse_quantized(A, quantised_plan(kind, bits, size, other), backend="cpu")
                snr = testing.snr(X, truth)
                yield {
                    "C": size,
                    "rho": rho,
                    "gates": gates,
                    "bits": bits,
                    "scales": kind,
                    "worst": float(snr.min()),
                    "median": float(snr.median()),
                }


def speed(size: int, count: int) -> dict[str, float]:
    """Median seconds of one call by method."""
    regime = testing.Regime("", GATES[0], 0.7)
    heads = regime.heads
    A = testing.split_chunks(
        testing.layer(regime, max(1, count // heads) * size, size, seed=2), size
    )
    static = {
        bits: calibrate(A, bits=bits, integer_input=True, granularity="head") for bits in (16, 8)
    }
    calls = {"float32": partial(inverse, A, backend="cpu")}
    for bits, qplan in static.items():
        codes = quant.quantize(A, qplan).codes
        dynamic = QuantPlan.dynamic(chunk_size=size, bits=bits)
        calls[f"int{bits}, codes to codes"] = partial(
            inverse_quantized, codes, qplan, output_dtype=codes.dtype, backend="cpu"
        )
        calls[f"int{bits}, float32 to float32"] = partial(
            inverse_quantized, A, qplan, backend="cpu"
        )
        calls[f"int{bits}, scales per chunk"] = partial(
            inverse_quantized, A, dynamic, backend="cpu"
        )
    return medians(calls, budget=2.0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunk-sizes", type=chunk_size, nargs="+", default=[32, 64, 128])
    parser.add_argument("--rhos", type=correlation, nargs="+", default=[0.0, 0.3, 0.7, 0.95])
    parser.add_argument("--matrices", type=positive, default=256, help="of each gates (256)")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args(arguments)

    rows: list[dict[str, Any]] = []
    times: dict[int, dict[str, float]] = {}
    with progress_bar() as progress, torch.no_grad(), torch_threads(1):
        task = progress.add_task("", total=len(options.chunk_sizes) * (len(options.rhos) + 1))
        for size in options.chunk_sizes:
            for rho in options.rhos:
                progress.update(task, description=f"C = {size}, rho {rho:g}")
                rows += accuracy(size, rho, options.matrices)
                progress.advance(task)
            progress.update(task, description=f"C = {size}, times")
            times[size] = speed(size, options.matrices)
            progress.advance(task)
    for size in options.chunk_sizes:
        console.print(_accuracy_table([row for row in rows if row["C"] == size], options.rhos))
    console.print(_speed_table(times))
    write_json(options.json, {"machine": machine(), "accuracy": rows, "seconds": times})
    return 0


def _accuracy_table(rows: list[dict[str, Any]], rhos: Sequence[float]) -> Any:
    """Worst over both gates, and the lower of their medians."""
    title = f"C = {rows[0]['C']}, plan exact: worst / median dB, both gates"
    table = plain_table(title, "", *(f"rho {rho:g}" for rho in rhos))
    for bits in (16, 8):
        for kind in KINDS:
            cells = []
            for rho in rhos:
                found = [r for r in rows if (r["bits"], r["scales"], r["rho"]) == (bits, kind, rho)]
                worst, median = (min(r[key] for r in found) for key in ("worst", "median"))
                cells.append(f"{decibel(worst)} / {decibel(median)}")
            table.add_row(f"int{bits}, {kind}", *cells)
    return table


def _speed_table(times: dict[int, dict[str, float]]) -> Any:
    table = plain_table("This CPU, one thread: time, and float32's as a multiple of it", "")
    for size in times:
        table.add_column(f"C = {size}", justify="right")
    for name in next(iter(times.values())):
        cells = []
        for found in times.values():
            ratio = found["float32"] / found[name]
            cells.append(f"{duration(found[name])}  {ratio:.2f}x")
        table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
