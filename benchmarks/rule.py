"""Modelled times of the kernels of the chunk rule, on Ascend 910B2, beside a peer's published ones.

python benchmarks/rule.py [--kernels rule intra] [--chunks N] [--apart] [--json FILE]

bfloat16, K = V = 128, as the published workloads of 16 packed sequences of L tokens with 16 key
heads. These take the emulator hours, but every core does the same again and again: it runs N, 2 N
and 3 N chunks of a head on all 24 cores, and a line through the first and the last gives the time
of the workload by the chunks of its busiest core. "bend" says how far the run in between is from
that line.

The model serves a line of 512 bytes of memory from HBM once. Rows of one head are 256 bytes, so a
head reads half of its neighbour's first; with --apart heads lie 512 bytes apart, and each pays for
every line that it touches: the other end of what hardware may do.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from neumann_tril import emulator
from neumann_tril.native.rule import IntraTensors, IntraWork, RuleTensors, RuleWork
from neumann_tril.plan import plan_for

SOC = "Ascend910B2"
CORES = emulator.CUBE_CORES[SOC]
CHUNK, SIZE, SEQUENCES = 64, 128, 16
PLAN = plan_for(CHUNK, "exact", torch.float16)

PUBLISHED_MS = {
    "rule": {(4096, 16): 14.05, (4096, 32): 27.4, (8192, 16): 27.7, (8192, 32): 54.3}
    | {(8192, 48): None, (8192, 64): 106.0, (16384, 16): 54.8},
    "intra": {(4096, 16): 6.99, (4096, 32): 13.6, (8192, 16): 13.11, (8192, 32): 27.16}
    | {(8192, 64): 51.95, (16384, 16): 27.54},
}
"""By tokens of a sequence and value heads: huawei-csl/megagdn-pto,
outputs/data/kernel_bench_L*.json of 2 May 2026, C = 128. For ``rule`` their fused kernel, for
``intra`` kkt, solve_tril and w, u."""


def tokens(length: int, heads: int, apart: bool) -> Tensor:
    """(1, T, heads, 128), heads 256 or 512 bytes apart."""
    wide = torch.empty(1, length, heads, 2 * SIZE if apart else SIZE, dtype=torch.bfloat16)
    return wide[..., :SIZE]


def normal(x: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    return x.copy_(torch.randn(x.shape, generator=generator) * scale)


@dataclass(frozen=True)
class Inputs:
    """Of a sequence of whole chunks, on as many heads as there are cores."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor
    beta: Tensor

    @staticmethod
    def draw(chunks: int, apart: bool) -> Inputs:
        generator = torch.Generator().manual_seed(0)
        length = chunks * CHUNK
        q, k, v = (tokens(length, CORES, apart) for _ in range(3))
        gates = torch.rand(2, 1, length, CORES, generator=generator)
        return Inputs(
            normal(q, SIZE**-0.5, generator),
            normal(k, SIZE**-0.5, generator),
            normal(v, 1.0, generator),
            -0.1 * gates[0],
            gates[1],
        )


def run_rule(x: Inputs) -> tuple[emulator.Report, int]:
    o = tokens(x.v.shape[1], CORES, False)
    state = torch.empty(1, CORES, SIZE, SIZE)
    tensors = RuleTensors(x.q, x.k, x.v, x.g, x.beta, None, None, o, state, None, None)
    work = RuleWork(PLAN, torch.float16, SIZE**-0.5, False)
    return emulator.gated_delta(tensors, work, 2201, CORES), moved(tensors)


def run_intra(x: Inputs) -> tuple[emulator.Report, int]:
    w, u = (tokens(x.v.shape[1], CORES, False) for _ in range(2))
    X = torch.empty(1, x.v.shape[1], CORES, CHUNK, dtype=torch.bfloat16)
    tensors = IntraTensors(x.k, x.v, x.g, x.beta, None, w, u, X)
    return emulator.gated_delta(tensors, IntraWork(PLAN, torch.float16, 0.0), 2201, CORES), moved(
        tensors
    )


def moved(tensors: RuleTensors | IntraTensors) -> int:
    """Bytes of all inputs and outputs."""
    return sum(y.numel() * y.element_size() for y in tensors.inputs + tensors.outputs)


@dataclass(frozen=True)
class Kernel:
    """A kernel, and what a core takes: whole sequences of a head, or chunks of heads."""

    run: Callable[[Inputs], tuple[emulator.Report, int]]
    by_sequence: bool

    def chunks(self, sequences: int, length: int, heads: int) -> int:
        """Of the busiest core."""
        each = math.ceil(length / CHUNK)
        if self.by_sequence:
            return math.ceil(sequences * heads / CORES) * each
        return math.ceil(sequences * heads * each / CORES)


KERNELS = {"rule": Kernel(run_rule, True), "intra": Kernel(run_intra, False)}
PIPES = {"MTE1": 1, "M": 1, "FIX": 1, "V": 2, "MTE3": 2, "MTE2": 3}
"""Of a cube core and its two vector cores, how many have it."""


@dataclass(frozen=True)
class Line:
    """Microseconds over the chunks of a core; the bend in between; busy shares of the pipes in the
    longest run; HBM traffic, from the shortest to the longest run, over inputs and outputs."""

    start_us: float
    chunk_us: float
    bend: float
    busy: dict[str, float]
    traffic: float

    def ms(self, chunks: int) -> float:
        return (self.start_us + self.chunk_us * chunks) / 1e3


def line_of(kernel: Kernel, chunks: int, apart: bool) -> Line:
    runs = []
    for count in (chunks, 2 * chunks, 3 * chunks):
        with emulator.options(2201, soc=SOC):
            report, tensors = kernel.run(Inputs.draw(count, apart))
        through = report.details["hbm_read_bytes"] + report.details["hbm_write_bytes"]
        runs.append((report.time_us, through, tensors, report))
    (a, a_moved, a_bytes, _), (b, *_), (c, c_moved, c_bytes, report) = runs
    slope = (c - a) / (2 * chunks)
    busy = {
        pipe: report.details["busy_ns"][pipe] / (CORES * c * 1e3) / share
        for pipe, share in PIPES.items()
    }
    traffic = (c_moved - a_moved) / (c_bytes - a_bytes)
    return Line(a - slope * chunks, slope, b / ((a + c) / 2) - 1, busy, traffic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=list(KERNELS))
    parser.add_argument("--chunks", type=int, default=48, help="of a core in the shortest run")
    parser.add_argument("--apart", action="store_true", help="heads share no line of memory")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.kernels:
        kernel, begin = KERNELS[name], time.perf_counter()
        line = line_of(kernel, arguments.chunks, arguments.apart)
        busy = ", ".join(f"{pipe} {share:.0%}" for pipe, share in line.busy.items())
        print(
            f"{name}: {line.start_us:.1f} us + {line.chunk_us:.3f} us a chunk of a head and core, "
            f"bend {line.bend:+.2%}; {busy}; HBM {line.traffic:.2f} times inputs and outputs; "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )
        for (length, heads), published in PUBLISHED_MS[name].items():
            found = line.ms(kernel.chunks(SEQUENCES, length, heads))
            rows.append({"kernel": name, "L": length, "HV": heads, "modelled_ms": found})
            text = f"  16 sequences of {length:6,} tokens, HV = {heads}: {found:6.2f} ms modelled"
            if published is not None:
                ratio = published / found
                text += f", {published:.1f} ms published, {ratio:.1f} times as long"
            print(text)
        if kernel.by_sequence:
            found = line.ms(kernel.chunks(1, 8192, 32))
            packed = line.ms(kernel.chunks(SEQUENCES, 8192, 32)) / SEQUENCES
            rows.append({"kernel": name, "L": 8192, "HV": 32, "single": True, "modelled_ms": found})
            print(
                f"  one sequence of 8,192 tokens, HV = 32: {found:.2f} ms modelled, "
                f"{found / packed:.2f} times a packed one"
            )
        rows.append({"kernel": name, **asdict(line)})
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
