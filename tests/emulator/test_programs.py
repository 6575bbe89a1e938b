"""The emulator: small kernels against host arithmetic, and checks that must fire."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent
PROGRAMS = sorted(source.stem for source in SOURCES.glob("*/*.cpp"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built programs."""
    build = tmp_path_factory.mktemp("emulator")
    for command in (
        ["cmake", "-S", str(SOURCES), "-B", str(build), "-DCMAKE_BUILD_TYPE=Debug"],
        ["cmake", "--build", str(build), "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


@pytest.mark.parametrize("arch", (2201, 3510))
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(programs: Path, name: str, arch: int) -> None:
    done = subprocess.run([programs / f"{name}_{arch}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
