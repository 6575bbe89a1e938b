"""The inversions that the study compares, and the series of its grid."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from neumann_tril import reference, testing
from neumann_tril.plan import Plan

__all__ = ["REFERENCE", "Absent", "Invert", "Method", "integer_methods", "methods", "series"]

Invert = Callable[[Tensor, int], Tensor]
"""Chunk matrices (..., C, C), float32, and the number of their layer; to inverses, float32."""

OPERANDS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
NAMED = ("exact", "fast", "paper")


@dataclass(frozen=True)
class Method:
    """A row of the study. rounded: dtype that A is rounded to first, where it is a float's."""

    name: str
    operands: str
    invert: Invert
    rounded: torch.dtype | None = None


@dataclass(frozen=True)
class Absent:
    """A row that this installation cannot fill."""

    name: str
    operands: str
    reason: str


def _float64(A: Tensor, layer: int) -> Tensor:
    return testing.truth(A).float()


REFERENCE = Method("substitution", "float64", _float64)


def _rounded_only(dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return testing.truth(A.to(dtype)).float()


def _by_plan(name: str | Plan, dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return reference.inverse(A, name, dtype)


def _stored(dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return reference.inverse(A, "exact", dtype).to(dtype).float()


def _by_peer(method: Callable[..., Tensor], dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return method(A, dtype)


def methods() -> Iterator[Method]:
    """Plans and peers with operands in floating point."""
    for name in NAMED:
        for operands, dtype in OPERANDS.items():
            yield Method(f"plan {name}", operands, partial(_by_plan, name, dtype), dtype)
    narrow = {name: dtype for name, dtype in OPERANDS.items() if dtype != torch.float32}
    for operands, dtype in narrow.items():
        yield Method("plan exact, X stored in 16 bits", operands, partial(_stored, dtype), dtype)
    peers = {
        "doubling over the chunk": reference.chunk_doubling,
        "doubling in 16-blocks, merges": reference.block_doubling,
        "substitution, rows rounded": reference.forward_substitution,
    }
    for name, method in peers.items():
        for operands, dtype in narrow.items():
            yield Method(name, operands, partial(_by_peer, method, dtype), dtype)
    for operands, dtype in narrow.items():
        yield Method("A rounded, nothing else", operands, partial(_rounded_only, dtype), dtype)


def integer_methods(samples: Sequence[Tensor]) -> Iterator[Method | Absent]:
    """int16 and int8, with scales of each chunk, and with those that samples of a layer gave.

    samples: for each layer its chunk matrices (..., C, C) on other text.
    """
    present = importlib.util.find_spec("neumann_tril.quant") is not None
    for bits in (16, 8):
        for plan in ("exact", "paper"):
            for scales, make in (("per chunk", _dynamic), ("static", _static)):
                name, operands = f"plan {plan}, {scales} scales", f"int{bits}"
                if present:
                    yield Method(name, operands, make(samples, plan, bits))
                else:
                    yield Absent(name, operands, "neumann_tril.quant is not installed")


def _dynamic(samples: Sequence[Tensor], plan: str, bits: int) -> Invert:
    import neumann_tril as nt

    found: Any = nt
    size = samples[0].shape[-1]
    chosen = found.QuantPlan.dynamic(chunk_size=size, bits=bits, plan=plan)
    return lambda A, layer: found.inverse_quantized(A, chosen, output_dtype=torch.float32)


def _static(samples: Sequence[Tensor], plan: str, bits: int) -> Invert:
    import neumann_tril as nt

    found: Any = nt
    plans = [found.calibrate(A, plan=plan, bits=bits, granularity="tensor") for A in samples]
    return lambda A, layer: found.inverse_quantized(A, plans[layer], output_dtype=torch.float32)


def series(order: int, terms: int, masked: bool, dtype: torch.dtype) -> Invert:
    """The series of arXiv 2606.06034: order w and S terms of the residual, with its band mask or
    without.

    Masked, it is the plan (w, S). Without, the seed is ``sum_{n<=w} (-A)^n`` by Horner's rule,
    every product's operands rounded.
    """
    if masked:
        return lambda A, layer: reference.inverse(
            A, Plan(A.shape[-1], order, terms, "sequential"), dtype
        )

    def unmasked(A: Tensor, layer: int) -> Tensor:
        def q(x: Tensor) -> Tensor:
            return x.to(dtype).double()

        def fl(x: Tensor) -> Tensor:
            return x.float().double()

        a, eye = q(A.tril(-1)), torch.eye(A.shape[-1], dtype=torch.float64, device=A.device)
        x0 = eye.expand_as(a)
        for _ in range(order):
            x0 = fl(eye - a @ q(x0))
        x0 = q(x0)
        residual = q(fl(eye - x0 - a @ x0))
        x = x0
        for _ in range(terms - 1):
            x = fl(x0 + q(x) @ residual)
        return x.float()

    return unmasked
