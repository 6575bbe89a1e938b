"""The tests for a machine with an NPU, run on the emulator: they must pass where all is right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from neumann_tril.backends import EmulatorBackend

ROOT = Path(__file__).resolve().parents[2]
UNAVAILABLE = EmulatorBackend().unavailable()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "tests/hardware", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
def test_on_the_emulator() -> None:
    done = run("--device", "emulator", "-x")
    assert done.returncode == 0, done.stdout + done.stderr
    (skipped,) = re.findall(r"(\d+) skipped", done.stdout)
    assert skipped == "1"  # streams
