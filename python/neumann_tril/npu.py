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
from functools import cache, lru_cache

import torch
from torch import Tensor

from . import torch_import
from .errors import BackendError
from .grids import QuantPlan
from .layout import Problem
from .native.launches import Kernels, Launch, OnGrids, Work, aligned
from .native.libraries import LIBRARY_VARIABLE
from .native.libraries import npu_library as library
from .native.libraries import npu_library_path as library_path
from .native.rule import IntraTensors, IntraWork, RuleTensors, RuleWork, launch_of
from .native.structures import constant_rows, dense_chunks_of, time_chunks_of

__all__ = [
    "LIBRARY_VARIABLE",
    "architecture",
    "constants_on",
    "devices",
    "kernels",
    "launch",
    "launch_rule",
    "library",
    "library_path",
    "missing",
    "prepared",
    "runtime",
    "stand_in",
]

ARCHITECTURES = {"Ascend910B": "dav-2201", "Ascend910_93": "dav-2201", "Ascend950": "dav-3510"}
"""Architecture of the chips whose name begins so."""


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


@cache
def stand_in() -> str | None:
    """What the runtime says of itself if it is the stand-in of this package; None if it is not."""
    try:
        runtime = ctypes.CDLL("libascendcl.so", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        runtime.nt_acl_stand_in.restype = ctypes.c_char_p
    except (OSError, AttributeError):
        return None
    return str(runtime.nt_acl_stand_in().decode())


def missing() -> str | None:
    """Why this process has no NPU, torch_npu or a device; None if it has one."""
    if "torch_npu" in sys.modules and hasattr(torch, "npu"):
        found = torch.npu.is_available()
        return None if found else "torch_npu finds no device"
    if torch_import.torch_npu_error:
        return f"torch_npu does not load: {torch_import.torch_npu_error}"
    if importlib.util.find_spec("torch_npu") is None:
        return "torch_npu is not installed"
    return "torch_npu is installed, but this process has not imported it"


def devices() -> str:
    """The NPUs that this process sees, and their runtime; or why it sees none."""
    reason = missing()
    if reason is not None:
        return f"none: {reason}"
    count = torch.npu.device_count()  # type: ignore[attr-defined]
    properties = torch.npu.get_device_properties(0)  # type: ignore[attr-defined]
    shown = f"{count} x {properties.name}, {properties.cube_core_num} cube cores"
    return f"{shown} (no NPU: {stand_in()})" if stand_in() else shown


@cache
def kernels(index: int) -> Kernels:
    """The kernels for a device of torch_npu. Raises BackendError as :func:`library`."""
    properties = torch.npu.get_device_properties(index)  # type: ignore[attr-defined]
    return Kernels(library(architecture(properties.name)), properties.cube_core_num)


@cache
def constants_on(qplan: QuantPlan, index: int) -> Tensor:
    """The constants on a device. Copied once, for which the host waits; kept for good, since a
    kernel of any stream may be reading them."""
    constants = torch.from_numpy(constant_rows(qplan)).to(f"npu:{index}")
    torch.npu.synchronize(index)  # type: ignore[attr-defined]
    return constants


@cache
def runtime() -> tuple[Callable[[], int], Callable[[int], int]]:
    """Index of the current device; and a device's current stream, as a number, once torch_npu's own
    queue has handed over to it what came before."""
    core = sys.modules["torch_npu"]._C
    return core._npu_getDevice, core._npu_getCurrentRawStream


@lru_cache(maxsize=1024)
def prepared(
    index: int,
    work: Work,
    a_dtype: torch.dtype,
    x_dtype: torch.dtype,
    shape: tuple[int, ...],
    a_strides: tuple[int, ...],
    x_strides: tuple[int, ...],
    count: int | None,
) -> Launch:
    """A launch on a device, by all that it depends on but the pointers of a call.

    ``count`` is the number of chunks on the time axis of (B, T, H, C), or None for (..., C, C).

    Raises:
        ValueError: the kernels refuse it; the text says why.
    """
    if count is None:
        chunks = dense_chunks_of(shape, a_strides, x_strides)
    else:
        chunks = time_chunks_of(shape, a_strides, x_strides, count)
    found = kernels(index).launch(work, chunks, a_dtype, x_dtype)
    if isinstance(work, OnGrids):
        found.structure.quant.constants = constants_on(work.qplan, index).data_ptr()
    return found


def launch(problem: Problem, work: Work) -> None:
    """Put the inversion on the current stream of A's device; the host does not wait for it.

    Raises:
        ValueError: the kernels refuse it; the text says why.
    """
    current_device, current_stream = runtime()
    A, X = problem.A, problem.X
    device = A.device
    index = device.index
    if index != current_device():
        with torch.npu.device(index):  # type: ignore[attr-defined]
            return launch(problem, work)
    found = prepared(index, work, A.dtype, X.dtype, A.shape, A.stride(), X.stride(), problem.chunks)
    argument = found.filled(problem)
    if found.workspace_bytes:
        # It goes back to the allocator at once, which hands it out again on this stream only.
        workspace = torch.empty(found.allocation, dtype=torch.uint8, device=device)
        argument.workspace = aligned(workspace)
    found.put(argument, current_stream(index))


def launch_rule(tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork) -> None:
    """Put the chunk rule, or its representation alone, on the current stream of the tensors'
    device; the host does not wait.

    Raises:
        ValueError: the kernel refuses it; the text says why.
    """
    current_device, current_stream = runtime()
    device = tensors.k.device
    index = device.index
    if index != current_device():
        with torch.npu.device(index):  # type: ignore[attr-defined]
            return launch_rule(tensors, work)
    found = launch_of(kernels(index), tensors, work)
    # It goes back to the allocator at once, which hands it out again on this stream only.
    workspace = torch.empty(found.allocation, dtype=torch.uint8, device=device)
    found.structure.tensors.workspace = aligned(workspace)
    found.put(found.structure, current_stream(index))
