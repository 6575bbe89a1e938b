#!/usr/bin/env python3
"""Compiles and links Ascend C sources for the emulator, where a build expects CANN's compiler.

asc.py compile [-D...] [-I...] --npu-arch=dav-2201 -o OBJECT -c SOURCE
asc.py link OBJECT... -o PROGRAM [LIBRARY...]

The source is not changed but for its launches: ``kernel<<<blocks, size, stream>>>(...)``, which no
C++ compiler knows, becomes a call of ``runtime/launch.h``. Environment: NT_PUBLIC_RUNTIME, the
build folder of ``runtime/``; NT_PUBLIC_ARCH, 2201 or 3510; CLANGXX, clang++ 17 or newer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EMULATOR = HERE.parents[1] / "csrc" / "emulator"
LAUNCH = re.compile(r"((?:\w+::)*\w+)(\s*<[^;{}()]*>)?\s*<<<([^;{}]*?)>>>\s*\(", re.DOTALL)
IGNORED = ("--npu-arch", "--cce", "-xasc", "--asc")


def mix_of(kernel: str, source: str) -> str:
    """Cores of each kind per block, as the kernel's qualifiers or its task type state them."""
    found = re.search(
        rf"([^;}}]*)\bvoid\s+{kernel}\s*\((.*?\n\}})",
        re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL),
        re.DOTALL,
    )
    qualifiers, body = found.groups() if found else ("", "")
    ratio = re.search(r"__mix__\(\s*(\d)\s*,\s*(\d)\s*\)", qualifiers)
    if ratio:
        return f"{ratio[1]}, {ratio[2]}, true"
    if "__cube__" in qualifiers or "KERNEL_TYPE_AIC_ONLY" in body:
        return "1, 0, false"
    ratio = re.search(r"KERNEL_TYPE_MIX_AIC_(\d)_(\d)", body)
    if ratio:
        return f"{ratio[1]}, {ratio[2]}, true"
    return "0, 1, false"


def translate(source: str) -> str:
    """The source with its launches as calls."""

    def call(match: re.Match[str]) -> str:
        kernel, arguments, configuration = match.groups()
        lines = "\n" * match[0].count("\n")  # keeps the numbers of the lines that follow
        name = f"{kernel}{' '.join((arguments or '').split())}"
        mix = mix_of(kernel.split("::")[-1], source)
        return (
            f'public_kernels::launch("{kernel}", emulator::Mix{{{mix}}}, '
            f"{name}, {' '.join(configuration.split())}){lines}("
        )

    return LAUNCH.sub(call, source)


def compiler(arch: int) -> list[str]:
    """The command that compiles a translated source for one architecture."""
    return [
        os.environ.get("CLANGXX", "clang++"),
        "-std=c++17",
        "-O1",
        "-fPIC",
        "-w",
        "-ferror-limit=0",
        f"-D__NPU_ARCH__={arch}",
        f"-I{EMULATOR}",
        f"-I{EMULATOR}/include",
        f"-I{EMULATOR}/acl/include",
        f"-I{HERE}/runtime",
        "-include",
        "launch.h",
    ]


def compile_source(arguments: list[str]) -> int:
    """Compiles one source; the exit status of the compiler."""
    source = Path(arguments[arguments.index("-c") + 1])
    target = Path(arguments[arguments.index("-o") + 1])
    rest = [a for a in arguments if a not in ("-c", str(source), "-o", str(target))]
    rest = [a for a in rest if not a.startswith(IGNORED)]
    translated = target.with_suffix(".cpp")
    translated.write_text(f'#line 1 "{source}"\n{translate(source.read_text())}')
    command = compiler(int(os.environ["NT_PUBLIC_ARCH"]))
    files = [f"-I{source.parent}", "-c", str(translated), "-o", str(target)]
    return subprocess.run([*command, *rest, *files]).returncode


def libraries(arch: int) -> list[str]:
    """What a program or a library for one architecture links."""
    runtime = os.environ["NT_PUBLIC_RUNTIME"]
    return [f"-L{runtime}", f"-Wl,-rpath,{runtime}", f"-lpublic_kernels_{arch}"]


def link(arguments: list[str]) -> int:
    """Links a program; the exit status of the linker."""
    linker = os.environ.get("CLANGXX", "clang++")
    arch = int(os.environ["NT_PUBLIC_ARCH"])
    return subprocess.run([linker, *arguments, *libraries(arch)]).returncode


if __name__ == "__main__":
    steps = {"compile": compile_source, "link": link}
    if len(sys.argv) < 2 or sys.argv[1] not in steps:
        sys.exit(f"{sys.argv[0]}: the first argument must be compile or link")
    sys.exit(steps[sys.argv[1]](sys.argv[2:]))
