"""The custom operator package, built against stand-ins for CANN's registration headers.

CANN's own build of it has not been run; what can be shown here is that its host side says what the
C interface says, and that its kernel entry computes what the C interface's kernels compute.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import neumann_tril
from neumann_tril.backends import EmulatorBackend

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = CSRC / "ascendc" / "package"
TESTS = Path(__file__).parent
CMAKE = shutil.which("cmake")
COMPILER = shutil.which("c++") or shutil.which("g++")
UNAVAILABLE = EmulatorBackend().unavailable()

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

INCLUDES = [PACKAGE, CSRC / "include", TESTS, TESTS / "standin"]
WARNINGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror")


def compiled(output: Path, *arguments: object) -> Path:
    includes = [f"-I{folder}" for folder in INCLUDES]
    command = [str(COMPILER), *WARNINGS, *includes, *map(str, arguments), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@dataclass(frozen=True)
class Packaged:
    """A custom operator, as the files that make and test it are named."""

    name: str
    """Of its files here and there: ``<name>_operator.cpp``, ``<name>_host.cpp``."""
    kernel: str
    dtype: str
    """The macro that names the dtype of its first input."""
    dtypes: tuple[tuple[str, str], ...]
    tiling: str
    """The folder of its tiling."""
    refusals: tuple[str, ...]
    """The reasons, in the order in which the test program asks for what is refused."""


HALVES = (("float16", "DT_FLOAT16"), ("bfloat16", "DT_BF16"))
INVERSE = Packaged(
    *("inverse", "neumann_tril_inverse", "ORIG_DTYPE_A", (("float32", "DT_FLOAT"), *HALVES)),
    "inverse",
    (
        *("output_dtype", "(..., C, C)", "chunk size", "(..., C, C)", "16, 32, 64 or 128"),
        *("chunk size", "layout must be", "dimensions of its layout", "need first_row"),
        *("plan must be", "another chunk size", "compute_dtype must be", "compute dtype"),
        *("dtype", "X must be", "two vectors", "two vectors", "two vectors", "packed layouts"),
        "cube_cores",
    ),
)
RULE = Packaged(
    *("rule", "neumann_tril_chunk_gated_delta_rule", "ORIG_DTYPE_Q", HALVES),
    "gated_delta",
    (
        *("four dimensions", "(B, T, H, K)") * 3,
        *("k must", "(B, T, HV)", "(B, T, HV)", "initial_state", "v must", "batch must be 1"),
        *("batch must be 1", "multiples of 16", "multiple of H", "dtype of q", "dtype of q"),
        *("beta must be", "g must be", "compute_dtype must be", "as q, k, v", "plan must be"),
        *("another chunk size", "cube_cores"),
    ),
)
OPERATORS = [INVERSE, RULE]
each_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)


@each_operator
def test_host_side_under_sanitizers(operator: Packaged, tmp_path: Path) -> None:
    program = compiled(
        tmp_path / "host",
        *("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(TESTS / f"{operator.name}_host.cpp", PACKAGE / f"{operator.name}_operator.cpp"),
        *(CSRC / "ascendc" / room / "tiling.cpp" for room in ("core", operator.tiling)),
        *sorted((CSRC / "common").glob("*.cpp")),
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = done.stderr.splitlines()
    assert len(reasons) == len(operator.refusals)
    for reason, expected in zip(reasons, operator.refusals, strict=True):
        assert expected in reason


@pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
@each_operator
def test_kernel_entry_on_the_emulator(operator: Packaged, tmp_path: Path) -> None:
    emulator = [
        *("-O0", "-D__NPU_ARCH__=2201", "-DNEUMANN_TRIL_EMULATOR"),
        *(f"-I{CSRC / 'emulator'}", f"-I{CSRC / 'emulator' / 'include'}"),
    ]

    def entry(dtype: str, code: str) -> Path:
        renamed = f"-D{operator.kernel}={operator.kernel}_{dtype}"
        kernel = f'-DNT_KERNEL="{PACKAGE / operator.kernel}.cpp"'
        flags = (f"-D{operator.dtype}={code}", renamed, kernel)
        return compiled(
            tmp_path / f"{dtype}.o", *emulator, *flags, "-c", TESTS / "operator_entry.cpp"
        )

    with ThreadPoolExecutor(2) as pool:
        entries = list(pool.map(entry, *zip(*operator.dtypes, strict=True)))
    library = Path(neumann_tril.__file__).with_name("libneumann_tril_emulator_2201.so")
    program = compiled(
        tmp_path / "kernel",
        *emulator,
        *(TESTS / f"{operator.name}_kernel.cpp", PACKAGE / f"{operator.name}_operator.cpp"),
        *(*entries, library),
        f"-Wl,-rpath,{library.parent}",
    )
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def calls_of_the_build(build: Path, *settings: str) -> list[list[str]]:
    """Function and arguments of every call to CANN's functions, with a stand-in for them."""
    modules = f"-DCMAKE_MODULE_PATH={TESTS / 'standin' / 'cmake'}"
    command = [str(CMAKE), "-S", str(PACKAGE), "-B", str(build), modules, *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split(";") for line in (build / "calls.txt").read_text().splitlines()]


def between(call: list[str], first: str, last: str | None = None) -> list[str]:
    """The arguments behind a keyword, up to another one."""
    start = call.index(first) + 1
    return call[start : None if last is None else call.index(last)]


@pytest.mark.skipif(CMAKE is None, reason="needs cmake")
def test_what_the_build_asks_of_cann(tmp_path: Path) -> None:
    calls = calls_of_the_build(tmp_path)
    named = {call[0]: call for call in calls}
    libraries = [call for call in calls if call[0] == "npu_op_library"]
    host = between(named["npu_op_code_gen"], "SRC", "PACKAGE")
    parts = {"inverse_operator.cpp", "rule_operator.cpp", "tiling.cpp", "plan.cpp"}
    assert {Path(source).name for source in host} >= parts
    for source in host:
        assert Path(source).is_file() and ".." not in source
    tiling = next(call for call in libraries if call[2] == "TILING")
    assert tiling[3:] == host
    assert {call[2] for call in libraries} == {"ACLNN", "TILING", "GRAPH"}
    packed = between(named["npu_op_package_add"], "LIBRARY")
    assert set(packed) == {call[1] for call in libraries} | {named["npu_op_kernel_library"][1]}

    options = between(named["npu_op_kernel_options"], "OPTIONS")
    # The compiler must not add synchronisation to kernels that synchronise themselves.
    assert "--cce-auto-sync=off" in options
    folders = [Path(option[2:]) for option in options if option.startswith("-I")]
    for header in ("neumann_tril/plan.h", "../inverse/kernel.h"):
        assert any((folder / header).is_file() for folder in folders)


@pytest.mark.skipif(CMAKE is None, reason="needs cmake")
@each_operator
def test_the_framework_finds_the_kernel(operator: Packaged, tmp_path: Path) -> None:
    """By the operator's type in snake case, which names the file and its entry."""
    calls = calls_of_the_build(tmp_path)
    all_sources = [call for call in calls if call[0] == "npu_op_kernel_sources"]
    assert len(all_sources) == len(OPERATORS)
    (sources,) = [call for call in all_sources if f"{operator.kernel}.cpp" in call]
    (built,) = between(sources, "OP_TYPE", "KERNEL_FILE")
    (file,) = between(sources, "KERNEL_FILE")
    source = (PACKAGE / f"{operator.name}_operator.cpp").read_text()
    (registered,) = re.findall(r"OP_ADD\((\w+)\)", source)
    assert registered == built
    kernel = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", registered).lower()
    assert file == f"{kernel}.cpp"
    assert f" {kernel}(" in (PACKAGE / file).read_text()
