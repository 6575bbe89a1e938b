"""Drop-ins for packages that run Gated DeltaNet; nothing changes before ``enable``.

from neumann_tril import integrations

integrations.enable("transformers")           # until disable("transformers"), or
with integrations.enable("transformers"):     # inside the block
    ...
print(integrations.status()["transformers"])
"""

from __future__ import annotations

from ..plan import Plan
from .base import Handle, Integration, IntegrationError, Status, UnsupportedVersionError
from .flash_linear_attention import FlashLinearAttention
from .sglang import Sglang
from .transformers import Transformers
from .vllm_ascend import VLLM_ASCEND

__all__ = [
    "INTEGRATIONS",
    "IntegrationError",
    "Status",
    "UnsupportedVersionError",
    "disable",
    "enable",
    "status",
]

INTEGRATIONS: dict[str, Integration] = {
    integration.name: integration
    for integration in (FlashLinearAttention(), Transformers(), VLLM_ASCEND, Sglang())
}


def _find(name: str) -> Integration:
    if name not in INTEGRATIONS:
        raise ValueError(f"name must be one of {', '.join(INTEGRATIONS)}, got {name!r}")
    return INTEGRATIONS[name]


def enable(name: str, *, plan: str | Plan = "exact", backend: str | None = None) -> Handle:
    """Serve a package's calls; see :meth:`Integration.enable`.

    Args:
        name: ``"flash_linear_attention"``, ``"transformers"``, ``"vllm_ascend"``, ``"sglang"``.
        plan, backend: of the inverse, see :func:`neumann_tril.inverse`.

    Returns:
        A handle that is a context manager: at the end of its block things are as before.

    Raises:
        ValueError, TypeError: unknown name, plan or backend.
        IntegrationError: the package is not installed, or its version is not supported.
    """
    return _find(name).enable(plan, backend)


def disable(name: str) -> None:
    """Put back what ``enable`` replaced. Raises ValueError for an unknown name."""
    _find(name).disable()


def status() -> dict[str, Status]:
    """Of every integration: the package's version, whether it is on, and what is replaced."""
    return {name: integration.status() for name, integration in INTEGRATIONS.items()}
