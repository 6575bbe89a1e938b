"""What the commands share: argument types, a console, numbers as text, JSON files."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..plan import CHUNK_SIZES

console = Console(highlight=False)


def positive(text: str) -> int:
    """A positive integer argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def chunk_size(text: str) -> int:
    """A chunk size that plans accept."""
    if not text.isdecimal() or int(text) not in CHUNK_SIZES:
        first, last = CHUNK_SIZES[0], CHUNK_SIZES[-1]
        raise argparse.ArgumentTypeError(
            f"must be a multiple of {first} from {first} to {last}, got {text!r}"
        )
    return int(text)


def correlation(text: str) -> float:
    """A correlation of keys, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")
    return value


def json_file(text: str) -> Path:
    """A file to write."""
    path = Path(text)
    if path.is_dir() or not text:
        raise argparse.ArgumentTypeError(f"must be a file, got the folder {text!r}")
    return path


def folder(text: str) -> Path:
    """A folder to write into, which need not exist yet."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder, got the file {text!r}")
    return path


def progress_bar() -> Progress:
    """A bar that vanishes when all is done; its tasks need a description and a total."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def plain_table(title: str, label: str, *figures: str) -> Table:
    """A table that fits 80 columns: a column of labels on the left, figures on the right."""
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column(label)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def decibel(value: float) -> str:
    """58.3; 'exact' for no error at all, 'overflow' where an entry is not finite."""
    if math.isinf(value):
        return "exact" if value > 0 else "overflow"
    return f"{value:.1f}"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def write_json(file: Path | None, figures: dict[str, Any]) -> None:
    """Write figures to a file, if there is one, and say so. Infinite numbers become strings."""
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(plain(figures), indent=2, allow_nan=False) + "\n")
    console.print(f"Figures written to {file}", soft_wrap=True)


def plain(value: Any) -> Any:
    """The value as JSON has it: lists for tuples, strings for infinities and NaN."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
