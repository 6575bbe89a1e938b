"""The sweep from which the plans "exact" and "fast" are chosen: worst SNR against products.

Every plan is evaluated by the reference, with the roundings of its operands, on chunk matrices of
every regime of `neumann_tril.testing`. For each number of products the most accurate exact plan is
printed, if it beats all with fewer products, and the named plans. All plans, with the worst SNR of
each regime, go into plans.json; plans.png shows the exact ones.

    python benchmarks/plans.py [--chunk-sizes C ...] [--dtypes NAME ...] [--matrices N] [--out DIR]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.table import Table

from neumann_tril import reference, testing
from neumann_tril.benchmark import torch_threads
from neumann_tril.cli.report import (
    chunk_size,
    console,
    decibel,
    folder,
    plain_table,
    positive,
    progress_bar,
    write_json,
)
from neumann_tril.plan import MAX_SPLITS, Plan, plan_for

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
NAMES = ("exact", "fast", "paper")
MOST_TERMS_SEQUENTIAL = 8
WIDEST_BAND = 16  # w + 1; the seed is vector work, and a wider one little else than substitution


@dataclass(frozen=True)
class Result:
    """What a plan achieves: worst and mean SNR in dB over all regimes, and the worst of each."""

    plan: Plan
    operands: str
    names: tuple[str, ...]
    exact: bool
    products: int
    worst: float
    mean: float
    regimes: dict[str, float]


def candidates(size: int, dtype: torch.dtype) -> Iterator[Plan]:
    """Plans for a chunk size: exact or half as many terms, 0 to 2 refinements."""
    seen: set[Plan] = set()
    for plan in (*_grid(size), *(plan_for(size, name, dtype) for name in NAMES)):
        if plan not in seen:
            seen.add(plan)
            yield plan


def _grid(size: int) -> Iterator[Plan]:
    for splits in range(MAX_SPLITS + 1):
        leaf = size >> splits
        if leaf < 16:
            return
        for band in (2, 4, 8, WIDEST_BAND):
            for terms in {leaf // band, max(1, leaf // band // 2)}:
                for refinements in range(3):
                    yield Plan(size, band - 1, terms, "doubling", splits, refinements)
                    if 2 < terms <= MOST_TERMS_SEQUENTIAL:
                        yield Plan(size, band - 1, terms, "sequential", splits, refinements)


def names_of(plan: Plan, dtype: torch.dtype) -> tuple[str, ...]:
    return tuple(name for name in NAMES if plan == plan_for(plan.chunk_size, name, dtype))


def evaluate(plan: Plan, dtype: torch.dtype, A: torch.Tensor, truth: torch.Tensor) -> Result:
    """A and truth: (regimes, matrices, C, C), of every regime in the order of `testing.REGIMES`."""
    X = reference.inverse(A, plan, dtype)
    total = testing.snr_mean_worst(X, truth)
    worst = testing.snr(X, truth).amin(-1).tolist()
    return Result(
        plan,
        str(dtype).removeprefix("torch."),
        names_of(plan, dtype),
        plan.exact,
        plan.products,
        total.worst,
        total.mean,
        dict(zip(testing.REGIMES, worst, strict=True)),
    )


def front(results: Sequence[Result]) -> list[Result]:
    """Named plans, and exact ones that beat by a decibel all with as few products."""
    chosen: list[Result] = []
    best = -math.inf
    exact = [result for result in results if result.exact]
    for result in sorted(exact, key=lambda r: (r.products, -r.worst, r.plan.bandwidth)):
        if result.worst > best + 1:
            chosen.append(result)
            best = result.worst
    chosen += [result for result in results if result.names and result not in chosen]
    return sorted(chosen, key=lambda r: (r.products, r.worst))


def table(results: Sequence[Result]) -> Table:
    first = results[0]
    title = f"C = {first.plan.chunk_size}, {first.operands} operands"
    figures = ("w", "S", "splits", "refined", "products", "worst dB", "mean dB", "named")
    out = plain_table(title, "form", *figures)
    for result in results:
        plan = result.plan
        numbers = (plan.bandwidth, plan.terms, plan.splits, plan.refinements, plan.products)
        accuracy = (decibel(result.worst), decibel(result.mean))
        out.add_row(plan.form, *map(str, numbers), *accuracy, ", ".join(result.names))
    return out


def draw(results: Sequence[Result], path: Path) -> None:
    """Worst SNR against products; plans that overflow are left out."""
    from matplotlib.figure import Figure

    sizes = list(dict.fromkeys(result.plan.chunk_size for result in results))
    figure = Figure(figsize=(4.5 * len(sizes), 4), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        for operands in DTYPES:
            points = [r for r in results if (r.plan.chunk_size, r.operands) == (size, operands)]
            points = [r for r in points if r.exact and math.isfinite(r.worst)]
            if points:
                products, worst = [r.products for r in points], [r.worst for r in points]
                axis.scatter(products, worst, s=14, alpha=0.6, label=operands)
        axis.set_title(f"C = {size}")
        axis.set_xlabel("matrix products")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("worst SNR over all regimes, dB")
    axes[0].legend()
    figure.suptitle("Exact plans")
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--chunk-sizes", type=chunk_size, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--dtypes", choices=DTYPES, nargs="+", default=list(DTYPES))
    parser.add_argument("--matrices", type=positive, default=16, help="of each regime (16)")
    parser.add_argument("--out", type=folder, default=Path("out"), help="folder of the files (out)")
    options = parser.parse_args(arguments)

    cases = [(size, DTYPES[name]) for size in options.chunk_sizes for name in options.dtypes]
    total = sum(len(list(candidates(size, dtype))) for size, dtype in cases)
    results: list[Result] = []
    with progress_bar() as progress, torch.no_grad(), torch_threads(1):
        task = progress.add_task("", total=total)
        for size, dtype in cases:
            A = torch.stack(
                [testing.chunk_matrices(name, size, options.matrices) for name in testing.REGIMES]
            ).to(dtype)
            truth = testing.truth(A)
            group = []
            for plan in candidates(size, dtype):
                progress.update(task, description=f"{dtype} {plan}", advance=1)
                group.append(evaluate(plan, dtype, A, truth))
            console.print(table(front(group)))
            results += group
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(
        options.out / "plans.json",
        {"matrices": options.matrices, "results": [asdict(result) for result in results]},
    )
    draw(results, options.out / "plans.png")
    console.print(f"Picture: {options.out / 'plans.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
