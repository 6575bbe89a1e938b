"""The kernels of ``csrc/ascendc`` on an Ascend NPU, for the tensors of torch_npu.

Nothing here needs torch_npu to be installed: the operators' kernels are registered for its dispatch
key in any case, and the backend ``"npu"`` says what is missing when it is asked for.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from . import _torch_import
from .backend import BackendError, Request, register
from .emulator import Inversion, QuantizedInversion
from .layout import ChunkTable
from .native import (
    DTYPE_CODES,
    MAX_DIMS,
    VERSION,
    PlanStruct,
    dense_chunks_of,
    time_chunks_of,
)
from .operator import register_kernels
from .plan import Plan

__all__ = ["LIBRARY_VARIABLE", "architecture", "devices", "library", "library_path", "stand_in"]

LIBRARY_VARIABLE = "NEUMANN_TRIL_NPU_LIBRARY"
"""Environment variable with the NPU library, or the folder that holds it."""

ARCHITECTURES = {"Ascend910B": "dav-2201", "Ascend910_93": "dav-2201", "Ascend950": "dav-3510"}
"""Architecture of the chips whose name begins so."""

_ALIGNMENT = 512  # of the workspace, in bytes


def architecture(soc: str) -> str:
    """The architecture of a chip, such as ``"dav-2201"`` for ``"Ascend910B4"``.

    Raises:
        BackendError: there are no kernels for this chip.
    """
    for prefix, name in ARCHITECTURES.items():
        if soc.startswith(prefix):
            return name
    raise BackendError(
        f"there are no kernels for {soc}, only for chips named {', '.join(ARCHITECTURES)}..."
    )


def library_path(arch: str) -> Path:
    """Where the NPU library of an architecture is looked for.

    The environment variable ``NEUMANN_TRIL_NPU_LIBRARY`` names it or its folder; without the
    variable it is beside this package.
    """
    name = f"libneumann_tril_npu_{arch}.so"
    given = os.environ.get(LIBRARY_VARIABLE)
    if not given:
        return Path(__file__).with_name(name)
    return Path(given) / name if Path(given).is_dir() else Path(given)


@cache
def library(arch: str) -> ctypes.CDLL:
    """The loaded NPU library of an architecture.

    Raises:
        BackendError: it is not there, does not load beside this CANN, or has another interface.
    """
    path = library_path(arch)
    if not path.is_file():
        raise BackendError(
            f"the NPU library {path} does not exist: build this package where CANN is "
            f"(set_env.sh sourced), or name the library in {LIBRARY_VARIABLE}"
        )
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(
            f"the NPU library {path} does not load with this CANN: {error}"
        ) from error
    version = loaded.nt_version() if hasattr(loaded, "nt_npu_inverse") else None
    if version != VERSION:
        raise BackendError(
            f"the NPU library {path} has interface {version}, this package needs {VERSION}"
        )
    for kind in ("", "quantized_"):
        getattr(loaded, f"nt_npu_{kind}refusal").restype = ctypes.c_char_p
        getattr(loaded, f"nt_npu_{kind}workspace_bytes").restype = ctypes.c_int64
    for launch, argument in (
        (loaded.nt_npu_inverse, Inversion),
        (loaded.nt_npu_inverse_quantized, QuantizedInversion),
    ):
        launch.restype = ctypes.c_char_p
        launch.argtypes = [ctypes.POINTER(argument), ctypes.c_void_p]
    return loaded


@cache
def stand_in() -> str | None:
    """What the runtime says of itself if it is the stand-in of this package; None if it is not."""
    try:
        runtime = ctypes.CDLL("libascendcl.so", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        runtime.nt_acl_stand_in.restype = ctypes.c_char_p
    except (OSError, AttributeError):
        return None
    return str(runtime.nt_acl_stand_in().decode())


def _torch_npu_missing() -> str | None:
    """Why there is no torch_npu in this process; None if there is."""
    if "torch_npu" in sys.modules and hasattr(torch, "npu"):
        return None
    if _torch_import.torch_npu_error:
        return f"torch_npu does not load: {_torch_import.torch_npu_error}"
    if importlib.util.find_spec("torch_npu") is None:
        return "torch_npu is not installed"
    return "torch_npu is installed, but this process has not imported it"


def devices() -> str:
    """The NPUs that this process sees, and their runtime; or why it sees none."""
    missing = _torch_npu_missing()
    if missing is not None:
        return f"none: {missing}"
    count = torch.npu.device_count()  # type: ignore[attr-defined]
    if count == 0:
        return f"none: {_NO_DEVICE}"
    properties = torch.npu.get_device_properties(0)  # type: ignore[attr-defined]
    shown = f"{count} x {properties.name}, {properties.cube_core_num} cube cores"
    return f"{shown} (no NPU: {stand_in()})" if stand_in() else shown


_NO_DEVICE = "torch_npu finds no device"


@dataclass(frozen=True, slots=True)
class DeviceKernels:
    """One NPU: its kernels, and how many cube cores they may use."""

    library: ctypes.CDLL
    cube_cores: int


@cache
def device_kernels(index: int) -> DeviceKernels:
    """The kernels for a device of torch_npu. Raises BackendError as :func:`library`."""
    properties = torch.npu.get_device_properties(index)  # type: ignore[attr-defined]
    return DeviceKernels(library(architecture(properties.name)), properties.cube_core_num)


@cache
def _runtime() -> tuple[Callable[[], int], Callable[[int], int]]:
    """Index of the current device; and a device's current stream, as a number, once torch_npu's own
    queue has handed over to it what came before."""
    core = sys.modules["torch_npu"]._C
    return core._npu_getDevice, core._npu_getCurrentRawStream


@lru_cache(maxsize=256)
def _prepared(
    index: int,
    plan: Plan,
    compute_dtype: torch.dtype,
    a_dtype: torch.dtype,
    x_dtype: torch.dtype,
    shape: tuple[int, ...],
    a_strides: tuple[int, ...],
    x_strides: tuple[int, ...],
    count: int | None,
) -> tuple[Callable[..., bytes | None], Inversion, int]:
    """The launch on a device, everything of its argument but pointers, and bytes of workspace.

    ``count`` is the number of chunks on the time axis of (B, T, H, C), or None for (..., C, C).

    Raises:
        ValueError: the kernels refuse it; the text says why.
    """
    device = device_kernels(index)
    if count is None:
        chunks = dense_chunks_of(shape, a_strides, x_strides)
    else:
        chunks = time_chunks_of(shape, a_strides, x_strides, count)
    inversion = Inversion(
        plan=PlanStruct(*plan.to_ints()),
        chunks=chunks,
        a_dtype=DTYPE_CODES[a_dtype],
        x_dtype=DTYPE_CODES[x_dtype],
        compute_dtype=DTYPE_CODES[compute_dtype],
        cube_cores=device.cube_cores,
    )
    refusal = device.library.nt_npu_refusal(ctypes.byref(inversion))
    if refusal is not None:
        raise ValueError(refusal.decode())
    size = device.library.nt_npu_workspace_bytes(ctypes.byref(inversion))
    return device.library.nt_npu_inverse, inversion, with_alignment(size)


def workspace(size: int, device: torch.device) -> int:
    """Address of an aligned workspace; ``size`` has room for the alignment. It goes back to the
    allocator at once, which hands it out again on the current stream only."""
    taken = torch.empty(size, dtype=torch.uint8, device=device)
    return -(-taken.data_ptr() // _ALIGNMENT) * _ALIGNMENT


def current_stream(index: int) -> int:
    """The current stream of a device, once torch_npu's queue has handed over what came before."""
    return _runtime()[1](index)


def with_alignment(size: int) -> int:
    """Bytes to ask :func:`workspace` for."""
    return size + _ALIGNMENT if size else 0


def _launch(
    A: Tensor,
    X: Tensor,
    plan: Plan,
    compute_dtype: torch.dtype,
    count: int | None,
    table: ChunkTable | None = None,
) -> None:
    """Put the inversion on the current stream of A's device; the host does not wait for it."""
    current_device, current_stream = _runtime()
    device = A.device
    index = device.index
    if index != current_device():
        with torch.npu.device(index):  # type: ignore[attr-defined]
            return _launch(A, X, plan, compute_dtype, count, table)
    launch, prepared, size = _prepared(
        index, plan, compute_dtype, A.dtype, X.dtype, A.shape, A.stride(), X.stride(), count
    )
    inversion = Inversion.from_buffer_copy(prepared)
    inversion.a, inversion.x = A.data_ptr(), X.data_ptr()
    if table is not None:
        inversion.chunks.first_row = table.first_row.data_ptr()
        inversion.chunks.valid_rows = table.valid_rows.data_ptr()
    if size:
        inversion.workspace = workspace(size, device)
    refusal = launch(inversion, current_stream(index))
    if refusal is not None:
        raise ValueError(refusal.decode())


def with_unit_columns(A: Tensor) -> Tensor:
    """A, or its contiguous copy: the kernels read rows."""
    return A if A.stride(-1) == 1 else A.contiguous()


class NpuBackend:
    """The kernels on the device of the tensors, on its current stream.

    They want contiguous columns and, in X, rows that do not overlap; for other strides this backend
    works on contiguous copies, which it makes on the device.
    """

    name = "npu"
    devices: tuple[str, ...] = ("npu",)

    def unavailable(self) -> str | None:
        missing = _torch_npu_missing()
        if missing is not None:
            return missing
        if not torch.npu.is_available():  # type: ignore[attr-defined]
            return _NO_DEVICE
        try:
            device_kernels(torch.npu.current_device())  # type: ignore[attr-defined]
        except BackendError as error:
            return str(error)
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return request.dtype if request.dtype == torch.bfloat16 else torch.float16

    def reject(self, request: Request, plan: Plan, compute_dtype: torch.dtype) -> str | None:
        for name, dtype in (("A", request.dtype), ("X", request.output_dtype)):
            if dtype not in DTYPE_CODES:
                return f"{name} of {dtype} is not known to the kernels"
        if compute_dtype not in DTYPE_CODES:
            return f"compute_dtype {compute_dtype} is not known to the kernels"
        size = request.chunk_size
        shape = (1,) * request.batch_dims + (size, size)
        strides = (0,) * request.batch_dims + (size, 1)
        if request.batch_dims > MAX_DIMS:
            return f"A has {request.batch_dims} batch dimensions, at most {MAX_DIMS} are taken"
        found = device_kernels(torch.npu.current_device())  # type: ignore[attr-defined]
        inversion = Inversion(
            plan=PlanStruct(*plan.to_ints()),
            chunks=dense_chunks_of(shape, strides, strides),
            a_dtype=DTYPE_CODES[request.dtype],
            x_dtype=DTYPE_CODES[request.output_dtype],
            compute_dtype=DTYPE_CODES[compute_dtype],
            cube_cores=found.cube_cores,
        )
        refusal = found.library.nt_npu_refusal(ctypes.byref(inversion))
        return None if refusal is None else refusal.decode()

    def run_dense(self, A: Tensor, X: Tensor, plan: Plan, compute_dtype: torch.dtype) -> None:
        A = with_unit_columns(A)
        fits = X.stride(-1) == 1 and X.stride(-2) >= X.shape[-1]
        out = X if fits else torch.empty(X.shape, dtype=X.dtype, device=X.device)
        _launch(A, out, plan, compute_dtype, None)
        if out is not X:
            X.copy_(out)

    def run_time(
        self,
        A: Tensor,
        X: Tensor,
        plan: Plan,
        compute_dtype: torch.dtype,
        table: ChunkTable | None,
    ) -> None:
        A = with_unit_columns(A)
        count = -(-A.shape[1] // A.shape[3]) if table is None else len(table.first_row)
        _launch(A, X, plan, compute_dtype, count, table)


register(NpuBackend())
register_kernels("PrivateUse1")
