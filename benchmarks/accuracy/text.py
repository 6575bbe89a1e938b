"""The text of the study: the source of CPython's standard library, as bytes.

Copyright (c) 2001-2023 Python Software Foundation; licence: PSF-2.0 (heldout.LICENSE beside this
file). A file is held out of training when the SHA-256 of its path below the library's folder,
with forward slashes, ends in 0x00 to 0x05 (about one file in 43).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["HELD_OUT", "STRESS", "held_out", "sample", "split"]

SEPARATOR = b"\0"  # between two files
HELD_OUT = Path(__file__).with_name("heldout.txt")


def _is_held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[-1] < 6


def split(library: Path) -> tuple[bytes, bytes]:
    """The files of a standard library (its folder) for training, and those held out."""
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    for path in sorted(library.rglob("*.py")):
        name = path.relative_to(library).as_posix()
        if not name.startswith(("site-packages/", "dist-packages/")):
            parts[_is_held_out(name)].append(path.read_bytes())
    return SEPARATOR.join(parts[False]), SEPARATOR.join(parts[True])


def sample(text: bytes, length: int, pieces: int = 16) -> bytes:
    """``length`` bytes of a text, in pieces that lie evenly over it."""
    size = length // pieces
    step = (len(text) - size) / max(1, pieces - 1)
    return b"".join(text[int(i * step) : int(i * step) + size] for i in range(pieces))


def held_out() -> bytes:
    """The committed sample of the held-out files of CPython 3.11.7."""
    return HELD_OUT.read_bytes()


def _random_bytes(length: int) -> bytes:
    generator = torch.Generator().manual_seed(0)
    values: Tensor = torch.randint(256, (length,), generator=generator)
    return bytes(values.tolist())


def _repeated(pattern: bytes, length: int) -> bytes:
    return (pattern * (length // len(pattern) + 1))[:length]


# Texts on which methods are likely to break, as functions of the length in bytes.
STRESS = {
    "one byte": lambda length: _repeated(b"a", length),
    "spaces": lambda length: _repeated(b" ", length),
    "indented blank lines": lambda length: _repeated(b"\n        ", length),
    "one line of code": lambda length: _repeated(b"    self.assertEqual(a, b)\n", length),
    "random bytes": _random_bytes,
}
