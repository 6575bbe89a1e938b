"""Products of the library, with what brings them into L0C and out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from vendor.cases import Case, Explanation, Outcome
from vendor.cube import (
    DEQF16,
    F322BF16,
    F322F16,
    NO_QUANT,
    PRODUCTS,
    REQ8,
    Sizes,
    moved_out,
    plain_move,
    product,
    small,
    text,
)
from vendor.machine import Program

SIZES: tuple[Sizes, ...] = (
    (16, 16, 16),
    (32, 64, 48),
    (100, 60, 33),
    (128, 512, 128),
    (7, 19, 5),
)
TRANSPOSED = ((False, False), (False, True), (True, False), (True, True))
"""Whether A and B are given transposed."""

NOT_LOADED = Explanation(
    "of L0B (B), which nothing has written",
    "with kDirectionAlign the library multiplies columns that it has not loaded, and Fixpipe does "
    "not store them. Strict mode alone refuses that",
    without="strict",
)
OVERWRITTEN = Explanation(
    "race: LoadDataWithTranspose (pipe MTE1) writes L0B",
    "a transposing load writes more columns than are left, and the next one overwrites them: the "
    "library takes loads to be in order. Strict mode alone refuses that",
    without="strict",
)
NO_SCALES = Explanation(
    "lies in no registered buffer",
    "the library's function without scales gives its kernel a null pointer for them, which the "
    "kernel reads: without a scale no conversion from int32_t to half exists (Fixpipe's page). "
    "With scales see GemmKernel",
)
NO_BARRIER = Explanation(
    "race: Fixpipe (pipe FIX) reads FB",
    "the kernel copies scales to the Fixpipe buffer and uses them without a barrier; both are "
    "instructions of PIPE_FIX (the appendix on pipes), and the page of SetFixPipeConfig puts "
    "PipeBarrier<PIPE_FIX> between the two. Without checks the numbers agree",
    without="checks",
)
NO_MODE = Explanation(
    "Fixpipe",
    "the library knows F322F16, F322BF16 and REQ8 alone and asks Fixpipe for no conversion here; "
    "from int32_t there is no path to this type without one (Fixpipe's page)",
)
HF32 = Explanation("HF32 mode is not modelled", "the emulator does not model HF32")


def multiplied(
    p: Program,
    name: str,
    kind: str,
    sizes: Sizes,
    ta: bool = False,
    tb: bool = False,
    bias: str | None = None,
) -> Sequence[Outcome]:
    place, c = product(p, name, kind, sizes, ta, tb, bias)
    return [moved_out(p, plain_move(place.type), place, c, place.type)]


def ragged(kind: str, sizes: Sizes, ta: bool, tb: bool) -> Explanation | None:
    """What strict mode has against sizes that fill no whole squares."""
    n = sizes[2]
    if kind == "float" and ta and not tb and 1 <= n % 16 <= 8:
        return NOT_LOADED
    if kind == "int8_t" and not tb and n > 32 and 1 <= n % 32 <= 16:
        return OVERWRITTEN
    return None


def products() -> Iterator[Case]:
    for kind, (of, _) in PRODUCTS.items():
        for ta, tb in TRANSPOSED:
            name = f"mma_tile_{kind}_to_{of}{'_ta' * ta}{'_tb' * tb}"
            for sizes in SIZES:
                body = partial(multiplied, name=name, kind=kind, sizes=sizes, ta=ta, tb=tb)
                yield Case("aic", name, text(sizes), body, ragged(kind, sizes, ta, tb))
    for ta, tb in TRANSPOSED:
        name = f"mma_tile_float_to_float{'_ta' * ta}{'_tb' * tb}_hf32"
        body = partial(multiplied, name=name, kind="float", sizes=SIZES[1], ta=ta, tb=tb)
        yield Case("aic", name, text(SIZES[1]), body, HF32)


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
        name = f"mma_tile_with_{bias}_bias_{kind}_to_{PRODUCTS[kind][0]}"
        for sizes in ((32, 64, 64), (100, 60, 96)):
            body = partial(multiplied, name=name, kind=kind, sizes=sizes, bias=bias)
            yield Case("aic", name, text(sizes), body)


def quantised(
    p: Program, name: str, kind: str, to: str, sizes: Sizes, mode: int, scale: float, relu: bool
) -> Sequence[Outcome]:
    """A product that leaves L0C converted, scaled or rectified."""
    place, c = product(p, f"mma_tile_{kind}_to_{PRODUCTS[kind][0]}", kind, sizes)
    return [moved_out(p, name, place, c, to, mode, scale, relu)]


def conversions() -> Iterator[Case]:
    for kind, to, mode, scale, relu in (
        ("half", "half", F322F16, 1.0, False),
        ("half", "bfloat16_t", F322BF16, 1.0, False),
        ("half", "float", NO_QUANT, 1.0, True),
        ("half", "half", F322F16, 1.0, True),
        ("int8_t", "int32_t", NO_QUANT, 1.0, True),
        ("int8_t", "int8_t", REQ8, 0.125, False),
        ("int8_t", "int8_t", REQ8, 0.1, True),
        ("int8_t", "half", DEQF16, 1.0, False),
        ("int8_t", "int16_t", NO_QUANT, 1.0, False),
    ):
        of = PRODUCTS[kind][0]
        lacks = NO_MODE if of == "int32_t" and to in ("half", "int16_t") else None
        for end in ("", "_gm"):
            name = f"fixpipe_nz2nd_{of}_to_{to}_4d_to_2d{end}"
            for sizes in ((32, 64, 64), (100, 60, 96)):
                body = partial(
                    quantised,
                    name=name,
                    kind=kind,
                    to=to,
                    sizes=sizes,
                    mode=mode,
                    scale=scale,
                    relu=relu,
                )
                label = f"{text(sizes)}, scale {scale}{', relu' * relu}"
                yield Case("aic", name, label, body, lacks)


def matrices(kind: str, sizes: Sizes, ta: bool, tb: bool) -> tuple[np.ndarray, ...]:
    """A and B as they are given, and their product."""
    m, k, n = sizes
    a, b = small((k, m) if ta else (m, k), kind, 4), small((n, k) if tb else (k, n), kind, 5)
    left, right = a.astype(np.float64), b.astype(np.float64)
    return a, b, (left.T if ta else left) @ (right.T if tb else right)


def whole(p: Program, name: str, kind: str, sizes: Sizes, ta: bool, tb: bool) -> Sequence[Outcome]:
    """A kernel from global memory to global memory, with flags of its own."""
    a, b, c = matrices(kind, sizes, ta, tb)
    target, got = p.result(c.shape, "half")
    p.call(name, p.given(a, kind), p.given(b, kind), target)
    return [Outcome(got, c.astype(np.float16))]


def scaled(p: Program, symbol: str, sizes: Sizes, ta: bool, tb: bool) -> Sequence[Outcome]:
    """The kernel behind the functions above for int8_t, with a scale for each column."""
    a, b, c = matrices("int8_t", sizes, ta, tb)
    m, k, n = sizes
    scales = np.ldexp(np.float32(1), np.random.default_rng(6).integers(-6, 3, n))
    bits = scales.astype(np.float32).view(np.uint32).astype(np.uint64)
    target, got = p.result(c.shape, "half")
    tiling = p.host(512)
    p.call("_ZN12TilingParamsC1Ev", tiling)
    p.call("_Z10calcTilinglllR12TilingParams", m, k, n, tiling)
    no_bias = 0
    places = [p.given(a, "int8_t"), p.given(b, "int8_t"), target, p.given(bits, "uint64_t")]
    *three, scale = (place.address for place in places)
    p.call(symbol, *three, no_bias, scale, tiling)
    return [Outcome(got, (c * scales).astype(np.float16))]


def kernels() -> Iterator[Case]:
    for ta, tb in TRANSPOSED:
        transposes = f"{'X' * (not ta)}transposeA_{'X' * (not tb)}transposeB"
        for kind in ("half", "int8_t"):
            name = f"matmul_Xbias_Xdescale_{transposes}_TA{kind}_TB{kind}_TChalf"
            lacks = NO_SCALES if kind == "int8_t" else None
            for sizes in ((64, 64, 64), (128, 256, 128), (256, 320, 192)):
                body = partial(whole, name=name, kind=kind, sizes=sizes, ta=ta, tb=tb)
                yield Case("aic", name, text(sizes), body, lacks)
        symbol = (
            "_Z10GemmKernelIL8ArchType0EaL10CubeFormat0EaLS1_0EDhLS1_0Eiim"
            f"Lb{int(ta)}ELb{int(tb)}ELb0ELb0EEvPU3AS1hS3_S3_S3_S3_R12TilingParams"
        )
        name = f"GemmKernel<int8_t{', transposeA' * ta}{', transposeB' * tb}>"
        for sizes in ((64, 64, 64), (128, 256, 128)):
            body = partial(scaled, symbol=symbol, sizes=sizes, ta=ta, tb=tb)
            yield Case("aic", name, text(sizes), body, NO_BARRIER)


def cases() -> Iterator[Case]:
    yield from products()
    yield from biases()
    yield from conversions()
    yield from kernels()
