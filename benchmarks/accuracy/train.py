"""Trains the model of the accuracy study: Qwen3.5's architecture, small, on Python's own source.

    python benchmarks/accuracy/train.py [--device cuda] [--steps N] [--out DIR]

Eight layers, six of Gated DeltaNet and two of full attention as in Qwen3.5, four heads with keys
and values of 64, bytes as tokens. The committed weights (model/) are float16. Every random number
comes from seed 0; a GPU's sums still depend on the GPU. `--steps 20 --batch 2 --length 256`
tries it on a CPU in a minute. Needs transformers.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import text
import torch
from torch import Tensor

MODEL: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 192,
    "intermediate_size": 480,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 64,
    "linear_value_head_dim": 64,
    "full_attention_interval": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "use_cache": False,
}
PEAK_RATE, LAST_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 1e-4, 200, 0.1
HELD_OUT_LENGTH = 2**17


def make_model() -> Any:
    """The model before training, with the decays of Gated DeltaNet's authors (arXiv 2412.06464).

    Those with which transformers starts forget everything within a token or two, and stay so.
    """
    from transformers.models.qwen3_5 import modeling_qwen3_5 as modeling

    model = modeling.Qwen3_5ForCausalLM(modeling.Qwen3_5TextConfig(**MODEL))
    low, high = math.log(1e-3), math.log(1e-1)
    for module in model.modules():
        if isinstance(module, modeling.Qwen3_5GatedDeltaNet):
            step = torch.exp(low + (high - low) * torch.rand(module.num_v_heads))
            module.dt_bias.data.copy_(step + torch.log(-torch.expm1(-step)))  # softplus gives step
    return model


def windows(data: Tensor, count: int, length: int, generator: torch.Generator) -> Tensor:
    """``count`` random pieces of ``length + 1`` bytes, int64."""
    start = torch.randint(len(data) - length, (count, 1), generator=generator)
    return data[(start + torch.arange(length + 1)).to(data.device)].long()


def loss_of(model: Any, tokens: Tensor) -> Tensor:
    """Mean negative log-likelihood in nats of a byte, given those before it."""
    logits = model(tokens[:, :-1]).logits.float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def rate(progress: float, step: int) -> float:
    """Linear warm-up, then a cosine from PEAK_RATE to LAST_RATE."""
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (PEAK_RATE - LAST_RATE) * fall)


def optimizer_for(model: Any) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.95))


def train(options: argparse.Namespace, training: bytes, held_out: bytes) -> tuple[Any, Any]:
    """The trained model, and the losses on the way."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = make_model().to(options.device)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    optimizer = optimizer_for(model)
    data = torch.frombuffer(bytearray(training), dtype=torch.uint8).to(options.device)
    check = torch.frombuffer(bytearray(held_out), dtype=torch.uint8).to(options.device)
    check = check[: len(check) // (options.length + 1) * (options.length + 1)].long()
    check = check.unflatten(0, (-1, options.length + 1))[:64]

    history, start = [], time.perf_counter()
    for step in range(options.steps):
        minutes = (time.perf_counter() - start) / 60
        progress = max(step / options.steps, minutes / options.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(progress, step)
        loss = loss_of(model, windows(data, options.batch, options.length, generator))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % options.report == 0 or step == options.steps - 1:
            with torch.no_grad():
                unseen = sum(loss_of(model, part).item() * len(part) for part in check.split(8))
            point = {"step": step, "loss": loss.item(), "held_out": unseen / len(check)}
            history.append({**point, "minutes": minutes})
            print(json.dumps(history[-1]), flush=True)
    return model, history


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16, help="sequences of a step")
    parser.add_argument("--length", type=int, default=2048, help="bytes of a sequence")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end the schedule by then")
    parser.add_argument("--report", type=int, default=250, help="steps from report to report")
    parser.add_argument("--library", type=Path, default=Path(sysconfig.get_path("stdlib")))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("model"))
    parser.add_argument("--write-text", action="store_true", help="only renew heldout.txt")
    options = parser.parse_args()

    training, held_out = text.split(options.library)
    print(f"{len(training):,} bytes to train on, {len(held_out):,} held out")
    if options.write_text:
        text.HELD_OUT.write_bytes(text.sample(held_out, HELD_OUT_LENGTH))
        return 0
    sys.modules["fla"] = None  # type: ignore[assignment]  # transformers' own rule trains it
    torch.backends.cuda.matmul.allow_tf32 = True
    began = time.perf_counter()
    model, history = train(options, training, held_out)
    options.out.mkdir(parents=True, exist_ok=True)
    model.to("cpu", torch.float16).save_pretrained(options.out)
    import transformers

    record = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "minutes": (time.perf_counter() - began) / 60,
        "batch": options.batch,
        "length": options.length,
        "history": history,
    }
    (options.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
