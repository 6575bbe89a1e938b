"""The NPU path with the genuine torch_npu on the stand-in runtime, in processes of their own.

What runs there are the test files of ``inside``; a process that has seen an error of a stream is
spent, hence several. It shows the host's side alone: nothing here has run on an NPU.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import TORCH_NPU, needs_stand_in, needs_torch_npu
from neumann_tril import acl_stand_in, npu

INSIDE = Path(__file__).parent / "inside"

pytestmark = [needs_torch_npu, needs_stand_in]

# torch_npu looks these up when it needs them, and cannot do without.
LOOKED_UP = """
aclSetCompileopt aclGetCompileopt aclrtGetSysParamOpt aclrtSetDeviceSatMode aclrtSetOpExecuteTimeOut
aclrtCreateEventWithFlag aclrtQueryEventStatus aclrtStreamQuery aclrtSynchronizeDeviceWithTimeout
"""


def run(*command: object, torch_npu: bool = True, **options: int | str) -> str:
    """Run Python on the stand-in with these options; its output, if it succeeds."""
    paths = [str(TORCH_NPU)] if torch_npu else []
    paths += [
        str(INSIDE),
        str(Path(npu.__file__).parents[1]),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    environment = {
        **os.environ,
        **acl_stand_in.environment(**options),  # type: ignore[arg-type]
        "PYTHONPATH": os.pathsep.join(paths),
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inside(name: str, **options: int | str) -> None:
    """Run a file of tests on the stand-in."""
    run("-m", "pytest", "-p", "no:cacheprovider", "-n", 0, INSIDE / f"{name}.py", **options)


def symbols(library: Path, kind: str) -> set[str]:
    listed = subprocess.run(
        ["nm", "-D", f"--{kind}-only", library], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listed.stdout.splitlines()}


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is missing")
def test_torch_npu_finds_every_function_of_the_runtime() -> None:
    offered = set().union(*(symbols(p, "defined") for p in acl_stand_in.FOLDER.glob("lib*.so")))
    libraries = [*TORCH_NPU.glob("torch_npu/lib/lib*.so"), *TORCH_NPU.glob("torch_npu/_C*.so")]
    needed = set(LOOKED_UP.split())
    for library in libraries:
        if library.name != "libop_plugin_atb.so":  # optional; its runtime has a library of its own
            needed |= {s for s in symbols(library, "undefined") if "@" not in s}
    needed = {s for s in needed if re.match(r"acl[A-Z]|acl(rt|op|mdl|sys)|rt[A-Z]|Msprof|Hccl", s)}
    assert len(needed) > 80
    assert sorted(needed - offered) == []


def test_results_are_those_of_the_emulator() -> None:
    inside("results", memory_mb=256)


def test_the_chunk_rule_is_that_of_the_emulator() -> None:
    inside("rule", memory_mb=256)


def test_streams_devices_and_threads() -> None:
    inside("streams", devices=2, delay_us=300, seed=1)


def test_an_error_in_a_kernel_of_the_other_architecture_reaches_the_caller() -> None:
    inside("kernel_error", soc="Ascend950PR_9599")
