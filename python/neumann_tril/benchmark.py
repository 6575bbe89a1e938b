"""Timing of inversions on a CPU: the compared methods, and interleaved medians.

What `python -m neumann_tril bench`, `benchmarks/cpu.py` and the demo share.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import testing
from .ops import inverse
from .plan import Plan, plan_for

__all__ = [
    "METHODS",
    "REST",
    "Timing",
    "calls_for",
    "cpu_table",
    "linalg_inverse",
    "machine",
    "medians",
    "plan_by_bmm",
    "row_loop",
    "solve_triangular",
    "torch_threads",
]

OURS = "neumann_tril"
SOLVE = "solve_triangular"
COPY = "copy"
METHODS = (OURS, SOLVE, "linalg.inv", "bmm plan", "row loop", COPY)

# Entries of A beyond which the row loop takes seconds, for its temporaries; it is left out there.
ROW_LOOP_LIMIT = 2048 * 64 * 64


def machine() -> dict[str, Any]:
    """What a figure was measured on: processor, cores, Python and torch."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            name = next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def row_loop(A: Tensor) -> Tensor:
    """The inverse row after row, as transformers has it up to 5.3."""
    x = -A.tril(-1)
    for i in range(1, A.shape[-1]):
        row = x[..., i, :i].clone()
        x[..., i, :i] = row + (row.unsqueeze(-1) * x[..., :i, :i].clone()).sum(-2)
    return x + torch.eye(A.shape[-1], dtype=A.dtype)


def plan_by_bmm(A: Tensor, plan: Plan) -> Tensor:
    """A plan evaluated by batched torch.bmm in A's dtype; A: (N, C, C)."""
    count, size = A.shape[0], plan.chunk_size
    blocks, leaf, w = size // plan.leaf, plan.leaf, plan.bandwidth
    A = A.tril(-1)
    X = torch.zeros_like(A)

    # All leaves side by side; a leaf is a diagonal block.
    a = A.view(count, blocks, leaf, blocks, leaf).diagonal(dim1=1, dim2=3).movedim(-1, 1)
    a = a.reshape(-1, leaf, leaf)
    eye = torch.eye(leaf, dtype=A.dtype).expand_as(a)
    x0 = eye.clone()
    for i in range(1, leaf):
        k = slice(max(0, i - w), i)
        x0[:, i : i + 1, k] = -torch.bmm(a[:, i : i + 1, k], x0[:, k, k])
    x = x0
    if plan.terms > 1:
        r = torch.baddbmm(eye, eye + a, x0, alpha=-1)
        if plan.form == "sequential":
            for _ in range(plan.terms - 1):
                x = torch.baddbmm(x0, x, r)
        else:
            for step in range(plan.terms.bit_length() - 1):
                r = torch.bmm(r, r) if step else r
                x = torch.baddbmm(x, x, r)
    x = x.view(count, blocks, leaf, leaf)
    X.view(count, blocks, leaf, blocks, leaf).diagonal(dim1=1, dim2=3).copy_(x.movedim(1, -1))

    half = leaf
    while half < size:
        for first in range(0, size, 2 * half):
            top, low = slice(first, first + half), slice(first + half, first + 2 * half)
            t = torch.bmm(A[:, low, top], X[:, top, top])
            X[:, low, top] = -torch.bmm(X[:, low, low], t)
        half *= 2
    for _ in range(plan.refinements):
        eye = torch.eye(size, dtype=A.dtype).expand_as(A)
        X = torch.baddbmm(X, X, torch.baddbmm(eye, eye + A, X, alpha=-1))
    return X


def solve_triangular(A: Tensor, out: Tensor) -> Tensor:
    """The inverse as transformers gets it, by torch.linalg.solve_triangular in float32."""
    eye = torch.eye(A.shape[-1])
    torch.linalg.solve_triangular(A, eye, upper=False, unitriangular=True, out=out)
    return out


def linalg_inverse(A: Tensor, out: Tensor) -> Tensor:
    """The inverse of a general matrix, by torch.linalg.inv."""
    torch.linalg.inv(A + torch.eye(A.shape[-1]), out=out)
    return out


def calls_for(A: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Calls that invert I + A by each of METHODS; A is (N, C, C), float32 or bfloat16.

    Every result has A's dtype. The others compute in float32, as their users do, and convert where
    A is not float32. Results and converted matrices are preallocated where a method allows it.
    """
    plan = plan_for(A.shape[-1], "exact", torch.float32)
    out = torch.empty_like(A)
    if A.dtype == torch.float32:
        calls: dict[str, Callable[[], Tensor]] = {
            SOLVE: lambda: solve_triangular(A, out),
            "linalg.inv": lambda: linalg_inverse(A, out),
        }
    else:
        wide, result = A.float(), torch.empty(A.shape)
        calls = {
            SOLVE: lambda: out.copy_(solve_triangular(wide.copy_(A), result)),
            "linalg.inv": lambda: out.copy_(linalg_inverse(wide.copy_(A), result)),
        }
    calls |= {
        OURS: lambda: inverse(A, backend="cpu", out=out),
        "bmm plan": lambda: plan_by_bmm(A.float(), plan).to(A.dtype),
        "row loop": lambda: row_loop(A.float()).to(A.dtype),
        COPY: lambda: out.copy_(A),
    }
    if A.numel() > ROW_LOOP_LIMIT:
        del calls["row loop"]
    return {name: calls[name] for name in METHODS if name in calls}


REST = 0.01
"""Seconds in which OpenMP's threads stop spinning after a call."""


def medians(
    calls: Mapping[str, Callable[[], object]], budget: float = 0.2, rounds: int = 25
) -> dict[str, float]:
    """Median time of a call in seconds; the calls take turns, so that all see the same machine.

    Calls so short that the clock matters are repeated within a turn. A call takes part in as many
    of the rounds as its budget (seconds) allows, and in one at least. Between two of them the
    machine rests: OpenMP's threads go on spinning for milliseconds and would slow the next call.
    An untimed call then wakes the caches and the call's own threads.
    """
    repeats, wanted = {}, {}
    for name, call in calls.items():
        estimate = _time(call, 1)
        if estimate < budget:  # the first call warms up; a long one is not made a third time
            estimate = _time(call, 1)
        repeats[name] = max(1, min(1000, int(1e-3 / estimate)))
        wanted[name] = max(1, min(rounds, int(budget / (estimate * repeats[name]))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            if turn < wanted[name]:
                time.sleep(REST)
                call()
                times[name].append(_time(call, repeats[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def _time(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch, and our CPU backend with it, use this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Timing:
    """One line of the table: seconds of each method for `count` matrices of C x C."""

    chunk_size: int
    count: int
    dtype: str
    threads: int
    seconds: dict[str, float]

    def ratio(self, name: str) -> float:
        """How many times as long as ours a method took."""
        return self.seconds[name] / self.seconds[OURS]


def cpu_table(
    chunk_sizes: Sequence[int] = (16, 32, 64, 128),
    counts: Sequence[int] = (16, 256, 2048),
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16),
    threads: Sequence[int] = (1, 2),
    budget: float = 0.2,
) -> Iterator[Timing]:
    """The lines of the CPU table, each as soon as it is measured.

    Matrices have the gates of Qwen3.5-0.8B and keys of correlation 0.7.
    """
    for chunk_size in chunk_sizes:
        for count in counts:
            base = testing.chunk_matrices("qwen3.5-0.8b rho 0.7", chunk_size, count)
            for dtype in dtypes:
                A = base.to(dtype)
                for number in threads:
                    with torch_threads(number), torch.no_grad():
                        seconds = medians(calls_for(A), budget)
                    name = str(dtype).removeprefix("torch.")
                    yield Timing(chunk_size, count, name, number, seconds)
