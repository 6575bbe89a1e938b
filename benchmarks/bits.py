"""Fingerprints of results: shows that a rebuild of the kernels keeps their bits.

Runs the public functions over backends, plans, chunk sizes, dtypes, memory layouts, grids and hard
inputs, and takes the SHA-256 of every result: of its dtype, shape and bytes, with one NaN for all
NaNs, whose sign and payload no rebuild has to keep. A zero keeps its sign. The name of a case says
all that went into it; a combination that a backend does not take is recorded as "refused".

    PYTHONPATH=before/python python benchmarks/bits.py --write bits.json
    PYTHONPATH=after/python  python benchmarks/bits.py --compare bits.json

``--compare`` prints every case that is not as recorded and returns 1 if there is one. Inputs come
from a seeded generator of torch, so both runs belong on one machine with one torch.

``--backend NAME`` (several times, if need be) keeps to some of the backends, ``--only TEXT`` to the
cases whose name holds a text. The CPU kernels take the instruction set of ``NEUMANN_TRIL_ISA``
(portable, neon, avx2, avx512): one file for each. The whole takes about 4 minutes of
one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bits_cases import BACKENDS, Case, cases
from neumann_tril import BackendError, backends


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, (tuple, list)):
        for part in value:
            _feed(digest, part)
    elif isinstance(value, Tensor):
        value = value.detach()
        if value.dtype.is_floating_point:
            value = value.masked_fill(value.isnan(), float("nan"))
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    else:
        digest.update(str(value).encode())


def fingerprint(case: Case) -> str:
    """SHA-256 of what the case returns, or ``"refused"``."""
    try:
        result = case.call()
    except (BackendError, ValueError, TypeError):
        return "refused"
    digest = hashlib.sha256()
    _feed(digest, result)
    return digest.hexdigest()


def fingerprints(chosen: Sequence[str], only: str) -> dict[str, str]:
    """Name and fingerprint of every case of some backends whose name holds ``only``."""
    found: dict[str, str] = {}
    for case in cases(chosen):
        if only in case.name and case.name not in found:
            found[case.name] = fingerprint(case)
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for every case that is not the same."""
    return [
        f"{name}: {before.get(name, 'absent')[:12]} -> {after.get(name, 'absent')[:12]}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write fingerprints, or compare with written ones; 1 if they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE.json")
    action.add_argument("--compare", type=Path, metavar="FILE.json")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="default: all")
    parser.add_argument("--only", default="", metavar="TEXT", help="part of the cases' names")
    options = parser.parse_args(arguments)
    chosen = options.backend or BACKENDS
    for name in chosen:
        if backends().get(name) != "available":
            parser.error(f"backend {name} is not available: {backends().get(name)}")
    torch.set_num_threads(1)  # the sums of torch's own products depend on it

    found = fingerprints(chosen, options.only)
    refused = sum(value == "refused" for value in found.values())
    print(f"{len(found)} cases, {refused} of them refused")
    if options.write:
        options.write.write_text(json.dumps(found, indent=0) + "\n")
        return 0
    recorded = json.loads(options.compare.read_text())
    asked = {
        name: value
        for name, value in recorded.items()
        if options.only in name and any(f"backend={b} " in name for b in chosen)
    }
    changed = differences(asked, found)
    print("\n".join([*changed, f"{len(changed)} cases differ"]))
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
