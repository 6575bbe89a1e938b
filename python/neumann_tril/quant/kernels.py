"""The NPU kernels as backends of the quantised inverse: in the emulator, and on the device."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from .. import emulator, npu
from ..backend import BACKENDS
from ..emulator import QuantizedInversion
from ..native import (
    dense_chunks,
    dense_chunks_of,
    time_chunks,
)
from .operator import (
    Problem,
    constant_rows,
    register_quantized,
    register_quantized_kernels,
)
from .plan import QuantPlan


@lru_cache(maxsize=256)
def _refusal(
    loaded: ctypes.CDLL,
    qplan: QuantPlan,
    dtype: torch.dtype,
    output_dtype: torch.dtype,
    cube_cores: int,
) -> str | None:
    """Why the kernels do not take such calls; None if they do."""
    groups, c = max(qplan.groups, 1), qplan.plan.chunk_size
    strides = (c * c, c, 1)
    chunks = dense_chunks_of((groups, c, c), strides, strides)
    group_dim = 0 if groups > 1 else -1
    inversion = QuantizedInversion.of(
        qplan, group_dim, None, chunks, dtype, output_dtype, cube_cores
    )
    reason = loaded.nt_npu_quantized_refusal(ctypes.byref(inversion))
    return None if reason is None else str(reason.decode())


class _Kernels:
    """What both have in common."""

    name: str
    devices: tuple[str, ...]

    def unavailable(self) -> str | None:
        return BACKENDS[self.name].unavailable()

    def _library(self) -> tuple[ctypes.CDLL, int]:
        raise NotImplementedError

    def _launch(self, problem: Problem, A: Tensor, X: Tensor) -> None:
        raise NotImplementedError

    def reject(
        self, qplan: QuantPlan, dtype: torch.dtype, output_dtype: torch.dtype, counts: bool
    ) -> str | None:
        if counts:
            return "the kernels do not count saturated codes"
        loaded, cube_cores = self._library()
        return _refusal(loaded, qplan, dtype, output_dtype, cube_cores)

    def run(self, problem: Problem) -> None:
        self._launch(problem, npu.with_unit_columns(problem.A), problem.X)


def _chunks(problem: Problem, A: Tensor, X: Tensor) -> Any:
    return time_chunks(A, X, problem.table) if problem.time else dense_chunks(A, X)


class EmulatedQuantized(_Kernels):
    """The NPU kernels in the emulator, on CPU tensors."""

    name = "emulator"
    devices: tuple[str, ...] = ("cpu",)

    def _library(self) -> tuple[ctypes.CDLL, int]:
        return emulator.library(), max(emulator.CUBE_CORES.values())

    def _launch(self, problem: Problem, A: Tensor, X: Tensor) -> None:
        chunks = _chunks(problem, A, X)
        emulator.inverse_quantized(A, X, problem.qplan, problem.group_dim, chunks, problem.table)


@cache
def _on_device(qplan: QuantPlan, index: int) -> Tensor:
    """The constants on a device. Copied once, for which the host waits; kept for good, since a
    kernel of any stream may be reading them."""
    constants = torch.from_numpy(constant_rows(qplan)).to(f"npu:{index}")
    torch.npu.synchronize(index)  # type: ignore[attr-defined]
    return constants


class NpuQuantized(_Kernels):
    """The kernels on the device of the tensors, on its current stream."""

    name = "npu"
    devices: tuple[str, ...] = ("npu",)

    def _library(self) -> tuple[ctypes.CDLL, int]:
        device = npu.device_kernels(torch.npu.current_device())  # type: ignore[attr-defined]
        return device.library, device.cube_cores

    def _launch(self, problem: Problem, A: Tensor, X: Tensor) -> None:
        index, qplan = A.device.index, problem.qplan
        with torch.npu.device(index):  # type: ignore[attr-defined]
            device = npu.device_kernels(index)
            constants = _on_device(qplan, index)
            inversion = QuantizedInversion.of(
                qplan,
                problem.group_dim,
                constants.data_ptr(),
                _chunks(problem, A, X),
                A.dtype,
                X.dtype,
                device.cube_cores,
            )
            inversion.a, inversion.x = A.data_ptr(), X.data_ptr()
            size = device.library.nt_npu_quantized_workspace_bytes(ctypes.byref(inversion))
            if size:
                inversion.workspace = npu.workspace(npu.with_alignment(size), A.device)
            refusal = device.library.nt_npu_inverse_quantized(
                ctypes.byref(inversion), ctypes.c_void_p(npu.current_stream(index))
            )
            if refusal is not None:
                raise ValueError(refusal.decode())


register_quantized(EmulatedQuantized())
register_quantized(NpuQuantized())
register_quantized_kernels("PrivateUse1")
