"""Writes the chunk matrices that `neumann_tril.testing.trained_chunks` returns.

    python benchmarks/accuracy/capture.py

Of every layer and head of the trained model (model/): EVEN chunks evenly over 16,384 bytes of the
held-out text, the HARDEST of the same text (largest infinity norm of A), and REPEATED of a text of
one byte again and again. The strictly lower entries, row by row, as float16.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import text
import torch
from study import Model
from torch import Tensor

EVEN, HARDEST, REPEATED = 8, 4, 2
LENGTH, SEQUENCES = 2048, 8
HERE = Path(__file__).resolve().parent
FILE = HERE.parents[1] / "python" / "neumann_tril" / "data" / "trained_chunks.npz"


def hardest(A: Tensor, count: int) -> Tensor:
    """The chunks of each head with the largest norms: (N, HV, C, C) to (count, HV, C, C)."""
    norm = A.abs().sum(-1).amax(-1)
    index = norm.topk(count, 0).indices
    return torch.gather(A, 0, index[..., None, None].expand(-1, -1, *A.shape[2:]))


def chosen(held_out: Tensor, repeated: Tensor) -> Tensor:
    """(N, HV, C, C) of one layer on both texts, to (HV, EVEN + HARDEST + REPEATED, C, C)."""
    even = torch.linspace(0, len(held_out) - 1, EVEN).long()
    parts = (held_out[even], hardest(held_out, HARDEST), hardest(repeated, REPEATED))
    return torch.cat(parts).transpose(0, 1)


def main() -> int:
    model = Model.load(HERE / "model")
    sequences = model.sequences(text.held_out(), LENGTH)
    measured = sequences[torch.linspace(0, len(sequences) - 1, SEQUENCES).long()]
    repeated = model.encode(text.STRESS["one byte"](LENGTH))[None]
    layers = zip(model.chunks(measured), model.chunks(repeated), strict=True)
    A = torch.stack([chosen(*layer) for layer in layers])
    row, column = torch.tril_indices(*A.shape[-2:], -1)
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, lower=A[..., row, column].half().numpy())
    print(f"{tuple(A.shape)} in {FILE.stat().st_size:,} bytes: {FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
