"""What programs for vector cores have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vendor import numbers
from vendor.machine import Operand, Program

REALS = ("half", "float")
ARITHMETIC = (*REALS, "int16_t", "int32_t")
INTEGERS = ("int16_t", "uint16_t", "int32_t", "uint32_t")
WORDS = (*REALS, "bfloat16_t", *INTEGERS, "int64_t", "uint64_t")
"""Types of 16 bits or more."""
ALL = (*WORDS, "int8_t", "uint8_t")
TMP = 6144
"""Elements of a temporary buffer."""

Source = tuple[np.ndarray, str] | np.generic | int
"""An array with its element type, or a number that is passed as it is."""


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def carrier(kind: str) -> str:
    """The type by which elements are copied: bits go by bytes."""
    return "uint8_t" if kind == "bool" else kind


def load(p: Program, array: np.ndarray, kind: str, whole: int = 1) -> Operand:
    """An array in UB by load_gm_to_ubuf; truth values become bits.

    ``whole``: zeros fill the array up to a multiple of that many elements.
    """
    if whole > 1:
        filled = np.zeros((array.size + whole - 1) // whole * whole, array.dtype)
        filled[: array.size] = array
        return load(p, filled, kind).viewed(array.size)
    place = p.local("UB", array.shape, kind)
    by = carrier(kind)
    if kind == "bool":
        array = numbers.packed(array)
    flat = place.viewed(array.size)
    zero = numbers.stored(np.float32(0), by)
    p.call(f"load_gm_to_ubuf_1d_{by}", p.given(array.reshape(-1), by), flat, 0, zero, 0, 0)
    return place


def loaded(p: Program) -> None:
    """What follows waits for what has been loaded."""
    p.order("MTE2", "V")
    p.order("MTE2", "S")


def store(p: Program, place: Operand) -> np.ndarray:
    """What lies in UB, by store_ubuf_to_gm; to be looked at after the run."""
    p.order("V", "MTE3")
    p.order("S", "MTE3")
    by = carrier(place.type)
    count = math.prod(place.shape)
    target, got = p.result(((count + 7) // 8 if place.type == "bool" else count,), by)
    p.call(f"store_ubuf_to_gm_1d_{by}", place.viewed(*target.shape), target, 0)
    return got if place.type == "bool" else got.reshape(place.shape)


def apply(
    p: Program,
    function: str,
    sources: Sequence[Source],
    target: tuple[tuple[int, ...], str],
    temporary: Operand | None = None,
    after: Sequence[object] = (),
    whole: int = 1,
) -> np.ndarray:
    """function(sources ..., target, temporary, after ...) on arrays in UB; returns the target."""
    arguments: list[object] = []
    for source in sources:
        arguments.append(load(p, *source, whole) if isinstance(source, tuple) else source)
    place = p.local("UB", *target)
    arguments += [place, *([] if temporary is None else [temporary])]
    loaded(p)
    p.call(function, *arguments, *after)
    return store(p, place)


def scratch(p: Program, kind: str) -> Operand:
    """A temporary buffer."""
    return p.local("UB", (TMP,), kind)
