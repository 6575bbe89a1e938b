"""The NPU kernels, run on the CPU by the emulator of ``csrc/emulator``.

The very sources that are compiled for an Ascend NPU, with every memory access and every
synchronisation checked, and their time modelled. What runs here shows what the kernels compute; it
is not a run on an NPU.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .backend import BackendError, Request, register
from .layout import ChunkTable
from .native import (
    DTYPE_CODES,
    QUANTIZED_DTYPE_CODES,
    Chunks,
    PlanStruct,
    QuantStruct,
    dense_chunks,
    time_chunks,
)
from .plan import Plan

if TYPE_CHECKING:
    from .quant.plan import QuantPlan

__all__ = [
    "ARCHITECTURES",
    "Report",
    "architecture",
    "inverse",
    "inverse_quantized",
    "options",
    "peer_baseline",
    "sync_sites",
]

ARCHITECTURES = (2201, 3510)
CUBE_CORES = {
    "Ascend910B1": 24,
    "Ascend910B2": 24,
    "Ascend910B3": 20,
    "Ascend910B4": 20,
    "Ascend910_9391": 24,
    "Ascend950PR_9599": 36,
}
"""Cube cores of the chips the emulator has cost tables of."""

_DEFAULT_SOC = {2201: "Ascend910B4", 3510: "Ascend950PR_9599"}
_LOCK = threading.Lock()  # options, registered memory and report are those of the process


def architecture(soc: str) -> int:
    """2201 or 3510, the architecture of a chip in ``CUBE_CORES``.

    Raises:
        ValueError: the emulator has no cost table of this chip.
    """
    if soc not in CUBE_CORES:
        raise ValueError(f"soc must be one of {', '.join(CUBE_CORES)}, got {soc!r}")
    return 3510 if soc.startswith("Ascend950") else 2201


class Inversion(ctypes.Structure):
    """``nt_npu_inversion``."""

    _fields_ = [
        ("plan", PlanStruct),
        ("chunks", Chunks),
        ("a_dtype", ctypes.c_int32),
        ("x_dtype", ctypes.c_int32),
        ("compute_dtype", ctypes.c_int32),
        ("cube_cores", ctypes.c_int32),
        ("a", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
    ]


class QuantizedInversion(ctypes.Structure):
    """``nt_npu_quantized``."""

    _fields_ = [
        ("plan", PlanStruct),
        ("chunks", Chunks),
        ("quant", QuantStruct),
        ("a_dtype", ctypes.c_int32),
        ("x_dtype", ctypes.c_int32),
        ("cube_cores", ctypes.c_int32),
        ("a", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
    ]

    @classmethod
    def of(
        cls,
        qplan: QuantPlan,
        group_dim: int,
        constants: int | None,
        chunks: Chunks,
        a_dtype: torch.dtype,
        x_dtype: torch.dtype,
        cube_cores: int,
    ) -> QuantizedInversion:
        """All but the pointers to A, X and the workspace; ``constants`` is an address."""
        return cls(
            plan=PlanStruct(*qplan.plan.to_ints()),
            chunks=chunks,
            quant=QuantStruct(qplan.bits, qplan.groups, group_dim, constants),
            a_dtype=QUANTIZED_DTYPE_CODES[a_dtype],
            x_dtype=QUANTIZED_DTYPE_CODES[x_dtype],
            cube_cores=cube_cores,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What the emulator says of a launch.

    ``time_us`` is the modelled time in microseconds, ``details`` the emulator's own report: busy
    time of each pipe in ns, bytes moved, instructions.
    """

    time_us: float
    details: dict[str, Any]


@cache
def library(arch: int = 2201) -> ctypes.CDLL:
    """The kernels of one architecture with the emulator.

    Raises:
        BackendError: the library is not beside the package or cannot be loaded.
    """
    path = Path(__file__).with_name(f"libneumann_tril_emulator_{arch}.so")
    if not path.exists():
        raise BackendError(f"{path.name} is not beside the package (build with NT_BUILD_EMULATOR)")
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise BackendError(f"{path.name} cannot be loaded: {error}") from error
    loaded.nt_npu_inverse.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    loaded.nt_npu_inverse_quantized.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    for name in ("nt_npu_workspace_bytes", "nt_npu_quantized_workspace_bytes"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p]
        getattr(loaded, name).restype = ctypes.c_int64
    loaded.emulator_report_time_ns.restype = ctypes.c_double
    loaded.emulator_register_memory.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint64,
        ctypes.c_int,
        ctypes.c_int,
    ]
    loaded.emulator_unregister_memory.argtypes = [ctypes.c_void_p]
    for name in (
        "nt_npu_inverse",
        "nt_npu_refusal",
        "nt_npu_inverse_quantized",
        "nt_npu_quantized_refusal",
        "emulator_error",
        "emulator_report_error",
        "emulator_report_json",
        "emulator_report_sync_sites",
    ):
        getattr(loaded, name).restype = ctypes.c_char_p
    # Also the checks that some public example kernels do not pass.
    loaded.emulator_set_option(b"strict", b"1")
    return loaded


def set_option(arch: int, key: str, value: object) -> None:
    """Set an option of the emulator (soc, schedule_seed, perturb_seed, checks, disable_sync, ...).

    Raises:
        ValueError: the emulator knows no such option or value.
    """
    loaded = library(arch)
    if loaded.emulator_set_option(key.encode(), str(value).encode()) != 0:
        raise ValueError(loaded.emulator_error().decode())


@contextmanager
def options(arch: int = 2201, **values: object) -> Iterator[None]:
    """Options of the emulator for the launches inside; afterwards empty or zero again."""
    for key, value in values.items():
        set_option(arch, key, value)
    try:
        yield
    finally:
        for key, value in values.items():
            set_option(arch, key, 1 if key in ("checks", "timing", "strict") else _unset(value))


def _unset(value: object) -> object:
    return "" if isinstance(value, str) else 0


@contextmanager
def _registered(arch: int, spans: list[tuple[int, int, bool]]) -> Iterator[None]:
    """Memory the kernels may touch: (address, bytes, read only and initialised)."""
    loaded = library(arch)
    spans = [span for span in spans if span[1] > 0]
    for address, size, given in spans:
        loaded.emulator_register_memory(address, size, int(given), int(given))
    try:
        yield
    finally:
        for address, _, _ in spans:
            loaded.emulator_unregister_memory(address)


def _storage(tensor: Tensor) -> tuple[int, int]:
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes()


def _report(arch: int) -> Report:
    loaded = library(arch)
    error = loaded.emulator_report_error().decode()
    if error:
        raise BackendError(f"the emulator stopped the kernel: {error}")
    details = json.loads(loaded.emulator_report_json())
    return Report(loaded.emulator_report_time_ns() / 1e3, details)


def sync_sites(arch: int = 2201) -> list[dict[str, Any]]:
    """The synchronisation calls that the last launch executed: kind, file, line, count."""
    sites: list[dict[str, Any]] = json.loads(library(arch).emulator_report_sync_sites())
    return sites


def inverse(
    A: Tensor,
    X: Tensor,
    plan: Plan,
    compute_dtype: torch.dtype,
    chunks: Chunks,
    table: ChunkTable | None = None,
    arch: int = 2201,
    cube_cores: int | None = None,
) -> Report:
    """Fill X with the inverses of A by the NPU kernels.

    Args:
        A, X: CPU tensors of float16, bfloat16 or float32; ``chunks`` says where their matrices lie.
        compute_dtype: float16 or bfloat16, the dtype of the cube's operands; float32 for plans
            without products.
        table: the chunk table that ``chunks`` refers to, if any.
        cube_cores: cores to use; those of the default chip if None.

    Raises:
        ValueError: the kernels refuse the call; the text says why.
        BackendError: the emulator found a fault in the kernel.
    """
    inversion = Inversion(
        plan=PlanStruct(*plan.to_ints()),
        chunks=chunks,
        a_dtype=DTYPE_CODES[A.dtype],
        x_dtype=DTYPE_CODES[X.dtype],
        compute_dtype=DTYPE_CODES[compute_dtype],
        cube_cores=cube_cores or CUBE_CORES[_DEFAULT_SOC[arch]],
        a=A.data_ptr(),
        x=X.data_ptr(),
    )
    loaded = library(arch)
    calls = (loaded.nt_npu_workspace_bytes, loaded.nt_npu_inverse)
    return _run(arch, inversion, calls, A, X, table, [])


def inverse_quantized(
    A: Tensor,
    X: Tensor,
    qplan: QuantPlan,
    group_dim: int,
    chunks: Chunks,
    table: ChunkTable | None = None,
    arch: int = 2201,
    cube_cores: int | None = None,
) -> Report:
    """Fill X with the inverses of A on the grids of ``qplan`` by the NPU kernels.

    Args:
        A, X: CPU tensors: float16 numbers, or codes, int8 or int16 as the plan's bits; ``chunks``
            says where their matrices lie.
        group_dim: batch dimension of ``chunks`` whose index is the group of scales; -1: one group.
        table, cube_cores: as in :func:`inverse`.

    Raises:
        ValueError: the kernels refuse the call; the text says why.
        BackendError: the emulator found a fault in the kernel.
    """
    constants = torch.zeros(1) if qplan.is_dynamic else torch.from_numpy(qplan.constants.rows())
    cores = cube_cores or CUBE_CORES[_DEFAULT_SOC[arch]]
    inversion = QuantizedInversion.of(
        qplan, group_dim, constants.data_ptr(), chunks, A.dtype, X.dtype, cores
    )
    inversion.a, inversion.x = A.data_ptr(), X.data_ptr()
    loaded = library(arch)
    calls = (loaded.nt_npu_quantized_workspace_bytes, loaded.nt_npu_inverse_quantized)
    return _run(arch, inversion, calls, A, X, table, [constants])


def _run(
    arch: int,
    inversion: Inversion | QuantizedInversion,
    calls: tuple[Any, Any],
    A: Tensor,
    X: Tensor,
    table: ChunkTable | None,
    inputs: list[Tensor],
) -> Report:
    """Launch by ``calls``, the workspace's size and the launch; ``inputs``: what else is read."""
    workspace_bytes, launch = calls
    size = workspace_bytes(ctypes.byref(inversion))
    workspace = torch.empty(size + 512, dtype=torch.uint8)
    inversion.workspace = -(-workspace.data_ptr() // 512) * 512
    # X is not read, and what it holds outside of its chunks must survive.
    spans = [(*_storage(A), True), (*_storage(X), False), (inversion.workspace, size, False)]
    if table is not None:
        inputs = [*inputs, table.first_row, table.valid_rows]
    spans += [(*_storage(tensor), True) for tensor in inputs]
    with _LOCK, _registered(arch, spans):
        library(arch).emulator_clear_report()
        refusal = launch(ctypes.byref(inversion), None)
        if refusal is not None:
            raise ValueError(refusal.decode())
        return _report(arch)


def peer_baseline(A: Tensor, cube_cores: int = 20) -> tuple[Tensor, Report]:
    """The published 16-block method as a kernel (``benchmarks/peer_baseline.cpp``).

    Args:
        A: (N, C, C) float16, contiguous, strictly lower triangular, C of 16, 32, 64 or 128.
    """
    loaded = library(2201)
    count, c, _ = A.shape
    X = torch.empty_like(A)
    minus_identity = -torch.eye(c, dtype=A.dtype)
    spans = [(*_storage(A), True), (*_storage(X), False), (*_storage(minus_identity), True)]
    pointers = [ctypes.c_void_p(t.data_ptr()) for t in (A, X, minus_identity)]
    with _LOCK, _registered(2201, spans):
        loaded.emulator_clear_report()
        if loaded.peer_baseline(*pointers, c, count, cube_cores, None) != 0:
            raise ValueError(f"C must be 16, 32, 64 or 128, got {c}")
        return X, _report(2201)


class EmulatorBackend:
    """The NPU kernels through the emulator, on CPU tensors.

    The kernels want contiguous columns and, in X, rows that do not overlap; for other strides this
    backend works on contiguous copies.
    """

    name = "emulator"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self) -> str | None:
        try:
            library()
        except BackendError as error:
            return str(error)
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return request.dtype if request.dtype == torch.bfloat16 else torch.float16

    def reject(self, request: Request, plan: Plan, compute_dtype: torch.dtype) -> str | None:
        if plan.chunk_size not in (16, 32, 64, 128):
            return f"the kernels take chunk sizes 16, 32, 64 and 128, not {plan.chunk_size}"
        half = (torch.float16, torch.bfloat16)
        for dtype in (request.dtype, request.output_dtype):
            if dtype not in (*half, torch.float32):
                return f"the kernels take float16, bfloat16 and float32, not {dtype}"
        if compute_dtype not in (*half, torch.float32):
            return f"operands are float16, bfloat16 or float32, not {compute_dtype}"
        if compute_dtype == torch.float32:
            if plan.products == 0:
                return None
            return "float32 needs a plan without products: splits 0, terms 1, refinements 0"
        if request.dtype in half and request.dtype != compute_dtype:
            return f"{request.dtype} input is computed in {request.dtype}, not in {compute_dtype}"
        return None

    def run_dense(self, A: Tensor, X: Tensor, plan: Plan, compute_dtype: torch.dtype) -> None:
        A, out = _fitting(A), X if _writable(X) else torch.empty(X.shape, dtype=X.dtype)
        inverse(A, out, plan, compute_dtype, dense_chunks(A, out))
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
        A, out = _fitting(A), X if X.stride(-1) == 1 else X.contiguous()
        inverse(A, out, plan, compute_dtype, time_chunks(A, out, table), table)
        if out is not X:
            X.copy_(out)


def _fitting(A: Tensor) -> Tensor:
    return A if A.stride(-1) == 1 else A.contiguous()


def _writable(X: Tensor) -> bool:
    return X.stride(-1) == 1 and X.stride(-2) >= X.shape[-1]


register(EmulatorBackend())
