"""The package's own build steps, around a library of one line: twice, editable and not, and with
a compiler that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from helpers import ROOT

TOOLS = ("cmake", "ninja", "c++")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="needs cmake, ninja and a C++ compiler"
)

PROJECT = """
cmake_minimum_required(VERSION 3.24)
project(one_line CXX)
add_library(one_line SHARED one_line.cpp)
install(TARGETS one_line LIBRARY DESTINATION .)
"""
PYPROJECT = """
[project]
name = "one-line"
version = "1"
[tool.setuptools]
package-dir = { "" = "python" }
packages = ["neumann_tril"]
"""
LIBRARY = "libone_line.so"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "python" / "neumann_tril").mkdir(parents=True)
    (folder / "python" / "neumann_tril" / "__init__.py").touch()
    shutil.copy(ROOT / "setup.py", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "CMakeLists.txt").write_text(PROJECT)
    (folder / "one_line.cpp").write_text('extern "C" int answer() { return 1111; }\n')
    return folder


def build(project: Path, kind: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What pip asks of setuptools, in a build environment whose ninja is gone afterwards."""
    tools = Path(tempfile.mkdtemp(dir=project.parent))
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    (tools / "ninja").symlink_to(str(shutil.which("ninja")))
    code = f"import setuptools.build_meta as meta; print(meta.build_{kind}('dist'))"
    try:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env={**os.environ, "PATH": path, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        shutil.rmtree(tools)


def edit(source: Path, text: str) -> None:
    """As a user does it, later than the last build: some file systems count whole seconds."""
    source.write_text(text)
    later = time.time() + 10
    os.utime(source, (later, later))


def library(project: Path, kind: str) -> bytes:
    """The library that this kind of install would use."""
    if kind == "editable":
        return (project / "python" / "neumann_tril" / LIBRARY).read_bytes()
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"neumann_tril/{LIBRARY}")


@pytest.mark.parametrize(
    "kinds", [("wheel", "wheel"), ("editable", "editable"), ("wheel", "editable")]
)
def test_twice(project: Path, kinds: tuple[str, str]) -> None:
    first = build(project, kinds[0])
    assert first.returncode == 0, first.stdout + first.stderr
    before = library(project, kinds[0])
    source = project / "one_line.cpp"
    edit(source, source.read_text().replace("1111", "2222"))
    second = build(project, kinds[1])
    assert second.returncode == 0, second.stdout + second.stderr
    assert library(project, kinds[1]) != before


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_what_does_not_compile_fails(project: Path, kind: str) -> None:
    assert build(project, kind).returncode == 0
    edit(project / "one_line.cpp", "int answer() { return unknown_name; }\n")
    failed = build(project, kind)
    assert failed.returncode != 0
    assert "unknown_name" in failed.stdout + failed.stderr


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.parametrize("before", [False, True])
def test_a_broken_compiler_fails(project: Path, kind: str, before: bool) -> None:
    if before:
        assert build(project, kind).returncode == 0
    failed = build(project, kind, CXX="/bin/false")
    assert failed.returncode != 0
    assert "/bin/false" in failed.stdout + failed.stderr
