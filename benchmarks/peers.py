"""Predicted against published times of a peer's five kernels of the chunk rule, on Ascend 910B2.

python benchmarks/peers.py [--kernels kkt w_u ...] [--heads 16 32 64] [--rounds R] [--json FILE]

The kernels of ``benchmarks/peers`` have the structure of the published ones. A workload of 16
sequences of L tokens takes the emulator hours, but every core does the same again and again: the
emulator runs R, 2 R and 4 R rounds on all cores, a chunk of a head being a round, and a line
through the first and the last gives the time of the workload, in whole rounds of the busiest core.
"bend" says how far the run in between is from that line.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from neumann_tril import emulator

SOC = "Ascend910B2"
CORES = emulator.CUBE_CORES[SOC]
SIDE = 128
"""C, K and V."""
KEY_HEADS, SEQUENCES = 16, 16
"""Of the published workloads."""

PUBLISHED_MS = {
    "kkt": (1.19, 2.33, 2.18, 4.67, 9.05, 4.67),
    "solve_tril": (4.01, 7.96, 7.42, 15.9, 29.8, 15.9),
    "w_u": (1.79, 3.31, 3.51, 6.59, 13.1, 6.97),
    "chunk_h": (2.41, 5.22, 5.07, 10.2, 20.4, 10.1),
    "chunk_o": (2.81, 5.64, 5.53, 10.9, 22.5, 11.1),
}
"""huawei-csl/megagdn-pto, outputs/data/kernel_bench_L*.json of 2 May 2026: for each of CASES."""
CASES = ((4096, 16), (4096, 32), (8192, 16), (8192, 32), (8192, 64), (16384, 16))
"""(tokens of a sequence, value heads)."""

PIPES = {"MTE1": 1, "M": 1, "FIX": 1, "V": 2, "MTE3": 2, "MTE2": 3, "S": 3}
"""Of a cube core and its two vector cores, how many have it."""


@dataclass(frozen=True)
class Shape:
    """Sequences of whole chunks: their number, the chunks of each, and the heads."""

    sequences: int
    chunks: int
    heads: int
    key_heads: int = KEY_HEADS

    @property
    def tokens(self) -> int:
        return self.sequences * self.chunks * SIDE

    def numbers(self) -> list[int]:
        return [self.sequences, self.tokens, self.heads, self.key_heads]

    def bounds(self) -> Tensor:
        return torch.arange(self.sequences + 1, dtype=torch.int32) * self.chunks * SIDE


Run = tuple[dict[str, Tensor], emulator.Report]
"""The outputs by name, and the report."""


def half(*sizes: int) -> Tensor:
    return torch.empty(sizes, dtype=torch.float16)


def tiles(cores: int, each: int = 1) -> Tensor:
    """A workspace."""
    return half(cores, each, SIDE, SIDE)


def values(shape: Shape) -> Tensor:
    return half(shape.tokens, shape.heads, SIDE)


def mask(diagonal: int) -> Tensor:
    return torch.ones(SIDE, SIDE).tril(diagonal)


def random_inputs(shape: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of every kernel, of magnitudes as in a layer: float16, the gates float32.

    q, k: (T, key heads, 128) of unit length; v, w, u, and rows of A and X: (T, heads, 128); beta,
    g: (heads, T), g the sums of log gates since the start of the chunk; states: (T / 128, heads,
    128, 128).
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator) * SIDE**-0.5

    t, h = shape.tokens, shape.heads
    by_key, by_value = (t, shape.key_heads, SIDE), (t, h, SIDE)
    gates = -0.05 * torch.rand(h, t // SIDE, SIDE, generator=generator)
    lower = torch.ones(SIDE, SIDE).tril(-1).repeat(t // SIDE, 1)[:, None]
    inputs = {
        "q": torch.nn.functional.normalize(normal(*by_key), dim=-1),
        "k": torch.nn.functional.normalize(normal(*by_key), dim=-1),
        "v": normal(*by_value),
        "w": normal(*by_value),
        "u": normal(*by_value),
        "A": normal(*by_value) * lower,
        "X": normal(*by_value),
        "beta": 0.1 + 0.9 * torch.rand(h, t, generator=generator),
        "states": normal(t // SIDE, h, SIDE, SIDE),
    }
    halves = {name: tensor.half() for name, tensor in inputs.items()}
    return {**halves, "g": gates.cumsum(-1).reshape(h, t)}


def kkt(shape: Shape, x: dict[str, Tensor], cores: int = CORES) -> Run:
    A = values(shape)
    inputs = [x["k"], x["beta"], x["g"], mask(-1), shape.bounds()]
    report = emulator.run("peer_kkt", inputs, [tiles(cores, 2), A], [*shape.numbers(), cores])
    return {"A": A}, report


def solve_tril(shape: Shape, x: dict[str, Tensor], cores: int = CORES) -> Run:
    X = values(shape).float()
    inputs = [x["A"], -torch.eye(SIDE, dtype=torch.float16)]
    numbers = [shape.tokens, shape.heads, cores]
    return {"X": X}, emulator.run("peer_solve_tril", inputs, [X], numbers)


def w_u(shape: Shape, x: dict[str, Tensor], cores: int = CORES) -> Run:
    w, u = values(shape), values(shape)
    inputs = [x["k"], x["v"], x["beta"], x["g"], x["X"], shape.bounds()]
    buffers = [tiles(cores), tiles(cores), w, u]
    return {"w": w, "u": u}, emulator.run("peer_w_u", inputs, buffers, [*shape.numbers(), cores])


def chunk_h(shape: Shape, x: dict[str, Tensor], cores: int = CORES) -> Run:
    states = torch.zeros(shape.tokens // SIDE, shape.heads, SIDE, SIDE, dtype=torch.float16)
    v = values(shape)
    final = half(shape.sequences, shape.heads, SIDE, SIDE)
    inputs = [x["k"], x["w"], x["u"], x["g"], shape.bounds()]
    buffers = [tiles(cores, 4), states, v, final]
    report = emulator.run("peer_chunk_h", inputs, buffers, [*shape.numbers(), cores])
    return {"states": states, "v": v, "final": final}, report


def chunk_o(shape: Shape, x: dict[str, Tensor], cores: int = CORES) -> Run:
    o = values(shape)
    inputs = [x["q"], x["k"], x["v"], x["states"], x["g"], mask(0), shape.bounds()]
    buffers = [tiles(cores), tiles(cores), tiles(cores), o]
    return {"o": o}, emulator.run("peer_chunk_o", inputs, buffers, [*shape.numbers(), cores])


@dataclass(frozen=True)
class Kernel:
    """A kernel, and what a core takes at a time: all chunks of a head of a sequence, or some
    chunks of heads."""

    launch: Callable[..., Run]
    by_sequence: bool = False
    at_a_time: int = 1

    def rounds(self, shape: Shape, cores: int = CORES) -> int:
        """Chunks of heads of the busiest core."""
        if self.by_sequence:
            return math.ceil(shape.sequences * shape.heads / cores) * shape.chunks
        work = shape.sequences * shape.chunks * shape.heads
        return math.ceil(work / (cores * self.at_a_time)) * self.at_a_time

    def shape(self, rounds: int, heads: int) -> Shape:
        """Of at least so many rounds, without an idle core in any."""
        if not self.by_sequence:
            return Shape(1, math.ceil(rounds * CORES / heads), heads)
        # 3 sequences of a multiple of 16 heads share out over 24 cores evenly; with one chunk to a
        # sequence, cube and vector cores would wait for each other.
        return Shape(3, max(2, math.ceil(rounds * CORES / (3 * heads))), heads)


KERNELS = {
    "kkt": Kernel(kkt, by_sequence=True),
    "solve_tril": Kernel(solve_tril, at_a_time=4),
    "w_u": Kernel(w_u),
    "chunk_h": Kernel(chunk_h, by_sequence=True),
    "chunk_o": Kernel(chunk_o),
}


@dataclass(frozen=True)
class Line:
    """Microseconds as a line over rounds, how far a run between its ends is from it; and of the
    longest run the busy share of each pipe, of the cores that have it, and the rate of HBM in GB/s.
    """

    start_us: float
    round_us: float
    bend: float
    busy: dict[str, float]
    hbm: float

    def at(self, rounds: int) -> float:
        return self.start_us + self.round_us * rounds


def modelled(kernel: Kernel, rounds: int, heads: int) -> Line:
    """The line of a kernel from runs of about ``rounds``, twice and four times as many."""
    runs = []
    for factor in (1, 2, 4):
        least = kernel.shape(rounds, heads)
        shape = replace(least, chunks=factor * least.chunks)
        with emulator.options(2201, soc=SOC):
            _, report = kernel.launch(shape, random_inputs(shape))
        runs.append((kernel.rounds(shape), report))
    (first, a), (middle, b), (last, c) = runs
    slope = (c.time_us - a.time_us) / (last - first)
    start = a.time_us - slope * first
    whole = CORES * c.time_us * 1e3
    busy = {pipe: c.details["busy_ns"][pipe] / whole / share for pipe, share in PIPES.items()}
    moved = c.details["hbm_read_bytes"] + c.details["hbm_write_bytes"]
    bend = b.time_us / (start + slope * middle) - 1
    return Line(start, slope, bend, busy, moved / c.time_us / 1e3)


@dataclass(frozen=True)
class Prediction:
    """One figure: tokens of a sequence, value heads; milliseconds."""

    kernel: str
    length: int
    heads: int
    modelled_ms: float
    published_ms: float

    @property
    def error(self) -> float:
        return self.modelled_ms / self.published_ms - 1


def predictions(name: str, lines: dict[int, Line]) -> Iterable[Prediction]:
    """Of every published workload whose number of heads has a line."""
    for (length, heads), published in zip(CASES, PUBLISHED_MS[name], strict=True):
        if heads in lines:
            rounds = KERNELS[name].rounds(Shape(SEQUENCES, length // SIDE, heads))
            yield Prediction(name, length, heads, lines[heads].at(rounds) / 1e3, published)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=list(KERNELS))
    parser.add_argument("--heads", nargs="+", type=int, choices=(16, 32, 64), default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=8, help="of the shortest run")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.kernels:
        lines = {}
        for heads in arguments.heads:
            begin = time.perf_counter()
            line = lines[heads] = modelled(KERNELS[name], arguments.rounds, heads)
            busy = ", ".join(f"{pipe} {share:.0%}" for pipe, share in line.busy.items())
            print(
                f"{name}, {heads} heads: {line.start_us:.1f} us + {line.round_us:.3f} us a chunk, "
                f"bend {line.bend:+.2%}; {busy}, HBM {line.hbm:.0f} GB/s; "
                f"{time.perf_counter() - begin:.0f} s",
                flush=True,
            )
        for row in predictions(name, lines):
            rows.append(row)
            print(
                f"{name:10} L = {row.length:6,} H = {row.heads}: {row.modelled_ms:6.2f} ms "
                f"modelled, {row.published_ms:6.2f} ms published, {row.error:+.0%}",
                flush=True,
            )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump([{**asdict(row), "error": row.error} for row in rows], file, indent=1)


if __name__ == "__main__":
    main()
