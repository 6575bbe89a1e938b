"""The calls that `bits.py` takes fingerprints of: inputs, layouts, plans, dtypes, grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neumann_tril import (
    Plan,
    QuantPlan,
    calibrate,
    inverse,
    inverse_quantized,
    quant,
    solve_tril,
    solve_tril_quantized,
)
from neumann_tril.gdn import chunk_gated_delta_rule

BACKENDS = ("cpu", "reference", "emulator")
CHUNK_SIZES = (16, 32, 48, 64, 96, 128)
NAMED = ("exact", "fast", "paper")
HALVES = (torch.float16, torch.bfloat16)
FLOATS = (*HALVES, torch.float32, torch.float64)
CODES = {8: torch.int8, 16: torch.int16}
HEADS = 2


class Case(NamedTuple):
    """A call and the parameters that it is named after."""

    parameters: dict[str, Any]
    call: Callable[[], Any]

    @property
    def name(self) -> str:
        return " ".join(f"{k}={str(v).removeprefix('torch.')}" for k, v in self.parameters.items())


def plans(c: int) -> list[str | Plan]:
    """The named plans, and plans of every kind: forms, splits, refinements, bands."""
    last = 16 << max(s for s in range(4) if c % (16 << s) == 0)
    splits = (last // 16).bit_length() - 1
    leaf = c >> splits
    chosen: list[str | Plan] = [
        *NAMED,
        Plan(c, 0, 1),
        Plan(c, 0, 16, "doubling"),
        Plan(c, 0, 5, "sequential", refinements=1),
        Plan(c, 3, 4, "sequential"),
        Plan(c, 3, 4, "doubling"),
        Plan(c, 4, 2, "sequential", refinements=2),
        Plan(c, 7, 1, refinements=1),
        Plan(c, c - 1, 1),
        Plan(c, c - 1, 1, refinements=1),
        Plan(c, leaf - 1, 1, splits=splits, refinements=3),
        Plan(c, leaf - 1, 1, splits=splits),
    ]
    for s in range(1, splits + 1):
        chosen += [
            Plan(c, 0, 8, "doubling", splits=s),
            Plan(c, 5, 3, "sequential", splits=s, refinements=s - 1),
            Plan(c, 15, 2, "doubling", splits=s, refinements=1),
        ]
    return list(dict.fromkeys(chosen))


# --- inputs --------------------------------------------------------------------------------------


def keyed(c: int, count: int, alike: float, seed: int = 0) -> Tensor:
    """Chunk matrices (count, C, C) of decaying products of keys, of which a part is common."""
    generator = torch.Generator().manual_seed(1000 * seed + c)
    own = torch.randn(count, c, 64, generator=generator, dtype=torch.float64)
    common = torch.randn(count, 1, 64, generator=generator, dtype=torch.float64)
    key = torch.nn.functional.normalize((1 - alike) * own + alike * common, dim=-1)
    g = -0.02 * torch.rand(count, c, generator=generator, dtype=torch.float64)
    beta = torch.rand(count, c, 1, generator=generator, dtype=torch.float64)
    decay = (g.cumsum(-1)[:, :, None] - g.cumsum(-1)[:, None]).tril(-1).exp()
    return (beta * (key @ key.mT) * decay).tril(-1)


def matrices(kind: str, c: int, count: int = 2 * HEADS) -> Tensor:
    """Matrices (count, C, C) of one of `INPUTS`, in float64."""
    A = keyed(c, count, INPUTS[kind])
    if kind == "ones":
        A = torch.ones_like(A).tril(-1)
    elif kind == "zeros":
        A = torch.zeros_like(A)
    elif kind == "large":
        A = A * 1000
    elif kind == "unread":  # what lies on and above the diagonal belongs to somebody else
        A = A + torch.full_like(A, float("nan")).triu()
    elif kind == "nan":
        A[1, c - 2, 1] = float("nan")
    elif kind == "infinite":
        A[1, 5, 3] = float("inf")
        A[-1, c - 1, c - 2] = -float("inf")
    return A


INPUTS = {
    "independent": 0.0,
    "alike": 0.6,
    "same": 1.0,
    "ones": 0.0,
    "zeros": 0.0,
    "large": 0.3,
    "unread": 0.3,
    "nan": 0.3,
    "infinite": 0.3,
}
"""Kinds of matrices, with how much of the keys is common."""


def rows(c: int, length: int, batch: int, alike: float = 0.5) -> Tensor:
    """Chunk matrices on a time axis, (B, T, H, C) in float64."""
    chunks = -(-length // c)
    A = keyed(c, batch * HEADS * chunks, alike, seed=7).unflatten(0, (batch, HEADS, chunks))
    return A.permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length].contiguous()


class Placed(NamedTuple):
    """A tensor on a time axis, the layout's name and the bounds of packed sequences."""

    A: Tensor
    layout: str
    bounds: Tensor | None = None


def time_axes(c: int) -> dict[str, Placed]:
    """Whole, with tail, shorter than a chunk, packed with empty sequences and tails, strided."""
    tail = rows(c, 2 * c + 5, 2)
    packed = rows(c, 3 * c + 9, 1)
    bounds = torch.tensor([0, 0, c, c + 3, c + 3, 3 * c + 2])  # rows behind the last are nobody's
    covering = torch.tensor([0, 7, 3 * c + 9])
    apart = torch.zeros(2, 2 * c + 5, HEADS + 1, c + 8, dtype=tail.dtype)
    apart[:, :, 1:, :c] = tail
    spread = torch.zeros(2, 2 * c + 5, HEADS, 2 * c, dtype=tail.dtype)
    spread[..., ::2] = tail
    return {
        "bthc": Placed(rows(c, 2 * c, 2), "bthc"),
        "bthc-tail": Placed(tail, "bthc"),
        "bthc-short": Placed(rows(c, c - 3, 1), "bthc"),
        "bthc-empty": Placed(rows(c, c, 1)[:, :0], "bthc"),
        "bthc-rows-apart": Placed(apart[:, :, 1:, :c], "bthc"),
        "bthc-columns-apart": Placed(spread[..., ::2], "bthc"),
        "bthc-one-batch-for-two": Placed(tail[:1].expand(2, -1, -1, -1), "bthc"),
        "bhtc": Placed(tail.transpose(1, 2).contiguous(), "bhtc"),
        "bhtc-of-bthc": Placed(tail.transpose(1, 2), "bhtc"),
        "bthc-packed": Placed(packed, "bthc", bounds),
        "thc-packed": Placed(packed[0], "thc", bounds.int()),
        "htc-packed": Placed(packed[0].transpose(0, 1).contiguous(), "htc", covering),
    }


def strided(A: Tensor) -> dict[str, Tensor]:
    """The same matrices (N, C, C) in other memory; strides are not negative."""
    c = A.shape[-1]
    wide = torch.zeros(len(A), c + 1, c + 8, dtype=A.dtype)
    wide[:, 1:, :c] = A
    spread = torch.zeros(len(A), c, 2 * c, dtype=A.dtype)
    spread[..., ::2] = A
    return {
        "dense": A,
        "dense-transposed": A.mT.contiguous().mT,
        "dense-rows-apart": wide[:, 1:, :c],
        "dense-columns-apart": spread[..., ::2],
        "dense-batch-inside": A.permute(1, 2, 0).contiguous().permute(2, 0, 1),
        "dense-one-for-all": A[:1].expand(len(A), c, c),
        "dense-matrix": A[0],
        "dense-five-dims": A.unflatten(0, (1, HEADS, -1)),
        "dense-empty": A[:0],
    }


# --- cases ---------------------------------------------------------------------------------------


def dense_cases(backend: str, c: int) -> Iterator[Case]:
    """:func:`inverse`: plans, inputs, dtypes, strides, many matrices, gradients."""

    def case(A: Tensor, shown: str, layout: str, dtype: Any, **options: Any) -> Case:
        named = {"f": "inverse", "backend": backend, "C": c, "A": shown, "count": len(A)}
        named |= {"layout": layout, "dtype": dtype}
        named |= {"plan": _shown(options["plan"])} | {
            k: v for k, v in options.items() if k != "plan"
        }
        return Case(named, lambda: inverse(_as(A, dtype), backend=backend, **options))

    for plan, dtype, kind in product(plans(c), FLOATS, ("independent", "alike")):
        yield case(matrices(kind, c), kind, "dense", dtype, plan=plan)
    for plan, dtype, kind in product(NAMED, FLOATS, INPUTS):
        yield case(matrices(kind, c), kind, "dense", dtype, plan=plan)
    for plan, dtype, out, compute in product(("exact", "fast"), FLOATS, FLOATS, (None, *FLOATS)):
        options = {"plan": plan, "output_dtype": out, "compute_dtype": compute}
        yield case(matrices("alike", c), "alike", "dense", dtype, **options)
    for plan, dtype in product((Plan(c, 0, 1), Plan(c, 3, 1), Plan(c, c - 1, 1)), FLOATS):
        options = {"plan": plan, "compute_dtype": torch.float32}
        yield case(matrices("alike", c), "alike", "dense", dtype, **options)
    for plan, dtype in product(("exact", "fast"), FLOATS):
        for layout, A in strided(matrices("alike", c)).items():
            yield case(A, "alike", layout, dtype, plan=plan)
        yield case(matrices("alike", c, 1), "alike", "dense", dtype, plan=plan)
    for plan, count in product(("exact", "fast"), (41, 90)):  # more than a device has cores
        if c <= 64:
            A = matrices("independent", c, count)
            yield case(A, "independent", "dense", torch.float16, plan=plan)
    for dtype in FLOATS:
        yield _out_case(backend, c, dtype)
        yield _gradient_case(backend, c, dtype)


def _out_case(backend: str, c: int, dtype: torch.dtype) -> Case:
    def call() -> Tensor:
        memory = torch.full((3, c + 2, c + 16), 9.0, dtype=dtype)
        inverse(matrices("alike", c, 3).to(dtype), out=memory[:, 1:-1, 8:-8], backend=backend)
        return memory  # with what lies around the result

    named = {"f": "inverse", "backend": backend, "C": c, "A": "alike", "count": 3}
    return Case({**named, "layout": "out-apart", "dtype": dtype, "plan": "exact"}, call)


def _gradient_case(backend: str, c: int, dtype: torch.dtype) -> Case:
    def call() -> Tensor:
        A = matrices("alike", c).to(dtype).requires_grad_()
        X = inverse(A, backend=backend)
        (X * torch.linspace(-1, 1, c, dtype=dtype)).sum().backward()
        return A.grad

    named = {"f": "inverse-gradient", "backend": backend, "C": c, "A": "alike"}
    return Case({**named, "layout": "dense", "dtype": dtype, "plan": "exact"}, call)


def time_cases(backend: str, c: int) -> Iterator[Case]:
    """:func:`solve_tril`: layouts on the time axis, with plans and dtypes."""
    chosen: list[str | Plan] = ["exact", "fast", "paper", Plan(c, 3, 4), Plan(c, 0, 4)]
    for (name, placed), plan, dtype, out in product(
        time_axes(c).items(), chosen, FLOATS, (None, torch.float32)
    ):
        if out and plan != "exact":
            continue
        named = {"f": "solve_tril", "backend": backend, "C": c, "layout": name}
        named |= {"dtype": dtype, "out": out, "plan": _shown(plan)}
        A, layout, bounds = placed
        yield Case(
            named,
            lambda A=A, layout=layout, bounds=bounds, plan=plan, dtype=dtype, out=out: solve_tril(
                _as(A, dtype), bounds, output_dtype=out, layout=layout, plan=plan, backend=backend
            ),
        )


GRANULARITIES = ("tensor", "head", "chunk")


@cache
def quantised_plan(c: int, plan: str | Plan, bits: int, granularity: str, codes: bool) -> QuantPlan:
    """A plan with static scales for `keyed` matrices of two heads, or with scales per chunk."""
    if granularity == "chunk":
        return QuantPlan.dynamic(chunk_size=c, bits=bits, plan=plan)
    samples = keyed(c, 4 * HEADS, 0.4, seed=3).unflatten(0, (4, HEADS))
    samples[:, 1] *= 0.3
    return calibrate(
        samples.float(),
        plan=plan,
        bits=bits,
        granularity=granularity,
        integer_input=codes,
        head_dim=1,
    )


def quantised_cases(backend: str, c: int) -> Iterator[Case]:
    """:func:`inverse_quantized` and :func:`solve_tril_quantized`: numbers and codes, both ways."""

    def named(f: str, plan: str | Plan, bits: int, granularity: str) -> dict[str, Any]:
        settings = {"f": f, "backend": backend, "C": c, "bits": bits, "scales": granularity}
        return settings | {"plan": _shown(plan)}

    def dense(
        kind: str, dtype: Any, out: Any, plan: str | Plan, bits: int, granularity: str, count: bool
    ) -> Case:
        def call() -> Any:
            codes = not dtype.is_floating_point
            qplan = quantised_plan(c, plan, bits, granularity, codes)
            A = matrices(kind, c).unflatten(0, (2, HEADS))
            given = _codes(A, qplan, dtype) if codes else A.to(dtype)
            options = {"output_dtype": out, "head_dim": 1, "backend": backend}
            scale = 2.0**-7 if codes and granularity == "chunk" else None
            return inverse_quantized(given, qplan, scale=scale, return_saturated=count, **options)

        settings = named("inverse_quantized", plan, bits, granularity)
        settings |= {"A": kind, "dtype": dtype, "out": out, "counts": count}
        return Case(settings, call)

    half = torch.float16
    for bits, granularity in product((8, 16), GRANULARITIES):
        code = CODES[bits]
        for plan, out, count in product(plans(c), (half, code), (False, True)):
            yield dense("alike", half, out, plan, bits, granularity, count)
        for kind, plan, out in product(INPUTS, NAMED, (half, code)):
            yield dense(kind, half, out, plan, bits, granularity, False)
        numbers = (*FLOATS, code)
        for dtype, out, plan in product(numbers, (*FLOATS[:3], code), ("exact", Plan(c, 3, 4))):
            yield dense("alike", dtype, out, plan, bits, granularity, False)
        yield from _quantised_time_cases(named, c, bits, granularity, backend)
        if granularity != "chunk" and backend == "cpu":
            yield from _calibrations(c, bits, granularity)


def _quantised_time_cases(
    named: Callable[..., dict[str, Any]], c: int, bits: int, granularity: str, backend: str
) -> Iterator[Case]:
    for (name, placed), plan, out in product(
        time_axes(c).items(), ("exact", Plan(c, 3, 4)), (torch.float16, CODES[bits])
    ):

        def call(placed: Placed = placed, plan: Any = plan, out: Any = out) -> Any:
            return solve_tril_quantized(
                _as(placed.A, torch.float16),
                quantised_plan(c, plan, bits, granularity, False),
                placed.bounds,
                layout=placed.layout,
                output_dtype=out,
                backend=backend,
            )

        settings = named("solve_tril_quantized", plan, bits, granularity)
        yield Case({**settings, "layout": name, "dtype": torch.float16, "out": out}, call)


def _calibrations(c: int, bits: int, granularity: str) -> Iterator[Case]:
    for method, power_of_two, codes in product(
        ("max", "percentile", "min_error"), (False, True), (False, True)
    ):

        def call(method: str = method, power: bool = power_of_two, codes: bool = codes) -> str:
            samples = keyed(c, 4 * HEADS, 0.4, seed=3).unflatten(0, (4, HEADS))
            options = {"method": method, "power_of_two": power, "integer_input": codes}
            return calibrate(
                samples, plan=Plan(c, 3, 4), bits=bits, granularity=granularity, **options
            ).to_json()

        settings = {"f": "calibrate", "backend": "cpu", "C": c, "bits": bits, "scales": granularity}
        settings |= {"method": method, "power_of_two": power_of_two, "integer_input": codes}
        yield Case(settings, call)


def rule_cases(backend: str, c: int) -> Iterator[Case]:
    """The chunk rule of Gated DeltaNet: outputs, final states, gradients."""
    for dtype, packed, plan in product(FLOATS, (False, True), ("exact", "fast", Plan(c, 3, 4))):

        def call(dtype: Any = dtype, packed: bool = packed, plan: Any = plan) -> Any:
            generator = torch.Generator().manual_seed(c)
            length, batch = 2 * c + 11, 1 if packed else 2

            def draw(*size: int) -> Tensor:
                x = torch.randn(batch, length, *size, generator=generator, dtype=torch.float64)
                return x.to(dtype)

            q, k, v = draw(2, 32), draw(2, 32), draw(4, 16)
            g, beta = -draw(4).abs() * 0.1, draw(4).sigmoid()
            v.requires_grad_()
            bounds = torch.tensor([0, 5, 5, c + 20, length]) if packed else None
            options = {"use_qk_l2norm_in_kernel": True, "output_final_state": True}
            o, state = chunk_gated_delta_rule(
                q,
                k,
                v,
                g,
                beta,
                cu_seqlens=bounds,
                chunk_size=c,
                plan=plan,
                backend=backend,
                **options,
            )
            o.float().square().sum().backward()
            return o, state, v.grad

        settings = {"f": "chunk_gated_delta_rule", "backend": backend, "C": c, "dtype": dtype}
        yield Case({**settings, "packed": packed, "plan": _shown(plan)}, call)


def cases(chosen: Sequence[str]) -> Iterator[Case]:
    """All cases of some backends; one that two lists have in common comes twice."""
    for backend, c in product(chosen, CHUNK_SIZES):
        yield from dense_cases(backend, c)
        yield from time_cases(backend, c)
        yield from quantised_cases(backend, c)
        yield from rule_cases(backend, c)


def _shown(plan: str | Plan) -> str:
    return plan if isinstance(plan, str) else plan.to_text()


def _codes(A: Tensor, qplan: QuantPlan, dtype: torch.dtype) -> Tensor:
    if qplan.is_dynamic:
        return (A * 2.0**7).round().clamp(-127, 127).to(dtype)
    return quant.quantize(A, qplan, head_dim=1).codes


def _as(A: Tensor, dtype: torch.dtype) -> Tensor:
    """In another dtype, with the strides it has."""
    if 0 in A.stride() and A.numel():
        return A[:1].to(dtype).expand(A.shape)
    converted = torch.empty_strided(A.shape, A.stride(), dtype=dtype)
    return converted.copy_(A)
