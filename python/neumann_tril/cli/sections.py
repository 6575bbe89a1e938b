"""The sections of `python -m neumann_tril report`, each run in a process of its own.

A process for each, because after a kernel has failed torch_npu may go on with memory that nobody
has written, and because a kernel may hang or crash.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import emulator, inverse, npu, reference, solve_tril, testing
from ..benchmark import medians
from ..native import dense_chunks
from ..plan import Plan, plan_for
from . import doctor
from .report import write_json

DEVICES = ("cpu", "emulator", "npu")

# Another order of a product's sums may double an error (6 dB) without anything being wrong.
TOLERANCE_DB = 6.0
REGIMES = ("qwen3.5-0.8b rho 0.7", "qwen3-next rho 0.95", "beta 2 rho 0.999", "all twos")
TIMED_REGIME = "qwen3.5-0.8b rho 0.7"
SAMPLE = 32  # matrices of an accuracy figure
WARM_UP, ROUNDS = 5, 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a report is to cover."""

    device: str
    chunk_sizes: tuple[int, ...]
    matrices: tuple[int, ...]

    @property
    def operands(self) -> tuple[torch.dtype, ...]:
        """Dtypes of the products' operands, which are the dtypes of A too."""
        return (torch.float32,) if self.device == "cpu" else (torch.float16, torch.bfloat16)

    def move(self, A: Tensor) -> Tensor:
        """A on the device that computes; the emulator works on CPU tensors."""
        return A.to("npu") if self.device == "npu" else A


# --- installation ------------------------------------------------------------------------------


def installation(request: Request) -> dict[str, Any]:
    """What `doctor` finds, and the versions of CANN, the driver and the chip."""
    found = doctor.findings() | {"versions": _version_files(), "npu-smi": _npu_smi()}
    found["stand_in"] = npu.stand_in()
    found["variables"] = {
        name: value for name, value in os.environ.items() if name.startswith("ASCEND")
    }
    return found


def _version_files() -> dict[str, str]:
    """First lines that name a version, of the files in which CANN and the driver keep theirs."""
    cann = os.environ.get("ASCEND_HOME_PATH", "/usr/local/Ascend/ascend-toolkit/latest")
    system = f"{platform.machine()}-linux"
    packages = ("version.cfg", "compiler/version.info", f"{system}/ascend_toolkit_install.info")
    places = [
        *(Path(cann) / name for name in packages),
        *(Path("/usr/local/Ascend") / name / "version.info" for name in ("driver", "firmware")),
    ]
    found = {}
    for place in places:
        if place.is_file():
            lines = place.read_text(errors="replace").splitlines()
            found[str(place)] = "; ".join(line for line in lines if re.search("(?i)version", line))
    return found


def _npu_smi() -> str:
    command = shutil.which("npu-smi")
    if command is None:
        return "not found"
    try:
        done = subprocess.run(
            [command, "info"], capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"failed: {error}"
    return done.stdout or done.stderr


# --- accuracy ----------------------------------------------------------------------------------


def accuracy(request: Request) -> dict[str, Any]:
    """Worst SNR by regime and plan beside that of the reference, and how many bits agree."""
    rows = []
    for size in request.chunk_sizes:
        for operand in request.operands:
            for regime in REGIMES:
                A = testing.chunk_matrices(regime, size, SAMPLE, dtype=operand)
                truth = testing.truth(A)
                for name in ("exact", "fast", "paper"):
                    try:
                        plan = plan_for(size, name, operand)
                    except ValueError:
                        continue  # "paper" names four sizes only
                    X = inverse(
                        request.move(A),
                        plan,
                        output_dtype=torch.float32,
                        compute_dtype=operand,
                        backend=request.device,
                    ).cpu()
                    expected = reference.inverse(A, _evaluated(plan, request), operand)
                    figures = _compare(X, expected, truth)
                    rows.append(
                        {
                            "chunk_size": size,
                            "operands": str(operand).removeprefix("torch."),
                            "regime": regime,
                            "plan": name,
                            **figures,
                        }
                    )
    return {"rows": rows, "ok": all(row["ok"] for row in rows)}


def _evaluated(plan: Plan, request: Request) -> Plan:
    """The plan by which the device works: a CPU evaluates every exact plan by substitution."""
    substitution = request.device == "cpu" and plan.exact
    return Plan(plan.chunk_size, plan.chunk_size - 1, 1) if substitution else plan


def _compare(X: Tensor, expected: Tensor, truth: Tensor) -> dict[str, Any]:
    worst = testing.snr(X, truth).min().item()
    wanted = testing.snr(expected, truth).min().item()
    equal = (expected.float() == X) | (expected.isnan() & X.isnan())
    return {
        "worst_snr_db": worst,
        "reference_db": wanted,
        "equal_entries": equal.double().mean().item(),
        "ok": worst >= wanted - TOLERANCE_DB,
    }


# --- layouts -----------------------------------------------------------------------------------


def layouts(request: Request) -> dict[str, Any]:
    """`solve_tril` in every layout, with tails and packed sequences, against the dense result of
    the same chunks, which must be the same bits: where a chunk lies changes no arithmetic."""
    size = min(request.chunk_sizes, key=lambda c: abs(c - 64))
    length = 3 * size + size // 2 + 1
    A = testing.layer(TIMED_REGIME, length, size, heads=4, dtype=request.operands[0])
    bounds = [0, size + 3, size + 3, length]
    rows = []
    for layout, packed in (("bthc", False), ("bhtc", False), ("bthc", True), ("thc", True)):
        given = {"bthc": A, "bhtc": A.transpose(1, 2), "thc": A[0]}[layout]
        cu_seqlens = torch.tensor(bounds) if packed else None
        moved = None if cu_seqlens is None else request.move(cu_seqlens)
        X = solve_tril(
            request.move(given),
            moved,
            output_dtype=torch.float32,
            layout=layout,
            backend=request.device,
        )
        X = {"bthc": X, "bhtc": X.transpose(1, 2), "thc": X[None]}[layout].cpu()
        ends = bounds if packed else [0, length]
        same = all(
            torch.equal(X[:, first : first + C], _dense(A[:, first : first + C], request))
            for first, C in _chunks(ends, size)
        )
        rows.append({"layout": layout, "packed": packed, "ok": same})
    return {"rows": rows, "ok": all(row["ok"] for row in rows)}


def _chunks(ends: list[int], size: int) -> Iterator[tuple[int, int]]:
    """First row and rows of every chunk."""
    for start, end in pairwise(ends):
        for first in range(start, end, size):
            yield first, min(size, end - first)


def _dense(rows: Tensor, request: Request) -> Tensor:
    """The inverse of one chunk, (1, R, H, C), as whole matrices padded with zeros."""
    count, size = rows.shape[1], rows.shape[3]
    A = torch.zeros(rows.shape[2], size, size, dtype=rows.dtype)
    A[:, :count] = rows[0].transpose(0, 1)
    X = inverse(request.move(A), output_dtype=torch.float32, backend=request.device).cpu()
    # Columns beyond the valid rows are those of the identity below them: zero above the diagonal.
    return X[:, :count].transpose(0, 1)[None]


# --- times -------------------------------------------------------------------------------------


def times(request: Request) -> dict[str, Any]:
    """Seconds of a call by size, dtype and plan; beside it a copy of the same bytes."""
    clock: Callable[[Callable[[], object]], float]
    kind, clock = {
        "cpu": ("median of calls, host clock", _host_seconds),
        "npu": ("median of calls, device events", _device_seconds),
        "emulator": ("modelled", _host_seconds),
    }[request.device]
    rows = []
    for size in request.chunk_sizes:
        for count in request.matrices:
            base = testing.chunk_matrices(TIMED_REGIME, size, count)
            for operand in request.operands:
                A = request.move(base.to(operand))
                out = torch.empty_like(A)
                row = {
                    "chunk_size": size,
                    "matrices": count,
                    "operands": str(operand).removeprefix("torch."),
                    "bytes": 2 * A.numel() * A.element_size(),
                }
                for name in ("exact", "fast"):
                    row[name] = _seconds(A, out, name, request, clock)
                if request.device != "emulator":
                    row["copy"] = clock(lambda A=A, out=out: out.copy_(A))  # type: ignore[misc]
                rows.append(row)
    return {"rows": rows, "ok": True, "kind": kind}


def _seconds(
    A: Tensor,
    out: Tensor,
    name: str,
    request: Request,
    clock: Callable[[Callable[[], object]], float],
) -> float:
    plan = plan_for(A.shape[-1], name, A.dtype)
    if request.device == "emulator":
        return emulator.inverse(A, out, plan, A.dtype, dense_chunks(A, out)).time_us / 1e6
    return clock(lambda: inverse(A, plan, backend=request.device, out=out))


def _host_seconds(call: Callable[[], object]) -> float:
    return medians({"call": call})["call"]


def _device_seconds(call: Callable[[], object]) -> float:
    """Median over calls of the time between two events around it on the current stream."""
    torch_npu: Any = torch.npu  # type: ignore[attr-defined]
    for _ in range(WARM_UP):
        call()
    torch_npu.synchronize()
    pairs = []
    for _ in range(ROUNDS):
        pairs.append([torch_npu.Event(enable_timing=True) for _ in range(2)])
        pairs[-1][0].record()
        call()
        pairs[-1][1].record()
    torch_npu.synchronize()
    milliseconds: list[float] = [start.elapsed_time(end) for start, end in pairs]
    return statistics.median(milliseconds) / 1e3


SECTIONS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "installation": installation,
    "accuracy": accuracy,
    "layouts": layouts,
    "times": times,
}


def main(arguments: list[str]) -> None:
    """Run one section: its name, the device, the file, chunk sizes and batch sizes with commas."""
    name, device, file, chunk_sizes, matrices = arguments
    request = Request(device, _numbers(chunk_sizes), _numbers(matrices))
    write_json(Path(file), SECTIONS[name](request))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))
