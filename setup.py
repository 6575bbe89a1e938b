"""Builds the native library with CMake and puts it beside the Python package.

The library is reached through a C interface by ctypes, so one wheel serves every Python and torch;
neither torch nor CANN is needed to build it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
PACKAGE = "neumann_tril"


class BuildNative(Command):
    """Builds the library into the package: beside the sources if editable.

    A step of its own: what a changed ``build_py`` raises, setuptools swallows in editable mode.
    """

    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib: str | None = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        parent = ROOT / "python" if self.editable_mode else Path(str(self.build_lib))
        destination = (parent / PACKAGE).resolve()
        cmake = shutil.which("cmake")
        if cmake is None:
            raise SystemExit("cmake was not found; `pip install cmake` provides it")
        folder = ROOT / "build" / "cmake"
        folder.mkdir(parents=True, exist_ok=True)
        forget_tools(folder)
        configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release"]
        if shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        configure += os.environ.get("NEUMANN_TRIL_CMAKE_ARGS", "").split()
        subprocess.run(configure, check=True)
        subprocess.run([cmake, "--build", str(folder), "--parallel"], check=True)
        # Otherwise CMake keeps a library that is less than a second older than the new one.
        always = {**os.environ, "CMAKE_INSTALL_ALWAYS": "1"}
        install = [cmake, "--install", str(folder), "--prefix", str(destination)]
        subprocess.run(install, check=True, env=always)


def forget_tools(folder: Path) -> None:
    """Let CMake look for ninja and compilers anew; what has been compiled stays.

    pip builds in an environment that it deletes afterwards, and its ninja with it.
    """
    for cached in (folder / "CMakeCache.txt", *folder.glob("CMakeFiles/*/CMake*Compiler.cmake")):
        cached.unlink(missing_ok=True)


class Build(build):
    """With the native library."""

    sub_commands: ClassVar = [*build.sub_commands, ("build_native", None)]


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


setup(
    distclass=PlatformDistribution,
    cmdclass={"build": Build, "build_native": BuildNative, "bdist_wheel": PlatformWheel},
)
