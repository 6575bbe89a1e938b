"""Functions of the library that move matrices into L1 and out of it, or fill it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Explanation, Outcome
from vendor.cube import blocks, stored_from_l1, text, up
from vendor.machine import Program
from vendor.vector import ALL

PACKED = Explanation(
    "differ, first at (0, 1): -4 for -3",
    "the library packs a negative value into 16 bits with its sign: every second byte is one less. "
    "Fill knows no int8_t (its page)",
)


def in_nz(p: Program, name: str, kind: str, shape: tuple[int, int]) -> Sequence[Outcome]:
    given = numbers.random(shape, kind)
    width = 32 // given.itemsize
    rows, columns = up(shape[0], 16), up(shape[1], width)
    place = blocks(p.local("L1", (rows, columns), kind), rows, columns, width)
    p.call(name, p.given(given, kind), place)
    return [stored_from_l1(p, place, given, columns)]


def as_it_is(p: Program, name: str, kind: str, shape: tuple[int, ...]) -> Sequence[Outcome]:
    given = numbers.random(shape, kind, 6)
    width = 32 // given.itemsize
    place = p.local("L1", (32, width), kind)
    no_padding = 0
    p.call(name, p.given(given, kind), place.viewed(*shape), no_padding)
    whole = blocks(place, 32, width, width)
    return [stored_from_l1(p, whole, given.reshape(32, width), width)]


def filled(p: Program, kind: str, value: float) -> Sequence[Outcome]:
    width = 32 // np.dtype(numbers.STORED[kind]).itemsize
    matrix = numbers.stored(np.full((16, width), value, np.float32), kind)
    place = p.local("L1", (matrix.size,), kind)
    p.call(f"set_l1_2d_{kind}", matrix[0, 0], place)
    return [stored_from_l1(p, blocks(place, 16, width, width), matrix, width)]


def cases() -> Iterator[Case]:
    for kind in ALL:
        width = 32 // np.dtype(numbers.STORED[kind]).itemsize
        for shape in ((16, width), (64, 4 * width), (48, 3 * width - 1)):
            if not kind.endswith("64_t"):  # not in the library
                name = f"nd2nz_{kind}"
                yield Case(
                    "aic", name, text(shape), partial(in_nz, name=name, kind=kind, shape=shape)
                )
        for whole in ((32 * width,), (32, width), (2, 16, width)):
            name = f"load_gm_to_cbuf_{len(whole)}d_{kind}"
            yield Case(
                "aic", name, text(whole), partial(as_it_is, name=name, kind=kind, shape=whole)
            )
    for kind, value, why in (
        ("half", -1.5, None),
        ("float", 2.5, None),
        ("bfloat16_t", -3.0, None),
        ("int8_t", 5, None),
        ("int8_t", -3, PACKED),
    ):
        body = partial(filled, kind=kind, value=value)
        yield Case("aic", f"set_l1_2d_{kind}", f"value {value}", body, why)
