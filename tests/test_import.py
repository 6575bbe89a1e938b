"""Importing beside a torch_npu that is absent, broken, or switched off; each in its own process.

The genuine torch_npu is looked for in ``build/torch_npu``, where ``make test`` puts it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helpers import TORCH_NPU, needs_torch_npu

USE = """
import torch, neumann_tril
A = torch.ones(16, 16)
assert neumann_tril.inverse(A)[1, 0] == -1
"""


def python(code: str, *, torch_npu: bool = False, autoload: str | None = None) -> str:
    """Run the code; its standard output."""
    environment = {k: v for k, v in os.environ.items() if k != "TORCH_DEVICE_BACKEND_AUTOLOAD"}
    paths = [str(TORCH_NPU)] if torch_npu else []
    environment["PYTHONPATH"] = os.pathsep.join(
        [*paths, *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    if autoload is not None:
        environment["TORCH_DEVICE_BACKEND_AUTOLOAD"] = autoload
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_torch_npu() -> None:
    code = (
        "import neumann_tril, os" + USE + "print(os.environ.get('TORCH_DEVICE_BACKEND_AUTOLOAD'))"
    )
    assert python(code) == "None"


@needs_torch_npu
def test_torch_npu_without_cann_does_not_stop_the_import() -> None:
    code = (
        "import neumann_tril, os, sys"
        + USE
        + "from neumann_tril.torch_import import torch_npu_error as error\n"
        + "print(error, '|', os.environ['TORCH_DEVICE_BACKEND_AUTOLOAD'],"
        + "any(m.startswith('torch_npu') for m in sys.modules))"
    )
    error, state = python(code, torch_npu=True).split("|")
    # The missing library is named, the switch stays off for workers, no half-loaded modules stay.
    assert error.startswith("ImportError: ") and ".so" in error
    assert state.split() == ["0", "False"]


@needs_torch_npu
def test_torch_alone_would_have_failed_there() -> None:
    code = "try:\n import torch\nexcept RuntimeError as e:\n print('torch_npu' in str(e))"
    assert python(code, torch_npu=True) == "True"


@needs_torch_npu
def test_a_spawned_worker_imports_torch_too() -> None:
    code = (
        "import neumann_tril, multiprocessing as mp\n"
        "if __name__ == '__main__':\n"
        "    worker = mp.get_context('spawn').Process(target=print, args=('alive',))\n"
        "    worker.start(); worker.join(); print(worker.exitcode)"
    )
    assert python(code, torch_npu=True).split() == ["alive", "0"]


@needs_torch_npu
@pytest.mark.parametrize("autoload", ["0", "false"])
def test_a_switch_set_by_the_user_is_respected(autoload: str) -> None:
    code = (
        "import neumann_tril, os, sys"
        + USE
        + "print(os.environ['TORCH_DEVICE_BACKEND_AUTOLOAD'], 'torch_npu' in sys.modules)"
    )
    assert python(code, torch_npu=True, autoload=autoload).split() == [autoload, "False"]


@needs_torch_npu
def test_torch_imported_first_with_the_switch_off() -> None:
    assert python("import torch\nimport neumann_tril" + USE, torch_npu=True, autoload="0") == ""
