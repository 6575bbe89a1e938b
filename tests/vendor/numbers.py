"""Element types of the tile library in numpy, and the arithmetic that is expected of them."""

from __future__ import annotations

from typing import Any

import numpy as np

STORED: dict[str, Any] = {
    "half": np.float16,
    "float": np.float32,
    "bfloat16_t": np.uint16,
    "int8_t": np.int8,
    "uint8_t": np.uint8,
    "int16_t": np.int16,
    "uint16_t": np.uint16,
    "int32_t": np.int32,
    "uint32_t": np.uint32,
    "int64_t": np.int64,
    "uint64_t": np.uint64,
    "bool": np.uint8,
}
"""How an array holds elements of a type: bfloat16 by its bits, bool by bytes of 8 elements."""


def bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 to the bits of bfloat16, to nearest even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def of_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 as float32."""
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def stored(values: np.ndarray, kind: str) -> np.ndarray:
    """Numbers as elements of a type, to nearest even where they are not."""
    return bfloat16(values) if kind == "bfloat16_t" else np.asarray(values).astype(STORED[kind])


def values(array: np.ndarray, kind: str) -> np.ndarray:
    """Elements of a type as numbers that numpy computes with."""
    return of_bfloat16(array) if kind == "bfloat16_t" else array


def random(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    """Elements of a type: normal numbers, or small integers of its range."""
    generator = np.random.default_rng(seed)
    if kind in ("half", "float", "bfloat16_t"):
        return stored(generator.standard_normal(shape), kind)
    limits = np.iinfo(STORED[kind])
    low, high = max(limits.min, -100), min(limits.max, 100)
    return generator.integers(low, high, shape, endpoint=True).astype(STORED[kind])


FORMATS = {"half": (10, -14, 15), "bfloat16_t": (7, -126, 127), "float": (23, -126, 127)}
"""Digits behind the point, exponents of the smallest normal and of the largest number."""
ROUNDINGS = ("RINT", "ROUND", "FLOOR", "CEIL", "TRUNC", "ODD")
"""In the library's order of its cast modes."""


def whole(x: np.ndarray, mode: str) -> np.ndarray:
    """Numbers rounded to integers, still as floating-point numbers."""
    if mode == "ROUND":
        return np.asarray(np.copysign(np.floor(np.abs(x) + 0.5), x))
    if mode == "ODD":
        down = np.trunc(x)
        return np.where((down != x) & (down % 2 == 0), down + np.copysign(1, x), down)
    functions = {"RINT": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "TRUNC": np.trunc}
    return np.asarray(functions[mode](x))


def converted(x: np.ndarray, kind: str, mode: str) -> np.ndarray:
    """Numbers as elements of a type, rounded once; integers saturate, NaN becomes 0."""
    wide = np.asarray(x, np.longdouble)
    if kind not in FORMATS:
        limits = np.iinfo(STORED[kind])
        rounded = np.where(np.isnan(wide), 0, whole(wide, mode))
        clipped = np.clip(rounded, np.longdouble(limits.min), np.longdouble(limits.max))
        return clipped.astype(STORED[kind])
    digits, lowest, highest = FORMATS[kind]
    finite = np.isfinite(wide) & (wide != 0)
    exponent = np.maximum(np.frexp(np.where(finite, wide, 1))[1] - 1, lowest)
    quantum = np.ldexp(np.longdouble(1), exponent - digits)
    rounded = np.where(finite, whole(wide / quantum, mode) * quantum, wide)
    # IEEE 754: what overflows stops at the largest number if rounded towards zero there.
    largest = (2 - np.longdouble(2) ** -digits) * np.longdouble(2) ** highest
    stops = np.array([mode in ("TRUNC", "ODD", other) for other in ("FLOOR", "CEIL")])
    stops = finite & np.where(wide > 0, stops[0], stops[1])
    return stored(np.where(stops, np.clip(rounded, -largest, largest), rounded), kind)


def packed(bits: np.ndarray) -> np.ndarray:
    """Truth values as the library keeps them: element i in bit i % 8 of byte i / 8."""
    return np.packbits(bits.reshape(-1), bitorder="little")
