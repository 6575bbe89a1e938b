"""Accuracy of the chunk rule in the steps of its NPU kernel, against the recurrence in float64.

Relative errors (Frobenius norms) of o and of the state behind the last token, from bfloat16 tokens
and float32 gates, in every regime of `neumann_tril.testing`; beside them what rounding the true o
to bfloat16 costs. Measured on a CPU: the kernel gives the same numbers, bit for bit.

    python benchmarks/rule_accuracy.py [--length T] [--heads HV] [--regimes NAME ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from neumann_tril import testing
from neumann_tril.cli.report import positive
from neumann_tril.gdn import naive_recurrent_gated_delta_rule, steps

SIZE = 128  # K and V


class Errors(NamedTuple):
    """Relative errors: of o, of the state, of the true o rounded."""

    o: float
    state: float
    rounding: float


def draw(regime: str, length: int, heads: int) -> tuple[Tensor, ...]:
    """q, k, v (1, T, H, 128) in bfloat16, g, beta (1, T, H) in float32; queries agree with the keys
    in part."""
    key, beta, g = testing.tokens(regime, length, heads=heads)
    key = pad(key, (0, SIZE - key.shape[-1]))
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(key.shape, generator=generator)
    q = normalize(torch.randn(key.shape, generator=generator) + 4 * key, dim=-1)
    return *(x[None].bfloat16() for x in (q, key, v)), g[None].float(), beta[None].float()


def relative_error(x: Tensor, truth: Tensor) -> float:
    return ((x.double() - truth).norm() / truth.norm()).item()


def errors(regime: str, length: int, heads: int) -> Errors:
    tokens = draw(regime, length, heads)
    o, state = naive_recurrent_gated_delta_rule(
        *tokens, output_final_state=True, dtype=torch.float64
    )
    found = steps.chunk_gated_delta_rule(*tokens)
    return Errors(
        relative_error(found.o, o),
        relative_error(found.state, state),
        relative_error(o.bfloat16(), o),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--length", type=positive, default=8192, metavar="T")
    parser.add_argument("--heads", type=positive, default=4, metavar="HV")
    parser.add_argument("--regimes", nargs="+", default=list(testing.REGIMES), metavar="NAME")
    options = parser.parse_args(arguments)
    print(f"{'regime':32}{'o':>10}{'state':>10}{'o rounded':>11}")
    for regime in options.regimes:
        found = errors(regime, options.length, options.heads)
        print(f"{regime:32}{found.o:10.2e}{found.state:10.2e}{found.rounding:11.2e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
