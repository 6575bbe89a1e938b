"""SGLang on Ascend (``sgl_kernel_npu``): ``solve_tril`` of its Triton path, and the inverse that
its native path takes as an argument, ``tri_inv_fn``."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from torch import Tensor

from ..ops import inverse
from ..plan import Plan
from .base import Integration, Patch, Settings
from .serving import import_module, solver_patch

NATIVE = "chunk_gated_delta_rule_native"


def tri_inv_fn(
    plan: str | Plan = "exact", backend: str | None = None
) -> Callable[[Tensor], Tensor]:
    """A ``tri_inv_fn`` for SGLang: A (..., C, C) to ``(I - A)^-1``, of which A keeps its values.

    SGLang's A carries the minus sign that this package's ``(I + A)^-1`` does not expect.
    """

    def invert(A: Tensor) -> Tensor:
        return inverse(-A, plan, backend=backend)

    return invert


class Sglang(Integration):
    """``enable("sglang")``."""

    name = "sglang"
    distributions = ("sgl-kernel-npu", "sgl_kernel_npu")

    def patches(self, settings: Settings) -> list[Patch]:
        module = import_module(self, "sgl_kernel_npu.fla.chunk")
        patches = [solver_patch(self, module, settings)]
        native = getattr(module, NATIVE, None)
        if native is not None:  # not in every release
            parameters = inspect.signature(native).parameters
            if tuple(parameters)[-1:] != ("tri_inv_fn",):
                raise self.unsupported(f"{NATIVE} takes {', '.join(parameters)}")
            invert = tri_inv_fn(settings.plan, settings.backend)
            defaults = (*native.__defaults__[:-1], invert)
            label = f"{module.__name__}.{NATIVE}'s default of tri_inv_fn"
            patches.append(Patch(label, native, "__defaults__", defaults))
        return patches
