"""An entry that an architecture does not have is an error of the compiler that names it."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.entries import (
    ARCHITECTURES,
    EMULATOR,
    HEADERS,
    OWN_HEADERS,
    TYPES,
    USES,
    page,
    refused,
)

PREAMBLE = """
using namespace AscendC;
LocalTensor<half> local; GlobalTensor<half> global;
LocalTensor<float> sums; LocalTensor<uint64_t> scales;
"""

REFUSAL = re.compile("on this architecture|exists on dav-|has no member")


def compiler(arch: int, *options: str) -> list[str]:
    return [
        *("g++", "-std=c++17", f"-D__NPU_ARCH__={arch}", "-w", "-fmax-errors=0"),
        *(f"-I{EMULATOR}", f"-I{EMULATOR}/include", "-fno-diagnostics-show-caret", *options),
    ]


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folder with the precompiled headers of each architecture."""
    folders = {}
    for arch in ARCHITECTURES:
        folders[arch] = tmp_path_factory.mktemp(f"headers_{arch}")
        (folders[arch] / "api.h").write_text(f'#include "kernel_operator.h"\n{PREAMBLE}')
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: precompile(*item), folders.items()))
    return folders


def precompile(arch: int, folder: Path) -> None:
    command = compiler(arch, "-x", "c++-header", "api.h", "-o", "api.h.gch")
    subprocess.run(command, cwd=folder, check=True)


def errors(folder: Path, arch: int, uses: list[str]) -> list[str]:
    """What the compiler says of each use; empty where it has no objection.

    It names one of several uses that fail in the same instantiation, so the rest is compiled again
    until no more are refused.
    """
    texts = [""] * len(uses)
    while True:
        found = complaints(folder, arch, {n: uses[n] for n in range(len(uses)) if not texts[n]})
        refusals = {n: text for n, text in found.items() if REFUSAL.search(text)}
        for n, text in (refusals or found).items():
            texts[n] = text
        if not refusals:
            return texts


def complaints(folder: Path, arch: int, uses: dict[int, str]) -> dict[int, str]:
    """Number of a use -> the compiler's errors about it."""
    source = "".join(
        f'void use_{n}() {{\n#line 1 "use {n}"\n{use}\n}}\n' for n, use in uses.items()
    )
    done = subprocess.run(
        compiler(arch, "-fsyntax-only", "-x", "c++", "-"),
        cwd=folder,
        input=f'#include "api.h"\n{source}',
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    found: dict[int, str] = {}
    use, pending = -1, ""  # an error comes after the lines that say from where it was reached
    for line in done.stderr.splitlines():
        pending += line + "\n"
        if "error:" in line:
            if places := re.findall(r"^use (\d+):", pending, re.MULTILINE):
                use = int(places[-1])
            found[use] = found.get(use, "") + pending
            pending = ""
    assert (done.returncode == 0) == (not found), done.stderr
    return found


def test_every_header_is_read() -> None:
    folders = (EMULATOR / "include" / "ascendc", EMULATOR / "vector")
    found = {path.stem for folder in folders for path in folder.glob("*.h")} | {"scalar_types"}
    assert found == {stem for row in HEADERS.values() for stem in row} | OWN_HEADERS


def test_every_entry_of_one_architecture_has_a_use() -> None:
    assert set(USES) == set(refused())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_uses(headers: dict[int, Path], arch: int) -> None:
    """Each is refused by name where its entry is missing, and compiles where it is there."""
    for (name, use), text in zip(
        USES.items(), errors(headers[arch], arch, list(USES.values())), strict=True
    ):
        home = refused()[name]
        if home == arch:
            assert text == "", use
        else:
            structure, _, field = name.partition("::")
            missing = f"{structure}\\W+has no member named\\W+{field}"
            assert f"{name} exists on dav-{home} only" in text or re.search(missing, text), text


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_types(headers: dict[int, Path], arch: int) -> None:
    """The same for element types: the error names the entry that does not take them."""

    cases = [
        (entry, home, types)
        for entry in TYPES
        for home, lists in entry.only.items()
        for types in lists
    ]
    texts = errors(headers[arch], arch, [entry.with_types(types) for entry, _, types in cases])
    for (entry, home, types), text in zip(cases, texts, strict=True):
        if home == arch:
            assert text == "", (entry.name, types)
        else:
            assert f"AscendC::{entry.name}(" in text, (entry.name, types, text)
            assert "on this architecture" in text, text


def test_page() -> None:
    """docs/emulator.md shows what the headers have; `python tests/emulator/entries.py` mends it."""
    text, wanted = page()
    assert text == wanted
