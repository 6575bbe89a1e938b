"""How the NPU kernels are launched, in the emulator and on a device alike.

A call is either floating point or on integer grids; each has its structure and, for it, three
functions of the library: what is refused, the workspace, the launch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..grids import QuantPlan
from ..layout import Problem
from ..plan import Plan
from .structures import (
    DTYPE_CODES,
    QUANTIZED_DTYPE_CODES,
    Chunks,
    Inversion,
    PlanStruct,
    QuantizedInversion,
    QuantStruct,
)

ALIGNMENT = 512
"""Of a workspace, in bytes."""


def aligned(workspace: Tensor) -> int:
    """The first aligned address in it."""
    return -(-workspace.data_ptr() // ALIGNMENT) * ALIGNMENT


class Floating(NamedTuple):
    """The floating-point inverse: the plan, and the dtype of the products' operands."""

    plan: Plan
    compute_dtype: torch.dtype

    def structure(
        self, chunks: Chunks, a_dtype: torch.dtype, x_dtype: torch.dtype, cube_cores: int
    ) -> Inversion:
        """The argument of the C functions, without pointers."""
        codes = (DTYPE_CODES[dtype] for dtype in (a_dtype, x_dtype, self.compute_dtype))
        return Inversion(PlanStruct.of(self.plan), chunks, *codes, cube_cores)


class OnGrids(NamedTuple):
    """The quantised inverse: the plan, and the batch dimension that counts the groups of scales
    ((B, N, H) on the time axis), -1 for one group."""

    qplan: QuantPlan
    group_dim: int

    def structure(
        self, chunks: Chunks, a_dtype: torch.dtype, x_dtype: torch.dtype, cube_cores: int
    ) -> QuantizedInversion:
        """The argument of the C functions, without pointers."""
        plan, codes = PlanStruct.of(self.qplan.plan), QUANTIZED_DTYPE_CODES
        places = (codes[a_dtype], codes[x_dtype], cube_cores)
        return QuantizedInversion(plan, chunks, self.grids(None), *places)

    def grids(self, constants: int | None) -> QuantStruct:
        """The grids, with their constants at this address."""
        return QuantStruct(self.qplan.bits, self.qplan.groups, self.group_dim, constants)


Work = Floating | OnGrids


class Launch(NamedTuple):
    """A launch that the kernels take: their function, all of its argument but the pointers of a
    call, and the bytes of its workspace."""

    start: Callable[..., bytes | None]
    structure: Any
    workspace_bytes: int

    @property
    def allocation(self) -> int:
        """Bytes to allocate for an aligned workspace."""
        return self.workspace_bytes + ALIGNMENT if self.workspace_bytes else 0

    def filled(self, problem: Problem) -> Any:
        """A copy of the argument with the call's pointers, but for the workspace."""
        structure = type(self.structure).from_buffer_copy(self.structure)
        structure.a, structure.x = problem.A.data_ptr(), problem.X.data_ptr()
        if problem.table is not None:
            structure.chunks.first_row = problem.table.first_row.data_ptr()
            structure.chunks.valid_rows = problem.table.valid_rows.data_ptr()
        return structure

    def put(self, argument: Any, stream: int | None) -> None:
        """Launch. Raises ValueError with the library's reason if it does not."""
        reason = self.start(argument, stream)
        if reason is not None:
            raise ValueError(reason.decode())


@dataclass(frozen=True, slots=True)
class Kernels:
    """The NPU kernels of one library, and how many cube cores they may use."""

    library: ctypes.CDLL
    cube_cores: int

    def refusal(
        self, work: Work, chunks: Chunks, a_dtype: torch.dtype, x_dtype: torch.dtype
    ) -> str | None:
        """Why they do not take such a call; None if they do."""
        structure = work.structure(chunks, a_dtype, x_dtype, self.cube_cores)
        reason = getattr(self.library, structure.entry.refusal)(structure)
        return None if reason is None else str(reason.decode())

    def launch(
        self, work: Work, chunks: Chunks, a_dtype: torch.dtype, x_dtype: torch.dtype
    ) -> Launch:
        """What is known of a launch before its pointers are.

        Raises:
            ValueError: the kernels refuse it; the text says why.
        """
        reason = self.refusal(work, chunks, a_dtype, x_dtype)
        if reason is not None:
            raise ValueError(reason)
        structure = work.structure(chunks, a_dtype, x_dtype, self.cube_cores)
        size = getattr(self.library, structure.entry.workspace_bytes)(structure)
        start = getattr(self.library, structure.entry.launch)
        return Launch(start, structure, size)
