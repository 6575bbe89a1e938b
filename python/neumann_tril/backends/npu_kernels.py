"""The kernels of ``csrc/ascendc`` as backends: in the emulator, and on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from .. import emulator, npu
from ..errors import BackendError
from ..layout import Problem
from ..native.launches import Floating, Kernels, OnGrids, Work
from ..native.rule import IntraTensors, IntraWork, RuleTensors, RuleWork
from ..native.structures import DTYPE_CODES, MAX_DIMS, chunks_of, dense_chunks_of
from . import npu_rule
from .intra import IntraCall, IntraOutputs, IntraRequest
from .registry import QuantizedRequest, Request
from .rule import RuleCall, RuleOutputs, RuleRequest

TAKEN = "taken are chunk sizes 16, 32, 64, 128 in float16, bfloat16, float32"


class NpuKernels(ABC):
    """What both have in common.

    The kernels want contiguous columns and, in X, rows that do not overlap; for other strides this
    works on contiguous copies.
    """

    name: str
    devices: tuple[str, ...]
    rule_dtype = npu_rule.COMPUTE_DTYPE

    @abstractmethod
    def kernels(self, index: int | None) -> Kernels:
        """The kernels for a device, the current one if None. Raises BackendError without any."""

    @abstractmethod
    def launch(self, problem: Problem, work: Work) -> None:
        """Run them. Raises ValueError if they refuse the call."""

    @abstractmethod
    def launch_rule(self, tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork) -> None:
        """Run the kernel of the chunk rule, or of its representation. Raises ValueError if it
        refuses the call."""

    def unavailable(self, index: int | None = None) -> str | None:
        try:
            self.kernels(index)
        except BackendError as error:
            return str(error)
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return request.dtype if request.dtype == torch.bfloat16 else torch.float16

    def reject(self, request: Request, work: Floating) -> str | None:
        if work.compute_dtype not in DTYPE_CODES:
            return f"compute_dtype {work.compute_dtype} is not known to the kernels"
        if request.batch_dims > MAX_DIMS:
            return f"A has {request.batch_dims} batch dimensions, at most {MAX_DIMS} are taken"
        c = request.chunk_size
        shape, strides = (1,) * request.batch_dims + (c, c), (0,) * request.batch_dims + (c, 1)
        chunks = dense_chunks_of(shape, strides, strides)
        kernels = self.kernels(request.device_index)
        reason = kernels.refusal(work, chunks, request.dtype, request.output_dtype)
        given = f"C = {c}, {request.dtype} to {request.output_dtype} in {work.compute_dtype}"
        return reason and f"{reason} (got {given}; {TAKEN})"

    def reject_quantized(self, request: QuantizedRequest) -> str | None:
        if request.counts:
            return "the kernels do not count saturated codes"
        groups, c = max(request.work.qplan.groups, 1), request.work.qplan.plan.chunk_size
        strides = (c * c, c, 1)
        chunks = dense_chunks_of((groups, c, c), strides, strides)
        work = request.work._replace(group_dim=0 if groups > 1 else -1)
        kernels = self.kernels(request.device_index)
        return kernels.refusal(work, chunks, request.dtype, request.output_dtype)

    def reject_rule(self, request: RuleRequest, work: Floating) -> str | None:
        return npu_rule.reject(self.kernels(request.device_index), request, work)

    def run_rule(self, call: RuleCall, outputs: RuleOutputs, work: Floating) -> None:
        tensors = npu_rule.tensors_of(call, outputs)
        self.launch_rule(tensors, npu_rule.work_of(call, work))
        npu_rule.turn_states(call, outputs, tensors)

    def reject_intra(self, request: IntraRequest, work: Floating) -> str | None:
        return npu_rule.reject_intra(self.kernels(request.device_index), request, work)

    def run_intra(self, call: IntraCall, outputs: IntraOutputs, work: Floating) -> None:
        tensors = npu_rule.intra_tensors_of(call, outputs)
        self.launch_rule(tensors, IntraWork(*work, call.gate_unit))

    def run(self, problem: Problem, work: Floating) -> None:
        self._run(problem, work)

    def run_quantized(
        self, problem: Problem, work: OnGrids, scale: Tensor | None, saturated: Tensor | None
    ) -> None:
        self._run(problem, work)

    def _run(self, problem: Problem, work: Work) -> None:
        A, X, time, _ = problem
        # Rows of a time axis never overlap.
        fits = X.stride(-1) == 1 and (time or X.stride(-2) >= X.shape[-1])
        if fits and A.stride(-1) == 1:
            self.launch(problem, work)
            return
        out = X if fits else X.contiguous()
        fitting = A if A.stride(-1) == 1 else A.contiguous()
        self.launch(problem._replace(A=fitting, X=out), work)
        if out is not X:
            X.copy_(out)


class EmulatorBackend(NpuKernels):
    """The kernels through the emulator, on CPU tensors."""

    name = "emulator"
    devices: tuple[str, ...] = ("cpu",)

    def kernels(self, index: int | None) -> Kernels:
        return emulator.kernels()

    def launch(self, problem: Problem, work: Work) -> None:
        emulator.launch(problem, work, chunks_of(problem))

    def launch_rule(self, tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork) -> None:
        emulator.gated_delta(tensors, work)


class NpuBackend(NpuKernels):
    """The kernels on the device of the tensors, on its current stream."""

    name = "npu"
    devices: tuple[str, ...] = ("npu",)

    def kernels(self, index: int | None) -> Kernels:
        reason = npu.missing()
        if reason is not None:
            raise BackendError(reason)
        if index is None:
            index = torch.npu.current_device()  # type: ignore[attr-defined]
        return npu.kernels(index)

    def launch(self, problem: Problem, work: Work) -> None:
        npu.launch(problem, work)

    def launch_rule(self, tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork) -> None:
        npu.launch_rule(tensors, work)
