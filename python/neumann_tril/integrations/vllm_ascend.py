"""vLLM-Ascend: ``solve_tril`` of its Triton path of the chunk rule.

It is called where the fused chunk kernel of vLLM-Ascend does not run. vLLM loads the plugin
``neumann_tril`` in each of its processes; it enables this where NEUMANN_TRIL_VLLM_ASCEND is 1.
"""

from __future__ import annotations

import os

from .base import Integration, Patch, Settings
from .serving import import_module, solver_patch


class VllmAscend(Integration):
    """``enable("vllm_ascend")``."""

    name = "vllm_ascend"
    distributions = ("vllm-ascend", "vllm_ascend")

    def patches(self, settings: Settings) -> list[Patch]:
        module = import_module(self, "vllm_ascend.ops.triton.fla.chunk")
        return [solver_patch(self, module, settings)]


VLLM_ASCEND = VllmAscend()


def register() -> None:
    """The plugin: enable ``vllm_ascend`` if NEUMANN_TRIL_VLLM_ASCEND is 1."""
    if os.environ.get("NEUMANN_TRIL_VLLM_ASCEND") == "1":
        VLLM_ASCEND.enable()
