"""The native kernels of ``csrc/cpu``."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import native
from ..errors import BackendError
from ..layout import Problem
from ..native.launches import Floating, OnGrids
from ..native.structures import chunks_of, constant_rows
from .registry import QuantizedRequest, Request, wide


class CpuBackend:
    """The native kernels, on ``torch.get_num_threads()`` threads."""

    name = "cpu"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self, index: int | None = None) -> str | None:
        try:
            native.library()
        except BackendError as error:
            return str(error)
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return wide(request)

    def reject(self, request: Request, work: Floating) -> str | None:
        if work.compute_dtype != wide(request):
            return (
                f"it computes {request.dtype} to {request.output_dtype} in {wide(request)}, "
                f"not in {work.compute_dtype}"
            )
        if request.batch_dims > native.MAX_DIMS:
            return (
                f"A has {request.batch_dims} batch dimensions, at most {native.MAX_DIMS} are taken"
            )
        return None

    def reject_quantized(self, request: QuantizedRequest) -> str | None:
        return None

    def run(self, problem: Problem, work: Floating) -> None:
        native.cpu_inverse(work.plan, chunks_of(problem), problem.A, problem.X)

    def run_quantized(
        self, problem: Problem, work: OnGrids, scale: Tensor | None, saturated: Tensor | None
    ) -> None:
        constants = constant_rows(work.qplan)
        grids = work.grids(constants.ctypes.data)
        chunks = chunks_of(problem)
        native.cpu_inverse_quantized(
            work.qplan.plan, grids, chunks, problem.A, problem.X, scale, saturated
        )
