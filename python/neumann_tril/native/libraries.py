"""The libraries: where they are, their version, and the types of their functions."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..errors import BackendError
from .structures import Chunks, Intra, Inversion, PlanStruct, QuantizedInversion, QuantStruct, Rule

VERSION = 1
"""Of the C interface."""
FOLDER = Path(__file__).parent.parent
"""The package's, in which its libraries lie."""
LIBRARY = "libneumann_tril.so"
LIBRARY_VARIABLE = "NEUMANN_TRIL_NPU_LIBRARY"
"""Environment variable with the NPU library, or the folder that holds it."""

_TEXT, _INT, _LONG, _ADDRESS = (ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p)
_PLAN, _CHUNKS, _QUANT = map(ctypes.POINTER, (PlanStruct, Chunks, QuantStruct))

Functions = Mapping[str, tuple[type | None, tuple[type, ...]]]
"""Result and arguments by name."""

_CPU: Functions = {
    "nt_cpu_isa": (_TEXT, ()),
    "nt_cpu_inverse": (_TEXT, (_PLAN, _CHUNKS, _ADDRESS, _INT, _ADDRESS, _INT, _INT)),
    "nt_quant_constants": (_INT, (_PLAN,)),
    "nt_cpu_inverse_quantized": (
        _TEXT,
        (_PLAN, _QUANT, _CHUNKS, _ADDRESS, _INT, _ADDRESS, _INT, _ADDRESS, _ADDRESS, _INT),
    ),
}
_NPU: Functions = {
    name: signature
    for structure in (Inversion, QuantizedInversion, Rule, Intra)
    for name, signature in (
        (structure.entry.refusal, (_TEXT, (ctypes.POINTER(structure),))),
        (structure.entry.workspace_bytes, (_LONG, (ctypes.POINTER(structure),))),
        (structure.entry.launch, (_TEXT, (ctypes.POINTER(structure), _ADDRESS))),
    )
}
_EMULATOR: Functions = {
    **_NPU,
    "emulator_set_option": (_INT, (_TEXT, _TEXT)),
    "emulator_error": (_TEXT, ()),
    "emulator_costs_json": (_TEXT, (_TEXT,)),
    "emulator_recording_open": (_INT, ()),
    "emulator_recording_time_ns": (ctypes.c_double, (_INT, _TEXT)),
    "emulator_recording_close": (None, (_INT,)),
    "emulator_register_memory": (None, (_ADDRESS, ctypes.c_uint64, _INT, _INT)),
    "emulator_unregister_memory": (None, (_ADDRESS,)),
    "emulator_clear_report": (None, ()),
    "emulator_report_error": (_TEXT, ()),
    "emulator_report_json": (_TEXT, ()),
    "emulator_report_sync_sites": (_TEXT, ()),
    "emulator_report_time_ns": (ctypes.c_double, ()),
}


class NativeLibraryError(BackendError):
    """A native library is missing or of another version."""


def _load(path: Path, functions: Functions, what: str, remedy: str, where: str = "") -> ctypes.CDLL:
    """The loaded library. Raises NativeLibraryError, which says what it is and what helps."""
    if not path.is_file():
        raise NativeLibraryError(f"{what} {path} does not exist: {remedy}")
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeLibraryError(f"{what} {path} does not load{where}: {error}") from error
    complete = all(hasattr(loaded, name) for name in functions)
    version = loaded.nt_version() if complete else None
    if version != VERSION:
        raise NativeLibraryError(
            f"{what} {path} has interface {version}, this package needs {VERSION}"
        )
    for name, (result, arguments) in functions.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


@cache
def library() -> ctypes.CDLL:
    """The CPU kernels.

    Raises:
        NativeLibraryError: the library is not there, does not load, or has another interface; so
            for the other libraries.
    """
    return _load(FOLDER / LIBRARY, _CPU, "the CPU library", "reinstall neumann-tril")


@cache
def emulator_library(arch: int) -> ctypes.CDLL:
    """The NPU kernels of an architecture, 2201 or 3510, with the emulator."""
    path = FOLDER / f"libneumann_tril_emulator_{arch}.so"
    return _load(path, _EMULATOR, "the emulator's library", "build with NT_BUILD_EMULATOR")


def npu_library_path(arch: str) -> Path:
    """Where the NPU library of an architecture is looked for.

    The environment variable ``NEUMANN_TRIL_NPU_LIBRARY`` names it or its folder; without the
    variable it is beside this package.
    """
    name = f"libneumann_tril_npu_{arch}.so"
    given = os.environ.get(LIBRARY_VARIABLE)
    if not given:
        return FOLDER / name
    return Path(given) / name if Path(given).is_dir() else Path(given)


@cache
def npu_library(arch: str) -> ctypes.CDLL:
    """The NPU kernels of an architecture, ``"dav-2201"`` or ``"dav-3510"``."""
    remedy = (
        "build this package where CANN is (set_env.sh sourced), "
        f"or name the library in {LIBRARY_VARIABLE}"
    )
    return _load(npu_library_path(arch), _NPU, "the NPU library", remedy, " with this CANN")
