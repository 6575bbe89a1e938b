"""Functions of the library for vector cores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vendor import numbers
from vendor.cases import Case, Explanation, Outcome
from vendor.machine import Operand, Program

Arrays = Sequence[np.ndarray]
ARITHMETIC = ("half", "float", "int16_t", "int32_t")
REALS = ("half", "float")
SHAPES = {1: ((1000,), (16,)), 2: ((5, 64),), 3: ((3, 4, 32),)}
"""By the number of dimensions. Rows of more than one fill whole blocks, as the functions demand."""
TMP = 6144
"""Elements of a temporary buffer."""


def carrier(kind: str) -> str:
    """The type by which elements are copied: bits go by bytes."""
    return "uint8_t" if kind == "bool" else kind


def load(p: Program, array: np.ndarray, kind: str, whole: int = 1) -> Operand:
    """An array in UB by load_gm_to_ubuf; truth values become bits.

    ``whole``: zeros fill a row up to a multiple of that many elements.
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
    sources: Sequence[tuple[np.ndarray, str] | np.generic | int],
    target: tuple[tuple[int, ...], str],
    temporary: str | None = None,
    after: Sequence[object] = (),
    whole: int = 1,
    written: bool = False,
) -> np.ndarray:
    """function(sources ..., target, temporary, after ...) on arrays in UB; returns the target.

    ``written``: the temporary holds something before.
    """
    arguments: list[object] = []
    for source in sources:
        arguments.append(load(p, *source, whole) if isinstance(source, tuple) else source)
    place = p.local("UB", *target)
    arguments.append(place)
    if temporary is not None and written:
        arguments.append(load(p, np.zeros(TMP, numbers.STORED[temporary]), temporary))
    elif temporary is not None:
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
        yield from elementwise(
            "vdiv", kind, lambda s, k=kind: (*one(k)(s), *one(k, True)(s)), np.divide
        )
        yield from elementwise("vdiv_vs", kind, one(kind), np.divide, scalar, tolerance=close)
        yield from elementwise("vdiv_sv", kind, one(kind, True), np.divide, scalar, True, close)
        for name, of in (
            ("vabs", np.abs),
            ("vrelu", lambda x: np.maximum(x, 0)),
            ("vsqrt", np.sqrt),
        ):
            yield from elementwise(name, kind, one(kind, name == "vsqrt"), of)
        for name, of in (
            ("vexp", np.exp),
            ("vln", np.log),
            ("vrsqrt", lambda x: 1 / np.sqrt(x)),
            ("vrec", lambda x: 1 / x),
        ):
            yield from elementwise(name, kind, one(kind, True), of, tolerance=close)
    yield from elementwise(
        "vrelu", "int32_t", one("int32_t"), lambda x: np.maximum(x, 0), dimensions=(1, 2, 3)
    )


def logic() -> Iterator[Case]:
    for kind in ("int8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t"):
        for name, of in (
            ("vand", np.bitwise_and),
            ("vor", np.bitwise_or),
            ("vxor", np.bitwise_xor),
        ):
            dimensions = (1, 2) if name == "vxor" else (1, 2, 3)
            yield from elementwise(name, kind, two(kind), of, dimensions=dimensions)
        yield from elementwise("vnot", kind, one(kind), np.invert)
    for kind in ("int16_t", "uint16_t", "int32_t", "uint32_t"):
        bits = numbers.STORED[kind](3)
        yield from elementwise("vshls_vs", kind, one(kind), np.left_shift, bits)
        yield from elementwise("vshrs_vs", kind, one(kind), np.right_shift, bits)


def special(kind: str) -> np.ndarray:
    """Ties, neighbours of powers of 2, subnormal and large numbers, infinities, NaN."""
    ties = np.arange(-8, 8) + 0.5
    steps = np.array([1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-25, 3e-8])
    large = np.array([127.5, 128, 255.5, 32767.5, 65519.0, 65504.0, 2.0**31, 2.0**33, -(2.0**31)])
    ends = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    with np.errstate(over="ignore"):
        chosen = np.concatenate([ties, steps, -steps, large, -large, ends])
        return numbers.stored(chosen.astype(np.float32), kind)


def conversions() -> Iterator[Case]:
    for source, target, modes in (
        ("float", "float", "RAFCZ"),
        ("float", "half", "RAFCZO"),
        ("float", "bfloat16_t", "RAFCZ"),
        ("float", "int64_t", "RAFCZ"),
        ("float", "int32_t", "RAFCZ"),
        ("float", "int16_t", "RAFCZ"),
        ("half", "int32_t", "RAFCZ"),
        ("half", "int16_t", "RAFCZ"),
        ("half", "int8_t", "RAFCZ"),
        ("half", "uint8_t", "RAFCZ"),
        ("bfloat16_t", "int32_t", "RAFCZ"),
        ("int64_t", "float", "RAFCZ"),
        ("int32_t", "float", "RAFCZ"),
        ("int16_t", "half", "RAFCZ"),
        ("half", "float", "R"),
        ("bfloat16_t", "float", "R"),
        ("int16_t", "float", "R"),
        ("int8_t", "half", "R"),
        ("uint8_t", "half", "R"),
        ("int32_t", "int16_t", "R"),
        ("int32_t", "int64_t", "R"),
        ("int64_t", "int32_t", "R"),
    ):
        for number in map("RAFCZO".index, modes):
            for dims, shape in ((1, (1000,)), (2, (5, 64)), (1, None)):

                def body(
                    p: Program,
                    source: str = source,
                    target: str = target,
                    number: int = number,
                    dims: int = dims,
                    shape: tuple[int, ...] | None = shape,
                ) -> Sequence[Outcome]:
                    given = wide_range(source) if shape is None else spread(shape, source)
                    name = f"vcast_{source}_to_{target}_{dims}d_with_mode"
                    got = apply(p, name, [(given, source)], (given.shape, target), None, [number])
                    values = numbers.values(given, source)
                    with np.errstate(all="ignore"):
                        mode = numbers.ROUNDINGS[number]
                        if source == target:
                            expected = numbers.whole(values, mode).astype(np.float32)
                        else:
                            expected = numbers.converted(values, target, mode)
                    return [Outcome(got, expected, kind=target)]

                label = f"{numbers.ROUNDINGS[number]}, {text(shape) if shape else 'special values'}"
                yield Case("aiv", f"vcast_{source}_to_{target}_{dims}d_with_mode", label, body)


def spread(shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Numbers of the size that integers have."""
    values = numbers.random(shape, kind, 7)
    return (
        numbers.stored(numbers.values(values, kind) * np.float32(20), kind)
        if kind in numbers.FORMATS
        else values
    )


def wide_range(kind: str) -> np.ndarray:
    if kind in numbers.FORMATS:
        return special(kind)
    limits = np.iinfo(numbers.STORED[kind])
    ends = [limits.min, limits.min + 1, limits.max - 1, limits.max, 0, 1, 2049, 2**24 + 1, 40000]
    return np.array([x for x in ends if limits.min <= x <= limits.max], numbers.STORED[kind])


def narrowings() -> Iterator[Case]:
    """Conversions that cut, and those of truth values and bytes."""
    for source, target in (
        ("int32_t", "int8_t"),
        ("int16_t", "int8_t"),
        ("int32_t", "int16_t"),
        ("int64_t", "int32_t"),
    ):

        def cut(p: Program, source: str = source, target: str = target) -> Sequence[Outcome]:
            given = (
                np.random.default_rng(8)
                .integers(-(2**15), 2**15, 4096)
                .astype(numbers.STORED[source])
            )
            if source != "int16_t":
                given *= 999
            name = f"vcast_{source}_to_{target}_1d_with_overflow"
            got = apply(p, name, [(given, source)], (given.shape, target), source, [0])
            return [Outcome(got, given.astype(numbers.STORED[target]))]

        yield Case("aiv", f"vcast_{source}_to_{target}_1d_with_overflow", "512", cut)
    for source in ("bool", "uint8_t"):  # bits, under both names
        for target in ("half", "float", "bfloat16_t", "int16_t", "int32_t", "uint16_t", "uint32_t"):

            def widen(p: Program, source: str = source, target: str = target) -> Sequence[Outcome]:
                given = np.random.default_rng(9).integers(0, 2, 512).astype(bool)
                name = f"vcast_{source}_to_{target}_1d_with_temp"
                got = apply(p, name, [(given, "bool")], (given.shape, target), "half", [0])
                return [Outcome(got, numbers.stored(given, target), kind=target)]

            yield Case("aiv", f"vcast_{source}_to_{target}_1d_with_temp", "512", widen)


COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "gt": np.greater,
    "ge": np.greater_equal,
    "le": np.less_equal,
}


def comparisons() -> Iterator[Case]:
    for kind in ("half", "float", "int32_t"):
        for name, of in COMPARISONS.items():
            if kind == "int32_t" and name not in ("eq", "ne"):
                continue
            for count in (1024, 1000, 256):
                scalar = numbers.STORED[kind](2)

                def body(
                    p: Program,
                    kind: str = kind,
                    name: str = name,
                    of: Callable[[np.ndarray, np.ndarray], np.ndarray] = of,
                    count: int = count,
                    scalar: np.generic | None = None,
                ) -> Sequence[Outcome]:
                    pair = np.random.default_rng(10).integers(0, 4, (2, count))
                    a, b = pair.astype(numbers.STORED[kind])
                    sources: list[tuple[np.ndarray, str] | np.generic | int] = [
                        (a, kind),
                        (b, kind),
                    ]
                    if scalar is not None:
                        sources[1], b = scalar, scalar
                    name = f"vcmp{'s' * (scalar is not None)}_{name}_1d_{kind}"
                    whole = (
                        256 // np.dtype(numbers.STORED[kind]).itemsize
                    )  # comparisons read whole iterations
                    got = apply(p, name, sources, ((count,), "bool"), whole=whole)
                    return [Outcome(got, numbers.packed(of(a, b)))]

                yield Case("aiv", f"vcmp_{name}_1d_{kind}", text((count,)), body)

                def with_scalar(
                    p: Program,
                    body: Callable[..., Sequence[Outcome]] = body,
                    scalar: np.generic = scalar,
                ) -> Sequence[Outcome]:
                    return body(p, scalar=scalar)

                yield Case("aiv", f"vcmps_{name}_1d_{kind}", text((count,)), with_scalar)


def selections() -> Iterator[Case]:
    for kind in (
        "half",
        "float",
        "bfloat16_t",
        "int16_t",
        "uint16_t",
        "int32_t",
        "uint32_t",
        "int64_t",
    ):
        for form in ("vv", "vs", "sv", "ss"):
            for count in (1024, 1000):

                def body(
                    p: Program, kind: str = kind, form: str = form, count: int = count
                ) -> Sequence[Outcome]:
                    choice = np.random.default_rng(11).integers(0, 2, count).astype(bool)
                    a, b = numbers.random((2, count), kind, 12)
                    sources: list[tuple[np.ndarray, str] | np.generic | int] = [(choice, "bool")]
                    for n, array in enumerate((a, b)):
                        if form[n] == "s":
                            array[:] = array[0]
                            sources.append(array[0])
                        else:
                            sources.append((array, kind))
                    name = selection(form, kind)
                    got = apply(p, name, sources, ((count,), kind), kind)
                    return [Outcome(got, np.where(choice, a, b), kind=kind)]

                yield Case("aiv", selection(form, kind), text((count,)), body)


def selection(form: str, kind: str) -> str:
    return f"vsel_{form}_1d_{'bool_' * (form == 'vv')}{kind}"


def quarters(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers whose sums are exact in every type."""
    values = np.random.default_rng(seed).integers(-12, 12, shape, endpoint=True)
    return (values / 4 if kind in REALS else values).astype(numbers.STORED[kind])


def factors(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers whose products are exact in every type: few are not 1."""
    generator = np.random.default_rng(seed)
    values = np.where(generator.random(shape) < 0.9, 1, generator.choice([-1, 2], shape))
    return values.astype(numbers.STORED[kind])


REDUCTIONS: dict[str, tuple[np.ufunc, float]] = {
    "sum": (np.add, 0),
    "prod": (np.multiply, 1),
    "max": (np.maximum, -np.inf),
    "min": (np.minimum, np.inf),
    "xori": (np.bitwise_xor, 0),
    "ori": (np.bitwise_or, 0),
    "andi": (np.bitwise_and, -1),
}


def initial(kind: str, value: float) -> np.generic:
    """The neutral element of a reduction."""
    if np.isinf(value) and kind not in REALS:
        limits = np.iinfo(numbers.STORED[kind])
        value = limits.max if value > 0 else limits.min
    return np.asarray(value).astype(numbers.STORED[kind])[()]


ACCUMULATES = Explanation(
    "overlaps src1 in a way the hardware does not support",
    "the library lets VAND and VOR accumulate over iterations; the documents allow it for Add, Sub, "
    "Mul, Max, Min, AddRelu and SubRelu (general constraints, overlapping addresses)",
)


def reductions() -> Iterator[Case]:
    """Over everything (r), over the last axis (ar), the first (ra), and the first of three (ra0a1)."""
    for operation, (of, neutral) in REDUCTIONS.items():
        kinds = ("int16_t", "int32_t") if neutral != neutral else ARITHMETIC
        if operation in ("xori", "ori", "andi"):
            kinds = ("int16_t", "int32_t")
        for kind in kinds:
            for form, shapes in (
                ("r", ((1000,), (64,), (2048,))),
                ("ar", ((5, 64), (32, 128))),
                ("ra", ((5, 64), (16, 32))),
                ("ra0a1", ((4, 3, 32),)),
            ):
                fast = kind in REALS and form in ("r", "ar") and operation in ("sum", "max", "min")
                name = f"{'enablevc_' * fast}reduce_{operation}_{form}_{kind}"
                for shape in shapes:

                    def body(
                        p: Program,
                        name: str = name,
                        of: np.ufunc = of,
                        neutral: float = neutral,
                        kind: str = kind,
                        form: str = form,
                        shape: tuple[int, ...] = shape,
                    ) -> Sequence[Outcome]:
                        make = factors if of is np.multiply else quarters
                        given = make(shape, kind, 13)
                        axis = 1 if form == "ar" else 0
                        with np.errstate(all="ignore"):
                            expected = of.reduce(given, axis=axis, keepdims=True, dtype=given.dtype)
                        start = initial(kind, neutral)
                        got = apply(p, name, [(given, kind)], (expected.shape, kind), kind, [start])
                        return [Outcome(got, expected, kind=kind)]

                    several = form == "r" and operation in ("ori", "andi") and shape[0] > 128
                    yield Case("aiv", name, text(shape), body, ACCUMULATES if several else None)


def positions() -> Iterator[Case]:
    """The largest or smallest element and where the first of them lies."""
    for operation, of in (("max", np.argmax), ("min", np.argmin)):
        for kind in REALS:
            for form, shape in (("r", (1000,)), ("r", (64,)), ("ar", (5, 64)), ("ra", (5, 64))):
                name = f"reduce_{operation}_with_index_{form}_{kind}"

                def body(
                    p: Program,
                    name: str = name,
                    of: Callable[..., np.ndarray] = of,
                    kind: str = kind,
                    form: str = form,
                    shape: tuple[int, ...] = shape,
                    neutral: float = REDUCTIONS[operation][1],
                ) -> Sequence[Outcome]:
                    given = quarters(shape, kind, 14)
                    axis = 1 if form == "ar" else 0
                    where = np.expand_dims(of(given, axis=axis), axis)
                    source = load(p, given, kind)
                    value = p.local("UB", where.shape, kind)
                    index = p.local("UB", where.shape, "int32_t")
                    scratch = p.local("UB", (TMP,), "int32_t" if form == "ra" else kind)
                    p.order("MTE2", "V")
                    p.order("MTE2", "S")
                    start = [] if form == "ra" else [initial(kind, neutral)]
                    p.call(name, source, value, index, scratch, *start)
                    values, indices = store(p, value), store(p, index)
                    best = np.take_along_axis(given, where, axis)
                    return [Outcome(values, best), Outcome(indices, where.astype(np.int32))]

                yield Case("aiv", name, text(shape), body)


ALL = (
    "half",
    "float",
    "bfloat16_t",
    "int8_t",
    "uint8_t",
    "int16_t",
    "uint16_t",
    "int32_t",
    "uint32_t",
    "int64_t",
    "uint64_t",
)
WORDS = ALL[:3] + ALL[5:]
"""Types of 16 bits or more."""


def broadcasts() -> Iterator[Case]:
    for name, kinds, source, target, temporary in (
        ("broadcast_1d", ALL, (1,), (1000,), False),
        ("broadcast_first_axis_align_2d", ALL, (1, 64), (5, 64), False),
        ("broadcast_first_axis_unalign_2d", WORDS, (1, 33), (5, 33), True),
        ("broadcast_first_axis_unknown_align_2d", WORDS, (1, 64), (5, 64), True),
        ("broadcast_first_axis_align_3d", ALL, (1, 3, 32), (4, 3, 32), False),
        ("broadcast_first_axis_unalign_3d", WORDS, (1, 3, 5), (4, 3, 5), True),
        ("broadcast_first_axis_unknown_align_3d", WORDS, (1, 3, 32), (4, 3, 32), True),
        ("broadcast_middle_axis_align_3d", ALL, (4, 1, 32), (4, 3, 32), False),
        ("broadcast_last_axis_align_2d", WORDS, (5, 1), (5, 64), True),
        ("broadcast_last_axis_unalign_2d", WORDS, (5, 1), (5, 33), True),
        ("broadcast_last_axis_unknown_align_2d", WORDS, (5, 1), (5, 64), True),
    ):
        for kind in kinds:

            def body(
                p: Program,
                name: str = name,
                kind: str = kind,
                source: tuple[int, ...] = source,
                target: tuple[int, ...] = target,
                temporary: bool = temporary,
            ) -> Sequence[Outcome]:
                given = numbers.random(source, kind, 15)
                scratch = kind if temporary else None
                got = apply(p, f"{name}_{kind}", [(given, kind)], (target, kind), scratch)
                return [Outcome(got, np.broadcast_to(given, target), kind=kind)]

            yield Case("aiv", f"{name}_{kind}", text(target), body)
    for kind in ALL:
        for dims, shape in ((1, (1000,)), (2, (5, 64))):

            def scalar(
                p: Program, kind: str = kind, dims: int = dims, shape: tuple[int, ...] = shape
            ) -> Sequence[Outcome]:
                value = numbers.stored(np.float32(3), kind)[()]
                name = f"broadcast_scalar_{kind}_to_{dims}d"
                got = apply(p, name, [value], (shape, kind))
                return [Outcome(got, np.full(shape, value), kind=kind)]

            yield Case("aiv", f"broadcast_scalar_{kind}_to_{dims}d", text(shape), scalar)


def rearrangements() -> Iterator[Case]:
    for kind in ALL:
        for name, shape, order in (
            ("transpose_2d_with_last_axis", (32, 64), (1, 0)),
            ("transpose_3d_with_last_axis", (32, 3, 64), (2, 1, 0)),
            ("transpose_3d_without_last_axis", (4, 3, 32), (1, 0, 2)),
        ):

            def body(
                p: Program,
                name: str = f"{name}_{kind}",
                kind: str = kind,
                shape: tuple[int, ...] = shape,
                order: tuple[int, ...] = order,
            ) -> Sequence[Outcome]:
                given = numbers.random(shape, kind, 16)
                expected = given.transpose(order)
                scratch = kind if kind.endswith("64_t") and "with_last" in name else None
                # 64 bits are moved in squares of which only a part is used.
                target = (expected.shape, kind)
                got = apply(p, name, [(given, kind)], target, scratch, written=True)
                return [Outcome(got, expected, kind=kind)]

            yield Case("aiv", f"{name}_{kind}", text(shape), body)
        for shape in ((1000,), (5, 64), (3, 4, 32)):

            def copy(
                p: Program, kind: str = kind, shape: tuple[int, ...] = shape
            ) -> Sequence[Outcome]:
                given = numbers.random(shape, kind, 17)
                name = f"copy_ubuf_to_ubuf_{len(shape)}d_{kind}"
                return [Outcome(apply(p, name, [(given, kind)], (shape, kind)), given, kind=kind)]

            yield Case("aiv", f"copy_ubuf_to_ubuf_{len(shape)}d_{kind}", text(shape), copy)


def cases() -> Iterator[Case]:
    yield from arithmetic()
    yield from logic()
    yield from conversions()
    yield from narrowings()
    yield from comparisons()
    yield from selections()
    yield from reductions()
    yield from positions()
    yield from broadcasts()
    yield from rearrangements()


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
