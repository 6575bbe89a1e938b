"""SGLang on Ascend: the chunk rule, and the inverse in the paths that keep their own.

The rule is replaced in both places that prompts may take: the method ``chunk_gdn`` of SGLang's
attention backend, with states (V, K), and ``chunk_gated_delta_rule_npu`` of ``sgl_kernel_npu``,
with states (K, V). Both return the states before every chunk as well, for prefix caching.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor

from ..gdn import chunk_gated_delta_rule
from ..ops import inverse
from ..plan import Plan
from .base import Integration, Patch, Settings
from .serving import bindings, import_if_there, import_module, parameters, solver_patch

CHUNK = "sgl_kernel_npu.fla.chunk"
NATIVE = "chunk_gated_delta_rule_native"
RULE = "chunk_gated_delta_rule_npu"
LAYERS = "sglang.srt.hardware_backend.npu.attention.ascend_gdn_backend"
LAYER = "AscendGDNAttnBackend"
METHOD = "chunk_gdn"

States = tuple[Tensor, "Tensor | None", Tensor]


def tri_inv_fn(
    plan: str | Plan = "exact", backend: str | None = None
) -> Callable[[Tensor], Tensor]:
    """A ``tri_inv_fn`` for SGLang: A (..., C, C) to ``(I - A)^-1``, of which A keeps its values.

    SGLang's A carries the minus sign that this package's ``(I + A)^-1`` does not expect.
    """

    def invert(A: Tensor) -> Tensor:
        return inverse(-A, plan, backend=backend)

    return invert


def _rule(settings: Settings) -> Callable[..., States]:
    """Our chunk rule under the signature of ``sgl_kernel_npu``."""

    def chunk_gated_delta_rule_npu(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        beta: Tensor,
        scale: float | None = None,
        initial_state: Tensor | None = None,
        output_final_state: bool = True,
        cu_seqlens: Tensor | None = None,
        head_first: bool = False,
        use_qk_l2norm_in_kernel: bool = False,
    ) -> States:
        if head_first:
            raise ValueError("head_first=True is not supported, pass q, k, v as (B, T, H, ...)")
        o, state, h = chunk_gated_delta_rule(
            *(q, k, v, g, beta, scale, initial_state, output_final_state, use_qk_l2norm_in_kernel),
            cu_seqlens=cu_seqlens,
            output_chunk_states=True,
            plan=settings.plan,
            backend=settings.backend,
        )
        return o, state, h.to(k.dtype)

    return chunk_gated_delta_rule_npu


def _method(settings: Settings) -> Callable[..., States]:
    """Our chunk rule as the method: q, k (T, H, K), v (T, HV, V), g, beta (T, HV)."""

    def chunk_gdn(
        self: object,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        beta: Tensor,
        initial_state: Tensor,
        cu_seqlens: Tensor,
    ) -> States:
        q, k, v, g, beta = (x.unsqueeze(0) for x in (q, k, v, g, beta))
        o, state, h = chunk_gated_delta_rule(
            *(q, k, v, g, beta),
            initial_state=initial_state,
            output_final_state=True,
            use_qk_l2norm_in_kernel=True,
            state_v_first=True,
            cu_seqlens=cu_seqlens,
            output_chunk_states=True,
            plan=settings.plan,
            backend=settings.backend,
        )
        return o[0], state, h[0].to(k.dtype)

    return chunk_gdn


class Sglang(Integration):
    """``enable("sglang")``."""

    name = "sglang"
    distributions = ("sgl-kernel-npu", "sgl_kernel_npu")

    def patches(self, settings: Settings) -> list[Patch]:
        module = import_module(self, CHUNK)
        patches = [solver_patch(self, module, settings)]
        # Not every release has each of the others.
        if hasattr(module, NATIVE):
            patches.append(self._native_patch(getattr(module, NATIVE), settings))
        if hasattr(module, RULE):
            patches += self._rule_patches(module, settings)
        layers = import_if_there(self, LAYERS)
        if layers is not None and hasattr(getattr(layers, LAYER), METHOD):
            patches.append(self._method_patch(getattr(layers, LAYER), settings))
        return patches

    def _native_patch(self, native: Any, settings: Settings) -> Patch:
        found = parameters(native)
        if found[-1:] != ("tri_inv_fn",):
            raise self.unsupported(f"{NATIVE} takes {', '.join(found)}")
        invert = tri_inv_fn(settings.plan, settings.backend)
        defaults = (*native.__defaults__[:-1], invert)
        return Patch(f"{CHUNK}.{NATIVE}'s default of tri_inv_fn", native, "__defaults__", defaults)

    def _rule_patches(self, module: ModuleType, settings: Settings) -> list[Patch]:
        theirs, ours = getattr(module, RULE), _rule(settings)
        if parameters(theirs) != parameters(ours):
            raise self.unsupported(f"{RULE} takes {', '.join(parameters(theirs))}")
        if "return o, final_state, h\n" not in inspect.getsource(inspect.unwrap(theirs)):
            raise self.unsupported(f"{RULE} does not return o, final_state, h")
        # SGLang imports it by name.
        places = [(module, RULE), *bindings("sglang", theirs)]
        return [Patch(f"{place.__name__}.{name}", place, name, ours) for place, name in places]

    def _method_patch(self, layer: type, settings: Settings) -> Patch:
        ours = _method(settings)
        found = parameters(getattr(layer, METHOD))
        if found != parameters(ours):
            raise self.unsupported(f"{LAYER}.{METHOD} takes {', '.join(found)}")
        return Patch(f"{LAYERS}.{LAYER}.{METHOD}", layer, METHOD, ours)
