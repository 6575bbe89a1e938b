"""A model whose inverses are replaced: perplexity, and how accurate each layer's inverses are."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from methods import Invert, Method
from torch import Tensor

from neumann_tril import integrations, testing
from neumann_tril.gdn import representation

__all__ = ["Evaluation", "LayerAccuracy", "Model", "evaluate"]


@dataclass(frozen=True)
class Model:
    """A causal language model in float32 and its Gated DeltaNet layers, first to last."""

    network: Any
    layers: list[Any]
    encode: Callable[[bytes], Tensor]

    @classmethod
    def load(cls, folder: Path) -> Model:
        """A checkpoint of Qwen3.5 or Qwen3-Next; bytes are its tokens if it has no tokenizer."""
        sys.modules.setdefault("fla", None)  # type: ignore[arg-type]  # its kernels need a GPU
        import transformers

        transformers.utils.logging.set_verbosity_error()
        network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        network.eval()
        layers = [m for m in network.modules() if type(m).__name__.endswith("GatedDeltaNet")]
        if not layers:
            raise ValueError(f"the model in {folder} has no Gated DeltaNet layer")
        if network.config.vocab_size == 256:
            return cls(network, layers, lambda text: torch.tensor(list(text)))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

        def encode(text: bytes) -> Tensor:
            tokens = tokenizer(text.decode(errors="replace"), return_tensors="pt")
            ids: Tensor = tokens["input_ids"][0]
            return ids

        return cls(network, layers, encode)

    def sequences(self, text: bytes, length: int) -> Tensor:
        """A text in sequences of ``length`` tokens, (N, length); the rest is left out."""
        tokens = self.encode(text)
        count = len(tokens) // length
        if not count:
            raise ValueError(f"the text has {len(tokens)} tokens, a sequence takes {length}")
        return tokens[: count * length].unflatten(0, (count, length))

    @contextlib.contextmanager
    def inverting_by(self, invert: Invert) -> Iterator[None]:
        """Within it, the chunk rule of every layer takes its inverses from ``invert``."""
        current = 0

        def entered(number: int) -> Callable[..., None]:
            def hook(*_: object) -> None:
                nonlocal current
                current = number

            return hook

        def inverse(A: Tensor, *_: object, **__: object) -> Tensor:
            return invert(A, current)

        hooks = [m.register_forward_pre_hook(entered(n)) for n, m in enumerate(self.layers)]
        try:
            with (
                integrations.enable("transformers"),
                mock.patch.object(representation, "inverse", inverse),
            ):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def losses(self, sequences: Tensor, batch: int = 4) -> Tensor:
        """Negative log-likelihood in nats of every token but the first, (N, length - 1)."""
        parts = []
        with torch.no_grad():
            for tokens in sequences.split(batch):
                logits = self.network(tokens).logits[:, :-1].double()
                parts.append(
                    torch.nn.functional.cross_entropy(
                        logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
                    ).view(len(tokens), -1)
                )
        return torch.cat(parts)

    def perplexity(self, invert: Invert, sequences: Tensor) -> float:
        """With these inverses; inf if it overflows, nan if a logit is."""
        with self.inverting_by(invert):
            return exponential(self.losses(sequences).mean().item())

    def chunks(self, sequences: Tensor, batch: int = 4) -> list[Tensor]:
        """The chunk matrices of every layer on these sequences, (N, HV, C, C), float32."""
        seen: list[list[Tensor]] = [[] for _ in self.layers]

        def keep(A: Tensor, layer: int) -> Tensor:
            seen[layer].append(A.flatten(2, 3).flatten(0, 1).clone())
            return testing.truth(A).float()

        with self.inverting_by(keep):
            self.losses(sequences, batch)
        return [torch.cat(parts) for parts in seen]


def exponential(loss: float) -> float:
    """exp without an OverflowError."""
    return math.exp(loss) if loss < 700 or math.isnan(loss) else math.inf


@dataclass
class LayerAccuracy:
    """SNR in dB of a layer's inverses; the mean leaves out exact and non-finite ones."""

    total: float = 0.0
    counted: int = 0
    worst: float = math.inf
    not_finite: int = 0

    def add(self, X: Tensor, truth: Tensor) -> None:
        values = testing.snr(X, truth).flatten()
        usable = values[values.isfinite()]
        self.total += usable.sum().item()
        self.counted += len(usable)
        self.not_finite += int((~testing.is_finite(X)).sum())
        self.worst = min(self.worst, values.min().item())

    @property
    def mean(self) -> float:
        return self.total / self.counted if self.counted else math.nan


@dataclass(frozen=True)
class Evaluation:
    """A method on a text. ``layers``: against the inverse of A as the model has it; ``own``:
    against that of A as the method rounds it, so without what is A's rounding."""

    method: str
    operands: str
    loss: float
    layers: list[LayerAccuracy]
    own: list[LayerAccuracy] = field(default_factory=list)

    @property
    def perplexity(self) -> float:
        """inf if it overflows, nan if a logit is."""
        return exponential(self.loss)

    @property
    def mean(self) -> float:
        counted = sum(layer.counted for layer in self.layers)
        return sum(layer.total for layer in self.layers) / counted if counted else math.nan

    @property
    def worst(self) -> float:
        return min(layer.worst for layer in self.layers)

    @property
    def own_worst(self) -> float:
        return min((layer.worst for layer in self.own), default=math.nan)

    @property
    def not_finite(self) -> int:
        return sum(layer.not_finite for layer in self.layers)


def evaluate(model: Model, method: Method, sequences: Tensor) -> Evaluation:
    """One pass over the text with a method's inverses in every layer."""
    layers = [LayerAccuracy() for _ in model.layers]
    own = [LayerAccuracy() for _ in model.layers] if method.rounded else []

    def measured(A: Tensor, layer: int) -> Tensor:
        X = method.invert(A, layer)
        layers[layer].add(X, testing.truth(A))
        if own:
            own[layer].add(X, testing.truth(A.to(method.rounded)))
        return X

    with model.inverting_by(measured):
        loss = model.losses(sequences).mean().item()
    return Evaluation(method.name, method.operands, loss, layers, own)


def pick(samples: Sequence[Tensor], per_layer: int) -> list[Tensor]:
    """Some chunks of each layer, evenly over the text."""
    return [
        A[torch.linspace(0, len(A) - 1, min(per_layer, len(A))).round().long()] for A in samples
    ]
