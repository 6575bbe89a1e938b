"""The example applications, on the stand-in runtime: right results pass, wrong ones do not."""

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
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples as a user builds them, with the stand-in's header and library for CANN's."""
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
    return build


@pytest.fixture
def example(examples: Path) -> Path:
    """That of the inverse."""
    return examples / "inverse_on_npu"


@pytest.fixture
def rule(examples: Path) -> Path:
    """That of the gated delta rule."""
    return examples / "rule_on_npu"


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


WRONG = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include "neumann_tril_npu.h"
const char* FUNCTION(const STRUCTURE* given, void* stream) {
    const char* (*real)(const STRUCTURE*, void*) = dlsym(RTLD_NEXT, NAME);
    STRUCTURE changed = *given;
    CHANGE
    return real(&changed, stream);
}
"""


def wrong_library(folder: Path, function: str, structure: str, change: str) -> Path:
    """A library whose function does not do what was asked for, to be loaded before the real one."""
    source, library = folder / "wrong.c", folder / "wrong.so"
    names = {"FUNCTION": function, "STRUCTURE": structure, "NAME": f'"{function}"'}
    defined = [f"-D{name}={value}" for name, value in names.items()]
    source.write_text(WRONG.replace("CHANGE", change))
    command = [str(COMPILER), "-shared", "-fPIC", f"-I{ROOT / 'csrc' / 'include'}", *defined]
    done = subprocess.run(
        [*command, str(source), "-o", str(library), "-ldl"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return library


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
    library = wrong_library(tmp_path, "nt_npu_inverse", "nt_npu_inversion", change)
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


@pytest.mark.parametrize(
    "sizes", [(150, 1, 2, 128, 128), (100, 2, 2, 32, 48, "fast"), (70, 1, 1, 256, 16)]
)
def test_right_results_of_the_rule(rule: Path, sizes: tuple[object, ...]) -> None:
    done = run(rule, *sizes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sizes[0]} tokens" in done.stdout and "OK" in done.stdout


@pytest.mark.parametrize(
    "change, status, message",
    [
        ("changed.compute_dtype = NT_BFLOAT16;", 0, "OK"),  # less accurate, still right
        ("changed.scale *= 1.01f;", 1, "WRONG"),
        ("changed.tensors.initial_state = 0; changed.initial_state = 0;", 1, "WRONG"),
        ("changed.normalize = 0;", 1, "WRONG"),
        ("changed.g.data_dtype = NT_NONE;", 1, "WRONG"),
        ("changed.k.time += 1;", 2, "error: aclrtSynchronizeStream"),
        ("changed.tensors.q = 0;", 2, "error: aclrtSynchronizeStream"),
        ('return "no";', 2, "error: no"),
    ],
)
def test_wrong_results_of_the_rule(
    rule: Path, tmp_path: Path, change: str, status: int, message: str
) -> None:
    library = wrong_library(tmp_path, "nt_npu_gated_delta_rule", "nt_npu_rule", change)
    outcome = run(rule, 150, 1, 2, 32, 32, preload=library)
    assert outcome.returncode == status, outcome.stdout + outcome.stderr
    assert message in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0,), "number of tokens"),
        ((100, 1, 1, 24, 16), "K and V must be multiples of 16"),
        ((100, 2, 3, 16, 16), "HV must be a positive multiple of H"),
        ((100, 1, 1, 16, 16, "best"), "plan must be"),
    ],
)
def test_errors_of_the_rule(rule: Path, arguments: tuple[object, ...], message: str) -> None:
    done = run(rule, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
