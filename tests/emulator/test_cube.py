"""The emulator's core and matrix side: small kernels, and every check that must fire."""

import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "cube"
PROGRAMS = sorted(source.stem for source in SOURCE.glob("*.cpp"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("cube")
    for command in (
        ["cmake", "-S", str(SOURCE), "-B", str(build), "-DCMAKE_BUILD_TYPE=Debug"],
        ["cmake", "--build", str(build), "-j2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


@pytest.mark.parametrize("arch", (2201, 3510))
@pytest.mark.parametrize("name", PROGRAMS)
def test_cube(programs: Path, name: str, arch: int) -> None:
    done = subprocess.run([programs / f"{name}_{arch}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
