"""Every synchronisation in the kernels is needed, and the emulator sees when one is missing.

Each SetFlag, WaitFlag, PipeBarrier and cross-core flag of the kernels is switched off: alone, and
each flag's SetFlag and WaitFlag together, which leaves no flag unmatched, so that only the race
itself can give it away.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from ascendc.rule_calls import OUTPUTS, Call, draw, represent, with_gates, with_initial
from helpers import ROOT
from neumann_tril import emulator
from neumann_tril.backends import BackendError, EmulatorBackend
from neumann_tril.grids import quantized_plan_for, steps
from neumann_tril.native import dense_chunks, time_chunks
from neumann_tril.plan import Plan, plan_for
from neumann_tril.quant import QuantPlan

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))

# Of which files the synchronisations are switched off: those that the kernel alone runs, and what
# it runs otherwise than another.
FILES = {
    "floating point": ("core/", "inverse/"),
    "quantised": ("core/", "quantized/"),
    "chunk rule": ("gated_delta/", "inverse/products.h"),
}
Workload = Callable[[], object]


def dense(count, plan, dtype, output=F32, a_dtype=None, non_finite=()) -> Workload:
    c = plan.chunk_size
    generator = torch.Generator().manual_seed(0)
    A = (torch.randn(count, c, c, generator=generator) * 0.1).to(a_dtype or dtype)
    for matrix in non_finite:
        A[matrix, c - 1, 0] = torch.inf
    X = torch.empty(A.shape, dtype=output)
    return partial(emulator.inverse, A, X, plan, dtype, dense_chunks(A, X), cube_cores=1)


def tails(plan, dtype) -> Workload:
    c = plan.chunk_size
    A = (torch.randn(2, 5 * c + 3, 2, c, generator=torch.Generator().manual_seed(1)) * 0.1).to(
        dtype
    )
    X = torch.empty(A.shape, dtype=F32)
    return partial(emulator.inverse, A, X, plan, dtype, time_chunks(A, X, None), cube_cores=1)


def quantised(B, T, H, c, a_dtype, output, groups=1) -> Workload:
    """(B, T, H, C) with a tail where C does not divide T; a group of scales for each head."""
    plan, bits = quantized_plan_for(c, "exact"), 16 if I16 in (a_dtype, output) else 8
    scales = {step.name: [1 / 60 if step.name == "X" else 2.0**-9] * groups for step in steps(plan)}
    qplan = QuantPlan(plan, bits, "tensor" if groups == 1 else "head", scales)
    A = torch.randint(-9, 10, (B, T, H, c), generator=torch.Generator().manual_seed(2)).to(a_dtype)
    X = torch.empty(A.shape, dtype=output)
    group_dim = -1 if groups == 1 else 2
    chunks = time_chunks(A, X, None)
    return partial(emulator.inverse_quantized, A, X, qplan, group_dim, chunks, cube_cores=1)


def rule(call: Call, *outputs: str) -> Workload:
    return partial(call.run, ("o", *outputs) if outputs else OUTPUTS, cores=1)


# Each has more units than one core holds, so that every buffer is used again.
FLOATING_POINT: list[Workload] = [
    dense(40, plan_for(64, "exact", F16), F16),
    dense(20, plan_for(128, "exact", BF16), BF16),
    dense(130, plan_for(32, "exact", F16), F16, a_dtype=F32),
    dense(12, plan_for(128, "exact", F16), F16, output=F16, a_dtype=F32),
    dense(40, Plan(64, 3, 4, "sequential"), F16),
    dense(40, Plan(64, 7, 8, "doubling", splits=0, refinements=1), F16),
    dense(12, Plan(128, 7, 4, "doubling"), BF16),
    dense(12, Plan(128, 127, 1, refinements=1), F16),
    dense(40, Plan(64, 15, 1, splits=2), F16, output=F16),
    dense(12, Plan(128, 31, 1, splits=2), F16),
    dense(200, Plan(16, 0, 4, refinements=1), F16),
    dense(200, Plan(16, 11, 1), F16, output=F16),
    dense(200, Plan(32, 3, 4, "sequential", splits=1), BF16, a_dtype=F32),
    tails(plan_for(64, "exact", F16), F16),
    tails(Plan(32, 31, 1), F16),
    tails(Plan(64, 15, 1), F32),
    dense(6, Plan(128, 7, 1), F32),
    dense(40, plan_for(64, "exact", F16), F16, output=F16, non_finite=(0, 3, 7, 39)),
    dense(9, plan_for(128, "fast", BF16), BF16, a_dtype=F32, non_finite=(3, 8)),
    dense(200, plan_for(16, "paper", F16), F16, output=F16, non_finite=(0, 1, 199)),
    dense(24, plan_for(64, "paper", F16), F16, output=F16, non_finite=(2, 3, 11)),
]
I8, I16 = torch.int8, torch.int16
QUANTISED: list[Workload] = [
    quantised(1, 128 * 28 - 3, 1, 128, I8, I8),
    quantised(1, 64 * 20 + 5, 3, 64, F16, I8, groups=3),
    quantised(1, 32 * 50, 2, 32, I8, F16, groups=2),
    quantised(1, 16 * 70, 1, 16, F16, I8),
    quantised(1, 16 * 140, 1, 16, I8, I8),
    quantised(1, 128 * 28 - 3, 1, 128, I16, I16),
    quantised(1, 64 * 20 + 5, 3, 64, F16, I16, groups=3),
    quantised(1, 64 * 50, 1, 64, I16, F16),
]
# Together they take every way through the kernel. Small values have small products, which the
# hardware does not keep in order by itself.
FULL, SMALL = 31 * 64, (16, 16)
CHUNK_RULE: list[Workload] = [
    rule(with_initial(Call(draw(200, (1, 2)), bounds=[0, 0, 70, 200], normalize=True))),
    rule(with_initial(Call(draw(100, sizes=(256, 64))))),
    rule(with_initial(Call(draw(330, sizes=(144, 128))))),
    rule(with_initial(Call(draw(330, sizes=(16, 128))))),
    rule(Call(draw(330, (1, 3), (80, 80)))),
    rule(Call(draw(FULL, sizes=SMALL)), "final_state"),
    rule(Call(draw(FULL, sizes=SMALL)), "chunk_states"),
    rule(Call(draw(FULL, sizes=SMALL), compute=BF16), "x"),
    rule(with_initial(Call(draw(100, (1, 15), SMALL))), "final_state"),
    rule(Call(draw(FULL, sizes=SMALL), plan="fast")),
    rule(Call(draw(FULL, sizes=SMALL), plan=Plan(64, 7, 4, splits=1, refinements=1))),
    rule(Call(draw(FULL, sizes=SMALL), plan=Plan(64, 7, 4, splits=0, refinements=1))),
    partial(represent, draw(FULL, sizes=SMALL), F32),
    rule(Call(with_gates(draw(100), None, BF16))),
    rule(Call(with_gates(draw(100), F16, F16))),
    partial(represent, draw(330, (1, 3), (80, 112)), BF16, gate_unit=0.5),
    partial(represent, draw(330, sizes=(256, 144)), None),
]
WORKLOADS = {"floating point": FLOATING_POINT, "quantised": QUANTISED, "chunk rule": CHUNK_RULE}


def fault(workload: Workload) -> str | None:
    try:
        workload()
    except BackendError as error:
        return str(error)
    return None


class Site(NamedTuple):
    """A synchronisation: its call, and the workloads that execute it."""

    call: str
    workloads: list[Workload]


def executed_sites(kernel: str) -> dict[tuple[str, int], Site]:
    """(file, line) -> site, of all in the kernels that a workload executes."""
    sites: dict[tuple[str, int], Site] = {}
    for workload in WORKLOADS[kernel]:
        assert fault(workload) is None
        for site in emulator.sync_sites():
            path = Path(site["file"]).resolve()
            lines, name = source(path), f"{path.parent.name}/{path.name}"
            if name.startswith(FILES[kernel]) and not ends_kernel(lines, site["line"]):
                call = lines[site["line"] - 1]
                sites.setdefault((name, site["line"]), Site(call, [])).workloads.append(workload)
    return sites


@cache
def source(path: Path) -> list[str]:
    return path.read_text().splitlines()


def ends_kernel(lines: list[str], number: int) -> bool:
    """Whether line `number` is the last statement of a kernel, PipeBarrier<PIPE_ALL>: the emulator
    ends a launch when every pipe is empty; on hardware it is part of a kernel's documented form."""
    behind = "".join(lines[number:])
    return "PIPE_ALL" in lines[number - 1] and behind == "}}  // namespace neumann_tril"


def flag_of(call: str) -> str:
    """What a SetFlag and its WaitFlag have in common: event and id, or the cross-core flag."""
    cross = re.search(r"CrossCore\w+Flag.*\((\w+)\)", call)
    if cross:
        return cross[1]
    event = re.search(r"HardEvent::(\w+)>\((.*?)\);", call)
    assert event, call
    return f"{event[1]}({event[2]})"


def mutants(kernel: str) -> dict[str, dict[tuple[str, int], Site]]:
    sites = executed_sites(kernel)
    found = {
        f"{file}:{line} {site.call.strip()}": {(file, line): site}
        for (file, line), site in sites.items()
    }
    pairs = defaultdict(dict)
    for place, site in sites.items():
        if "PipeBarrier" not in site.call:
            flag = flag_of(site.call)
            pairs[flag if "CrossCore" in site.call else f"{place[0]} {flag}"][place] = site
    for name, disabled in pairs.items():
        found[f"pair {name}"] = disabled
    return found


def test_every_synchronisation_of_the_chunk_rule_is_executed():
    executed, missing = executed_sites("chunk rule"), []
    for path in (ROOT / "csrc" / "ascendc" / "gated_delta").glob("*.h"):
        lines = source(path)
        for number, line in enumerate(lines, 1):
            synchronises = re.search(r"(SetFlag|WaitFlag|PipeBarrier)[<(]", line)
            if synchronises and not ends_kernel(lines, number):
                place = (f"{path.parent.name}/{path.name}", number)
                missing += [place] * (place not in executed)
    assert not missing


@pytest.mark.parametrize(
    ("kernel", "at_least"), [("floating point", 61), ("quantised", 100), ("chunk rule", 200)]
)
def test_every_removed_synchronisation_is_caught(kernel, at_least, capsys):
    survivors = []
    lines = []
    for name, disabled in mutants(kernel).items():
        option = ",".join(f"{file}:{line}" for file, line in disabled)
        workloads = [w for site in disabled.values() for w in site.workloads]
        with emulator.options(disable_sync=option):
            caught = next(filter(None, map(fault, dict.fromkeys(workloads))), None)
        if caught is None:
            survivors.append(name)
        lines.append(f"{name}: {caught or 'SURVIVED'}")
    with capsys.disabled():
        print(f"\n{kernel}: {len(lines)} mutants, {len(survivors)} survived")
    assert not survivors, "\n".join(survivors)
    assert len(lines) >= at_least
