"""The drop-in with vLLM-Ascend's own chunk rule, from its source distribution.

Its modules run as they are; vllm, triton and what else they import are mocks.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor

import neumann_tril as nt
from helpers import VLLM_ASCEND, needs_emulator, needs_vllm_ascend
from neumann_tril import integrations, testing
from neumann_tril.gdn import chunk_gated_delta_rule, naive_recurrent_gated_delta_rule
from neumann_tril.integrations.vllm_ascend import CHUNK, KDA, register

pytestmark = needs_vllm_ascend

ROOTS = ("vllm", "vllm_ascend", "triton", "torch_npu", "einops")
# Empty sequences at the start, in the middle and at the end.
BOUNDS = torch.tensor([0, 0, 70, 70, 100, 164, 164], dtype=torch.int32)


class Mocks(MetaPathFinder, Loader):
    """Modules of mocks in the place of what does not install here; packages of vLLM-Ascend are
    there without what their ``__init__`` does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, *inner = fullname.split(".")
        if root not in ROOTS:
            return None
        if root == "vllm_ascend":
            folder = VLLM_ASCEND.joinpath(root, *inner)
            if not folder.is_dir():
                return None
            spec = ModuleSpec(fullname, self, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        if spec.name.startswith("vllm_ascend"):
            return None
        return type("Mock", (ModuleType,), {"__getattr__": self.missing})(spec.name)

    @staticmethod
    def missing(module: ModuleType, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=f"{module.__name__}.{name}")
        setattr(module, name, value)
        return value

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "vllm.triton_utils":
            triton = MagicMock(cdiv=lambda a, b: -(-a // b))
            vars(module).update(triton=triton)
        if module.__name__ == "vllm.distributed":
            group = MagicMock(world_size=1)
            vars(module).update(get_pcp_group=lambda: group)


@pytest.fixture
def their_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """vLLM-Ascend can be imported, and has not been."""
    genuine = importlib.metadata.version

    def version(name: str) -> str:
        return "0.23.0" if name == "vllm-ascend" else genuine(name)

    def ours(name: str) -> bool:
        return name.partition(".")[0] in ROOTS

    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if ours(name)}
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(sys, "meta_path", [Mocks(), *sys.meta_path])
    monkeypatch.setattr(torch, "npu", MagicMock(device=lambda _: contextlib.nullcontext()), False)
    yield
    integrations.disable("vllm_ascend")
    for name in list(filter(ours, sys.modules)):
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def chunk(their_modules: None) -> ModuleType:
    return importlib.import_module(CHUNK)


def prebuilt(bounds: Tensor) -> Any:
    """What their metadata builder prepares for these sequences."""
    builder = importlib.import_module("vllm_ascend.ops.gdn_attn_builder")
    config = SimpleNamespace(
        model_config=SimpleNamespace(hf_text_config=SimpleNamespace(linear_num_value_heads=4)),
        parallel_config=SimpleNamespace(tensor_parallel_size=1),
    )
    make = builder._build_non_spec_chunked_prefill_metadata
    return make(SimpleNamespace(vllm_config=config), bounds, torch.device("cpu"))


def matrices(bounds: Tensor) -> Tensor:
    """(1, T, 2, 64) of these sequences."""
    length = int(bounds[-1])
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", 64, 2).transpose(0, 1)
    rows = torch.cat([torch.arange(int(n)) % 64 for n in bounds.diff()])
    return A[rows].reshape(1, length, 2, 64)


def prompts(bounds: Tensor) -> dict[str, Any]:
    """The arguments of their layer's call."""
    r = torch.Generator().manual_seed(0)
    length, sequences = int(bounds[-1]), len(bounds) - 1
    q, k = (torch.randn(1, length, 2, 32, generator=r).bfloat16() for _ in range(2))
    return {
        "q": q,
        "k": k,
        "v": torch.randn(1, length, 4, 16, generator=r).bfloat16(),
        "g": -torch.rand(1, length, 4, generator=r),
        "beta": torch.rand(1, length, 4, generator=r).bfloat16(),
        "initial_state": torch.randn(sequences, 4, 32, 16, generator=r),
        "output_final_state": True,
        "cu_seqlens": bounds,
        "prebuilt_meta": prebuilt(bounds),
        "head_first": False,
        "use_qk_l2norm_in_kernel": True,
    }


def by_recurrence(x: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The same in float64, token by token, sequence by sequence."""
    bounds, norm = x["cu_seqlens"].tolist(), torch.nn.functional.normalize
    q, k, v, g, beta, state = (x[n].double() for n in ("q", "k", "v", "g", "beta", "initial_state"))
    tokens = (norm(q, dim=-1), norm(k, dim=-1), v, g, beta)
    results, states = [], state.clone()
    for n, (first, end) in enumerate(pairwise(bounds)):
        if first < end:
            o, final = naive_recurrent_gated_delta_rule(
                *(y[:, first:end] for y in tokens),
                initial_state=state[n : n + 1],
                output_final_state=True,
            )
            results.append(o)
            states[n] = final[0]
    return torch.cat(results, 1), states


def distance(x: Tensor, truth: Tensor) -> float:
    return float((x.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("backend", ["cpu", pytest.param("emulator", marks=needs_emulator)])
def test_their_chunk_rule_is_ours(chunk: ModuleType, backend: str) -> None:
    x = prompts(BOUNDS)
    truth = by_recurrence(x)
    before = x["initial_state"].clone()
    with integrations.enable("vllm_ascend", backend=backend):
        o, state = chunk.chunk_gated_delta_rule(**x)
    assert o.dtype == torch.bfloat16 and o.shape == x["v"].shape
    assert distance(o, truth[0]) < 4e-3 and distance(state, truth[1]) < 2e-3
    assert torch.equal(x["initial_state"], before)
    assert torch.equal(state[[0, 2, 5]], before[[0, 2, 5]])


def test_who_imported_it_before_is_served(chunk: ModuleType) -> None:
    """As ``vllm_ascend.ops.gdn`` has; and no more when it is disabled."""
    theirs, x = chunk.chunk_gated_delta_rule, prompts(BOUNDS)
    genuine = chunk.ChunkGatedDeltaRuleFunction
    with integrations.enable("vllm_ascend"):
        o, _ = theirs(**x)
    names = ("q", "k", "v", "g", "beta", "initial_state", "cu_seqlens", "use_qk_l2norm_in_kernel")
    assert torch.equal(o, chunk_gated_delta_rule(**{name: x[name] for name in names})[0])
    assert chunk.ChunkGatedDeltaRuleFunction is genuine


def test_their_checks_stay(chunk: ModuleType) -> None:
    x = prompts(BOUNDS)
    wide = {name: x[name].float() for name in "qkv"}
    with (
        integrations.enable("vllm_ascend"),
        pytest.raises(AssertionError, match="does not support float32"),
    ):
        chunk.chunk_gated_delta_rule(**{**x, **wide})


def test_prompts_on_several_ranks_are_theirs(
    chunk: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Theirs(torch.autograd.Function):
        forward = staticmethod(chunk.ChunkGatedDeltaRuleFunction.forward)
        apply = staticmethod(lambda *arguments: ("o of theirs", len(arguments)))

    monkeypatch.setattr(chunk, "ChunkGatedDeltaRuleFunction", Theirs)
    monkeypatch.setattr(chunk, "get_pcp_group", lambda: SimpleNamespace(world_size=2))
    with integrations.enable("vllm_ascend"):
        assert chunk.chunk_gated_delta_rule(**prompts(BOUNDS)) == ("o of theirs", 11)


def test_solve_tril_with_their_indices(chunk: ModuleType) -> None:
    """They number the sequences with tokens alone, cu_seqlens has the empty ones."""
    A, meta = matrices(BOUNDS), prebuilt(BOUNDS)
    assert meta.chunk_indices_chunk64[:, 0].max() == 2 < len(BOUNDS) - 2
    large, small = meta.chunk_indices_large_block, meta.chunk_indices_chunk64
    with integrations.enable("vllm_ascend"):
        X = chunk.solve_tril(A, BOUNDS, large, small, torch.bfloat16)
    assert torch.equal(X, nt.solve_tril(A, BOUNDS, output_dtype=torch.bfloat16))
    assert X.float().abs().sum(-1).min() >= 1  # no row is left out


def test_solve_tril_kda(their_modules: None) -> None:
    kda = importlib.import_module(KDA)
    A, small = matrices(BOUNDS), prebuilt(BOUNDS).chunk_indices_chunk64
    with integrations.enable("vllm_ascend"):
        X = kda.solve_tril_kda(
            A=A, cu_seqlens=BOUNDS, chunk_indices=small, output_dtype=torch.float16
        )
        dense = kda.solve_tril_kda(A[:, :70])
        patched = integrations.status()["vllm_ascend"].patched
    assert torch.equal(X, nt.solve_tril(A, BOUNDS, output_dtype=torch.float16))
    assert torch.equal(dense, nt.solve_tril(A[:, :70]))
    assert {name.rpartition(".")[2] for name in patched} == {
        *("solve_tril", "ChunkGatedDeltaRuleFunction", "solve_tril_kda")
    }


def test_the_plugin_waits_for_the_package(
    their_modules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It imports nothing of it, and is on once the worker's patches import the chunk rule."""
    monkeypatch.setenv("NEUMANN_TRIL_VLLM_ASCEND", "1")
    register()
    assert not any(name.startswith("vllm") for name in sys.modules)
    assert not integrations.status()["vllm_ascend"].enabled
    importlib.import_module("vllm_ascend.patch.worker.patch_triton")
    assert integrations.status()["vllm_ascend"].enabled
    fla = sys.modules["vllm.model_executor.layers.fla.ops"]
    x = prompts(BOUNDS)
    assert distance(fla.chunk_gated_delta_rule(**x)[0], by_recurrence(x)[0]) < 4e-3
