"""Functions of the library for vector cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vendor import numbers
from vendor.cases import Case, Outcome
from vendor.machine import Operand, Program

Arrays = Sequence[np.ndarray]
ARITHMETIC = ("half", "float", "int16_t", "int32_t")
REALS = ("half", "float")
SHAPES = {1: ((1000,), (16,)), 2: ((5, 64),), 3: ((3, 4, 32),)}
"""By the number of dimensions. Rows of more than one fill whole blocks, as the functions demand."""
UNARY = (1, 2)
"""With 3 dimensions the library's functions of one source read a temporary that is a null pointer."""
TMP = 8192
"""Elements of a temporary buffer."""


def carrier(kind: str) -> str:
    """The type by which elements are copied: bits go by bytes."""
    return "uint8_t" if kind == "bool" else kind


def load(p: Program, array: np.ndarray, kind: str) -> Operand:
    """An array in UB by load_gm_to_ubuf."""
    place = p.local("UB", array.shape, kind)
    by = carrier(kind)
    flat = place.viewed(array.size)
    zero = numbers.stored(np.float32(0), by)
    p.call(f"load_gm_to_ubuf_1d_{by}", p.given(array.reshape(-1), by), flat, 0, zero, 0, 0)
    return place


def store(p: Program, place: Operand) -> np.ndarray:
    """What lies in UB, by store_ubuf_to_gm; to be looked at after the run."""
    p.order("V", "MTE3")
    p.order("S", "MTE3")
    by = carrier(place.type)
    target, got = p.result((math.prod(place.shape),), by)
    p.call(f"store_ubuf_to_gm_1d_{by}", place.viewed(*target.shape), target, 0)
    return got.reshape(place.shape)


def apply(
    p: Program,
    function: str,
    sources: Sequence[tuple[np.ndarray, str] | np.generic | int],
    target: tuple[tuple[int, ...], str],
    temporary: str | None = None,
    after: Sequence[object] = (),
) -> np.ndarray:
    """function(sources ..., target, temporary, after ...) on arrays in UB; returns the target."""
    arguments: list[object] = []
    for source in sources:
        arguments.append(load(p, *source) if isinstance(source, tuple) else source)
    place = p.local("UB", *target)
    arguments.append(place)
    if temporary is not None:
        arguments.append(p.local("UB", (TMP,), temporary))
    p.order("MTE2", "V")
    p.order("MTE2", "S")
    p.call(function, *arguments, *after)
    return store(p, place)


def elementwise(
    function: str,
    kind: str,
    inputs: Callable[[tuple[int, ...]], Arrays],
    expected: Callable[..., np.ndarray],
    scalar: np.generic | None = None,
    scalar_first: bool = False,
    tolerance: float = 0.0,
    dimensions: Sequence[int] = (1, 2, 3),
) -> Iterator[Case]:
    """function_1d, _2d and _3d: arrays of one type, a scalar of it perhaps, and a result of it."""
    for dims in dimensions:
        for shape in SHAPES[dims]:

            def body(p: Program, shape: tuple[int, ...] = shape, dims: int = dims) -> Arrays:
                arrays = inputs(shape)
                sources: list[tuple[np.ndarray, str] | np.generic | int] = [
                    (array, kind) for array in arrays
                ]
                values = [numbers.values(array, kind) for array in arrays]
                if scalar is not None:
                    sources.insert(0 if scalar_first else len(sources), scalar)
                    values.insert(0 if scalar_first else len(values), scalar)
                got = apply(p, f"{function}_{dims}d_{kind}", sources, (shape, kind), kind)
                with np.errstate(all="ignore"):
                    result = numbers.stored(expected(*values), kind)
                return [Outcome(got, result, tolerance, kind)]

            yield Case("aiv", f"{function}_{dims}d_{kind}", text(shape), body)


def two(kind: str) -> Callable[[tuple[int, ...]], Arrays]:
    return lambda shape: (numbers.random(shape, kind, 1), numbers.random(shape, kind, 2))


def one(kind: str, positive: bool = False) -> Callable[[tuple[int, ...]], Arrays]:
    def arrays(shape: tuple[int, ...]) -> Arrays:
        values = numbers.random(shape, kind, 3)
        return (np.abs(values) + values.dtype.type(0.25) if positive else values,)

    return arrays


def arithmetic() -> Iterator[Case]:
    for kind in ARITHMETIC:
        for name, of in (
            ("vadd", np.add),
            ("vsub", np.subtract),
            ("vmul", np.multiply),
            ("vmin", np.minimum),
            ("vmax", np.maximum),
        ):
            yield from elementwise(name, kind, two(kind), of)
        scalar = numbers.STORED[kind](3)
        for name, of in (
            ("vadds_vs", np.add),
            ("vsub_vs", np.subtract),
            ("vmuls_vs", np.multiply),
            ("vmins_vs", np.minimum),
            ("vmaxs_vs", np.maximum),
        ):
            yield from elementwise(name, kind, one(kind), of, scalar)
        yield from elementwise("vsub_sv", kind, one(kind), np.subtract, scalar, True)
    for kind in REALS:
        scalar = numbers.STORED[kind](3)
        close = 2.0**-9 if kind == "half" else 2.0**-21  # no document gives their last bit
        yield from elementwise("vdiv", kind, lambda s, k=kind: (*one(k)(s), *one(k, True)(s)), np.divide)
        yield from elementwise("vdiv_vs", kind, one(kind), np.divide, scalar, tolerance=close)
        yield from elementwise("vdiv_sv", kind, one(kind, True), np.divide, scalar, True, close)
        for name, of in (
            ("vabs", np.abs),
            ("vrelu", lambda x: np.maximum(x, 0)),
            ("vsqrt", np.sqrt),
        ):
            yield from elementwise(name, kind, one(kind, name == "vsqrt"), of, dimensions=(1, 2, 3))
        for name, of in (
            ("vexp", np.exp),
            ("vln", np.log),
            ("vrsqrt", lambda x: 1 / np.sqrt(x)),
            ("vrec", lambda x: 1 / x),
        ):
            yield from elementwise(
                name, kind, one(kind, True), of, tolerance=close, dimensions=(1, 2, 3)
            )
    yield from elementwise(
        "vrelu", "int32_t", one("int32_t"), lambda x: np.maximum(x, 0), dimensions=(1, 2, 3)
    )


def logic() -> Iterator[Case]:
    for kind in ("int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t"):
        for name, of in (("vand", np.bitwise_and), ("vor", np.bitwise_or), ("vxor", np.bitwise_xor)):
            dimensions = (1, 2) if name == "vxor" else (1, 2, 3)
            yield from elementwise(name, kind, two(kind), of, dimensions=dimensions)
        yield from elementwise("vnot", kind, one(kind), np.invert, dimensions=(1, 2, 3))
    for kind in ("int16_t", "uint16_t", "int32_t", "uint32_t"):
        bits = numbers.STORED[kind](3)
        yield from elementwise("vshls_vs", kind, one(kind), np.left_shift, bits)
        yield from elementwise("vshrs_vs", kind, one(kind), np.right_shift, bits)


def cases() -> Iterator[Case]:
    yield from arithmetic()
    yield from logic()


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
