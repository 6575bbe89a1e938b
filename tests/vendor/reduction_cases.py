"""Reductions of the library: sums, products, extremes with and without their positions, bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Explanation, Outcome
from vendor.machine import Program
from vendor.vector import ARITHMETIC, REALS, apply, load, loaded, scratch, store, text

REDUCTIONS: dict[str, tuple[np.ufunc, float]] = {
    "sum": (np.add, 0),
    "prod": (np.multiply, 1),
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
    "xori": (np.bitwise_xor, 0),
    "ori": (np.bitwise_or, 0),
    "andi": (np.bitwise_and, -1),
}
"""Each with its neutral element."""
FORMS: dict[str, tuple[int, tuple[tuple[int, ...], ...]]] = {
    "r": (0, ((1000,), (64,), (2048,))),
    "ar": (1, ((5, 64), (32, 128))),
    "ra": (0, ((5, 64), (16, 32))),
    "ra0a1": (0, ((4, 3, 32),)),
}
"""The axis that goes (everything, the last, the first, the first of three), and shapes."""
ACCUMULATES = Explanation(
    "overlaps src1 in a way the hardware does not support",
    "the library lets VAND and VOR accumulate over iterations; the documents allow it for Add, "
    "Sub, Mul, Max, Min, AddRelu and SubRelu (general constraints, overlapping addresses)",
)


def quarters(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers whose sums are exact in every type."""
    values = np.random.default_rng(seed).integers(-12, 12, shape, endpoint=True)
    return (values / 4 if kind in REALS else values).astype(numbers.STORED[kind])


def factors(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers whose products are exact in every type: few are not 1."""
    generator = np.random.default_rng(seed)
    values = np.where(generator.random(shape) < 0.9, 1, generator.choice([-1, 2], shape))
    return values.astype(numbers.STORED[kind])


def initial(kind: str, operation: str) -> np.generic:
    """The neutral element of a reduction."""
    value = REDUCTIONS[operation][1]
    if np.isinf(value) and kind not in REALS:
        limits = np.iinfo(numbers.STORED[kind])
        value = limits.max if value > 0 else limits.min
    return numbers.STORED[kind](value)


def reduced(
    p: Program, name: str, operation: str, kind: str, axis: int, shape: tuple[int, ...]
) -> Sequence[Outcome]:
    make = factors if operation == "prod" else quarters
    given = make(shape, kind, 13)
    of = REDUCTIONS[operation][0]
    with np.errstate(all="ignore"):
        expected = of.reduce(given, axis=axis, keepdims=True, dtype=given.dtype)
    target = (expected.shape, kind)
    start = initial(kind, operation)
    got = apply(p, name, [(given, kind)], target, scratch(p, kind), [start])
    return [Outcome(got, expected)]


def reductions() -> Iterator[Case]:
    for operation in REDUCTIONS:
        bits = operation in ("xori", "ori", "andi")
        for kind in ("int16_t", "int32_t") if bits else ARITHMETIC:
            for form, (axis, shapes) in FORMS.items():
                fast = kind in REALS and form in ("r", "ar") and operation in ("sum", "max", "min")
                name = f"{'enablevc_' * fast}reduce_{operation}_{form}_{kind}"
                for shape in shapes:
                    body = partial(
                        reduced, name=name, operation=operation, kind=kind, axis=axis, shape=shape
                    )
                    repeats = form == "r" and shape[0] > 128 and operation in ("ori", "andi")
                    yield Case("aiv", name, text(shape), body, ACCUMULATES if repeats else None)


def positioned(
    p: Program, name: str, operation: str, kind: str, form: str, shape: tuple[int, ...]
) -> Sequence[Outcome]:
    """The largest or smallest element, and where the first of them lies."""
    of: Callable[..., np.ndarray] = np.argmax if operation == "max" else np.argmin
    given = quarters(shape, kind, 14)
    axis = FORMS[form][0]
    where = np.expand_dims(of(given, axis=axis), axis)
    source = load(p, given, kind)
    value = p.local("UB", where.shape, kind)
    index = p.local("UB", where.shape, "int32_t")
    loaded(p)
    if form == "ra":
        p.call(name, source, value, index, scratch(p, "int32_t"))
    else:
        p.call(name, source, value, index, scratch(p, kind), initial(kind, operation))
    best = np.take_along_axis(given, where, axis)
    return [Outcome(store(p, value), best), Outcome(store(p, index), where.astype(np.int32))]


def positions() -> Iterator[Case]:
    for operation in ("max", "min"):
        for kind in REALS:
            for form, shape in (("r", (1000,)), ("r", (64,)), ("ar", (5, 64)), ("ra", (5, 64))):
                name = f"reduce_{operation}_with_index_{form}_{kind}"
                body = partial(
                    positioned, name=name, operation=operation, kind=kind, form=form, shape=shape
                )
                yield Case("aiv", name, text(shape), body)


def cases() -> Iterator[Case]:
    yield from reductions()
    yield from positions()
