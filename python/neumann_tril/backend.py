"""The backends that can run an inversion, and the choice among them.

A backend either serves a call or says why it cannot; nothing falls back silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from . import native, reference
from .layout import ChunkTable, gather_chunks, join_chunks
from .plan import Plan, plan_for

__all__ = ["BACKENDS", "Backend", "BackendError", "Resolved", "backends", "register", "resolve"]


class BackendError(RuntimeError):
    """No backend, or not the one asked for, can serve a call; the message holds every reason."""


class Request(NamedTuple):
    """What decides whether a backend can serve a call."""

    device: str
    chunk_size: int
    dtype: torch.dtype
    output_dtype: torch.dtype
    compute_dtype: torch.dtype | None
    batch_dims: int


class Backend(Protocol):
    """One way of computing the inverse."""

    name: str
    devices: tuple[str, ...]
    """Device types of the tensors it takes."""

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""

    def compute_dtype(self, request: Request) -> torch.dtype:
        """The dtype it computes in if the caller names none."""

    def reject(self, request: Request, plan: Plan, compute_dtype: torch.dtype) -> str | None:
        """Why it cannot serve the request; None if it can."""

    def run_dense(self, A: Tensor, X: Tensor, plan: Plan, compute_dtype: torch.dtype) -> None:
        """Fill X (..., C, C)."""

    def run_time(
        self,
        A: Tensor,
        X: Tensor,
        plan: Plan,
        compute_dtype: torch.dtype,
        table: ChunkTable | None,
    ) -> None:
        """Fill the rows of X (B, T, H, C) that belong to a chunk; ``table`` if packed."""


def wide(request: Request) -> torch.dtype:
    """float64 if it is among the dtypes of the call, otherwise float32."""
    double = torch.float64 in (request.dtype, request.output_dtype)
    return torch.float64 if double else torch.float32


class ReferenceBackend:
    """:func:`neumann_tril.reference.inverse`, on any device that torch knows."""

    name = "reference"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self) -> str | None:
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return wide(request)

    def reject(self, request: Request, plan: Plan, compute_dtype: torch.dtype) -> str | None:
        if compute_dtype not in reference.COMPUTE_DTYPES:
            return f"compute dtype {compute_dtype} is not among {reference.COMPUTE_DTYPES}"
        return None

    def run_dense(self, A: Tensor, X: Tensor, plan: Plan, compute_dtype: torch.dtype) -> None:
        X.copy_(reference.inverse(A, plan, compute_dtype))

    def run_time(
        self,
        A: Tensor,
        X: Tensor,
        plan: Plan,
        compute_dtype: torch.dtype,
        table: ChunkTable | None,
    ) -> None:
        chunks = reference.inverse(gather_chunks(A, table), plan, compute_dtype)
        X.copy_(join_chunks(chunks, table, A.shape[1]))


class CpuBackend:
    """The native kernels of ``csrc/cpu``."""

    name = "cpu"
    devices: tuple[str, ...] = ("cpu",)

    def unavailable(self) -> str | None:
        try:
            native.library()
        except native.NativeLibraryError as error:
            return str(error)
        return None

    def compute_dtype(self, request: Request) -> torch.dtype:
        return wide(request)

    def reject(self, request: Request, plan: Plan, compute_dtype: torch.dtype) -> str | None:
        if compute_dtype != wide(request):
            return (
                f"it computes {request.dtype} to {request.output_dtype} in {wide(request)}, "
                f"not in {compute_dtype}"
            )
        if request.batch_dims > native.MAX_DIMS:
            return (
                f"A has {request.batch_dims} batch dimensions, at most {native.MAX_DIMS} are taken"
            )
        return None

    def run_dense(self, A: Tensor, X: Tensor, plan: Plan, compute_dtype: torch.dtype) -> None:
        native.cpu_inverse(plan, native.dense_chunks(A, X), A, X)

    def run_time(
        self,
        A: Tensor,
        X: Tensor,
        plan: Plan,
        compute_dtype: torch.dtype,
        table: ChunkTable | None,
    ) -> None:
        native.cpu_inverse(plan, native.time_chunks(A, X, table), A, X)


BACKENDS: dict[str, Backend] = {}
_DEFAULT = {"cpu": "cpu", "npu": "npu"}


def register(backend: Backend) -> None:
    """Make a backend known by its name."""
    BACKENDS[backend.name] = backend
    resolve.cache_clear()


@dataclass(frozen=True, slots=True)
class Resolved:
    """How a call is served."""

    backend: Backend
    plan: Plan
    compute_dtype: torch.dtype
    output_dtype: torch.dtype


def rejection(name: str, request: Request, plan: str | Plan) -> str | Resolved:
    """The call as the backend serves it, or why it does not."""
    backend = BACKENDS[name]
    if request.device not in backend.devices:
        return f"takes tensors on {' or '.join(backend.devices)}, A is on {request.device}"
    reason = backend.unavailable()
    if reason is not None:
        return reason
    compute_dtype = request.compute_dtype or backend.compute_dtype(request)
    chosen = plan_for(request.chunk_size, plan, compute_dtype)
    reason = backend.reject(request, chosen, compute_dtype)
    if reason is not None:
        return reason
    return Resolved(backend, chosen, compute_dtype, request.output_dtype)


@lru_cache(maxsize=512)
def resolve(request: Request, plan: str | Plan, backend: str | None) -> Resolved:
    """The backend and the plan that serve a call.

    Args:
        request: what the call asks for.
        plan: a plan or its name.
        backend: a backend's name, or None: the one for A's device.

    Raises:
        BackendError: the backend cannot serve the call.
        ValueError: unknown backend or plan, unsupported dtype or chunk size.
    """
    for name, dtype in (("A", request.dtype), ("output_dtype", request.output_dtype)):
        if dtype not in native.DTYPE_CODES:
            accepted = ", ".join(str(d).removeprefix("torch.") for d in native.DTYPE_CODES)
            found = f"of dtype {dtype}" if name == "A" else str(dtype)
            raise ValueError(f"{name} must be one of {accepted}, got {found}")
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be None or one of {', '.join(BACKENDS)}, got {backend!r}")
    chosen = backend or _DEFAULT.get(request.device)
    if chosen is None or chosen not in BACKENDS:
        known = sorted({d for b in BACKENDS.values() for d in b.devices})
        raise BackendError(
            f"no backend for tensors on {request.device}; there are backends for {', '.join(known)}"
        )
    outcome = rejection(chosen, request, plan)
    if isinstance(outcome, str):
        raise BackendError(f"backend {chosen!r} cannot serve this call: {outcome}")
    return outcome


def backends() -> dict[str, str]:
    """Every backend with ``"available"`` or the reason why it is not."""
    return {name: backend.unavailable() or "available" for name, backend in BACKENDS.items()}


register(CpuBackend())
register(ReferenceBackend())
