"""Modelled times of the NPU kernel and of the published method, 1,024 matrices, plan "exact".

python benchmarks/kernel.py [--soc Ascend910B4] [--dtype float16 | int8 | int16] [--baseline]
    [--plan exact | fast] [--sensitivity]

int8 and int16: codes in and out, on the blocked plan. --sensitivity prints, in brackets, the range
of each time and of its ratio to the published method, were the assumed costs others
(neumann_tril.sensitivity); that takes some minutes.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

import torch

from neumann_tril import emulator
from neumann_tril.grids import quantized_plan_for, steps
from neumann_tril.native import dense_chunks
from neumann_tril.plan import plan_for
from neumann_tril.quant import QuantPlan
from neumann_tril.sensitivity import study

PUBLISHED_US = {64: 159.6, 128: 547.2}
"""The published method on Ascend 910B4, float16, by its authors."""


def matrices(count: int, c: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(count, c, c, generator=generator) * c**-0.5).tril(-1).to(dtype)


def kernel_us(count: int, c: int, dtype: torch.dtype, soc: str, plan: str = "exact") -> float:
    """Modelled microseconds of the kernel on contiguous matrices."""
    arch = 3510 if soc.startswith("Ascend950") else 2201
    A = matrices(count, c, dtype)
    X = torch.empty_like(A)
    with emulator.options(arch, soc=soc):
        report = emulator.inverse(
            A,
            X,
            plan_for(c, plan, dtype),
            dtype,
            dense_chunks(A, X),
            arch=arch,
            cube_cores=emulator.CUBE_CORES[soc],
        )
    return report.time_us


def quantized_kernel_us(count: int, c: int, dtype: torch.dtype, soc: str) -> float:
    """Modelled microseconds of the quantised kernel; they do not depend on the codes."""
    arch = emulator.architecture(soc)
    plan, bits = quantized_plan_for(c, "exact"), torch.iinfo(dtype).bits
    unit = 2.0 ** (1 - bits)
    scales = {step.name: [1 / 64 if step.name == "X" else unit] for step in steps(plan)}
    A = (matrices(count, c, torch.float32) / unit).to(dtype)
    X = torch.empty_like(A)
    with emulator.options(arch, soc=soc):
        report = emulator.inverse_quantized(
            A,
            X,
            QuantPlan(plan, bits, "tensor", scales),
            -1,
            dense_chunks(A, X),
            arch=arch,
            cube_cores=emulator.CUBE_CORES[soc],
        )
    return report.time_us


def described(what: str, time_us: float, span: tuple[float, float] | None) -> str:
    """29.1 us [27.2 to 32.9] modelled."""
    between = f" [{span[0]:.1f} to {span[1]:.1f}]" if span else ""
    return f"{what}{time_us:7.2f} us{between} modelled"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soc", default="Ascend910B4", choices=emulator.CUBE_CORES)
    parser.add_argument(
        "--dtype", default="float16", choices=("float16", "bfloat16", "int8", "int16")
    )
    parser.add_argument("--plan", default="exact", help="of float16 and bfloat16")
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--baseline", action="store_true", help="also the published method")
    parser.add_argument("--sensitivity", action="store_true", help="also ranges")
    arguments = parser.parse_args()
    soc, count = arguments.soc, arguments.count
    arch, record = emulator.architecture(soc), int(arguments.sensitivity)
    dtype = getattr(torch, arguments.dtype)
    for c in (16, 32, 64, 128):
        with ExitStack() as open_:
            with emulator.options(arch, record=record):
                if dtype.is_floating_point:
                    time = kernel_us(count, c, dtype, soc, arguments.plan)
                else:
                    time = quantized_kernel_us(count, c, dtype, soc)
            kernel = open_.enter_context(emulator.Recording(arch)) if record else None
            peer = baseline = None
            if arguments.baseline:
                with emulator.options(soc="Ascend910B4", record=record):
                    _, peer = emulator.peer_baseline(matrices(count, c, torch.float16))
                baseline = open_.enter_context(emulator.Recording()) if record else None
            ranges = kernel and study(kernel, baseline, emulator.costs(soc))
        text = described(f"C = {c:3}: ", time, ranges and ranges.time_range)
        if peer is not None:
            text += described(", published method ", peer.time_us, ranges and ranges.baseline_range)
            if ranges and ranges.ratio_range:
                low, high = ranges.ratio_range
                text += f", {peer.time_us / time:.2f} times as long [{low:.1f} to {high:.1f}]"
            if c in PUBLISHED_US and count == 1024:
                text += f" ({PUBLISHED_US[c]} us published)"
        print(text, flush=True)


if __name__ == "__main__":
    main()
