"""Time ours and the other inversions on this CPU.

Medians of calls that take turns. "ours" is the time of a call with a preallocated result, the other
columns say how many times as long a method takes. "copy" moves the same bytes, the floor.
"""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import asdict
from typing import Any

import torch
from rich.table import Table

from ..benchmark import COPY, METHODS, OURS, Timing, cpu_table, machine
from .report import chunk_size, console, duration, plain_table, positive, progress_bar, write_json

HELP = "the table of times on this CPU"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cores = os.cpu_count() or 1
    threads = sorted({1, min(2, cores)})
    parser.add_argument(
        "--chunk-sizes",
        type=chunk_size,
        nargs="+",
        default=[16, 32, 64, 128],
        metavar="C",
        help="(16 32 64 128)",
    )
    parser.add_argument(
        "--matrices",
        type=positive,
        nargs="+",
        default=[16, 256, 2048],
        metavar="N",
        help="batch sizes (16 256 2048)",
    )
    parser.add_argument(
        "--dtypes", choices=DTYPES, nargs="+", default=list(DTYPES), help="(float32 bfloat16)"
    )
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=threads, metavar="K", help="(1 2)"
    )
    parser.add_argument(
        "--milliseconds",
        type=positive,
        default=200,
        help="time that a method may take for one figure, after its first call (200)",
    )


def run(options: argparse.Namespace) -> int:
    machine_ = machine()
    timings = cpu_table(
        options.chunk_sizes,
        options.matrices,
        [DTYPES[name] for name in options.dtypes],
        options.threads,
        budget=options.milliseconds / 1000,
    )
    measured: list[Timing] = []
    steps = math.prod(
        len(values)
        for values in (options.chunk_sizes, options.matrices, options.dtypes, options.threads)
    )
    with progress_bar() as progress:
        for timing in progress.track(timings, total=steps, description="timing"):
            measured.append(timing)
    console.print(f"{machine_['processor']}, torch {machine_['torch']}")
    console.print("Time of ours, and how many times as long the others take\n")
    for dtype in options.dtypes:
        for number in options.threads:
            rows = [line for line in measured if (line.dtype, line.threads) == (dtype, number)]
            console.print(_table(rows, f"{dtype}, {number} thread{'s' * (number > 1)}"))
    write_json(
        options.json,
        {"command": "bench", "machine": machine_, "rows": [_figures(line) for line in measured]},
    )
    return 0


def _table(timings: list[Timing], title: str) -> Table:
    headers = ["C", "matrices", "ours"]
    headers += [
        name.replace("_", "_\n").replace(".", "\n.").replace(" ", "\n")
        for name in METHODS
        if name != OURS
    ]
    table = plain_table(title, *headers)
    for timing in timings:
        cells = [str(timing.chunk_size), f"{timing.count:,}", duration(timing.seconds[OURS])]
        cells += [_ratio(timing, name) for name in METHODS if name != OURS]
        table.add_row(*cells)
    return table


def _ratio(timing: Timing, name: str) -> str:
    if name not in timing.seconds:
        return ""
    text = f"{timing.ratio(name):.3g}x"
    return f"[red]{text}[/]" if name != COPY and timing.ratio(name) < 1 else text


def _figures(timing: Timing) -> dict[str, Any]:
    ratios = {name: timing.ratio(name) for name in timing.seconds}
    return {**asdict(timing), "ratios": ratios}
