"""The backends: a registry, and its members."""

from ..errors import BackendError
from .cpu import CpuBackend
from .intra import IntraBackend, IntraCall, IntraOutputs, IntraRequest
from .npu_kernels import EmulatorBackend, NpuBackend
from .reference import ReferenceBackend
from .registry import (
    BACKENDS,
    AnyRequest,
    Backend,
    QuantizedRequest,
    Request,
    Resolved,
    backends,
    register,
    rejection,
    resolve,
)
from .rule import AroundInverse, RuleBackend, RuleCall, RuleOutputs, RuleRequest

__all__ = [
    "BACKENDS",
    "AnyRequest",
    "AroundInverse",
    "Backend",
    "BackendError",
    "CpuBackend",
    "EmulatorBackend",
    "IntraBackend",
    "IntraCall",
    "IntraOutputs",
    "IntraRequest",
    "NpuBackend",
    "QuantizedRequest",
    "ReferenceBackend",
    "Request",
    "Resolved",
    "RuleBackend",
    "RuleCall",
    "RuleOutputs",
    "RuleRequest",
    "backends",
    "register",
    "rejection",
    "resolve",
]

register(CpuBackend())
register(ReferenceBackend())
register(EmulatorBackend())
register(NpuBackend())
