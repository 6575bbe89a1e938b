"""Kernels of fla-npu (flash-linear-attention-npu), compiled with catlass, against numpy.

The kernels' entry functions run as they are, once for each type of core, on the cases of
``fla_cases.py``.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asc
import numpy as np
from findings import REFUSALS
from fla_cases import Case, chunk_o_cases, decode, recompute_cases, solve_tri_cases
from scenario import Outcome, Status, commit_of

HERE = Path(__file__).resolve().parent
FAMILY = Path("fla/ops/ascendc/gdn/chunk_gdn_fwd")


@dataclass(frozen=True)
class Builder:
    """Compiles kernels of a checkout for one architecture."""

    checkout: Path
    catlass: Path
    arch: int
    work: Path
    built: dict[str, ctypes.CDLL | str] = field(default_factory=dict)

    def headers(self) -> Path:
        """Headers of catlass that launch kernels, translated; the others stay where they are."""
        into = self.work / "catlass"
        for header in (self.catlass / "include").rglob("*.hpp"):
            text = header.read_text()
            if "<<<" in text:
                target = into / header.relative_to(self.catlass / "include")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(asc.translate(text))
        return into

    def library(self, kernel: str, core: str, defines: tuple[str, ...]) -> ctypes.CDLL | str:
        """The kernel for one core type ("CUBE", "VEC"); the compiler's first error if there is."""
        stem = "_".join([kernel, core, str(self.arch), *(d.split("=")[1] for d in defines)])
        if stem not in self.built:
            self.built[stem] = self.build(kernel, core, defines, self.work / f"{stem}.so")
        return self.built[stem]

    def build(
        self, kernel: str, core: str, defines: tuple[str, ...], target: Path
    ) -> ctypes.CDLL | str:
        """As library(), compiled now."""
        folder = self.checkout / FAMILY / kernel / "op_kernel"
        command = [
            *asc.compiler(self.arch),
            "-fvisibility=hidden",
            # Objects leave ids unset that they use in pairs only: a stack of zeros serves them.
            "-ftrivial-auto-var-init=zero",
            f"-D__DAV_{core}__",
            f"-DCATLASS_ARCH={self.arch}",
            *(["-D__CCE_AICORE__=310"] if self.arch == 3510 else []),
            *(f"-D{define}" for define in defines),
            f"-I{folder}",
            f"-I{self.checkout / 'common/include'}",
            f"-I{self.checkout / 'fla/ops/ascendc/common'}",
            f"-I{self.headers()}",
            f"-I{self.catlass / 'include'}",
            str(HERE / "adapters" / f"run_{kernel}.cpp"),
            *asc.libraries(self.arch),
            "-shared",
            "-o",
            str(target),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error:" in line]
            return errors[0].split("error: ")[-1] if errors else done.stderr[-200:]
        return ctypes.CDLL(str(target))


def launch(runtime: ctypes.CDLL, case: Case, cube: ctypes.CDLL, vector: ctypes.CDLL) -> str:
    """Runs a case; the emulator's report, empty if there is none."""
    runtime.emulator_report_error.restype = ctypes.c_char_p
    runtime.emulator_clear_report()
    runtime.emulator_set_option(b"timing", b"0")
    runtime.emulator_set_option(b"stale", b"1" if case.stale else b"0")
    pointers = (ctypes.c_void_p * len(case.arguments))()
    for at, argument in enumerate(case.arguments):
        if argument is None:
            continue
        pointers[at] = argument.ctypes.data
        written = at not in case.results and at not in case.scratch
        runtime.emulator_register_memory(
            ctypes.c_void_p(argument.ctypes.data), ctypes.c_uint64(argument.nbytes), int(written), 0
        )
    runtime.public_kernels_launch(
        case.kernel.encode(), case.blocks, cube.entry, vector.entry, pointers
    )
    for argument in case.arguments:
        if argument is not None:
            runtime.emulator_unregister_memory(ctypes.c_void_p(argument.ctypes.data))
    return bytes(runtime.emulator_report_error()).decode()


def run_case(case: Case, builder: Builder, runtime: ctypes.CDLL) -> tuple[Status, str]:
    """Status and detail of a case."""
    defines = tuple(f"{name}={value}" for name, value in case.defines.items())
    libraries = [builder.library(case.kernel, core, defines) for core in ("CUBE", "VEC")]
    for library in libraries:
        if isinstance(library, str):
            return "not compiled", library
    cube, vector = libraries
    assert isinstance(cube, ctypes.CDLL) and isinstance(vector, ctypes.CDLL)
    if error := launch(runtime, case, cube, vector):
        return ("refused" if REFUSALS.search(error) else "wrong"), error
    for at, (dtype, reference) in case.results.items():
        expected = reference()
        argument = case.arguments[at]
        assert argument is not None
        difference = np.abs(decode(argument.reshape(expected.shape), dtype) - expected)
        worst = difference[~np.isnan(expected)].max()
        if not worst <= case.tolerance:
            return "wrong", f"numbers: off by {worst:.3g}, accepted is {case.tolerance:.3g}"
    return "right", ""


def run(checkout: Path, catlass: Path, arch: int, work: Path, only: str) -> Iterator[Outcome]:
    """Every case whose kernel's name contains `only`."""
    runtime = ctypes.CDLL(f"{os.environ['NT_PUBLIC_RUNTIME']}/libpublic_kernels_{arch}.so")
    builder = Builder(checkout, catlass, arch, work)
    commit = commit_of(checkout)
    for cases in (solve_tri_cases, recompute_cases, chunk_o_cases):
        for case in cases():
            if only in f"{case.kernel} {case.name}":
                status, detail = run_case(case, builder, runtime)
                project = f"fla-npu {case.kernel}"
                yield Outcome(project, commit, arch, case.name, status, detail)
