"""flash-linear-attention: backends of its registry for ``solve_tril``,
``chunk_gated_delta_rule_fwd_intra`` and ``chunk_gated_delta_rule``.

The package asks its backends in the order of their priorities, these first, whether they take a
call; each refusal has a reason, which the package logs. Two generations of the registry are known:
by operation (0.5.2), and by operation or function (0.6).
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..gdn import chunk_gated_delta_rule_fwd_intra, explain_intra
from ..ops import explain, solve_tril
from .base import Integration, Patch, Settings
from .fla_rule import make_rule_backend


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the package that asks its registry.

    ``serve(settings, *arguments)`` is our result, ``refuse(settings, *arguments)`` why a call is
    left to the package.
    """

    label: str
    """Of the backend: a registry holds one backend of each, and an operation has one registry."""
    module: str
    operation: str
    registry: str
    """Name of the operation's registry in 0.5.2."""
    parameters: tuple[str, ...]
    serve: Callable[..., Any]
    refuse: Callable[..., str | None]


def _make_backend(base: type, name: str, function: Function) -> type:
    """The backend, as a subclass of the package's own base class."""

    class NeumannTrilBackend(base):  # type: ignore[misc]
        backend_type = function.label
        package_name = None
        env_var = None
        priority = -1  # before the package's own for NPUs, 0
        settings: Settings | None = None

        @classmethod
        def is_available(cls) -> bool:
            return cls.settings is not None

    def verify(self: Any, *arguments: Any, **named: Any) -> tuple[bool, str | None]:
        reason = function.refuse(self.settings or Settings(), *arguments, **named)
        return reason is None, reason

    def serve(self: Any, *arguments: Any, **named: Any) -> Any:
        return function.serve(self.settings or Settings(), *arguments, **named)

    setattr(NeumannTrilBackend, f"{name}_verifier", verify)
    setattr(NeumannTrilBackend, name, serve)
    return NeumannTrilBackend


# --- solve_tril ----------------------------------------------------------------------------------


def _solve_tril(
    settings: Settings,
    A: Tensor,
    cu_seqlens: Tensor | None = None,
    chunk_indices: Tensor | None = None,
    output_dtype: torch.dtype | None = torch.float,
) -> Tensor:
    return solve_tril(
        A,
        cu_seqlens,
        None if cu_seqlens is None else chunk_indices,
        output_dtype,
        plan=settings.plan,
        backend=settings.backend,
    )


def _refuse_solve_tril(
    settings: Settings,
    A: Tensor,
    cu_seqlens: Tensor | None = None,
    chunk_indices: Tensor | None = None,
    output_dtype: torch.dtype | None = torch.float,
) -> str | None:
    return refusal(A, cu_seqlens, chunk_indices, output_dtype, settings)


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


# --- chunk_gated_delta_rule_fwd_intra ------------------------------------------------------------


def _intra(
    gate_unit: float,
    settings: Settings,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Any = None,
    cu_seqlens: Tensor | None = None,
    chunk_size: int = 64,
    chunk_indices: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    indices = None if cu_seqlens is None else chunk_indices
    return chunk_gated_delta_rule_fwd_intra(
        *(k, v, g, beta, cu_seqlens, chunk_size, indices),
        gate_unit=gate_unit,
        plan=settings.plan,
        backend=settings.backend,
    )


def intra_refusal(
    gate_unit: float,
    settings: Settings,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Any = None,
    cu_seqlens: Tensor | None = None,
    chunk_size: int = 64,
    chunk_indices: Tensor | None = None,
) -> str | None:
    """Why a call is left to the package; None if it is not. Taken is what a kernel takes: where
    there would be torch's products around the inverse, the package has kernels of its own."""
    indices = None if cu_seqlens is None else chunk_indices
    try:
        found = explain_intra(
            *(k, v, g, beta, cu_seqlens, chunk_size, indices),
            gate_unit=gate_unit,
            plan=settings.plan,
            backend=settings.backend,
        )
    except (TypeError, ValueError) as error:
        return str(error)
    return found.error or found.note


def gate_unit_of(module: Any) -> float | None:
    """In which unit the package's function takes the sums of g: 1 if it raises e to them, ln 2 if
    it raises 2, None if that depends on the call (0.5.0)."""
    found = [unit for name, unit in (("exp", 1.0), ("exp2", math.log(2))) if hasattr(module, name)]
    return found[0] if len(found) == 1 else None


# --- the integration -----------------------------------------------------------------------------


class FlashLinearAttention(Integration):
    """``enable("flash_linear_attention")``."""

    name = "flash_linear_attention"
    distributions = ("fla-core", "flash-linear-attention")

    def __init__(self) -> None:
        super().__init__()
        self._backends: dict[str, type] = {}

    def patches(self, settings: Settings) -> list[Patch]:
        # Registered once and for good; it is their availability that is switched.
        if not self._backends:
            functions = self._functions()
            self._backends = {name: self._register(name, f) for name, f in functions.items()}
            rule = self._register_rule()
            if rule is not None:
                self._backends["chunk_gated_delta_rule"] = rule
        return [
            Patch(f"backend of {name}", backend, "settings", settings)
            for name, backend in self._backends.items()
        ]

    def _functions(self) -> dict[str, Function]:
        """Those that are replaced, by name; raises if one is not as it is known."""
        chunk_fwd = "fla.ops.gated_delta_rule.chunk_fwd"
        found = {
            "solve_tril": Function(
                "neumann_tril",
                "fla.ops.utils.solve_tril",
                "utils",
                "utils_registry",
                ("A", "cu_seqlens", "chunk_indices", "output_dtype"),
                _solve_tril,
                _refuse_solve_tril,
            )
        }
        self._check("solve_tril", found["solve_tril"])
        unit = gate_unit_of(self._import(chunk_fwd))
        if unit is None:
            raise self.unsupported("the unit of g in chunk_gated_delta_rule_fwd_intra is not known")
        found["chunk_gated_delta_rule_fwd_intra"] = Function(
            "neumann_tril_intra",
            chunk_fwd,
            "gated_delta_rule",
            "gdr_registry",
            ("k", "v", "g", "beta", "cu_seqlens", "chunk_size", "chunk_indices"),
            partial(_intra, unit),
            partial(intra_refusal, unit),
        )
        self._check("chunk_gated_delta_rule_fwd_intra", found["chunk_gated_delta_rule_fwd_intra"])
        return found

    def _import(self, module: str) -> Any:
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise self.unsupported(f"it does not import here: {error}") from error

    def _check(self, name: str, function: Function) -> None:
        module = self._import(function.module)
        if not hasattr(module, "dispatch"):
            raise self.unsupported(f"{name} has no registry of backends; from 0.5.2 on it has")
        parameters = tuple(inspect.signature(inspect.unwrap(getattr(module, name))).parameters)
        if parameters != function.parameters:
            raise self.unsupported(f"{name} takes {', '.join(parameters)}")
        if sys.modules[module.dispatch.__module__]._DISPATCH_DISABLED:
            raise self.unsupported(
                "FLA_DISABLE_BACKEND_DISPATCH was 1 when the package was imported"
            )

    def _register(self, name: str, function: Function) -> type:
        module = importlib.import_module(function.module)
        registry = sys.modules[module.dispatch.__module__]
        backend = _make_backend(registry.BaseBackend, name, function)
        if not hasattr(registry, "register"):
            backends = importlib.import_module(f"fla.ops.{function.operation}.backends")
            getattr(backends, function.registry).register(backend())
        else:
            ours = getattr(module, name)
            alone = inspect.unwrap(ours) in registry._function_registries
            registry.register(ours if alone else function.operation)(backend)
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
