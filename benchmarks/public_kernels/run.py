"""Runs public Ascend C kernels of others, unmodified, on the emulator and prints how that went.

    python benchmarks/public_kernels/run.py --asc-devkit DIR --fla-npu DIR --catlass DIR

Each option names a checkout (docs/emulator.md lists what to clone); sets without one are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asc
import asc_devkit
import fla_npu
import scenario

HERE = Path(__file__).resolve().parent


def build_runtime(work: Path) -> Path:
    """Builds ``runtime/`` and returns its folder."""
    build = work / "runtime"
    for command in (
        ["cmake", "-S", str(HERE / "runtime"), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(build), "--parallel", "2"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return build


def outcomes(options: argparse.Namespace) -> Iterator[scenario.Outcome]:
    """Every scenario of the checkouts that were named."""
    for arch in options.arch:
        if options.asc_devkit:
            yield from asc_devkit.run(options.asc_devkit, arch, options.work, options.only)
        if options.fla_npu:
            yield from fla_npu.run(
                options.fla_npu, options.catlass, arch, options.work, options.only
            )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--asc-devkit", type=Path, help="checkout of asc-devkit")
    parser.add_argument("--fla-npu", type=Path, help="checkout of flash-linear-attention-npu")
    parser.add_argument("--catlass", type=Path, help="checkout of catlass, for fla-npu")
    parser.add_argument("--arch", type=int, nargs="+", default=[2201, 3510], choices=[2201, 3510])
    parser.add_argument("--work", type=Path, default=Path("build/public_kernels"))
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    options = parser.parse_args()
    if options.fla_npu and not options.catlass:
        parser.error("--fla-npu needs --catlass")
    compiler = asc.compiler(options.arch[0])[0]
    if shutil.which(compiler) is None:
        parser.error(f"there is no {compiler}: CLANGXX names clang++ 17 or newer")
    for name in ("work", "asc_devkit", "fla_npu", "catlass"):
        folder = getattr(options, name)
        setattr(options, name, folder and folder.resolve())
    os.environ["NT_PUBLIC_RUNTIME"] = str(build_runtime(options.work))
    results = []
    for outcome in outcomes(options):
        print(outcome, flush=True)
        results.append(outcome)
    print()
    print(scenario.table(results))


if __name__ == "__main__":
    main()
