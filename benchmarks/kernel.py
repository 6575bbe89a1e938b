"""Modelled times of the NPU kernel and of the published method, 1,024 matrices, plan "exact".

python benchmarks/kernel.py [--soc Ascend910B4] [--dtype float16 | int8 | int16] [--baseline]

int8 and int16: codes in and out, on the blocked plan.
"""

from __future__ import annotations

import argparse

import torch

from neumann_tril import emulator
from neumann_tril.grids import quantized_plan_for, steps
from neumann_tril.native import dense_chunks
from neumann_tril.plan import plan_for
from neumann_tril.quant import QuantPlan

PUBLISHED_US = {64: 159.6, 128: 547.2}
"""The published method on Ascend 910B4, float16, by its authors."""


def matrices(count: int, c: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(count, c, c, generator=generator) * c**-0.5).tril(-1).to(dtype)


def kernel_us(count: int, c: int, dtype: torch.dtype, soc: str) -> float:
    """Modelled microseconds of the kernel on contiguous matrices."""
    arch = 3510 if soc.startswith("Ascend950") else 2201
    A = matrices(count, c, dtype)
    X = torch.empty_like(A)
    with emulator.options(arch, soc=soc):
        report = emulator.inverse(
            A,
            X,
            plan_for(c, "exact", dtype),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soc", default="Ascend910B4", choices=emulator.CUBE_CORES)
    parser.add_argument(
        "--dtype", default="float16", choices=("float16", "bfloat16", "int8", "int16")
    )
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--baseline", action="store_true", help="also the published method")
    arguments = parser.parse_args()
    for c in (16, 32, 64, 128):
        dtype = getattr(torch, arguments.dtype)
        model = kernel_us if dtype.is_floating_point else quantized_kernel_us
        time = model(arguments.count, c, dtype, arguments.soc)
        text = f"C = {c:3}: {time:7.2f} us modelled"
        if arguments.baseline:
            with emulator.options(soc="Ascend910B4"):
                _, report = emulator.peer_baseline(matrices(arguments.count, c, torch.float16))
            text += f", published method {report.time_us:7.2f} us modelled"
            if c in PUBLISHED_US and arguments.count == 1024:
                text += f" ({PUBLISHED_US[c]} us published)"
        print(text, flush=True)


if __name__ == "__main__":
    main()
