"""transformers' own models with our chunk rule: logits, gradients, generation."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import needs_emulator
from neumann_tril import integrations
from neumann_tril.gdn import chunk_gated_delta_rule, explain
from neumann_tril.integrations import UnsupportedVersionError
from neumann_tril.integrations import transformers as ours
from neumann_tril.integrations.base import Settings
from neumann_tril.integrations.transformers import LAYERS, _rule

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

# Each side rounds every sum to float32; they differ by some multiples of it, over a few layers.
CLOSE = {"rtol": 1e-4, "atol": 2e-5}

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
}
MODELS = {
    "qwen3_next": ("Qwen3NextForCausalLM", "Qwen3NextConfig", EXPERTS),
    "qwen3_5": ("Qwen3_5ForCausalLM", "Qwen3_5TextConfig", {}),
    "qwen3_5_moe": ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig", EXPERTS),
}


@pytest.fixture(autouse=True, scope="module")
def their_torch_path() -> Iterator[None]:
    """Import the models without fla, whose kernels they would take and which need a GPU."""
    fla = sys.modules.get("fla")
    sys.modules["fla"] = None  # type: ignore[assignment]
    for name in LAYERS:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    del sys.modules["fla"]
    if fla is not None:
        sys.modules["fla"] = fla
    yield


def modeling(name: str) -> ModuleType:
    path = f"transformers.models.{name}.modeling_{name}"
    if path not in sys.modules:
        pytest.skip(f"transformers {transformers.__version__} has no {name}")
    return sys.modules[path]


def tiny(name: str) -> Any:
    module = modeling(name)
    model_name, config_name, more = MODELS[name]
    torch.manual_seed(0)
    model = getattr(module, model_name)(getattr(module, config_name)(**COMMON, **more))
    return model.float().eval()


def run(model: Any, ids: Tensor) -> list[Tensor]:
    model.zero_grad()
    logits = model(input_ids=ids).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    return [logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the sequences that our rule has seen."""
    lengths: list[int] = []

    def counted(query: Tensor, *args: Any, **kwargs: Any) -> Any:
        lengths.append(query.shape[1])
        return chunk_gated_delta_rule(query, *args, **kwargs)

    monkeypatch.setattr(ours, "chunk_gated_delta_rule", counted)
    return lengths


@pytest.mark.parametrize("name", LAYERS)
def test_logits_and_gradients(name: str, calls: list[int]) -> None:
    """Of a model that was made before, and of one that is made while it is enabled."""
    ids = torch.randint(64, (2, 70), generator=torch.Generator().manual_seed(0))
    model = tiny(name)
    expected = run(model, ids)
    assert calls == []
    with integrations.enable("transformers"):
        found = run(model, ids)
        assert calls == [70, 70]
        made_inside = tiny(name)
        found_inside = run(made_inside, ids)
        assert calls == [70] * 4
    assert len(found) == len(expected) > 30
    for x, y, z in zip(found, found_inside, expected, strict=True):
        torch.testing.assert_close(x, z, **CLOSE)
        torch.testing.assert_close(y, z, **CLOSE)
    for restored in (model, made_inside):
        for x, y in zip(run(restored, ids), expected, strict=True):
            assert torch.equal(x, y)
    assert calls == [70] * 4


@pytest.mark.parametrize("name", LAYERS)
def test_generation_with_cache(name: str, calls: list[int]) -> None:
    ids = torch.randint(64, (2, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0  # padding on the left
    model = tiny(name)
    options: dict[str, Any] = {
        "attention_mask": mask,
        "max_new_tokens": 12,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
        "pad_token_id": 0,
    }
    expected = model.generate(ids, **options)
    with integrations.enable("transformers"):
        found = model.generate(ids, **options)
    assert calls == [20, 20]
    assert torch.equal(found.sequences, expected.sequences)
    for x, y in zip(found.logits, expected.logits, strict=True):
        torch.testing.assert_close(x, y, **CLOSE)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [1, 40, 64, 130])
def test_against_their_function(name: str, length: int) -> None:
    """The function itself, forward and gradients, from a state and to a state."""
    r = torch.Generator().manual_seed(length)
    heads, key_size, value_size = 3, 16, 8
    shapes = {
        "query": (2, length, heads, key_size),
        "key": (2, length, heads, key_size),
        "value": (2, length, heads, value_size),
        "g": (2, length, heads),
        "beta": (2, length, heads),
        "initial_state": (2, heads, key_size, value_size),
    }
    values = {n: torch.randn(shape, generator=r) for n, shape in shapes.items()}
    values["g"] = -torch.exp(values["g"])
    values["beta"] = torch.sigmoid(values["beta"])

    def evaluate(rule: Callable[..., Any]) -> list[Tensor]:
        leaves = {n: x.clone().requires_grad_() for n, x in values.items()}
        o, state = rule(**leaves, output_final_state=True, use_qk_l2norm_in_kernel=True)
        return [o, state, *torch.autograd.grad(o.sin().sum() + state.sin().sum(), leaves.values())]

    expected = evaluate(modeling(name).torch_chunk_gated_delta_rule)
    for x, y in zip(evaluate(_rule(Settings())), expected, strict=True):
        torch.testing.assert_close(x, y, **CLOSE)


def test_packed_sequences_are_kept_apart() -> None:
    """Which their own function on a CPU refuses or ignores."""
    x = torch.randn(1, 50, 2, 16, generator=torch.Generator().manual_seed(0))
    g, beta = -torch.ones(1, 50, 2), torch.full((1, 50, 2), 0.5)
    o, _ = _rule(Settings())(x, x, x, g, beta, cu_seqlens=torch.tensor([0, 30, 50]))
    alone, _ = _rule(Settings())(x[:, 30:], x[:, 30:], x[:, 30:], g[:, 30:], beta[:, 30:])
    torch.testing.assert_close(o[:, 30:], alone, **CLOSE)


@needs_emulator
@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_layers_reach_the_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the layers pass on is what the NPU kernel of the whole rule takes, in the emulator."""
    served: list[Any] = []

    def told(*args: Any, **kwargs: Any) -> Any:
        asked = ("initial_state", "cu_seqlens", "chunk_size", "plan", "backend")
        served.append(explain(*args, **{name: kwargs[name] for name in asked}))
        return chunk_gated_delta_rule(*args, **kwargs)

    monkeypatch.setattr(ours, "chunk_gated_delta_rule", told)
    model = tiny(name).bfloat16()
    ids = torch.randint(64, (1, 70), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = model(input_ids=ids, use_cache=True)
        with integrations.enable("transformers", backend="emulator"):
            found = model(input_ids=ids, use_cache=True)
    assert [(x.backend, x.note) for x in served] == [("emulator", None)] * 2
    # Both round every activation to bfloat16.
    torch.testing.assert_close(found.logits, expected.logits, rtol=0.05, atol=0.05)


def test_status_names_what_is_replaced() -> None:
    with integrations.enable("transformers", plan="fast"):
        status = integrations.status()["transformers"]
        assert status.enabled and status.version == transformers.__version__
        assert any("qwen3_next" in label for label in status.patched)
        assert f"transformers {transformers.__version__}: on (plan fast" in str(status)
    assert not integrations.status()["transformers"].enabled


def test_a_version_with_other_parameters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = modeling("qwen3_next")
    monkeypatch.setattr(module, "torch_chunk_gated_delta_rule", lambda q, k, v: None)
    with pytest.raises(UnsupportedVersionError, match="torch_chunk_gated_delta_rule takes q, k, v"):
        integrations.enable("transformers")
    assert not integrations.status()["transformers"].enabled


class OtherLayer(torch.nn.Module):
    """A layer of some future version."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_version_that_calls_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modeling("qwen3_next"), "Qwen3NextGatedDeltaNet", OtherLayer)
    with pytest.raises(UnsupportedVersionError, match="does not call torch_chunk_gated_delta_rule"):
        integrations.enable("transformers")
