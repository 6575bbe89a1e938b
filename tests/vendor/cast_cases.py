"""Conversions of the library between element types, in each rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Outcome
from vendor.machine import Program
from vendor.vector import INTEGERS, REALS, apply, scratch, text

ROUNDED = ("RINT", "ROUND", "FLOOR", "CEIL", "TRUNC")
EXACT = ("RINT",)
CONVERSIONS = {
    ("float", "float"): ROUNDED,
    ("float", "half"): (*ROUNDED, "ODD"),
    ("float", "bfloat16_t"): ROUNDED,
    ("float", "int64_t"): ROUNDED,
    ("float", "int32_t"): ROUNDED,
    ("float", "int16_t"): ROUNDED,
    ("half", "int32_t"): ROUNDED,
    ("half", "int16_t"): ROUNDED,
    ("half", "int8_t"): ROUNDED,
    ("half", "uint8_t"): ROUNDED,
    ("bfloat16_t", "int32_t"): ROUNDED,
    ("int64_t", "float"): ROUNDED,
    ("int32_t", "float"): ROUNDED,
    ("int16_t", "half"): ROUNDED,
    ("half", "float"): EXACT,
    ("bfloat16_t", "float"): EXACT,
    ("int16_t", "float"): EXACT,
    ("int8_t", "half"): EXACT,
    ("uint8_t", "half"): EXACT,
    ("int32_t", "int16_t"): EXACT,
    ("int32_t", "int64_t"): EXACT,
    ("int64_t", "int32_t"): EXACT,
}


def spread(shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Numbers of the size that integers have."""
    values = numbers.random(shape, kind, 7)
    if kind not in numbers.FORMATS:
        return values
    return numbers.stored(numbers.values(values, kind) * np.float32(20), kind)


def special(kind: str) -> np.ndarray:
    """Ties, neighbours of powers of 2, subnormal and large numbers, infinities, NaN; the ends."""
    if kind not in numbers.FORMATS:
        limits = np.iinfo(numbers.STORED[kind])
        ends = [limits.min, limits.min + 1, limits.max - 1, limits.max]
        inner = [x for x in (0, 1, 2049, 2**24 + 1, 40000) if x <= limits.max]
        return np.array(ends + inner, numbers.STORED[kind])
    ties = np.arange(-8, 8) + 0.5
    steps = np.array([1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-25, 3e-8])
    large = np.array([127.5, 128, 255.5, 32767.5, 65519.0, 65504.0, 2.0**31, 2.0**33])
    signs = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    chosen = np.concatenate([ties, steps, -steps, large, -large, signs])
    with np.errstate(over="ignore"):
        return numbers.stored(chosen.astype(np.float32), kind)


def converted(
    p: Program, name: str, source: str, target: str, mode: str, shape: tuple[int, ...] | None
) -> Sequence[Outcome]:
    given = special(source) if shape is None else spread(shape, source)
    number = numbers.ROUNDINGS.index(mode)
    got = apply(p, name, [(given, source)], (given.shape, target), after=[number])
    values = numbers.values(given, source)
    with np.errstate(all="ignore"):
        if source == target:  # to a whole number
            expected = numbers.whole(values, mode).astype(got.dtype)
        else:
            expected = numbers.converted(values, target, mode)
    return [Outcome(got, expected, kind=target)]


def with_mode() -> Iterator[Case]:
    for (source, target), modes in CONVERSIONS.items():
        for mode in modes:
            for shape in ((1000,), None, (5, 64)):
                dims = 1 if shape is None else len(shape)
                name = f"vcast_{source}_to_{target}_{dims}d_with_mode"
                body = partial(
                    converted, name=name, source=source, target=target, mode=mode, shape=shape
                )
                label = f"{mode}, {'special values' if shape is None else text(shape)}"
                yield Case("aiv", name, label, body)


def cut(p: Program, name: str, source: str, target: str) -> Sequence[Outcome]:
    """Of an integer that the target cannot hold, the low bits stay."""
    given = np.random.default_rng(8).integers(-(2**15), 2**15, 4096).astype(numbers.STORED[source])
    if source != "int16_t":
        given *= 999
    got = apply(p, name, [(given, source)], (given.shape, target), scratch(p, source), [0])
    return [Outcome(got, given.astype(got.dtype))]


def widened(p: Program, name: str, target: str) -> Sequence[Outcome]:
    """Bits become 0 and 1."""
    given = np.random.default_rng(9).integers(0, 2, 512).astype(bool)
    got = apply(p, name, [(given, "bool")], (given.shape, target), scratch(p, "half"), [0])
    return [Outcome(got, numbers.stored(given, target), kind=target)]


def with_temporary() -> Iterator[Case]:
    for source, target in (
        ("int32_t", "int8_t"),
        ("int16_t", "int8_t"),
        ("int32_t", "int16_t"),
        ("int64_t", "int32_t"),
    ):
        name = f"vcast_{source}_to_{target}_1d_with_overflow"
        yield Case("aiv", name, "4096", partial(cut, name=name, source=source, target=target))
    for source in ("bool", "uint8_t"):  # bits, under both names
        for target in (*REALS, "bfloat16_t", *INTEGERS):
            name = f"vcast_{source}_to_{target}_1d_with_temp"
            yield Case("aiv", name, "512", partial(widened, name=name, target=target))


def cases() -> Iterator[Case]:
    yield from with_mode()
    yield from with_temporary()
