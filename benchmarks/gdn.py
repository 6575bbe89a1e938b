"""The gated delta rule of a Qwen3.5-shaped layer on a CPU: ours against transformers' own path.

python benchmarks/gdn.py [--lengths T ...] [--rounds N] [--heads HV] [--threads K] [--json FILE]

`rule` is the function alone, `layer` the whole Qwen3_5GatedDeltaNet module with its projections
and convolution, which both share. Each round runs both, in turn; a time is the median of the
rounds, a ratio that of the medians. Wall time, so idle cores are needed; `cpu` beside it is the
processor time of all threads, which other load hardly changes. Needs transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neumann_tril import integrations
from neumann_tril.benchmark import REST, machine
from neumann_tril.gdn import chunk_gated_delta_rule

Run = Callable[[], Tensor]
OURS, THEIRS = "neumann_tril", "transformers"


def timed(run: Run, backward: bool) -> tuple[float, float]:
    """Seconds by the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    with torch.set_grad_enabled(backward):
        output = run()
        if backward:
            output.sum().backward()
    return time.perf_counter() - clock, time.process_time() - processor


def compare(runs: dict[str, Run], rounds: int, backward: bool) -> dict[str, float]:
    """Medians in milliseconds of interleaved rounds.

    Before each timed call the threads of the other side come to rest and an untimed call wakes the
    caches, as in `neumann_tril.benchmark.medians`. Ours runs with the integration on, which is what
    makes the layer call it.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            on = integrations.enable("transformers") if name == OURS else contextlib.nullcontext()
            with on:
                time.sleep(REST)
                timed(run, backward)
                times[name].append(timed(run, backward))
    result = {}
    for name, measured in times.items():
        for kind, values in zip(("wall", "cpu"), zip(*measured, strict=True), strict=True):
            result[f"{name} {kind}"] = statistics.median(values) * 1e3
    for kind in ("wall", "cpu"):
        result[f"ratio {kind}"] = result[f"{THEIRS} {kind}"] / result[f"{OURS} {kind}"]
    return result


def rule_runs(modeling: Any, length: int, heads: int) -> dict[str, Run]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, length, heads, 128, generator=generator) for _ in range(3))
    g = -torch.rand(1, length, heads, generator=generator)
    beta = torch.rand(1, length, heads, generator=generator)
    for x in (q, k, v, g, beta):
        x.requires_grad_()
    theirs = modeling.torch_chunk_gated_delta_rule
    options = {"use_qk_l2norm_in_kernel": True, "output_final_state": True}
    return {
        THEIRS: lambda: theirs(q, k, v, g=g, beta=beta, **options)[0],
        OURS: lambda: chunk_gated_delta_rule(q, k, v, g, beta, **options)[0],
    }


def layer_runs(modeling: Any, length: int, heads: int) -> dict[str, Run]:
    config = modeling.Qwen3_5TextConfig(
        hidden_size=64 * heads,
        linear_num_key_heads=heads,
        linear_num_value_heads=heads,
        num_hidden_layers=1,
        layer_types=["linear_attention"],
    )
    torch.manual_seed(0)
    layer = modeling.Qwen3_5GatedDeltaNet(config, 0).float()
    x = torch.randn(1, length, config.hidden_size, requires_grad=True)

    return {THEIRS: lambda: layer(x), OURS: lambda: layer(x)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 4096])
    parser.add_argument("--heads", type=int, default=16, help="16 as Qwen3.5-0.8B")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sys.modules["fla"] = None  # type: ignore[assignment]  # its kernels need a GPU
    import transformers
    from transformers.models.qwen3_5 import modeling_qwen3_5 as modeling

    print(
        f"{machine()['processor']}, {options.threads} threads, torch {torch.__version__}, ", end=""
    )
    print(f"transformers {transformers.__version__}; {options.heads} heads of 128, float32, B = 1")
    print(
        "| | T | | transformers ms | ours ms | ratio | ratio cpu |\n|---|---|---|---|---|---|---|"
    )
    rows = []
    for length in options.lengths:
        rounds = options.rounds * max(1, min(8, 1024 // length))
        for what, make in (("rule", rule_runs), ("layer", layer_runs)):
            runs = make(modeling, length, options.heads)
            for backward in (False, True):
                row = compare(runs, rounds, backward)
                step = "forward and backward" if backward else "forward"
                print(
                    f"| {what} | {length} | {step} | {row[f'{THEIRS} wall']:.1f} | "
                    f"{row[f'{OURS} wall']:.1f} | {row['ratio wall']:.2f} | "
                    f"{row['ratio cpu']:.2f} |",
                    flush=True,
                )
                rows.append({"what": what, "length": length, "step": step, **row})
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine(), "rows": rows}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
