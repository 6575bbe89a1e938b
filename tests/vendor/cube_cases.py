"""Functions of the library for cube cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vendor import numbers
from vendor.cases import Case, Explanation, Outcome
from vendor.machine import Operand, Program

NO_QUANT, F322F16, REQ8, F322BF16 = 0, 1, 9, 16
"""Conversions of Fixpipe by their number in QuantMode_t."""
NO_EVENT = -1
PRODUCTS = {
    "half": ("float", 16),
    "bfloat16_t": ("float", 16),
    "float": ("float", 8),
    "int8_t": ("int32_t", 32),
}
"""Element type -> the type of its products, and its elements in a block of 32 bytes."""
TYPES = (*PRODUCTS, "int16_t", "uint16_t", "int32_t", "uint32_t", "uint8_t", "int64_t", "uint64_t")
SHAPES = ((16, 16, 16), (32, 64, 48), (100, 60, 33), (128, 512, 128), (7, 19, 5))


def up(value: int, unit: int) -> int:
    return (value + unit - 1) // unit * unit


def blocks(place: Operand, rows: int, columns: int, width: int) -> Operand:
    """A matrix in NZ: column blocks of ``width``, then row blocks of 16."""
    return place.viewed(columns // width, rows // 16, 16, width)


def small(shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers whose products and sums are exact in every type."""
    whole = np.random.default_rng(seed).integers(-8, 8, shape, endpoint=True)
    return numbers.stored(whole if kind == "int8_t" else whole / 4, kind)


def to_l1(p: Program, matrix: np.ndarray, kind: str) -> Operand:
    """A matrix in L1 by nd2nz, rows and columns padded to whole squares of fractals."""
    width = PRODUCTS[kind][1]
    unit = 32 if kind == "int8_t" else 16
    rows, columns = up(matrix.shape[0], unit), up(matrix.shape[1], max(unit, width))
    place = p.local("L1", (rows, columns), kind)
    if (rows, columns) != matrix.shape:  # the library multiplies what is there in padding rows, too
        p.call(
            f"set_l1_2d_{kind}", numbers.stored(np.float32(0), kind), place.viewed(rows * columns)
        )
        p.barrier("MTE2")
    place = blocks(place, rows, columns, width)
    p.call(f"nd2nz_{kind}", p.given(matrix, kind), place)
    return place


def product(
    p: Program,
    kind: str,
    shape: tuple[int, int, int],
    ta: bool,
    tb: bool,
    bias: str = "",
    end: str = "",
) -> tuple[Operand, np.ndarray]:
    """A product in L0C by nd2nz and mma_tile; M has been given its last instruction."""
    m, k, n = shape
    of, _ = PRODUCTS[kind]
    a, b = small((k, m) if ta else (m, k), kind, 1), small((n, k) if tb else (k, n), kind, 2)
    left, right = to_l1(p, a, kind), to_l1(p, b, kind)
    exact = [numbers.values(x, kind).astype(np.float64) for x in (a, b)]
    c = (exact[0].T if ta else exact[0]) @ (exact[1].T if tb else exact[1])
    rows, columns = up(m, 32 if kind == "int8_t" else 16), up(n, 32 if kind == "int8_t" else 16)
    place = p.local("L0C", (rows, columns), of)
    place = place.viewed(columns // 16, rows // 16, 16, 16)
    name = f"mma_tile_{kind}_to_{of}" + "_ta" * ta + "_tb" * tb + end
    row: tuple[Operand, ...] = ()
    if bias:
        name = f"mma_tile_with_{bias}_bias_{kind}_to_{of}"
        added = small((1, n), bias, 3)
        c = c + numbers.values(added, bias)
        row = (bias_row(p, added, bias),)
    p.set_flag("MTE2", "MTE1", 0)
    p.set_flag("MTE2", "MTE1", 1)
    p.call(name, left, right, True, m, k, n, *row, place, 0, 1, *[NO_EVENT] * 5, 0)
    return place, c


def bias_row(p: Program, added: np.ndarray, kind: str) -> Operand:
    """A row of n elements in L1, in blocks of 16 columns, of which the library reads the first row."""
    n = up(added.shape[1], 16)
    place = p.local("L1", (up(n, 64),), kind).viewed(1, 1, 1, n)
    p.call(f"nd2nz_forbias_{kind}", p.given(added, kind), place)
    return place


def products() -> Iterator[Case]:
    for kind, (of, _) in PRODUCTS.items():
        for ta in (False, True):
            for tb in (False, True):
                name = f"mma_tile_{kind}_to_{of}" + "_ta" * ta + "_tb" * tb
                for shape in SHAPES:

                    def body(
                        p: Program,
                        kind: str = kind,
                        shape: tuple[int, int, int] = shape,
                        ta: bool = ta,
                        tb: bool = tb,
                    ) -> Sequence[Outcome]:
                        place, c = product(p, kind, shape, ta, tb)
                        return [moved_out(p, place, c, PRODUCTS[kind][0], NO_QUANT)]

                    yield Case("aic", name, text(shape), body, ragged(kind, shape, ta, tb))


def ragged(kind: str, shape: tuple[int, int, int], ta: bool, tb: bool) -> Explanation | None:
    """What strict mode has against shapes that fill no whole squares."""
    n = shape[2]
    if kind == "float" and ta and not tb and 1 <= n % 16 <= 8:
        return Explanation(
            "of L0B (B), which nothing has written",
            "with kDirectionAlign the library multiplies columns that it has not loaded; Fixpipe "
            "does not store them. Strict mode alone refuses that",
            without="strict",
        )
    if kind == "int8_t" and not tb and n > 32 and 1 <= n % 32 <= 16:
        return Explanation(
            "race: LoadDataWithTranspose (pipe MTE1) writes L0B",
            "a transposing load writes more columns than are left, the next one overwrites them: the "
            "library takes loads of a pipe to be in order. Strict mode alone refuses that",
            without="strict",
        )
    return None


def moved_out(
    p: Program,
    place: Operand,
    c: np.ndarray,
    kind: str,
    mode: int,
    scale: float = 1.0,
    relu: int = 0,
    end: str = "",
) -> Outcome:
    """L0C to row-major global memory by fixpipe_nz2nd, and what the documents say of its numbers."""
    p.order("M", "FIX")
    target, got = p.result(c.shape, kind)
    name = f"fixpipe_nz2nd_{place.type}_to_{kind}_4d_to_2d{end}"
    p.call(name, place, target, mode, np.float32(scale), relu, False, 0, *[0] * (not end))
    value = np.maximum(c, 0) if relu else c
    if mode == REQ8:
        # Scaled by what 10 digits behind the point leave of the scale, to nearest even, saturated to
        # uint8_t: the library leaves bit 46, which asks for int8_t, 0.
        factor = (np.float32(scale).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        value = np.clip(np.rint(value.astype(np.float32) * factor), 0, 255)
        return Outcome(got.view(np.uint8), value.astype(np.uint8))
    return Outcome(got, numbers.stored(value, kind), kind=kind)


def biases() -> Iterator[Case]:
    for kind, bias in (
        ("half", "float"),
        ("half", "half"),
        ("bfloat16_t", "float"),
        ("bfloat16_t", "half"),
        ("float", "float"),
        ("float", "half"),
        ("int8_t", "int32_t"),
    ):
        of = PRODUCTS[kind][0]
        for shape in ((32, 64, 64), (100, 60, 96)):

            def body(
                p: Program, kind: str = kind, bias: str = bias, shape: tuple[int, int, int] = shape
            ) -> Sequence[Outcome]:
                place, c = product(p, kind, shape, False, False, bias)
                return [moved_out(p, place, c, PRODUCTS[kind][0], NO_QUANT)]

            name = f"mma_tile_with_{bias}_bias_{kind}_to_{of}"
            yield Case("aic", name, text(shape), body)


def conversions() -> Iterator[Case]:
    """fixpipe_nz2nd with a conversion, a scale or relu."""
    for kind, to, mode, scale, relu in (
        ("half", "half", F322F16, 1.0, 0),
        ("half", "bfloat16_t", F322BF16, 1.0, 0),
        ("half", "float", NO_QUANT, 1.0, 1),
        ("half", "half", F322F16, 1.0, 1),
        ("int8_t", "int32_t", NO_QUANT, 1.0, 1),
        ("int8_t", "int8_t", REQ8, 0.125, 0),
        ("int8_t", "int8_t", REQ8, 0.1, 1),
    ):
        of = PRODUCTS[kind][0]
        for shape in ((32, 64, 64), (100, 60, 96)):
            for end in ("", "_gm"):

                def body(
                    p: Program,
                    kind: str = kind,
                    to: str = to,
                    mode: int = mode,
                    scale: float = scale,
                    relu: int = relu,
                    shape: tuple[int, int, int] = shape,
                    end: str = end,
                ) -> Sequence[Outcome]:
                    place, c = product(p, kind, shape, False, False)
                    return [moved_out(p, place, c, to, mode, scale, relu, end)]

                label = f"{text(shape)}, scale {scale}" + ", relu" * relu
                yield Case("aic", f"fixpipe_nz2nd_{of}_to_{to}_4d_to_2d{end}", label, body)


NO_SCALES = Explanation(
    "lies in no registered buffer",
    "the library's function without scales gives its kernel a null pointer for them, and the kernel "
    "reads it: without a scale no conversion from int32_t to half exists (Fixpipe's page). The "
    "kernel itself agrees, see GemmKernel",
)


def whole_kernels() -> Iterator[Case]:
    """matmul_*: kernels from global memory to global memory, with flags of their own."""
    for kind in ("half", "int8_t"):
        for ta in (False, True):
            for tb in (False, True):
                name = (
                    f"matmul_Xbias_Xdescale_{'X' * (not ta)}transposeA_{'X' * (not tb)}transposeB"
                )
                for m, k, n in ((64, 64, 64), (128, 256, 128), (256, 320, 192)):

                    def body(
                        p: Program,
                        name: str = f"{name}_TA{kind}_TB{kind}_TChalf",
                        kind: str = kind,
                        shape: tuple[int, int, int] = (m, k, n),
                        ta: bool = ta,
                        tb: bool = tb,
                    ) -> Sequence[Outcome]:
                        m, k, n = shape
                        a = small((k, m) if ta else (m, k), kind, 4)
                        b = small((n, k) if tb else (k, n), kind, 5)
                        target, got = p.result((m, n), "half")
                        p.call(name, p.given(a, kind), p.given(b, kind), target)
                        left, right = a.astype(np.float64), b.astype(np.float64)
                        c = (left.T if ta else left) @ (right.T if tb else right)
                        return [Outcome(got, c.astype(np.float16))]

                    full = f"{name}_TA{kind}_TB{kind}_TChalf"
                    lacks = NO_SCALES if kind == "int8_t" else None
                    yield Case("aic", full, text((m, k, n)), body, lacks)


def moves() -> Iterator[Case]:
    """Into L1 in each way, and out of it."""
    for kind in TYPES:
        width = 32 // np.dtype(numbers.STORED[kind]).itemsize
        if kind not in ("int64_t", "uint64_t"):
            for shape in ((16, width), (64, 4 * width), (48, 3 * width - 1)):

                def body(
                    p: Program, kind: str = kind, shape: tuple[int, int] = shape, width: int = width
                ) -> Sequence[Outcome]:
                    rows, columns = up(shape[0], 16), up(shape[1], width)
                    given = numbers.random(shape, kind)
                    place = blocks(p.local("L1", (rows, columns), kind), rows, columns, width)
                    p.call(f"nd2nz_{kind}", p.given(given, kind), place)
                    return [stored_from_l1(p, place, given, columns)]

                yield Case("aic", f"nd2nz_{kind}", text(shape), body)
        for dims in (1, 2, 3):
            shape3 = {1: (32 * width,), 2: (32, width), 3: (2, 16, width)}[dims]

            def load(
                p: Program, kind: str = kind, shape: tuple[int, ...] = shape3, width: int = width
            ) -> Sequence[Outcome]:
                given = numbers.random(shape, kind, 6)
                place = p.local("L1", (32, width), kind)
                name = f"load_gm_to_cbuf_{len(shape)}d_{kind}"
                p.call(name, p.given(given, kind), place.viewed(*shape), 0)
                whole = blocks(place, 32, width, width)
                return [stored_from_l1(p, whole, given.reshape(32, width), width)]

            yield Case("aic", f"load_gm_to_cbuf_{dims}d_{kind}", text(shape3), load)


def stored_from_l1(p: Program, place: Operand, given: np.ndarray, columns: int) -> Outcome:
    """L1 in NZ to row-major global memory by nz2nd."""
    p.order("MTE2", "MTE3")
    target, got = p.result((given.shape[0], columns), place.type)
    p.call(f"nz2nd_4d_to_2d_{place.type}", place, target)
    expected = np.zeros_like(got)  # nd2nz fills the last block of a row with zeros
    expected[:, : given.shape[1]] = given
    return Outcome(got, expected, kind=place.type)


def fills() -> Iterator[Case]:
    for kind, value in (("half", -1.5), ("float", 2.5), ("bfloat16_t", -3.0), ("int8_t", 5)):
        width = 32 // np.dtype(numbers.STORED[kind]).itemsize

        def body(
            p: Program, kind: str = kind, value: float = value, width: int = width
        ) -> Sequence[Outcome]:
            place = p.local("L1", (16 * width,), kind)
            filled = numbers.stored(np.full((16, width), value, np.float32), kind)
            p.call(f"set_l1_2d_{kind}", filled[0, 0], place)
            return [stored_from_l1(p, blocks(place, 16, width, width), filled, width)]

        yield Case("aic", f"set_l1_2d_{kind}", f"value {value}", body)


NO_BARRIER = Explanation(
    "race: Fixpipe (pipe FIX) reads FB",
    "the kernel copies scales to the Fixpipe buffer and uses them without a barrier of the pipe; both "
    "are instructions of PIPE_FIX (the appendix on pipes), and the page of SetFixPipeConfig puts "
    "PipeBarrier<PIPE_FIX> between the two. The numbers agree",
    without="checks",
)
TILING = "_ZN12TilingParamsC1Ev", "_Z10calcTilinglllR12TilingParams"
"""What the library's matmul functions call before their kernel."""


def quantised_kernels() -> Iterator[Case]:
    """The kernel behind matmul_* of int8_t with a scale for each column, which no function exports."""
    for ta, tb in ((False, False), (True, False), (False, True), (True, True)):
        flags = f"Lb{int(ta)}ELb{int(tb)}ELb0ELb0E"
        symbol = (
            f"_Z10GemmKernelIL8ArchType0EaL10CubeFormat0EaLS1_0EDhLS1_0Eiim{flags}EvPU3AS1hS3_S3_S3_"
            "S3_R12TilingParams"
        )
        for shape in ((64, 64, 64), (128, 256, 128)):

            def body(
                p: Program,
                symbol: str = symbol,
                shape: tuple[int, int, int] = shape,
                ta: bool = ta,
                tb: bool = tb,
            ) -> Sequence[Outcome]:
                m, k, n = shape
                a = small((k, m) if ta else (m, k), "int8_t", 4)
                b = small((n, k) if tb else (k, n), "int8_t", 5)
                scales = np.float32(2.0) ** np.random.default_rng(6).integers(-6, 3, n)
                bits = scales.astype(np.float32).view(np.uint32).astype(np.uint64)
                target, got = p.result((m, n), "half")
                tiling = p.host(512)
                p.call(TILING[0], tiling)
                p.call(TILING[1], m, k, n, tiling)
                places = [p.given(a, "int8_t"), p.given(b, "int8_t"), target]
                scale = p.given(bits, "uint64_t")
                p.call(symbol, *(place.address for place in places), 0, scale.address, tiling)
                left, right = a.astype(np.int64), b.astype(np.int64)
                c = (left.T if ta else left) @ (right.T if tb else right)
                return [Outcome(got, (c * scales).astype(np.float16))]

            name = f"GemmKernel<int8_t{', transposeA' * ta}{', transposeB' * tb}>"
            yield Case("aic", name, text(shape), body, NO_BARRIER)


def unsupported() -> Iterator[Case]:
    """Functions that the documents do not let do what their names say."""
    for to in ("half", "int16_t"):

        def convert(p: Program, to: str = to) -> Sequence[Outcome]:
            place, c = product(p, "int8_t", (32, 64, 64), False, False)
            return [moved_out(p, place, c, to, 11 if to == "half" else 13)]

        reason = (
            "the library passes on F322F16, F322BF16 and REQ8 alone and asks Fixpipe for no conversion "
            f"here; from int32_t to {to} there is none without one (Fixpipe's page)"
        )
        yield Case(
            "aic",
            f"fixpipe_nz2nd_int32_t_to_{to}_4d_to_2d",
            "32 x 64 x 64",
            convert,
            Explanation("Fixpipe", reason),
        )
    for end in ("", "_ta", "_tb", "_ta_tb"):

        def hf32(p: Program, end: str = end) -> Sequence[Outcome]:
            place, c = product(p, "float", (32, 64, 64), "_ta" in end, "_tb" in end, end="_hf32")
            return [moved_out(p, place, c, "float", NO_QUANT)]

        yield Case(
            "aic",
            f"mma_tile_float_to_float{end}_hf32",
            "32 x 64 x 64",
            hf32,
            Explanation("HF32 mode is not modelled", "the emulator does not model HF32"),
        )

    def negative(p: Program) -> Sequence[Outcome]:
        place = p.local("L1", (512,), "int8_t")
        p.call("set_l1_2d_int8_t", np.int8(-3), place)
        filled = np.full((16, 32), -3, np.int8)
        return [stored_from_l1(p, blocks(place, 16, 32, 32), filled, 32)]

    yield Case(
        "aic",
        "set_l1_2d_int8_t",
        "value -3",
        negative,
        Explanation(
            "differ, first at (0, 1): -4 for -3",
            "the library packs a negative value into 16 bits with its sign: every second byte is one "
            "less. asc_fill_l1 has no int8_t",
        ),
    )


def cases() -> Iterator[Case]:
    yield from products()
    yield from biases()
    yield from conversions()
    yield from whole_kernels()
    yield from moves()
    yield from fills()
    yield from quantised_kernels()
    yield from unsupported()


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
