"""Broadcasts, transposes, copies and other rearrangements of the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Outcome
from vendor.machine import Program
from vendor.vector import ALL, TMP, WORDS, apply, load, scratch, text

Shape = tuple[int, ...]
BROADCASTS: dict[str, tuple[tuple[str, ...], Shape, Shape]] = {
    "broadcast_1d": (ALL, (1,), (1000,)),
    "broadcast_first_axis_align_2d": (ALL, (1, 64), (5, 64)),
    "broadcast_first_axis_unalign_2d": (WORDS, (1, 33), (5, 33)),
    "broadcast_first_axis_unknown_align_2d": (WORDS, (1, 64), (5, 64)),
    "broadcast_first_axis_align_3d": (ALL, (1, 3, 32), (4, 3, 32)),
    "broadcast_first_axis_unalign_3d": (WORDS, (1, 3, 5), (4, 3, 5)),
    "broadcast_first_axis_unknown_align_3d": (WORDS, (1, 3, 32), (4, 3, 32)),
    "broadcast_middle_axis_align_3d": (ALL, (4, 1, 32), (4, 3, 32)),
    "broadcast_last_axis_align_2d": (WORDS, (5, 1), (5, 64)),
    "broadcast_last_axis_unalign_2d": (WORDS, (5, 1), (5, 33)),
    "broadcast_last_axis_unknown_align_2d": (WORDS, (5, 1), (5, 64)),
}
"""Types, shapes of source and target."""
TRANSPOSES: dict[str, tuple[Shape, Shape]] = {
    "transpose_2d_with_last_axis": ((32, 64), (1, 0)),
    "transpose_3d_with_last_axis": ((32, 3, 64), (2, 1, 0)),
    "transpose_3d_without_last_axis": ((4, 3, 32), (1, 0, 2)),
}


def broadcast(p: Program, name: str, kind: str, source: Shape, target: Shape) -> Sequence[Outcome]:
    given = numbers.random(source, kind, 15)
    takes_buffer = "_last_" in name or "_un" in name
    temporary = scratch(p, kind) if takes_buffer else None
    got = apply(p, name, [(given, kind)], (target, kind), temporary)
    return [Outcome(got, np.broadcast_to(given, target), kind=kind)]


def filled(p: Program, name: str, kind: str, shape: Shape) -> Sequence[Outcome]:
    value = numbers.stored(np.float32(3), kind)[()]
    return [Outcome(apply(p, name, [value], (shape, kind)), np.full(shape, value), kind=kind)]


def transposed(p: Program, name: str, kind: str, shape: Shape, order: Shape) -> Sequence[Outcome]:
    given = numbers.random(shape, kind, 16)
    expected = given.transpose(order)
    temporary = None
    if given.itemsize == 8 and "with_last" in name:
        # Elements of 64 bits move in squares of which only a part is used: the rest must be there.
        temporary = load(p, np.zeros(TMP, given.dtype), kind)
    got = apply(p, name, [(given, kind)], (expected.shape, kind), temporary)
    return [Outcome(got, expected, kind=kind)]


def copied(p: Program, name: str, kind: str, shape: Shape) -> Sequence[Outcome]:
    given = numbers.random(shape, kind, 17)
    return [Outcome(apply(p, name, [(given, kind)], (shape, kind)), given, kind=kind)]


def cases() -> Iterator[Case]:
    for base, (kinds, source, target) in BROADCASTS.items():
        for kind in kinds:
            name = f"{base}_{kind}"
            body = partial(broadcast, name=name, kind=kind, source=source, target=target)
            yield Case("aiv", name, text(target), body)
    for kind in ALL:
        for dims, shape in ((1, (1000,)), (2, (5, 64))):
            name = f"broadcast_scalar_{kind}_to_{dims}d"
            yield Case("aiv", name, text(shape), partial(filled, name=name, kind=kind, shape=shape))
        for base, (shape, order) in TRANSPOSES.items():
            name = f"{base}_{kind}"
            body = partial(transposed, name=name, kind=kind, shape=shape, order=order)
            yield Case("aiv", name, text(shape), body)
        for shape in ((1000,), (5, 64), (3, 4, 32)):
            name = f"copy_ubuf_to_ubuf_{len(shape)}d_{kind}"
            yield Case("aiv", name, text(shape), partial(copied, name=name, kind=kind, shape=shape))
