"""Hugging Face transformers: Qwen3-Next, Qwen3.5 and its MoE variant, on CPU and NPU.

Their layers call ``torch_chunk_gated_delta_rule``, or what replaces it, in one of two ways:

* up to 5.14 by the attribute ``chunk_gated_delta_rule`` of each layer, set when it is made. It is
  covered by a descriptor of the layer's class, so models that exist already are served too;
* from 5.15 by the name ``torch_chunk_gated_delta_rule`` in their module, which is rebound.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..gdn import chunk_gated_delta_rule
from .base import Integration, Patch, Settings

LAYERS = {
    "qwen3_next": "Qwen3NextGatedDeltaNet",
    "qwen3_5": "Qwen3_5GatedDeltaNet",
    "qwen3_5_moe": "Qwen3_5MoeGatedDeltaNet",
}
FUNCTION = "torch_chunk_gated_delta_rule"
ATTRIBUTE = "chunk_gated_delta_rule"
PARAMETERS = (
    "query",
    "key",
    "value",
    "g",
    "beta",
    "chunk_size",
    "initial_state",
    "output_final_state",
    "use_qk_l2norm_in_kernel",
)

Rule = Callable[..., tuple[Tensor, "Tensor | None"]]


def _rule(settings: Settings) -> Rule:
    """Our chunk rule under transformers' signature."""

    def torch_chunk_gated_delta_rule(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        g: Tensor,
        beta: Tensor,
        chunk_size: int = 64,
        initial_state: Tensor | None = None,
        output_final_state: bool = False,
        use_qk_l2norm_in_kernel: bool = False,
        cu_seqlens: Tensor | None = None,
        **kwargs: Any,  # what the layers pass on for other kernels
    ) -> tuple[Tensor, Tensor | None]:
        o, state = chunk_gated_delta_rule(
            query,
            key,
            value,
            g,
            beta,
            initial_state=initial_state,
            output_final_state=output_final_state,
            use_qk_l2norm_in_kernel=use_qk_l2norm_in_kernel,
            cu_seqlens=cu_seqlens,
            chunk_size=chunk_size,
            plan=settings.plan,
            backend=settings.backend,
        )
        return o, state

    return torch_chunk_gated_delta_rule


class _Cover:
    """Hides an attribute that instances set, without losing it."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self.value

    def __set__(self, instance: object, value: Any) -> None:
        vars(instance)[self.name] = value


class Transformers(Integration):
    """``enable("transformers")``."""

    name = "transformers"
    distributions = ("transformers",)

    def patches(self, settings: Settings) -> list[Patch]:
        rule = _rule(settings)
        paths = [f"transformers.models.{model}.modeling_{model}" for model in LAYERS]
        found = [
            (path, layer)
            for path, layer in zip(paths, LAYERS.values(), strict=True)
            if importlib.util.find_spec(path.rpartition(".")[0]) is not None
        ]
        if not found:
            raise self.unsupported(f"it has none of the models {', '.join(LAYERS)}")
        return [self._patch(path, layer, rule) for path, layer in found]

    def _patch(self, path: str, layer: str, rule: Rule) -> Patch:
        module = importlib.import_module(path)
        function, cls = getattr(module, FUNCTION, None), getattr(module, layer, None)
        if function is None or cls is None:
            raise self.unsupported(f"{path} has no {layer} with {FUNCTION}")
        names = tuple(inspect.signature(inspect.unwrap(function)).parameters)
        if names[: len(PARAMETERS)] != PARAMETERS:
            raise self.unsupported(f"{path}.{FUNCTION} takes {', '.join(names)}")
        source = inspect.getsource(
            cls
        )  # of the class: not every wrapper of forward shows what it wraps
        if f" {FUNCTION}(" in source:
            return Patch(f"{path}.{FUNCTION}", module, FUNCTION, rule)
        if f" self.{ATTRIBUTE}(" in source:
            return Patch(f"{path}.{layer}.{ATTRIBUTE}", cls, ATTRIBUTE, _Cover(ATTRIBUTE, rule))
        raise self.unsupported(f"{path}.{layer} does not call {FUNCTION}")
