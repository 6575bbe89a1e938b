"""What is installed, which backends work, and why the others do not."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from .. import BackendError, __version__, backends, native, npu, torch_import
from ..benchmark import machine
from .report import console, write_json

HELP = "what is installed and which backends work"

AVAILABLE = "available"
PACKAGES = ("numpy", "torch-npu", "matplotlib")
CANN_VARIABLES = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")
CANN_FOLDERS = ("/usr/local/Ascend/cann", "/usr/local/Ascend/ascend-toolkit/latest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None beside those of every command."""


def run(options: argparse.Namespace) -> int:
    """0 if the native CPU backend works, 1 otherwise."""
    figures = findings()
    _print("Installed", figures["found"])
    _print("Backends", figures["backends"])
    write_json(options.json, figures)
    return 0 if figures["backends"]["cpu"] == AVAILABLE else 1


def findings() -> dict[str, Any]:
    """What is installed, and which backends are available."""
    return {"command": "doctor", "found": _found(), "backends": backends()}


def _print(title: str, lines: Mapping[str, object]) -> None:
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify = title, "left"
    for name, value in lines.items():
        table.add_row(f"  {name}", escape(str(value)))
    console.print(table)
    console.print()


def _found() -> dict[str, Any]:
    found: dict[str, Any] = {"neumann-tril": __version__, **machine()}
    for package in PACKAGES:
        found[package] = _version(package)
    if torch_import.torch_npu_error:
        found["torch-npu"] += f", does not load: {torch_import.torch_npu_error}"
    found["native library"] = _native()
    found["NPU library"] = _npu_library()
    found["CANN"] = _cann()
    found["NPUs"] = npu.devices()
    return found


def _native() -> str:
    try:
        return f"{native.LIBRARY}, instruction set {native.cpu_isa()}"
    except BackendError as error:
        return str(error)


def _npu_library() -> str:
    """The libraries that CANN's compiler built, beside the package, or what the variable names."""
    if given := os.environ.get(npu.LIBRARY_VARIABLE):
        state = "" if Path(given).exists() else ", which does not exist"
        return f"{given} (from {npu.LIBRARY_VARIABLE}{state})"
    built = sorted(path.name for path in native.FOLDER.glob("libneumann_tril_npu_*"))
    return ", ".join(built) or "not built: no CANN when this package was built"


def _version(package: str) -> str:
    """Version by its metadata: a torch_npu without CANN cannot be imported, and need not be."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = importlib.util.find_spec(package.replace("-", "_"))
        return "not installed" if module is None else "of unknown version, not installed by pip"


def _cann() -> str:
    for variable in CANN_VARIABLES:
        if folder := os.environ.get(variable):
            state = "" if Path(folder).is_dir() else ", which does not exist"
            return f"{folder} (from {variable}{state})"
    for folder in CANN_FOLDERS:
        if Path(folder).is_dir():
            return f"{folder} (its set_env.sh was not sourced)"
    return f"not found: no {' or '.join(CANN_VARIABLES)}, nothing in {' or '.join(CANN_FOLDERS)}"
