"""`demo --device npu`: a layer inverted through torch_npu, on an NPU or on the stand-in runtime."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys

import torch

from .. import acl_stand_in, npu, testing
from ..backends import BACKENDS, BackendError
from ..ops import explain, solve_tril
from .report import console, decibel, plain_table, write_json

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def run(options: argparse.Namespace) -> int:
    """Show every dtype's accuracy, and that the result is the emulator's; 0 if it is."""
    if options.device == "stand-in":
        return _on_stand_in()
    reason = BACKENDS["npu"].unavailable()
    if reason is not None:
        raise BackendError(f"no NPU: {reason}; --device stand-in shows the same without one")
    size = options.chunk_sizes[0]
    # As many tokens as the emulator, against which the result is held, may have matrices.
    tokens = min(options.tokens, size * max(1, options.emulated // options.heads))
    regime = testing.Regime(gates="qwen3.5-0.8b", rho=options.rho)
    A = testing.layer(regime, tokens, size, heads=options.heads, seed=options.seed)
    table = plain_table("", "dtype", "worst dB", "mean dB", "as the emulator")
    rows = []
    for dtype in DTYPES:
        given = A.to(dtype)
        X = solve_tril(given.to("npu"), output_dtype=torch.float32).cpu()
        worst, mean = _accuracy(given, X, size)
        same = torch.equal(X, solve_tril(given, backend="emulator"))
        name = str(dtype).removeprefix("torch.")
        rows.append({"dtype": name, "worst": worst, "mean": mean, "same": same})
        table.add_row(name, decibel(worst), decibel(mean), "bit for bit" if same else "no")
    console.print(f"Devices: {npu.devices()}", soft_wrap=True)
    console.print(f"plan of float16: {explain(A.half().to('npu')).plan}")
    console.print(
        f"\nA layer of {tokens:,} tokens and {options.heads} heads, gates of Qwen3.5-0.8B, "
        f"keys of correlation {options.rho:g}; SNR against the float64 inverse"
    )
    console.print(table)
    if npu.stand_in():
        console.print(
            "The runtime is the stand-in: torch_npu's dispatch, memory and streams were real, the "
            "kernels ran in the emulator on this CPU. Nothing ran on an NPU."
        )
    figures = {"command": "demo", "devices": npu.devices(), "stand_in": npu.stand_in() is not None}
    write_json(options.json, {**figures, "rows": rows})
    return 0 if all(row["same"] for row in rows) else 1


def _accuracy(A: torch.Tensor, X: torch.Tensor, size: int) -> tuple[float, float]:
    chunks = testing.split_chunks(A, size).flatten(0, 2)
    valid = testing.split_chunks(torch.ones_like(A), size).flatten(0, 2)
    truth = testing.truth(chunks) * valid
    snr = testing.snr_mean_worst(testing.split_chunks(X, size).flatten(0, 2), truth)
    return snr.worst, snr.mean


def _on_stand_in() -> int:
    """The same command in a process that takes the stand-in for the Ascend runtime."""
    if importlib.util.find_spec("torch_npu") is None:
        raise BackendError(
            "the stand-in is for torch_npu, which is not installed: "
            f"pip install torch_npu=={torch.__version__.split('+')[0]}"
        )
    try:
        environment = {**os.environ, **acl_stand_in.environment()}
    except FileNotFoundError as error:
        raise BackendError(str(error)) from error
    arguments = ["npu" if word == "stand-in" else word for word in sys.argv[1:]]
    arguments = [word.replace("=stand-in", "=npu") for word in arguments]
    command = [sys.executable, "-m", "neumann_tril", *arguments]
    return subprocess.run(command, env=environment).returncode
