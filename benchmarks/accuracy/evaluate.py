"""What an inverse costs in quality: perplexity of a model whose inverses come from each method.

    python benchmarks/accuracy/evaluate.py [--model DIR] [--text FILE] [--quick] [--out DIR]

The model (a checkpoint of Qwen3.5 or Qwen3-Next; the trained one in model/ by default) is in
float32, with the chunk rule of `neumann_tril.gdn`; only the inverse of its chunk matrices is
replaced. Its perplexity on held-out text is compared with that under the float64 inverse, the
inverses of every layer with the float64 inverses of the same matrices. Tables go to accuracy.md,
all figures to accuracy.json, pictures beside them. Needs transformers and safetensors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import output
import text
import torch
from methods import REFERENCE, checks, methods, series
from results import Results
from rich.progress import Progress, TaskID
from study import Model, evaluate, pick
from torch import Tensor

from neumann_tril.benchmark import machine, torch_threads
from neumann_tril.cli.report import console, folder, positive, progress_bar, write_json

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Size:
    """How much of everything is done."""

    length: int = 2048  # tokens of a sequence
    sequences: int = 4  # of the main table
    calibration: int = 4  # sequences of other text
    samples: int = 256  # chunk matrices of each layer that calibrate
    grid_sequences: int = 1
    orders: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    terms: tuple[int, ...] = (1, 2, 4, 6, 8, 16)
    stress: int = 4096  # bytes of a stress text
    stress_texts: tuple[str, ...] = tuple(text.STRESS)


QUICK = Size(128, 1, 1, 16, 1, (3,), (8,), 64, ("one byte",))


def run(model: Model, content: bytes, size: Size, progress: Progress, task: TaskID) -> Results:
    sequences = model.sequences(content, size.length)
    calibrating, measured = divide(sequences, size)

    def step(description: str) -> None:
        progress.update(task, description=description, advance=1)

    step("chunk matrices of other text")
    samples = pick(model.chunks(calibrating), size.samples)
    compared, others = list(methods(samples)), list(checks())
    progress.update(task, total=steps(size, len(compared), len(others)))

    step("reference")
    results = Results(evaluate(model, REFERENCE, measured))
    for method in (*compared, *others):
        step(f"{method.name}, {method.operands}")
        results.rows.append(evaluate(model, method, measured))

    part = measured[: size.grid_sequences]
    results.grid_reference = model.perplexity(REFERENCE.invert, part)
    for masked in (True, False):
        cells = results.grid.setdefault(masked, {})
        for order, terms in grid_points(size):
            step(f"w = {order}, S = {terms}, {'mask' if masked else 'no mask'}")
            invert = series(order, terms, masked, torch.float16)
            cells[order, terms] = model.perplexity(invert, part)

    for name in size.stress_texts:
        tokens = model.encode(text.STRESS[name](size.stress))[None]
        rows = results.stress.setdefault(name, [])
        for method in (REFERENCE, *compared):
            step(f"{name}: {method.name}, {method.operands}")
            rows.append(evaluate(model, method, tokens))
    results.tokens = {
        "text": measured.numel(),
        "sequence": size.length,
        "calibration": calibrating.numel(),
        "grid": part.numel(),
        "stress bytes": size.stress,
    }
    return results


def divide(sequences: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Sequences to calibrate on, from the start of the text, and others, evenly over the rest."""
    if len(sequences) <= size.calibration:
        needed = (size.calibration + 1) * size.length
        raise ValueError(f"the text is too short: {needed} tokens are needed at least")
    rest = sequences[size.calibration :]
    chosen = torch.linspace(0, len(rest) - 1, min(size.sequences, len(rest)))
    return sequences[: size.calibration], rest[chosen.long()]


def grid_points(size: Size) -> Iterator[tuple[int, int]]:
    return ((order, terms) for order in size.orders for terms in size.terms)


def steps(size: Size, compared: int, others: int) -> int:
    grid = 2 * len(list(grid_points(size)))
    return 2 + compared + others + grid + len(size.stress_texts) * (compared + 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=HERE / "model", help="checkpoint's folder")
    parser.add_argument("--text", type=Path, default=text.HELD_OUT, help="held-out text, a file")
    parser.add_argument("--threads", type=positive, default=1, help="(1)")
    parser.add_argument("--quick", action="store_true", help="a little of everything, in seconds")
    parser.add_argument("--out", type=folder, default=Path("out"), help="folder of the files (out)")
    options = parser.parse_args(arguments)

    size = QUICK if options.quick else Size()
    began = time.perf_counter()
    with torch_threads(options.threads), progress_bar() as progress:
        model = Model.load(options.model)
        task = progress.add_task("", total=None)
        results = run(model, options.text.read_bytes(), size, progress, task)
    minutes = (time.perf_counter() - began) / 60

    options.out.mkdir(parents=True, exist_ok=True)
    page = output.markdown(results)
    (options.out / "accuracy.md").write_text(page)
    console.print(page, markup=False, soft_wrap=True)
    figures = output.figures(results)
    about = {"machine": machine(), "threads": options.threads, "minutes": minutes}
    write_json(options.out / "accuracy.json", {**about, **figures})
    for picture in output.draw(results, options.out):
        console.print(f"Picture: {picture}", soft_wrap=True)
    console.print(f"{minutes:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
