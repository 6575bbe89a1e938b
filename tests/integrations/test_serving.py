"""vLLM-Ascend and SGLang, which do not install here: doubles of the functions that they call.

The doubles have the names, parameters and call sites of ``vllm_ascend/ops/triton/fla/chunk.py``
and ``sgl_kernel_npu/fla/chunk.py``; their bodies are the plain mathematics.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import neumann_tril as nt
from helpers import needs_emulator
from neumann_tril import integrations, testing
from neumann_tril.gdn import chunk_gated_delta_rule
from neumann_tril.integrations import INTEGRATIONS, UnsupportedVersionError
from neumann_tril.integrations.sglang import tri_inv_fn
from neumann_tril.integrations.vllm_ascend import register

VLLM = "vllm_ascend.ops.triton.fla.chunk"
SGLANG = "sgl_kernel_npu.fla.chunk"

VLLM_NEW = """
def solve_tril(A, cu_seqlens=None, chunk_indices_large_block=None, chunk_indices_bt=None,
               output_dtype=torch.float):
    raise RuntimeError("needs an NPU")

def chunk_gated_delta_rule_fwd(A, cu_seqlens, large, bt, dtype):
    return solve_tril(A=A, cu_seqlens=cu_seqlens, chunk_indices_large_block=large,
                      chunk_indices_bt=bt, output_dtype=dtype)
"""
VLLM_OLD = """
def solve_tril(A, cu_seqlens=None, output_dtype=torch.float):
    raise RuntimeError("needs an NPU")

def chunk_gated_delta_rule_fwd(A, cu_seqlens, large, bt, dtype):
    return solve_tril(A=A, cu_seqlens=cu_seqlens, output_dtype=dtype)
"""
SGLANG_NOW = """
def solve_tril_npu(A, cu_seqlens=None, output_dtype=torch.float):
    raise RuntimeError("needs an NPU")

solve_tril = solve_tril_npu

def inv_tril_inplace(A):
    raise RuntimeError("row by row")

def chunk_gated_delta_rule_native(query, key, value, g, beta, chunk_size=64, initial_state=None,
                                  output_final_state=False, use_qk_l2norm_in_kernel=False,
                                  tri_inv_fn=inv_tril_inplace):
    attn = -((key * beta[..., None]) @ key.mT).tril(-1)
    return tri_inv_fn(attn)

def chunk_gated_delta_rule_fwd(A, cu_seqlens, dtype):
    return solve_tril(A=A, cu_seqlens=cu_seqlens, output_dtype=dtype)

def chunk_gated_delta_rule_npu(q, k, v, g, beta, scale=None, initial_state=None,
                               output_final_state=True, cu_seqlens=None, head_first=False,
                               use_qk_l2norm_in_kernel=False):
    raise RuntimeError("needs an NPU")
    return o, final_state, h
"""
SGLANG_KERNELS = "sglang.srt.layers.attention.linear.kernels.gdn_triton"
SGLANG_LAYERS = "sglang.srt.hardware_backend.npu.attention.ascend_gdn_backend"
SGLANG_LAYER = """
class AscendGDNAttnBackend:
    def chunk_gdn(self, q, k, v, g, beta, initial_state, cu_seqlens):
        raise RuntimeError("needs an NPU")
"""


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Make a module of this source importable, as if its package were installed."""
    genuine = importlib.metadata.version
    packages: set[str] = set()

    def install(path: str, source: str) -> ModuleType:
        parts = path.split(".")
        for n in range(1, len(parts)):
            parent = ModuleType(parts[n - 1])
            parent.__path__ = []
            monkeypatch.setitem(sys.modules, ".".join(parts[:n]), parent)
        module = ModuleType(path)
        file = tmp_path / f"{path}.py"  # for those who read the source
        file.write_text("import torch\n" + source)
        exec(compile(file.read_text(), file, "exec"), vars(module))
        monkeypatch.setitem(sys.modules, path, module)
        packages.add(parts[0])
        return module

    def version(name: str) -> str:
        return "0" if name.replace("-", "_") in packages else genuine(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    yield install
    for integration in INTEGRATIONS.values():
        integration.disable()


def matrices(length: int = 128) -> Tensor:
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", 64, length // 64)
    return A.reshape(1, length, 1, 64)


@pytest.mark.parametrize("source", [VLLM_NEW, VLLM_OLD])
@pytest.mark.parametrize("packed", [False, True])
def test_vllm_ascend(install: Any, source: str, packed: bool) -> None:
    module = install(VLLM, source)
    A = matrices()
    cu_seqlens = torch.tensor([0, 70, 128]) if packed else None
    bt = torch.tensor([[0, 0], [0, 1], [1, 0]]) if packed else None
    large = torch.tensor([[0, 0], [1, 0]]) if packed else None
    with integrations.enable("vllm_ascend"):
        X = module.chunk_gated_delta_rule_fwd(A, cu_seqlens, large, bt, torch.bfloat16)
    assert X.dtype == torch.bfloat16
    assert torch.equal(X, nt.solve_tril(A, cu_seqlens, output_dtype=torch.bfloat16))
    with pytest.raises(RuntimeError, match="needs an NPU"):
        module.chunk_gated_delta_rule_fwd(A, cu_seqlens, large, bt, torch.bfloat16)


def test_vllm_ascend_with_other_parameters_is_refused(install: Any) -> None:
    install(VLLM, "def solve_tril(A, seqlens): pass")
    with pytest.raises(UnsupportedVersionError, match=r"solve_tril takes A, seqlens"):
        integrations.enable("vllm_ascend")
    install(VLLM, "")
    with pytest.raises(UnsupportedVersionError, match="has no solve_tril"):
        integrations.enable("vllm_ascend")


def test_the_plugin_is_opt_in(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(VLLM, VLLM_NEW)
    monkeypatch.delenv("NEUMANN_TRIL_VLLM_ASCEND", raising=False)
    register()
    assert not integrations.status()["vllm_ascend"].enabled
    monkeypatch.setenv("NEUMANN_TRIL_VLLM_ASCEND", "1")
    register()
    register()
    assert integrations.status()["vllm_ascend"].enabled


def test_the_plugin_is_declared() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    group = project.read_text().partition('[project.entry-points."vllm.general_plugins"]\n')[2]
    name, _, target = group.splitlines()[0].partition(" = ")
    entry = importlib.metadata.EntryPoint(name, target.strip('"'), "vllm.general_plugins")
    assert name == "neumann_tril" and entry.load() is register


def test_sglang(install: Any) -> None:
    module = install(SGLANG, SGLANG_NOW)
    A = matrices()
    k = torch.nn.functional.normalize(torch.randn(2, 64, 32, dtype=torch.float64), dim=-1)
    beta = torch.rand(2, 64, dtype=torch.float64)
    native = {"query": None, "key": k, "value": None, "g": None, "beta": beta}
    with integrations.enable("sglang"):
        X = module.chunk_gated_delta_rule_fwd(A, torch.tensor([0, 128]), torch.float16)
        T = module.chunk_gated_delta_rule_native(**native)
    assert torch.equal(X, nt.solve_tril(A, torch.tensor([0, 128]), output_dtype=torch.float16))
    expected = torch.linalg.inv(torch.eye(64) + ((k * beta[..., None]) @ k.mT).tril(-1))
    torch.testing.assert_close(T, expected)
    with pytest.raises(RuntimeError, match="row by row"):
        module.chunk_gated_delta_rule_native(**native)
    with pytest.raises(RuntimeError, match="needs an NPU"):
        module.chunk_gated_delta_rule_fwd(A, None, torch.float16)


def test_tri_inv_fn_has_their_sign_and_leaves_its_argument() -> None:
    A = -matrices().reshape(2, 64, 64)
    before = A.clone()
    X = tri_inv_fn()(A)
    assert torch.equal(A, before)
    torch.testing.assert_close(X @ (torch.eye(64) - A), torch.eye(64).expand(2, 64, 64))


# Empty sequences at the start and in the middle; eight rows belong to none.
BOUNDS = torch.tensor([0, 0, 70, 70, 100], dtype=torch.int32)
BACKENDS = ["cpu", pytest.param("emulator", marks=needs_emulator)]


def prompts() -> dict[str, Tensor]:
    r = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 108, 2, 32, generator=r).bfloat16() for _ in range(2))
    return {
        "q": q,
        "k": k,
        "v": torch.randn(1, 108, 4, 16, generator=r).bfloat16(),
        "g": -torch.rand(1, 108, 4, generator=r),
        "beta": torch.rand(1, 108, 4, generator=r).bfloat16(),
        "initial_state": torch.randn(4, 4, 32, 16, generator=r),
    }


def expected_of(x: dict[str, Tensor], backend: str) -> tuple[Tensor, Tensor, Tensor]:
    options: dict[str, Any] = {"output_final_state": True, "output_chunk_states": True}
    options |= {"use_qk_l2norm_in_kernel": True, "cu_seqlens": BOUNDS, "backend": backend}
    o, state, h = chunk_gated_delta_rule(**x, **options)
    assert torch.isfinite(o).all() and torch.equal(state[[0, 2]], x["initial_state"][[0, 2]])
    return o, state, h.bfloat16()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_rule_of_sglangs_kernels(install: Any, backend: str) -> None:
    """With states (K, V), where SGLang has imported it by name too."""
    kernels = install(SGLANG, SGLANG_NOW)
    importer = install(SGLANG_KERNELS, "")
    importer.chunk_gated_delta_rule = kernels.chunk_gated_delta_rule_npu
    x = prompts()
    call = {**x, "cu_seqlens": BOUNDS, "head_first": False, "use_qk_l2norm_in_kernel": True}
    with integrations.enable("sglang", backend=backend):
        found = importer.chunk_gated_delta_rule(**call)
        assert kernels.chunk_gated_delta_rule_npu is importer.chunk_gated_delta_rule
        with pytest.raises(ValueError, match="head_first=True is not supported"):
            importer.chunk_gated_delta_rule(**{**call, "head_first": True})
    for a, b in zip(found, expected_of(x, backend), strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    for rule in (importer.chunk_gated_delta_rule, kernels.chunk_gated_delta_rule_npu):
        with pytest.raises(RuntimeError, match="needs an NPU"):
            rule(**call)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_rule_of_sglangs_layers(install: Any, backend: str) -> None:
    """With states (V, K), without the axis of the batch."""
    install(SGLANG, SGLANG_NOW)
    layer = install(SGLANG_LAYERS, SGLANG_LAYER).AscendGDNAttnBackend()
    x = prompts()
    call = {name: x[name][0] for name in ("q", "k", "v", "g", "beta")}
    states = x["initial_state"].mT.contiguous()
    with integrations.enable("sglang", backend=backend):
        o, state, h = layer.chunk_gdn(**call, initial_state=states, cu_seqlens=BOUNDS)
    expected = expected_of(x, backend)
    assert torch.equal(o, expected[0][0])
    assert torch.equal(state, expected[1].mT)
    assert torch.equal(h, expected[2][0].mT)
    with pytest.raises(RuntimeError, match="needs an NPU"):
        layer.chunk_gdn(**call, initial_state=states, cu_seqlens=BOUNDS)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("return o, final_state, h", "return o, final_state", "does not return o, final_state, h"),
        ("head_first=False", "layout=None", "chunk_gated_delta_rule_npu takes q, k, v"),
    ],
)
def test_another_rule_of_sglang_is_refused(install: Any, old: str, new: str, reason: str) -> None:
    install(SGLANG, SGLANG_NOW.replace(old, new))
    with pytest.raises(UnsupportedVersionError, match=reason):
        integrations.enable("sglang")


def test_another_layer_of_sglang_is_refused(install: Any) -> None:
    install(SGLANG, SGLANG_NOW)
    install(SGLANG_LAYERS, SGLANG_LAYER.replace(", cu_seqlens", ""))
    with pytest.raises(UnsupportedVersionError, match="chunk_gdn takes self, q, k, v, g, beta"):
        integrations.enable("sglang")
