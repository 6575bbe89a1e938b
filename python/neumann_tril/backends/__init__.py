"""The backends: a registry, and its members."""

from ..errors import BackendError
from .cpu import CpuBackend
from .npu_kernels import EmulatorBackend, NpuBackend
from .reference import ReferenceBackend
from .registry import (
    BACKENDS,
    Backend,
    QuantizedRequest,
    Request,
    Resolved,
    backends,
    register,
    rejection,
    resolve,
)

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendError",
    "CpuBackend",
    "EmulatorBackend",
    "NpuBackend",
    "QuantizedRequest",
    "ReferenceBackend",
    "Request",
    "Resolved",
    "backends",
    "register",
    "rejection",
    "resolve",
]

register(CpuBackend())
register(ReferenceBackend())
register(EmulatorBackend())
register(NpuBackend())
