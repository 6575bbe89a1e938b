"""vLLM-Ascend: its chunk rule of Gated DeltaNet, and the inverse in that of Kimi Linear.

``chunk_gated_delta_rule`` of its copy of FLA, which its layers call for prompts, hands its checked
arguments to an autograd function of its module, which is found there anew in every call. That one
is replaced: so it does not matter who has imported ``chunk_gated_delta_rule`` by name before.

vLLM loads the plugin ``neumann_tril`` in each of its processes, before the worker applies the
patches of vLLM-Ascend. Its operators bind names that those patches replace, so the plugin imports
none of them: it waits until vLLM-Ascend itself has imported the chunk rule.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from torch import Tensor

from ..gdn import chunk_gated_delta_rule
from .base import Integration, Patch, Settings
from .deferred import when_imported
from .serving import import_if_there, import_module, parameters, solver_patch

CHUNK = "vllm_ascend.ops.triton.fla.chunk"
KDA = "vllm_ascend.ops.triton.kda.kda"
FUNCTION = "ChunkGatedDeltaRuleFunction"
ARGUMENTS = (
    *("q", "k", "v", "g", "beta", "scale", "initial_state", "output_final_state", "cu_seqlens"),
    "use_qk_l2norm_in_kernel",
)
IGNORED = ("prebuilt_meta",)  # follows from cu_seqlens


class VllmAscend(Integration):
    """``enable("vllm_ascend")``."""

    name = "vllm_ascend"
    distributions = ("vllm-ascend", "vllm_ascend")

    def patches(self, settings: Settings) -> list[Patch]:
        module = import_module(self, CHUNK)
        patches = [solver_patch(self, module, settings)]
        if hasattr(module, FUNCTION):
            patches.append(self._rule_patch(module, settings))
        kda = import_if_there(self, KDA)
        if kda is not None:
            patches.append(solver_patch(self, kda, settings, "solve_tril_kda"))
        return patches

    def _rule_patch(self, module: ModuleType, settings: Settings) -> Patch:
        theirs = getattr(module, FUNCTION)
        _, *names = parameters(theirs.forward)
        if tuple(name for name in names if name not in IGNORED) != ARGUMENTS:
            raise self.unsupported(f"{CHUNK}.{FUNCTION} takes {', '.join(names)}")

        class NeumannTrilRule:
            """In the place of their autograd function."""

            @staticmethod
            def apply(*arguments: Any) -> tuple[Tensor, Tensor]:
                if _prompts_are_split(module):
                    found: tuple[Tensor, Tensor] = theirs.apply(*arguments)
                    return found
                given = dict(zip(names, arguments, strict=True))
                for name in IGNORED:
                    given.pop(name, None)
                given["output_final_state"] = True  # as theirs, whatever is asked for
                plan, backend = settings.plan, settings.backend
                o, state = chunk_gated_delta_rule(**given, plan=plan, backend=backend)
                return o, state

        return Patch(f"{CHUNK}.{FUNCTION}", module, FUNCTION, NeumannTrilRule)


def _prompts_are_split(module: ModuleType) -> bool:
    """Whether one prompt lies on several ranks, between which their function passes states on."""
    group = getattr(module, "get_pcp_group", None)
    return group is not None and group().world_size > 1


VLLM_ASCEND = VllmAscend()


def register() -> None:
    """The plugin: enable ``vllm_ascend`` if NEUMANN_TRIL_VLLM_ASCEND is 1."""
    if os.environ.get("NEUMANN_TRIL_VLLM_ASCEND") == "1":
        when_imported(CHUNK, VLLM_ASCEND.enable)
