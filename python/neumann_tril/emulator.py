"""The NPU kernels, run on the CPU by the emulator of ``csrc/emulator``.

The very sources that are compiled for an Ascend NPU, with every memory access and every
synchronisation checked, and their time modelled. What runs here shows what the kernels compute; it
is not a run on an NPU.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .errors import BackendError
from .grids import QuantPlan
from .layout import ChunkTable, Problem
from .native.launches import Floating, Kernels, OnGrids, Work, aligned
from .native.libraries import emulator_library
from .native.rule import IntraTensors, IntraWork, RuleTensors, RuleWork, launch_of
from .native.structures import Chunks, constant_rows
from .plan import Plan

__all__ = [
    "ARCHITECTURES",
    "CUBE_CORES",
    "Cost",
    "Recording",
    "Report",
    "architecture",
    "costs",
    "gated_delta",
    "inverse",
    "inverse_quantized",
    "kernels",
    "launch",
    "library",
    "options",
    "peer_baseline",
    "run",
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


@dataclass(frozen=True, slots=True)
class Report:
    """What the emulator says of a launch.

    ``time_us`` is the modelled time in microseconds, ``details`` the emulator's own report: busy
    time of each pipe in ns, bytes moved, instructions.
    """

    time_us: float
    details: dict[str, Any]


@cache
def _strict_library(arch: int) -> ctypes.CDLL:
    loaded = emulator_library(arch)
    # Also the checks that some public example kernels do not pass.
    loaded.emulator_set_option(b"strict", b"1")
    return loaded


def library(arch: int = 2201) -> ctypes.CDLL:
    """The kernels of one architecture with the emulator.

    Raises:
        BackendError: the library is not beside the package, or does not load.
    """
    return _strict_library(arch)


def kernels(arch: int = 2201, cube_cores: int | None = None) -> Kernels:
    """The kernels of one architecture, on these cores; those of the default chip if None.

    Raises:
        BackendError: as :func:`library`.
    """
    return Kernels(library(arch), cube_cores or CUBE_CORES[_DEFAULT_SOC[arch]])


@dataclass(frozen=True, slots=True)
class Cost:
    """One row of the table of costs that the model of time stands on.

    ``evidence`` is ``"published"`` (a public document or cost table states the value),
    ``"calibrated"`` (nothing public does; chosen so that one kernel meets its published times) or
    ``"assumed"`` (nothing public does, and that kernel does not depend on it). ``second`` is what a
    second public source has, 0.0 where there is none.
    """

    name: str
    value: float
    unit: str
    evidence: str
    source: str
    second: float


def costs(soc: str = "Ascend910B4") -> tuple[Cost, ...]:
    """The cost table of a chip.

    Raises:
        ValueError: the emulator has no cost table of this chip.
    """
    rows = json.loads(library(architecture(soc)).emulator_costs_json(soc.encode()))
    return tuple(Cost(**row) for row in rows)


def _as_text(value: object) -> bytes:
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={number!r}" for name, number in value.items())
    return str(value).encode()


def set_option(arch: int, key: str, value: object) -> None:
    """Set an option of the emulator (soc, schedule_seed, perturb_seed, checks, disable_sync, ...).

    ``costs`` takes a mapping of names of :func:`costs` to the values of the launches that follow.

    Raises:
        ValueError: the emulator knows no such option, value or cost; a cost is not above 0.
    """
    loaded = library(arch)
    if loaded.emulator_set_option(key.encode(), _as_text(value)) != 0:
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
    return "" if isinstance(value, (str, Mapping)) else 0


class Recording:
    """What the last launch did, to be timed at other costs; it ran with the option ``record``.

    Launching again is not needed for that: results and order do not depend on costs.

    Raises:
        ValueError: the last launch was not recorded.
    """

    def __init__(self, arch: int = 2201) -> None:
        self._library = library(arch)
        self._number = self._library.emulator_recording_open()
        if self._number < 0:
            raise ValueError(self._library.emulator_error().decode())

    def time_us(self, changes: Mapping[str, float] | None = None) -> float:
        """Modelled microseconds at the chip's costs with these changes, by name.

        Raises:
            ValueError: no cost has such a name, or a value is not above 0.
        """
        time_ns: float = self._library.emulator_recording_time_ns(
            self._number, _as_text(changes or {})
        )
        if time_ns < 0:
            raise ValueError(self._library.emulator_error().decode())
        return time_ns / 1e3

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._library.emulator_recording_close(self._number)


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
    work = Floating(plan, compute_dtype)
    return launch(Problem(A, X, table=table), work, chunks, arch, cube_cores)


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
    work = OnGrids(qplan, group_dim)
    return launch(Problem(A, X, table=table), work, chunks, arch, cube_cores)


def launch(
    problem: Problem, work: Work, chunks: Chunks, arch: int = 2201, cube_cores: int | None = None
) -> Report:
    """Run the kernels on a call whose matrices lie where ``chunks`` says.

    Raises:
        ValueError: the kernels refuse the call; the text says why.
        BackendError: the emulator found a fault in the kernel.
    """
    A, X, _, table = problem
    found = kernels(arch, cube_cores).launch(work, chunks, A.dtype, X.dtype)
    inputs = [] if table is None else [table.first_row, table.valid_rows]
    if isinstance(work, OnGrids):
        inputs.append(torch.from_numpy(constant_rows(work.qplan)))
        found.structure.quant.constants = inputs[-1].data_ptr()
    argument = found.filled(problem)
    workspace = torch.empty(found.allocation, dtype=torch.uint8)
    argument.workspace = aligned(workspace)
    # X is not read, and what it holds outside of its chunks must survive.
    spans = [(*_storage(A), True), (*_storage(X), False)]
    spans += [(argument.workspace, found.workspace_bytes, False)]
    spans += [(*_storage(tensor), True) for tensor in inputs]
    with _LOCK, _registered(arch, spans):
        library(arch).emulator_clear_report()
        found.put(argument, None)
        return _report(arch)


def run(
    kernel: str,
    inputs: Sequence[Tensor],
    buffers: Sequence[Tensor],
    numbers: Sequence[int],
    arch: int = 2201,
) -> Report:
    """Launch a kernel by its C function, which takes the addresses of the tensors, int32 numbers
    and a stream, in this order; kernels of peers have no other interface.

    Args:
        kernel: the C function in the library of ``arch``.
        inputs: contiguous tensors that the kernel only reads.
        buffers: contiguous tensors it writes; to read them before is an error.

    Raises:
        ValueError: the function refuses the call.
        BackendError: the emulator found a fault in the kernel.
    """
    loaded = library(arch)
    spans = [(*_storage(tensor), True) for tensor in inputs]
    spans += [(*_storage(tensor), False) for tensor in buffers]
    addresses = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (*inputs, *buffers)]
    with _LOCK, _registered(arch, spans):
        loaded.emulator_clear_report()
        if getattr(loaded, kernel)(*addresses, *map(ctypes.c_int32, numbers), None) != 0:
            raise ValueError(f"{kernel} does not take the numbers {tuple(numbers)}")
        return _report(arch)


def gated_delta(
    tensors: RuleTensors | IntraTensors,
    work: RuleWork | IntraWork,
    arch: int = 2201,
    cube_cores: int | None = None,
) -> Report:
    """Run the kernel of the chunk rule, or that of its representation, on CPU tensors.

    Raises:
        ValueError: the kernel refuses the call; the text says why.
        BackendError: the emulator found a fault in the kernel.
    """
    found = launch_of(kernels(arch, cube_cores), tensors, work)
    workspace = torch.empty(found.allocation, dtype=torch.uint8)
    found.structure.tensors.workspace = aligned(workspace)
    spans = [(*_storage(tensor), True) for tensor in tensors.inputs]
    spans += [(*_storage(tensor), False) for tensor in tensors.outputs]
    spans.append((found.structure.tensors.workspace, found.workspace_bytes, False))
    with _LOCK, _registered(arch, list(dict.fromkeys(spans))):
        library(arch).emulator_clear_report()
        found.put(found.structure, None)
        return _report(arch)


def peer_baseline(A: Tensor, cube_cores: int = 20) -> tuple[Tensor, Report]:
    """The published 16-block method as a kernel (``benchmarks/peers/inverse.cpp``).

    Args:
        A: (N, C, C) float16, contiguous, strictly lower triangular, C of 16, 32, 64 or 128.
    """
    count, c, _ = A.shape
    X = torch.empty_like(A)
    minus_identity = -torch.eye(c, dtype=A.dtype)
    report = run("peer_baseline", [A, minus_identity], [X], [c, count, cube_cores])
    return X, report
