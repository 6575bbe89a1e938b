"""What programs for cube cores have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vendor import numbers
from vendor.cases import Outcome
from vendor.machine import Operand, Program

NO_QUANT, F322F16, REQ8, DEQF16, F322BF16 = 0, 1, 9, 11, 16
"""Conversions of Fixpipe by their number in QuantMode_t."""
NO_EVENT = -1
PRODUCTS = {
    "half": ("float", 16),
    "bfloat16_t": ("float", 16),
    "float": ("float", 8),
    "int8_t": ("int32_t", 32),
}
"""Element type -> the type of its products, and its elements in a block of 32 bytes."""

Sizes = tuple[int, int, int]
"""m, k, n of a product."""


def text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


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
    if (rows, columns) != matrix.shape:  # the library multiplies padding rows, too
        zero = numbers.stored(np.float32(0), kind)
        p.call(f"set_l1_2d_{kind}", zero, place.viewed(rows * columns))
        p.barrier("MTE2")
    place = blocks(place, rows, columns, width)
    p.call(f"nd2nz_{kind}", p.given(matrix, kind), place)
    return place


def product(
    p: Program,
    name: str,
    kind: str,
    sizes: Sizes,
    ta: bool = False,
    tb: bool = False,
    bias: str | None = None,
) -> tuple[Operand, np.ndarray]:
    """A product in L0C by nd2nz and ``name``, a mma_tile, and its numbers.

    ``ta``, ``tb``: A and B are given transposed. ``bias``: the type of a row that is added.
    """
    m, k, n = sizes
    a, b = small((k, m) if ta else (m, k), kind, 1), small((n, k) if tb else (k, n), kind, 2)
    left, right = to_l1(p, a, kind), to_l1(p, b, kind)
    exact = [numbers.values(x, kind).astype(np.float64) for x in (a, b)]
    c = (exact[0].T if ta else exact[0]) @ (exact[1].T if tb else exact[1])
    row = []
    if bias is not None:
        added = small((1, n), bias, 3)
        c = c + numbers.values(added, bias)
        row = [p.local("L1", (up(n, 64),), bias).viewed(1, 1, 1, up(n, 16))]
        p.call(f"nd2nz_forbias_{bias}", p.given(added, bias), row[0])
    unit = 32 if kind == "int8_t" else 16
    rows, columns = up(m, unit), up(n, unit)
    place = blocks(p.local("L0C", (rows, columns), PRODUCTS[kind][0]), rows, columns, 16)
    p.set_flag("MTE2", "MTE1", 0)
    p.set_flag("MTE2", "MTE1", 1)
    p.call(name, left, right, True, m, k, n, *row, place, 0, 1, *[NO_EVENT] * 5, 0)
    return place, c


def moved_out(
    p: Program,
    name: str,
    place: Operand,
    c: np.ndarray,
    kind: str,
    mode: int = NO_QUANT,
    scale: float = 1.0,
    relu: bool = False,
) -> Outcome:
    """L0C to row-major global memory by ``name``, a fixpipe, and its numbers by the documents."""
    p.order("M", "FIX")
    target, got = p.result(c.shape, kind)
    last = [] if name.endswith("_gm") else [0]
    p.call(name, place, target, mode, np.float32(scale), int(relu), False, 0, *last)
    value = np.maximum(c, 0) if relu else c
    if mode == REQ8:
        # Scaled by what 10 digits behind the point leave of the scale, to nearest even, saturated
        # to uint8_t: the library leaves bit 46, which asks for int8_t, 0.
        factor = (np.float32(scale).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
        value = np.clip(np.rint(value.astype(np.float32) * factor), 0, 255)
        return Outcome(got.view(np.uint8), value.astype(np.uint8))
    return Outcome(got, numbers.stored(value, kind), kind=kind)


def plain_move(kind: str) -> str:
    """The fixpipe that converts nothing."""
    return f"fixpipe_nz2nd_{kind}_to_{kind}_4d_to_2d"


def stored_from_l1(p: Program, place: Operand, given: np.ndarray, columns: int) -> Outcome:
    """L1 in NZ to row-major global memory by nz2nd."""
    p.order("MTE2", "MTE3")
    target, got = p.result((given.shape[0], columns), place.type)
    p.call(f"nz2nd_4d_to_2d_{place.type}", place, target)
    expected = np.zeros_like(got)  # nd2nz fills the last block of a row with zeros
    expected[:, : given.shape[1]] = given
    return Outcome(got, expected, kind=place.type)
