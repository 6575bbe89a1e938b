"""The native CPU kernels: C++ test programs, under sanitizers and for other machines."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import neumann_tril
from neumann_tril.native import Chunks, PlanStruct

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(source.stem for source in Path(__file__).parent.glob("test_*.cpp"))
QEMU_AARCH64 = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
GXX_AARCH64 = shutil.which("aarch64-linux-gnu-g++")

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or platform.system() != "Linux",
    reason="building the native tests needs cmake, and their guard pages need Linux",
)


def build(directory: Path, *options: str) -> Path:
    """Builds the library and its test programs with CMake; returns the build directory."""
    commands = [
        ["cmake", "-S", str(ROOT), "-B", str(directory), "-DNT_DEVELOP=ON", *options],
        ["cmake", "--build", str(directory), "--parallel", "2"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return directory


def run(program: list[str], isa: str) -> None:
    """Runs a test program with at most the instruction set `isa`."""
    done = subprocess.run(
        program, capture_output=True, text=True, env={**os.environ, "NEUMANN_TRIL_ISA": isa}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if f"isa {isa}\n" not in done.stdout:
        pytest.skip(f"this machine or compiler has no {isa}; ran {done.stdout.splitlines()[0]}")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = (
        "-DNT_BUILD_TESTS=ON",
        "-DNT_BUILD_EMULATOR=OFF",
        "-DNT_SANITIZE=ON",
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    )
    return build(tmp_path_factory.mktemp("sanitized"), *options)


@pytest.fixture(scope="module")
def library() -> Path:
    return Path(neumann_tril.__file__).with_name("libneumann_tril.so")


@pytest.mark.parametrize("isa", ["avx512", "avx2", "neon", "portable"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_under_sanitizers(sanitized: Path, program: str, isa: str) -> None:
    run([str(sanitized / "tests" / "cpu" / program)], isa)


@pytest.mark.skipif(
    QEMU_AARCH64 is None or GXX_AARCH64 is None,
    reason="needs the aarch64-linux-gnu compiler and qemu-aarch64",
)
def test_neon_kernels_under_emulation(tmp_path: Path) -> None:
    build(
        tmp_path,
        "-DNT_BUILD_TESTS=ON",
        "-DNT_BUILD_EMULATOR=OFF",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={GXX_AARCH64}",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    )
    for program in PROGRAMS:
        # QEMU's user mode aborts when a program with several threads forks.
        options = ["-callers_may_come_at_once_and_after_fork"]
        run([str(QEMU_AARCH64), str(tmp_path / "tests" / "cpu" / program), *options], "neon")


def test_library_exports_its_interface_only(library: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm")
    listing = subprocess.run(
        ["nm", "--dynamic", "--defined-only", str(library)], capture_output=True, text=True
    )
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    headers = [ROOT / "csrc" / "include" / f"neumann_tril{part}.h" for part in ("", "_quant")]
    declared = [re.findall(r"NT_API [^;]*?(nt_\w+)\(", header.read_text()) for header in headers]
    assert names == {name for names in declared for name in names}


@pytest.mark.parametrize("size", range(16, 129, 16))
def test_library_inverts_numpy_arrays(library: Path, size: int) -> None:
    native = ctypes.CDLL(str(library))
    native.nt_cpu_inverse.restype = ctypes.c_char_p
    a = np.tril(np.random.default_rng(0).uniform(-0.3, 0.3, (5, size, size)), -1)
    x = np.full_like(a, np.nan)
    plan = PlanStruct(size, size - 1, 1, 0, 0, 0)
    batch = (ctypes.c_int64 * 8)(5)
    stride = (ctypes.c_int64 * 8)(size * size)
    chunks = Chunks(1, -1, batch, stride, stride, size, 1, size, 1, 0, None, None)
    float64 = 3
    error = native.nt_cpu_inverse(
        ctypes.byref(plan),
        ctypes.byref(chunks),
        a.ctypes.data_as(ctypes.c_void_p),
        float64,
        x.ctypes.data_as(ctypes.c_void_p),
        float64,
        0,
    )
    assert error is None
    # Row substitution: |X - (I + A)^-1| <= gamma_n |(I + A)^-1| |I + A| |X|, entry by entry.
    m = np.eye(size) + a
    unit = np.finfo(np.float64).eps / 2
    gamma = size * unit / (1 - size * unit)
    residual = np.abs(m @ x - np.eye(size))
    # Computing the residual rounds once more as much.
    assert (residual <= 2 * gamma * (np.abs(m) @ np.abs(x))).all()
