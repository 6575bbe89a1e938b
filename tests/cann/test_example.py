"""The example application, on the stand-in runtime: right results pass, wrong ones do not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from neumann_tril import acl_stand_in, native

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "csrc" / "examples"
CMAKE, COMPILER = shutil.which("cmake"), shutil.which("cc") or shutil.which("gcc")

pytestmark = [
    pytest.mark.skipif(CMAKE is None or COMPILER is None, reason="needs cmake and a compiler"),
    pytest.mark.skipif(
        not (acl_stand_in.FOLDER / "libascendcl.so").is_file(),
        reason="the stand-in runtime is not built (NT_BUILD_EMULATOR)",
    ),
]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as a user builds it, with the stand-in's header and library for CANN's."""
    build = tmp_path_factory.mktemp("examples")
    stand_in = acl_stand_in.FOLDER
    settings = {
        "NEUMANN_TRIL": native.FOLDER,
        "NT_NPU_LIBRARIES": stand_in,
        "ACL_INCLUDE_DIR": ROOT / "csrc" / "emulator" / "acl" / "include",
        "ACL_LIBRARY": stand_in / "libascendcl.so",
        "CMAKE_CXX_FLAGS": "-Werror",
    }
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    for command in (["-S", EXAMPLES, "-B", build, *defined], ["--build", build]):
        done = subprocess.run([CMAKE, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "inverse_on_npu"


def run(
    example: Path, *arguments: object, preload: Path | None = None, memory_mb: int = 64
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **acl_stand_in.environment(memory_mb=memory_mb)}
    if preload is not None:
        environment["LD_PRELOAD"] = str(preload)
    command = [str(example), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [
        *((c, 5, "exact", "float16") for c in (16, 32, 64, 128)),
        (64, 3, "exact", "bfloat16"),
        (64, 3, "fast", "float16"),
        (128, 2, "fast", "bfloat16"),
        (64, 3, "fast", "float32"),
        (64, 3, "64:15:4:doubling:0:1", "float16"),
    ],
)
def test_right_results(example: Path, arguments: tuple[object, ...]) -> None:
    done = run(example, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{arguments[1]} matrices of {arguments[0]}" in done.stdout
    assert "OK" in done.stdout


# A library whose nt_npu_inverse does not do what was asked for, loaded before the real one.
WRONG = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include "neumann_tril_npu.h"
const char* nt_npu_inverse(const nt_npu_inversion* inversion, void* stream) {
    const char* (*real)(const nt_npu_inversion*, void*) = dlsym(RTLD_NEXT, "nt_npu_inverse");
    nt_npu_inversion changed = *inversion;
    %s
    return real(&changed, stream);
}
"""


@pytest.mark.parametrize(
    "change, status, message",
    [
        ("changed.plan.refinements = 0;", 0, "OK"),  # less accurate, still right
        ("changed.plan.splits = 0;", 1, "WRONG"),  # truncated
        ("changed.chunks.size[0] -= 1;", 1, "WRONG"),  # the last matrix is left out
        ("changed.chunks.a_stride[0] = 64;", 1, "WRONG"),  # overlapping matrices
        ("changed.a = (const float*)changed.a + 1;", 2, "out of bounds"),
        ("changed.a = 0;", 2, "error: aclrtSynchronizeStream"),
        ('return "no";', 2, "error: no"),
    ],
)
def test_wrong_results(
    example: Path, tmp_path: Path, change: str, status: int, message: str
) -> None:
    source, library = tmp_path / "wrong.c", tmp_path / "wrong.so"
    source.write_text(WRONG % change)
    command = [str(COMPILER), "-shared", "-fPIC", f"-I{ROOT / 'csrc' / 'include'}"]
    done = subprocess.run(
        [*command, str(source), "-o", str(library), "-ldl"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    outcome = run(example, 64, 3, preload=library)
    assert outcome.returncode == status, outcome.stdout + outcome.stderr
    assert message in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "arguments, memory_mb, message",
    [
        ((48, 1), 64, "chunk_size must be 16, 32, 64 or 128 on the NPU"),
        ((64, 0), 64, "number of matrices"),
        ((64, 1, "best"), 64, "plan must be"),
        ((64, 1, "exact", "int8"), 64, "operands must be"),
        ((64, 1, "exact", "float32"), 64, "without products"),
        ((128, 30), 1, "aclrtMalloc"),
    ],
)
def test_errors(example: Path, arguments: tuple[object, ...], memory_mb: int, message: str) -> None:
    done = run(example, *arguments, memory_mb=memory_mb)
    assert done.returncode == 2
    assert message in done.stderr
