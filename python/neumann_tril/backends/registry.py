"""The backends that can run an inversion, and the choice among them.

A backend either serves a call or says why it cannot; nothing falls back silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import BackendError
from ..layout import Problem
from ..native import DTYPE_CODES
from ..native.launches import Floating, OnGrids
from ..plan import Plan, plan_for


class Backend(Protocol):
    """One way of computing the inverse, in floating point and on integer grids."""

    name: str
    devices: tuple[str, ...]
    """Device types of the tensors it takes."""

    def unavailable(self, index: int | None = None) -> str | None:
        """Why it cannot run on this machine, on the device of this index; None if it can."""

    def compute_dtype(self, request: Request) -> torch.dtype:
        """The dtype it computes in if the caller names none."""

    def reject(self, request: Request, work: Floating) -> str | None:
        """Why it cannot serve the request; None if it can."""

    def reject_quantized(self, request: QuantizedRequest) -> str | None:
        """Why it cannot serve the request; None if it can."""

    def run(self, problem: Problem, work: Floating) -> None:
        """Fill X; on a time axis, its rows that belong to a chunk."""

    def run_quantized(
        self, problem: Problem, work: OnGrids, scale: Tensor | None, saturated: Tensor | None
    ) -> None:
        """Fill X, and what else is asked for.

        Args:
            scale: float32, takes the scale 1 / n of X's grid of every matrix, in batch order.
            saturated: one int64, takes the number of codes that saturated.
        """


@dataclass(frozen=True, slots=True)
class Resolved:
    """How a call is served: ``work`` is Floating or, for a quantised call, OnGrids."""

    backend: Backend
    work: Any
    output_dtype: torch.dtype


class Request(NamedTuple):
    """What decides how a floating-point call is served."""

    device: str
    device_index: int | None
    plan: str | Plan
    chunk_size: int
    dtype: torch.dtype
    output_dtype: torch.dtype
    compute_dtype: torch.dtype | None
    batch_dims: int

    def settle(self, backend: Backend) -> str | Resolved:
        """How the backend serves it, or why it does not. Raises ValueError for a dtype that none
        takes."""
        for name, dtype in (("A", self.dtype), ("output_dtype", self.output_dtype)):
            if dtype not in DTYPE_CODES:
                accepted = ", ".join(str(d).removeprefix("torch.") for d in DTYPE_CODES)
                found = f"of dtype {dtype}" if name == "A" else str(dtype)
                raise ValueError(f"{name} must be one of {accepted}, got {found}")
        compute_dtype = self.compute_dtype or backend.compute_dtype(self)
        work = Floating(plan_for(self.chunk_size, self.plan, compute_dtype), compute_dtype)
        return backend.reject(self, work) or Resolved(backend, work, self.output_dtype)


class QuantizedRequest(NamedTuple):
    """What decides how a quantised call is served; its dtypes have been checked."""

    device: str
    device_index: int | None
    work: OnGrids
    dtype: torch.dtype
    output_dtype: torch.dtype
    counts: bool
    """Whether saturated codes are to be counted."""

    def settle(self, backend: Backend) -> str | Resolved:
        """How the backend serves it, or why it does not."""
        reason = backend.reject_quantized(self)
        return reason or Resolved(backend, self.work, self.output_dtype)


class AnyRequest(Protocol):
    """What a call of any operator asks of the backends: a hashable tuple."""

    @property
    def device(self) -> str:
        """Type of the device of its tensors."""

    @property
    def device_index(self) -> int | None:
        """Index of that device."""

    @property
    def output_dtype(self) -> torch.dtype:
        """Of the result."""

    def settle(self, backend: Backend) -> str | Resolved:
        """How the backend serves it, or why it does not."""

    def __hash__(self) -> int: ...


def wide(request: Request) -> torch.dtype:
    """float64 if it is among the dtypes of the call, otherwise float32."""
    double = torch.float64 in (request.dtype, request.output_dtype)
    return torch.float64 if double else torch.float32


BACKENDS: dict[str, Backend] = {}
_DEFAULT = {"cpu": "cpu", "npu": "npu"}


def register(backend: Backend) -> None:
    """Make a backend known by its name."""
    BACKENDS[backend.name] = backend
    resolve.cache_clear()


def rejection(name: str, request: AnyRequest) -> str | Resolved:
    """The call as the backend serves it, or why it does not."""
    backend = BACKENDS[name]
    if request.device not in backend.devices:
        return f"takes tensors on {' or '.join(backend.devices)}, A is on {request.device}"
    return backend.unavailable(request.device_index) or request.settle(backend)


# As many plans as a model has layers, each with a few dtypes.
@lru_cache(maxsize=2048)
def resolve(request: AnyRequest, backend: str | None) -> Resolved:
    """How a call is served by the backend of this name; None: by the one for A's device.

    Raises:
        BackendError: the backend cannot serve the call.
        ValueError: unknown backend or plan, unsupported dtype or chunk size.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be None or one of {', '.join(BACKENDS)}, got {backend!r}")
    chosen = backend or _DEFAULT.get(request.device)
    if chosen is None or chosen not in BACKENDS:
        known = sorted({d for b in BACKENDS.values() for d in b.devices})
        raise BackendError(
            f"no backend for tensors on {request.device}; there are backends for {', '.join(known)}"
        )
    outcome = rejection(chosen, request)
    if isinstance(outcome, str):
        others = [
            f"backend={name!r}"
            for name in BACKENDS
            if name != chosen and isinstance(rejection(name, request), Resolved)
        ]
        hint = f"; {' and '.join(others)} can" if others else ""
        raise BackendError(f"backend {chosen!r} cannot serve this call: {outcome}{hint}")
    return outcome


def backends() -> dict[str, str]:
    """Every backend with ``"available"`` or the reason why it is not."""
    return {name: backend.unavailable() or "available" for name, backend in BACKENDS.items()}
