"""The inversions that the study compares, and the series of its grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

import neumann_tril as nt
from neumann_tril import reference, testing
from neumann_tril.plan import Plan

__all__ = ["REFERENCE", "Invert", "Method", "checks", "methods", "series"]

Invert = Callable[[Tensor, int], Tensor]
"""Chunk matrices (n, B, H, G, C, C) of the G value heads of H key heads, float32, and the number of
their layer; to inverses, float32."""

NARROW = {"float16": torch.float16, "bfloat16": torch.bfloat16}
NAMED = ("exact", "fast", "paper")


@dataclass(frozen=True)
class Method:
    """A row of the study. rounded: dtype that A is rounded to first, where it is a float's."""

    name: str
    operands: str
    invert: Invert
    rounded: torch.dtype | None = None


def _float64(A: Tensor, layer: int) -> Tensor:
    return testing.truth(A).float()


REFERENCE = Method("substitution", "float64", _float64)


def _rounded_only(dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return testing.truth(A.to(dtype)).float()


def _by_plan(name: str | Plan, dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return reference.inverse(A, name, dtype)


def _stored(dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return reference.inverse(A, "exact", dtype).to(dtype).float()


def _quantised(plans: Sequence[nt.QuantPlan], A: Tensor, layer: int) -> Tensor:
    heads = A.flatten(2, 3)  # (n, B, H, G, C, C): static scales belong to a value head
    X: Tensor = nt.inverse_quantized(heads, plans[layer])
    return X.view_as(A)


def _by_peer(method: Callable[..., Tensor], dtype: torch.dtype, A: Tensor, layer: int) -> Tensor:
    return method(A, dtype)


def methods(samples: Sequence[Tensor]) -> Iterator[Method]:
    """Plans and peers, as an NPU would run them.

    samples: for each layer its chunk matrices (N, HV, C, C) on other text, from which static
    scales come.
    """
    for name in NAMED:
        for operands, dtype in NARROW.items():
            yield Method(f"plan {name}", operands, partial(_by_plan, name, dtype), dtype)
    for bits in (16, 8):
        for name in ("exact", "paper"):
            size = samples[0].shape[-1]
            dynamic = nt.QuantPlan.dynamic(chunk_size=size, bits=bits, plan=name)
            static = [nt.calibrate(A, plan=name, bits=bits) for A in samples]
            for scales, plans in (("chunk", [dynamic] * len(samples)), ("head", static)):
                label = f"plan {name}, " + ("scales per chunk" if scales == "chunk" else "static")
                yield Method(label, f"int{bits}", partial(_quantised, plans))
    peers = {
        "doubling over the chunk": reference.chunk_doubling,
        "doubling in 16-blocks, merges": reference.block_doubling,
        "substitution, rows rounded": reference.forward_substitution,
    }
    for name, method in peers.items():
        for operands, dtype in NARROW.items():
            yield Method(name, operands, partial(_by_peer, method, dtype), dtype)


def checks() -> Iterator[Method]:
    """What the others are to be seen against: float32, A rounded alone, X rounded too."""
    for name in NAMED:
        single = torch.float32
        yield Method(f"plan {name}", "float32", partial(_by_plan, name, single), single)
    for operands, dtype in NARROW.items():
        yield Method("A rounded, nothing else", operands, partial(_rounded_only, dtype), dtype)
        yield Method("plan exact, X rounded too", operands, partial(_stored, dtype), dtype)


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
            return x if dtype == torch.float64 else x.float().double()

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
