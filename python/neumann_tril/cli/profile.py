"""Model the NPU kernel's time for a batch of chunk matrices, on the emulator.

The kernel sources run on this CPU with every check on; the time is what the emulator models for
the chip, not a measurement. The ratio is to a kernel of the method that NPU implementations ship
(doubling in 16-blocks, then merges), modelled in the same way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from .. import emulator, testing
from ..native import dense_chunks
from ..plan import plan_for
from ..sensitivity import Study, study
from . import sensitivity
from .report import console, folder, json_file, plain_table, positive, progress_bar, write_json

HELP = "modelled time of the NPU kernel, by the emulator"

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
PIPES = ("MTE2", "V", "MTE3", "MTE1", "M", "FIX")
COLOURS = dict(zip(PIPES, ("C0", "C2", "C5", "C1", "C3", "C4"), strict=True))
REGIME = "qwen3.5-0.8b rho 0.7"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--chunk", type=int, choices=(16, 32, 64, 128), default=64, help="C (64)")
    parser.add_argument("--matrices", type=positive, default=1024, metavar="N", help="(1024)")
    parser.add_argument("--dtype", choices=DTYPES, default="float16", help="(float16)")
    parser.add_argument("--plan", default="exact", help="a named plan or its fields (exact)")
    parser.add_argument(
        "--soc", choices=emulator.CUBE_CORES, default="Ascend910B4", help="chip (Ascend910B4)"
    )
    parser.add_argument(
        "--trace", type=json_file, metavar="FILE", help="write the timeline for Perfetto to FILE"
    )
    parser.add_argument(
        "--sensitivity",
        action="store_true",
        help="also the range of the time and of the ratio, were the assumed costs others",
    )
    parser.add_argument(
        "--out", type=folder, default=Path("out"), help="folder of the picture (out)"
    )


def run(options: argparse.Namespace) -> int:
    dtype = DTYPES[options.dtype]
    plan = plan_for(options.chunk, options.plan, dtype)
    A = testing.chunk_matrices(REGIME, options.chunk, options.matrices, dtype=dtype)
    X = torch.empty_like(A)
    arch = emulator.architecture(options.soc)
    cores = emulator.CUBE_CORES[options.soc]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as recordings:
        trace = options.trace or Path(scratch) / "trace.json"
        trace.parent.mkdir(parents=True, exist_ok=True)
        record = int(options.sensitivity)
        with emulator.options(arch, soc=options.soc, trace_path=str(trace), record=record):
            report = emulator.inverse(
                A, X, plan, dtype, dense_chunks(A, X), arch=arch, cube_cores=cores
            )
        events = json.loads(trace.read_text())["traceEvents"]
        recorded = [recordings.enter_context(emulator.Recording(arch))] if record else []
        baseline = _baseline_us(A, options.soc, cores, record)
        if record and baseline is not None:
            recorded.append(recordings.enter_context(emulator.Recording(arch)))
        swept = _sweep(options.soc, *recorded) if record else None
    worst = testing.snr(X, testing.truth(A)).min().item()
    figures = _figures(report, baseline, worst)

    console.print(f"{options.matrices:,} matrices of {options.chunk} x {options.chunk}, {plan}")
    console.print(f"{options.dtype} on {options.soc}, {cores} cube cores; modelled, not measured\n")
    console.print(_table(figures, cores))
    picture = _draw(events, options, figures["time_us"])
    if picture:
        console.print(f"Timeline of one core: {picture}", soft_wrap=True)
    tornado = swept and _tell(swept, options)
    if options.trace:
        console.print(f"Trace for ui.perfetto.dev: {options.trace}", soft_wrap=True)
    write_json(
        options.json,
        {
            "command": "profile",
            "soc": options.soc,
            "plan": str(plan),
            "dtype": options.dtype,
            "matrices": options.matrices,
            "picture": picture and str(picture),
            **figures,
            "sensitivity": swept and sensitivity.figures(swept),
            "tornado": tornado and str(tornado),
        },
    )
    return 0


def _sweep(
    soc: str, kernel: emulator.Recording, baseline: emulator.Recording | None = None
) -> Study:
    with progress_bar() as progress:
        return study(
            kernel,
            baseline,
            emulator.costs(soc),
            track=lambda tables: progress.track(tables, description="costs"),
        )


def _tell(swept: Study, options: argparse.Namespace) -> Path | None:
    sensitivity.show(swept)
    path = options.out / f"sensitivity_c{options.chunk}_{options.dtype}.png"
    title = f"{options.matrices:,} matrices on {options.soc}: C = {options.chunk}, {options.dtype}"
    picture = sensitivity.draw(swept, title, path)
    if picture:
        console.print(f"Tornado: {picture}", soft_wrap=True)
    return picture


def _baseline_us(A: torch.Tensor, soc: str, cores: int, record: int) -> float | None:
    """Modelled time of the published method, which exists for float16 on dav-2201."""
    if A.dtype != torch.float16 or emulator.architecture(soc) != 2201:
        return None
    with emulator.options(2201, soc=soc, record=record):
        return emulator.peer_baseline(A, cores)[1].time_us


def _figures(report: emulator.Report, baseline: float | None, worst: float) -> dict[str, Any]:
    details = report.details
    return {
        "time_us": report.time_us,
        "baseline_us": baseline,
        "ratio": baseline and baseline / report.time_us,
        "worst_snr_db": worst,
        "busy_us": {pipe: details["busy_ns"][pipe] / 1e3 for pipe in PIPES},
        "bytes": details["bytes"],
        "hbm_bytes": details["hbm_read_bytes"] + details["hbm_write_bytes"],
    }


def _table(figures: dict[str, Any], cores: int) -> Any:
    table = plain_table("", "modelled", "")
    table.add_row("time", f"{figures['time_us']:.1f} us")
    if figures["baseline_us"] is not None:
        table.add_row("published method", f"{figures['baseline_us']:.1f} us")
        table.add_row("ratio", f"{figures['ratio']:.2f}x")
    table.add_row("HBM traffic", f"{figures['hbm_bytes'] / 1e6:.1f} MB")
    rate = figures["hbm_bytes"] / figures["time_us"] / 1e3
    table.add_row("HBM rate", f"{rate:.0f} GB/s")
    for pipe, busy in figures["busy_us"].items():
        # MTE2 runs on all three cores of a block, V and MTE3 on the two vector cores.
        share = {"MTE2": 3, "V": 2, "MTE3": 2}.get(pipe, 1)
        table.add_row(f"pipe {pipe} busy", f"{busy / (cores * share) / figures['time_us']:.0%}")
    table.add_row("worst SNR", f"{figures['worst_snr_db']:.1f} dB")
    return table


def _draw(events: list[dict[str, Any]], options: argparse.Namespace, time_us: float) -> Path | None:
    """What the pipes of block 0 do, over the whole launch; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        console.print("No picture: matplotlib is not installed (pip install 'neumann-tril[plot]')")
        return None
    names = {
        event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"
    }
    pipes = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    lanes: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for event in events:
        core = names.get(event["pid"], "")
        if event["ph"] != "X" or event["cat"] != "work" or "block 0" not in core:
            continue
        pipe = pipes[event["pid"], event["tid"]]
        if pipe in PIPES:
            lanes.setdefault((core, pipe), []).append((event["ts"], event["dur"]))
    order = sorted(lanes, key=lambda lane: (lane[0], PIPES.index(lane[1])), reverse=True)
    figure = Figure(figsize=(10, 0.45 * len(order) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, lane in enumerate(order):
        axes.broken_barh(lanes[lane], (row - 0.4, 0.8), color=COLOURS[lane[1]], linewidth=0)
    axes.set_yticks(range(len(order)), [f"{core}  {pipe}" for core, pipe in order], fontsize=8)
    axes.set_xlim(0, time_us)
    axes.set_xlabel("modelled time, us")
    axes.set_title(f"Block 0 of {options.soc}: C = {options.chunk}, {options.dtype}", fontsize=10)
    path: Path = options.out / f"timeline_c{options.chunk}_{options.dtype}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
