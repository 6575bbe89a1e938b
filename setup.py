"""Builds the native library with CMake and puts it beside the Python package.

The library is reached through a C interface by ctypes, so one wheel serves every Python and torch;
neither torch nor CANN is needed to build it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "neumann_tril"


class BuildWithLibrary(build_py):
    """Builds the library before the Python files are copied."""

    def run(self) -> None:
        super().run()
        package = (
            ROOT / "python" / PACKAGE if self.editable_mode else Path(self.build_lib) / PACKAGE
        )
        package.mkdir(parents=True, exist_ok=True)
        self._build(package.resolve())

    def _build(self, destination: Path) -> None:
        cmake = shutil.which("cmake")
        if cmake is None:
            raise SystemExit("cmake was not found; `pip install cmake` provides it")
        folder = ROOT / "build" / "cmake"
        folder.mkdir(parents=True, exist_ok=True)
        configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
        if not (folder / "CMakeCache.txt").exists() and shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        configure += os.environ.get("NEUMANN_TRIL_CMAKE_ARGS", "").split()
        subprocess.run(configure, check=True)
        subprocess.run([cmake, "--build", str(folder), "--parallel"], check=True)
        subprocess.run([cmake, "--install", str(folder), "--prefix", str(destination)], check=True)


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


setup(
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
)
