"""One direction of knowledge: who may import or include whom, and that no file is too long.

Read from the sources: imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from helpers import ROOT

PACKAGE = ROOT / "python" / "neumann_tril"
BENCHMARKS = ROOT / "benchmarks"
KERNELS = ROOT / "csrc" / "ascendc"

PYTHON_LAYERS = (
    ("errors", "torch_import", "context", "arguments"),
    ("norms", "layout", "testing"),
    ("plan",),
    ("bounds", "reference"),
    ("grids",),
    ("native",),
    ("emulator", "npu", "acl_stand_in"),
    ("sensitivity", "backends"),
    ("ops",),
    ("quant", "gdn", "benchmark"),
    ("neumann_tril",),  # the package's own namespace, python/neumann_tril/__init__.py
    ("integrations",),
    ("cli",),
    ("__main__",),
)
"""Modules and packages of python/neumann_tril; each may import those of earlier lines alone."""

KERNEL_LAYERS = (
    ("core",),
    ("inverse", "quantized"),
    ("gated_delta",),
    ("package",),
)
"""Folders of csrc/ascendc; each may include those of earlier lines, and itself."""

LINES = 450
"""The most lines of a source file."""


@cache
def python_files() -> dict[str, Path]:
    """Dotted name -> file, of the package and of the benchmarks."""
    found = {}
    for folder in (PACKAGE, BENCHMARKS):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def module(base: str, name: str) -> str | None:
    """The file that ``from base import name`` reads: a module of that name, or the base."""
    for wanted in (f"{base}.{name}", base):
        if wanted in python_files():
            return wanted
    return None


def imports(importer: str) -> Iterator[tuple[str, str, str]]:
    """Every import of one of our files: that file, the name taken from it, the local name."""
    path = python_files()[importer]
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            found = [(base, alias.name, alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [(alias.name, "", alias.asname or alias.name) for alias in node.names]
        else:
            continue
        for base, name, local in found:
            beside = f"{package}.{base}"  # scripts of one folder import each other by bare names
            target = module(base, name) or module(beside, name)
            if target is not None:
                yield target, name, local


def room(name: str) -> str:
    """The module or package of python/neumann_tril that a file belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def package_files() -> list[str]:
    return [name for name in python_files() if name.split(".")[0] == "neumann_tril"]


def test_every_room_has_its_layer() -> None:
    assert {room(name) for name in package_files()} == {r for line in PYTHON_LAYERS for r in line}


@pytest.mark.parametrize("name", package_files())
def test_imports_go_one_way(name: str) -> None:
    layer = {room: n for n, line in enumerate(PYTHON_LAYERS) for room in line}
    for target, *_ in imports(name):
        if target.startswith("neumann_tril") and room(target) != room(name):
            assert layer[room(target)] < layer[room(name)], f"{name} imports {target}"


def test_no_files_import_each_other() -> None:
    """Nor in a circle."""
    graph = {
        name: {target for target, *_ in imports(name) if target != name} for name in python_files()
    }
    assert list(TopologicalSorter(graph).static_order())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@pytest.mark.parametrize("name", python_files())
def test_no_names_of_others_that_begin_with_an_underscore(name: str) -> None:
    modules = set()
    for target, taken, local in imports(name):
        assert not is_private(taken), f"{name} imports {taken} from {target}"
        assert not any(map(is_private, target.split("."))), f"{name} imports {target}"
        if not taken or target.endswith(f".{taken}"):
            modules.add(local)
    for node in ast.walk(ast.parse(python_files()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            assert ast.unparse(node).split(".")[0] not in modules, ast.unparse(node)


def included(path: Path) -> Iterator[Path]:
    """The files of csrc/ascendc that a file of it includes."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', text, re.MULTILINE):
        for folder in (path.parent, KERNELS, ROOT / "csrc"):
            target = (folder / name).resolve()
            if target.is_file() and KERNELS in target.parents:
                yield target
                break


def test_includes_between_kernel_folders_go_one_way() -> None:
    layer = {folder: n for n, line in enumerate(KERNEL_LAYERS) for folder in line}
    for path in sorted(KERNELS.rglob("*")):
        folder = path.relative_to(KERNELS).parts[0]
        if folder not in layer or not path.is_file():
            continue
        for target in included(path):
            other = target.relative_to(KERNELS).parts[0]
            if other in layer and other != folder:
                assert layer[other] < layer[folder], f"{path} includes {target}"


def test_no_source_is_too_long() -> None:
    folders = (PACKAGE, BENCHMARKS, ROOT / "csrc")
    endings = {".py", ".h", ".hpp", ".cpp", ".c", ".asc"}
    paths = (path for folder in folders for path in folder.rglob("*") if path.suffix in endings)
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
    }
    assert not {name: n for name, n in lengths.items() if n > LINES}
