"""Where things lie, and what a test needs beyond this package."""

from __future__ import annotations

from pathlib import Path

import pytest

from neumann_tril import acl_stand_in
from neumann_tril.backends import BACKENDS

ROOT = Path(__file__).resolve().parents[1]
TORCH_NPU = ROOT / "build" / "torch_npu"
"""Where ``make test`` puts the genuine torch_npu."""

VLLM_ASCEND = ROOT / "build" / "vllm_ascend"
"""Where ``make test`` puts the source distribution of vLLM-Ascend."""

needs_torch_npu = pytest.mark.skipif(
    not (TORCH_NPU / "torch_npu").is_dir(),
    reason="build/torch_npu holds no torch_npu; see Makefile",
)
needs_vllm_ascend = pytest.mark.skipif(
    not (VLLM_ASCEND / "vllm_ascend").is_dir(),
    reason="build/vllm_ascend holds no vllm_ascend; see Makefile",
)
needs_stand_in = pytest.mark.skipif(
    not acl_stand_in.FOLDER.is_dir(), reason="built without the emulator (NT_BUILD_EMULATOR)"
)
needs_emulator = pytest.mark.skipif(
    BACKENDS["emulator"].unavailable() is not None,
    reason=str(BACKENDS["emulator"].unavailable()),
)
