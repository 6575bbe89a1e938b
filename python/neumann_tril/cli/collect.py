"""Collect in one file what a maintainer needs: versions, accuracy, times, and error texts.

Every section runs in a process of its own, so that one that fails leaves the others alone. The file
is Markdown with all figures as JSON at its end; it names folders of this machine, so look through
it before you send it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import __version__, backends
from .report import (
    chunk_size,
    console,
    decibel,
    duration,
    json_file,
    plain,
    positive,
    progress_bar,
    write_json,
)
from .sections import DEVICES, SECTIONS

HELP = "one file with versions, accuracy and times, to send to the maintainers"

TIMEOUT = 900  # seconds of a section
LONGEST_ERROR = 6000  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=DEVICES, help="what computes (npu if there is one, otherwise cpu)"
    )
    parser.add_argument(
        "--chunk-sizes", type=chunk_size, nargs="+", default=[16, 32, 64, 128], metavar="C"
    )
    parser.add_argument(
        "--matrices",
        type=positive,
        nargs="+",
        metavar="N",
        help="batch sizes that are timed (1024 4096; 64 on the emulator)",
    )
    parser.add_argument(
        "--out", type=json_file, default=Path("neumann_tril_report.md"), help="the file to write"
    )


def run(options: argparse.Namespace) -> int:
    """0 if every section ran and every figure is as it should be, 1 otherwise."""
    device = options.device or ("npu" if backends().get("npu") == "available" else "cpu")
    matrices = options.matrices or ([64] if device == "emulator" else [1024, 4096])
    figures: dict[str, Any] = {
        "command": "report",
        "version": __version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": device,
        "sections": {},
    }
    with progress_bar() as progress:
        for name in progress.track(SECTIONS, description=f"report on {device}"):
            figures["sections"][name] = _section(name, device, options.chunk_sizes, matrices)
    text = "\n".join(_markdown(figures))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    failed = [name for name, section in figures["sections"].items() if not section["ok"]]
    for name, section in figures["sections"].items():
        console.print(f"{name}: {_verdict(section)}")
    console.print(f"Report written to {options.out}; look through it, then send it.")
    write_json(options.json, figures)
    return 1 if failed else 0


def _section(name: str, device: str, sizes: list[int], matrices: list[int]) -> dict[str, Any]:
    """The section's figures, or its error; ``ok`` says whether all is well."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        program = "import sys; from neumann_tril.cli import sections; sections.main(sys.argv[1:])"
        command = [sys.executable, "-c", program, name, device, str(file)]
        command += [",".join(map(str, sizes)), ",".join(map(str, matrices))]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return {"ok": False, "error": f"not done after {TIMEOUT} s"}
        if done.returncode != 0 or not file.exists():
            text = (done.stdout + done.stderr)[-LONGEST_ERROR:]
            return {"ok": False, "error": f"exit status {done.returncode}\n{text}"}
        return {"ok": True, **json.loads(file.read_text())}


def _verdict(section: dict[str, Any]) -> str:
    if "error" in section:
        return "failed, see the report for its error"
    return "ok" if section["ok"] else "some figures are not as they should be"


def _markdown(figures: dict[str, Any]) -> Iterator[str]:
    sections = figures["sections"]
    yield f"# neumann-tril {figures['version']} on {figures['device']}, {figures['date']}\n"
    if stand_in := sections["installation"].get("stand_in"):
        yield f"**No NPU: the runtime is a stand-in ({stand_in}); its times mean nothing.**\n"
    for name, section in sections.items():
        yield f"- {name}: {_verdict(section)}"
    for name, section in sections.items():
        if "error" in section:
            yield f"\n## {name}\n\n```text\n{section['error']}\n```"
        else:
            yield f"\n## {name}\n"
            yield from _TABLES[name](section)
    yield "\n<details><summary>All figures</summary>\n"
    yield f"```json\n{json.dumps(plain(figures), indent=1, allow_nan=False)}\n```\n</details>\n"


def _table(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield _row(*("---" for _ in columns))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _installation(section: dict[str, Any]) -> Iterator[str]:
    yield from _table("what", "found")
    versions = section["versions"]
    for name, value in {**section["found"], **section["backends"], **versions}.items():
        yield _row(name, str(value).replace("\n", " ").replace("|", "/"))


def _accuracy(section: dict[str, Any]) -> Iterator[str]:
    yield f"Worst SNR of {len(section['rows'])} combinations, float32 results.\n"
    yield from _table("C", "operands", "regime", "plan", "dB", "reference", "equal bits", "")
    for row in section["rows"]:
        yield _row(
            *(row[name] for name in ("chunk_size", "operands", "regime", "plan")),
            *(decibel(float(row[name])) for name in ("worst_snr_db", "reference_db")),
            f"{row['equal_entries']:.1%}",
            "" if row["ok"] else "**too low**",
        )


def _layouts(section: dict[str, Any]) -> Iterator[str]:
    yield from _table("layout", "packed", "bits of the dense result")
    for row in section["rows"]:
        yield _row(row["layout"], row["packed"], "yes" if row["ok"] else "**no**")


def _times(section: dict[str, Any]) -> Iterator[str]:
    yield f"{section['kind'].capitalize()}.\n"
    yield from _table("C", "matrices", "operands", "exact", "fast", "copy")
    for row in section["rows"]:
        seconds = [duration(row[name]) if name in row else "" for name in ("exact", "fast", "copy")]
        yield _row(row["chunk_size"], row["matrices"], row["operands"], *seconds)


_TABLES = {
    "installation": _installation,
    "accuracy": _accuracy,
    "layouts": _layouts,
    "times": _times,
}
