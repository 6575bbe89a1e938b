"""Arithmetic, logic, comparisons and selections of the library, element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Outcome
from vendor.machine import Program
from vendor.vector import ARITHMETIC, INTEGERS, REALS, WORDS, Source, apply, scratch, text

Operation = Callable[..., np.ndarray]
SHAPES = ((1000,), (16,), (5, 64), (3, 4, 32))
"""Rows of more than one fill whole blocks, as the functions demand."""
CLOSE = {"half": 2.0**-9, "float": 2.0**-21}
"""Where no document gives the last bit."""


def computed(
    p: Program,
    name: str,
    kind: str,
    shape: tuple[int, ...],
    operation: Operation,
    arguments: str,
    tolerance: float,
) -> Sequence[Outcome]:
    """``arguments``: v an array, p one of positive numbers, s the number 3, in their order."""
    sources: list[Source] = []
    for seed, argument in enumerate(arguments):
        array = numbers.random(shape, kind, seed)
        if argument == "p":
            array = np.abs(array) + array.dtype.type(0.25)
        sources.append(numbers.STORED[kind](3) if argument == "s" else (array, kind))
    got = apply(p, name, sources, (shape, kind), scratch(p, kind))
    values = [source[0] if isinstance(source, tuple) else source for source in sources]
    with np.errstate(all="ignore"):
        return [Outcome(got, operation(*values).astype(got.dtype), tolerance)]


def every_shape(
    name: str, kind: str, operation: Operation, arguments: str, tolerance: float = 0.0
) -> Iterator[Case]:
    """name_1d, _2d and _3d."""
    for shape in SHAPES:
        if name == "vxor" and len(shape) == 3:
            continue  # not in the library
        full = f"{name}_{len(shape)}d_{kind}"
        body = partial(
            computed,
            name=full,
            kind=kind,
            shape=shape,
            operation=operation,
            arguments=arguments,
            tolerance=tolerance,
        )
        yield Case("aiv", full, text(shape), body)


def rectified(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(values, 0))


def reciprocal_root(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / np.sqrt(values), values.dtype)


def arithmetic() -> Iterator[Case]:
    operations: dict[str, Operation] = {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "min": np.minimum,
        "max": np.maximum,
    }
    for kind in ARITHMETIC:
        for name, of in operations.items():
            plural = "" if name == "sub" else "s"
            yield from every_shape(f"v{name}", kind, of, "vv")
            yield from every_shape(f"v{name}{plural}_vs", kind, of, "vs")
        yield from every_shape("vsub_sv", kind, np.subtract, "sv")
    for kind in REALS:
        yield from every_shape("vdiv", kind, np.divide, "vp")
        yield from every_shape("vdiv_vs", kind, np.divide, "vs", CLOSE[kind])
        yield from every_shape("vdiv_sv", kind, np.divide, "sp", CLOSE[kind])
        yield from every_shape("vabs", kind, np.abs, "v")
        yield from every_shape("vsqrt", kind, np.sqrt, "p")
        yield from every_shape("vexp", kind, np.exp, "v", CLOSE[kind])
        yield from every_shape("vln", kind, np.log, "p", CLOSE[kind])
        yield from every_shape("vrsqrt", kind, reciprocal_root, "p", CLOSE[kind])
        yield from every_shape("vrec", kind, np.reciprocal, "p", CLOSE[kind])
    for kind in (*REALS, "int32_t"):
        yield from every_shape("vrelu", kind, rectified, "v")


def logic() -> Iterator[Case]:
    for kind in ("int8_t", *INTEGERS, "int64_t", "uint64_t"):
        yield from every_shape("vand", kind, np.bitwise_and, "vv")
        yield from every_shape("vor", kind, np.bitwise_or, "vv")
        yield from every_shape("vxor", kind, np.bitwise_xor, "vv")
        yield from every_shape("vnot", kind, np.invert, "v")
    for kind in INTEGERS:
        yield from every_shape("vshls_vs", kind, np.left_shift, "vs")
        yield from every_shape("vshrs_vs", kind, np.right_shift, "vs")


COMPARISONS: dict[str, Operation] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "gt": np.greater,
    "ge": np.greater_equal,
    "le": np.less_equal,
}


def compared(
    p: Program, name: str, kind: str, count: int, operation: Operation, scalar: bool
) -> Sequence[Outcome]:
    pair = np.random.default_rng(10).integers(0, 4, (2, count))
    a, b = pair.astype(numbers.STORED[kind])
    two = numbers.STORED[kind](2)
    sources: list[Source] = [(a, kind), two if scalar else (b, kind)]
    whole = 256 // a.itemsize  # whole iterations are read
    got = apply(p, name, sources, ((count,), "bool"), whole=whole)
    return [Outcome(got, numbers.packed(operation(a, two if scalar else b)))]


def comparisons() -> Iterator[Case]:
    for kind in (*REALS, "int32_t"):
        for name, of in COMPARISONS.items():
            if kind == "int32_t" and name not in ("eq", "ne"):
                continue
            for scalar in (False, True):
                full = f"vcmp{'s' * scalar}_{name}_1d_{kind}"
                for count in (1024, 1000, 256):
                    body = partial(
                        compared, name=full, kind=kind, count=count, operation=of, scalar=scalar
                    )
                    yield Case("aiv", full, str(count), body)


def selected(p: Program, name: str, kind: str, form: str, count: int) -> Sequence[Outcome]:
    """``form``: whether each of the two sources is an array (v) or a number (s)."""
    choice = np.random.default_rng(11).integers(0, 2, count).astype(bool)
    arrays = numbers.random((2, count), kind, 12)
    sources: list[Source] = [(choice, "bool")]
    for which, array in zip(form, arrays, strict=True):
        if which == "s":
            array[:] = array[0]
        sources.append(array[0] if which == "s" else (array, kind))
    got = apply(p, name, sources, ((count,), kind), scratch(p, kind))
    return [Outcome(got, np.where(choice, *arrays), kind=kind)]


def selections() -> Iterator[Case]:
    for kind in WORDS:
        if kind == "uint64_t":
            continue  # not in the library
        for form in ("vv", "vs", "sv", "ss"):
            name = f"vsel_{form}_1d_{'bool_' * (form == 'vv')}{kind}"
            for count in (1024, 1000):
                body = partial(selected, name=name, kind=kind, form=form, count=count)
                yield Case("aiv", name, str(count), body)


def cases() -> Iterator[Case]:
    yield from arithmetic()
    yield from logic()
    yield from comparisons()
    yield from selections()
