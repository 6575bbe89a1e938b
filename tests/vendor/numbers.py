"""Element types of the tile library in numpy, and the arithmetic that is expected of them."""

from __future__ import annotations

import numpy as np

STORED: dict[str, type] = {
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
    """Numbers as elements of a type."""
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
