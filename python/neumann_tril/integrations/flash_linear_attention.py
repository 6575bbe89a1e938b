"""flash-linear-attention: backends of its registry for ``fla.ops.utils.solve_tril`` and for
``chunk_gated_delta_rule``.

The package asks its backends in the order of their priorities, this one first, whether they take a
call; each refusal has a reason, which the package logs. Two generations of the registry are known:
by operation (0.5.2) and by function (0.6).
"""

from __future__ import annotations

import importlib
import inspect
import sys

import torch
from torch import Tensor

from ..ops import explain, solve_tril
from .base import Integration, Patch, Settings
from .fla_rule import make_rule_backend

PARAMETERS = ("A", "cu_seqlens", "chunk_indices", "output_dtype")


def _make_backend(base: type) -> type:
    """The backend, as a subclass of the package's own base class."""

    class NeumannTrilBackend(base):  # type: ignore[misc]
        backend_type = "neumann_tril"
        package_name = None
        env_var = None
        priority = -1  # before the package's own for NPUs, 0
        settings: Settings | None = None

        @classmethod
        def is_available(cls) -> bool:
            return cls.settings is not None

        def solve_tril_verifier(
            self,
            A: Tensor,
            cu_seqlens: Tensor | None = None,
            chunk_indices: Tensor | None = None,
            output_dtype: torch.dtype | None = torch.float,
        ) -> tuple[bool, str | None]:
            settings = self.settings or Settings()
            reason = refusal(A, cu_seqlens, chunk_indices, output_dtype, settings)
            return reason is None, reason

        def solve_tril(
            self,
            A: Tensor,
            cu_seqlens: Tensor | None = None,
            chunk_indices: Tensor | None = None,
            output_dtype: torch.dtype | None = torch.float,
        ) -> Tensor:
            settings = self.settings or Settings()
            return solve_tril(
                A,
                cu_seqlens,
                None if cu_seqlens is None else chunk_indices,
                output_dtype,
                plan=settings.plan,
                backend=settings.backend,
            )

    return NeumannTrilBackend


def refusal(
    A: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    output_dtype: torch.dtype | None,
    settings: Settings,
) -> str | None:
    """Why a call is left to the package; None if it is not."""
    if not isinstance(A, Tensor) or A.dim() != 4:
        return f"A must be a (B, T, H, C) tensor, got {getattr(A, 'shape', type(A).__name__)}"
    if A.shape[-1] not in (16, 32, 64):
        return f"chunk size {A.shape[-1]} is not among 16, 32, 64"
    for name, x in (("cu_seqlens", cu_seqlens), ("chunk_indices", chunk_indices)):
        if x is not None and x.dtype not in (torch.int32, torch.int64):
            return f"{name} is {x.dtype}, neither int32 nor int64"
    if cu_seqlens is not None and A.shape[0] != 1:
        return f"packed sequences need B = 1, got {A.shape[0]}"
    try:
        found = explain(A, settings.plan, output_dtype=output_dtype, backend=settings.backend)
    except ValueError as error:
        return str(error)
    return None if found.backend is not None else found.error


class FlashLinearAttention(Integration):
    """``enable("flash_linear_attention")``."""

    name = "flash_linear_attention"
    distributions = ("fla-core", "flash-linear-attention")

    def __init__(self) -> None:
        super().__init__()
        self._backend: type | None = None
        self._rule_backend: type | None = None

    def patches(self, settings: Settings) -> list[Patch]:
        # Registered once and for good; it is its availability that is switched.
        if self._backend is None:
            self._backend = self._register()
            self._rule_backend = self._register_rule()
        backends = {"utils.solve_tril": self._backend}
        if self._rule_backend is not None:
            backends["gated_delta_rule.chunk_gated_delta_rule"] = self._rule_backend
        return [
            Patch(f"backend of fla.ops.{function}", backend, "settings", settings)
            for function, backend in backends.items()
        ]

    def _register(self) -> type:
        try:
            module = importlib.import_module("fla.ops.utils.solve_tril")
        except ImportError as error:
            raise self.unsupported(f"it does not import here: {error}") from error
        if not hasattr(module, "dispatch"):
            raise self.unsupported("solve_tril has no registry of backends; from 0.5.2 on it has")
        registry = sys.modules[module.dispatch.__module__]
        names = tuple(inspect.signature(inspect.unwrap(module.solve_tril)).parameters)
        if names != PARAMETERS:
            raise self.unsupported(f"solve_tril takes {', '.join(names)}")
        if registry._DISPATCH_DISABLED:
            raise self.unsupported(
                "FLA_DISABLE_BACKEND_DISPATCH was 1 when the package was imported"
            )
        backend = _make_backend(registry.BaseBackend)
        if hasattr(registry, "register"):
            registry.register(module.solve_tril)(backend)
        else:
            utils = importlib.import_module("fla.ops.utils.backends")
            utils.utils_registry.register(backend())
        return backend

    def _register_rule(self) -> type | None:
        """The backend of the rule; None in a release whose rule has no registry."""
        try:
            module = importlib.import_module("fla.ops.gated_delta_rule.chunk")
            owner = importlib.import_module("fla.ops.gated_delta_rule.backends")
        except ImportError:
            return None
        theirs = inspect.unwrap(module.chunk_gated_delta_rule)
        backend = make_rule_backend(sys.modules[module.dispatch.__module__].BaseBackend, theirs)
        if hasattr(owner, "gdr_registry"):
            owner.gdr_registry.register(backend())
        else:
            importlib.import_module("fla.backends").register("gated_delta_rule")(backend)
        return backend
