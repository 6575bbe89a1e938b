"""The vector side of the emulator: small kernels against the same arithmetic on the host."""

import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "vector"
PROGRAMS = ("scalars", "elementwise", "movement", "reduce", "queue", "errors")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("vector")
    for command in (
        ["cmake", "-S", str(SOURCE), "-B", str(build), "-DCMAKE_BUILD_TYPE=Debug"],
        ["cmake", "--build", str(build), "-j2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


@pytest.mark.parametrize("arch", (2201, 3510))
@pytest.mark.parametrize("name", PROGRAMS)
def test_vector(programs: Path, name: str, arch: int) -> None:
    done = subprocess.run([programs / f"{name}_{arch}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
