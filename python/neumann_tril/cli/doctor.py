"""What is installed, which backends work, and why the others do not."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
from pathlib import Path
from typing import Any

from rich.table import Table

from .. import backends, native
from ..benchmark import machine
from .report import console, write_json

HELP = "what is installed and which backends work"

AVAILABLE = "available"
PACKAGES = ("neumann-tril", "torch", "numpy", "torch-npu", "matplotlib")
CANN_VARIABLES = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")
CANN_FOLDERS = ("/usr/local/Ascend/cann", "/usr/local/Ascend/ascend-toolkit/latest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none of its own."""


def run(options: argparse.Namespace) -> int:
    """0 if the native CPU backend works, 1 otherwise."""
    found = _found()
    status = backends()
    table = Table(title="Installed", show_header=False)
    for name, value in found.items():
        table.add_row(name, str(value))
    console.print(table)
    table = Table(title="Backends")
    for name in ("backend", "state"):
        table.add_column(name)
    for name, state in status.items():
        table.add_row(name, str(state))
    console.print(table)
    write_json(options.json, {"command": "doctor", "found": found, "backends": status})
    return 0 if status["cpu"] == AVAILABLE else 1


def _found() -> dict[str, Any]:
    found: dict[str, Any] = dict(machine())
    for package in PACKAGES:
        found[package] = _version(package)
    found["native library"] = _native()
    found["CANN"] = _cann()
    return found


def _native() -> str:
    try:
        return f"{native.LIBRARY}, instruction set {native.cpu_isa()}"
    except native.NativeLibraryError as error:
        return str(error)


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
