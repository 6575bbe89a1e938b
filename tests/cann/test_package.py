"""The custom operator package, built against stand-ins for CANN's registration headers.

CANN's own build of it has not been run; what can be shown here is that its host side says what the
C interface says, and that its kernel entry computes what the C interface's kernels compute.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import neumann_tril
from neumann_tril.emulator import EmulatorBackend

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = CSRC / "ascendc" / "package"
TESTS = Path(__file__).parent
COMPILER = shutil.which("c++") or shutil.which("g++")
UNAVAILABLE = EmulatorBackend().unavailable()

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

INCLUDES = [CSRC / "ascendc", CSRC / "include", TESTS, TESTS / "standin"]
WARNINGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror")


def compiled(output: Path, *arguments: object) -> Path:
    includes = [f"-I{folder}" for folder in INCLUDES]
    command = [str(COMPILER), *WARNINGS, *includes, *map(str, arguments), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


DTYPES = (("float32", "DT_FLOAT"), ("float16", "DT_FLOAT16"), ("bfloat16", "DT_BF16"))

# The reasons, in the order in which the program asks for what is refused.
REFUSALS = [
    *("output_dtype", "(..., C, C)", "chunk size", "(..., C, C)", "16, 32, 64 or 128"),
    *("chunk size", "layout must be", "dimensions of its layout", "need first_row"),
    *("plan must be", "another chunk size", "compute_dtype must be", "compute dtype"),
    *("dtype", "X must be", "two vectors", "two vectors", "two vectors", "packed layouts"),
    "cube_cores",
]


def test_host_side_under_sanitizers(tmp_path: Path) -> None:
    program = compiled(
        tmp_path / "operator_host",
        *("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(TESTS / "operator_host.cpp", PACKAGE / "operator.cpp", CSRC / "ascendc" / "tiling.cpp"),
        *sorted((CSRC / "common").glob("*.cpp")),
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = done.stderr.splitlines()
    assert len(reasons) == len(REFUSALS)
    for reason, expected in zip(reasons, REFUSALS, strict=True):
        assert expected in reason


@pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
def test_kernel_entry_on_the_emulator(tmp_path: Path) -> None:
    emulator = [
        *("-O0", "-D__NPU_ARCH__=2201", "-DNEUMANN_TRIL_EMULATOR"),
        *(f"-I{CSRC / 'emulator'}", f"-I{CSRC / 'emulator' / 'include'}"),
    ]

    def entry(dtype: str, code: str) -> Path:
        renamed = f"-Dneumann_tril_inverse=neumann_tril_inverse_{dtype}"
        flags = (f"-DORIG_DTYPE_A={code}", renamed, "-c", TESTS / "operator_entry.cpp")
        return compiled(tmp_path / f"{dtype}.o", *emulator, *flags)

    with ThreadPoolExecutor(2) as pool:
        entries = list(pool.map(entry, *zip(*DTYPES, strict=True)))
    library = Path(neumann_tril.__file__).with_name("libneumann_tril_emulator_2201.so")
    program = compiled(
        tmp_path / "operator_kernel",
        *emulator,
        *(TESTS / "operator_kernel.cpp", PACKAGE / "operator.cpp", *entries, library),
        f"-Wl,-rpath,{library.parent}",
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_build_names_what_there_is() -> None:
    """CMake cannot be run without CANN; the names it relies on can be checked."""
    build = (PACKAGE / "CMakeLists.txt").read_text()
    operator = (PACKAGE / "operator.cpp").read_text()
    (registered,) = re.findall(r"OP_ADD\((\w+)\)", operator)
    (built,) = re.findall(r"OP_TYPE (\w+)", build)
    (kernel,) = re.findall(r"KERNEL_FILE (\w+)\.cpp", build)
    assert registered == built
    # The framework finds the entry by the operator's type in snake case.
    assert kernel == re.sub(r"(?<=[a-z])([A-Z])", r"_\1", registered).lower()
    assert f" {kernel}(" in (PACKAGE / f"{kernel}.cpp").read_text()
    chips = set(re.findall(r'AddConfig\("(\w+)"\)', operator))
    assert chips == set(re.findall(r"set\(ASCEND_COMPUTE_UNIT ([\w ]+)\)", build)[0].split())
    # The compiler must not add synchronisation to kernels that synchronise themselves.
    assert "--cce-auto-sync=off" in build
