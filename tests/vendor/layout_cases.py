"""Broadcasts, transposes, copies and other rearrangements of the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from vendor import numbers
from vendor.cases import Case, Outcome
from vendor.machine import Program, dense
from vendor.vector import (
    ALL,
    ARITHMETIC,
    INTEGERS,
    REALS,
    TMP,
    WORDS,
    Source,
    apply,
    load,
    scratch,
    store,
    text,
)

Shape = tuple[int, ...]
ATOMIC_ADD = 1
BROADCASTS: dict[str, tuple[tuple[str, ...], Shape, Shape]] = {
    "broadcast_1d": (ALL, (1,), (1000,)),
    "broadcast_first_axis_align_2d": (ALL, (1, 64), (5, 64)),
    "broadcast_first_axis_unalign_2d": (WORDS, (1, 33), (5, 33)),
    "broadcast_first_axis_unknown_align_2d": (WORDS, (1, 64), (5, 64)),
    "broadcast_first_axis_align_3d": (ALL, (1, 3, 32), (4, 3, 32)),
    "broadcast_first_axis_unalign_3d": (WORDS, (1, 3, 5), (4, 3, 5)),
    "broadcast_first_axis_unknown_align_3d": (WORDS, (1, 3, 32), (4, 3, 32)),
    "broadcast_middle_axis_align_3d": (ALL, (4, 1, 32), (4, 3, 32)),
    "broadcast_last_axis_align_2d": (WORDS, (5, 1), (5, 64)),
    "broadcast_last_axis_unalign_2d": (WORDS, (5, 1), (5, 33)),
    "broadcast_last_axis_unknown_align_2d": (WORDS, (5, 1), (5, 64)),
}
"""Types, shapes of source and target."""
TRANSPOSES: dict[str, tuple[Shape, Shape]] = {
    "transpose_2d_with_last_axis": ((32, 64), (1, 0)),
    "transpose_3d_with_last_axis": ((32, 3, 64), (2, 1, 0)),
    "transpose_3d_without_last_axis": ((4, 3, 32), (1, 0, 2)),
}


def broadcast(p: Program, name: str, kind: str, source: Shape, target: Shape) -> Sequence[Outcome]:
    given = numbers.random(source, kind, 15)
    takes_buffer = "_last_" in name or "_un" in name
    temporary = scratch(p, kind) if takes_buffer else None
    got = apply(p, name, [(given, kind)], (target, kind), temporary)
    return [Outcome(got, np.broadcast_to(given, target), kind=kind)]


def filled(p: Program, name: str, kind: str, shape: Shape) -> Sequence[Outcome]:
    expected = numbers.stored(np.full(shape, 3, np.float32), kind)
    got = apply(p, name, [expected.reshape(-1)[0]], (shape, kind))
    return [Outcome(got, expected, kind=kind)]


def transposed(p: Program, name: str, kind: str, shape: Shape, order: Shape) -> Sequence[Outcome]:
    given = numbers.random(shape, kind, 16)
    expected = given.transpose(order)
    temporary = None
    if given.itemsize == 8 and "with_last" in name:
        # Elements of 64 bits move in squares of which only a part is used: the rest must be there.
        temporary = load(p, np.zeros(TMP, given.dtype), kind)
    got = apply(p, name, [(given, kind)], (expected.shape, kind), temporary)
    return [Outcome(got, expected, kind=kind)]


def copied(p: Program, name: str, kind: str, shape: Shape) -> Sequence[Outcome]:
    given = numbers.random(shape, kind, 17)
    return [Outcome(apply(p, name, [(given, kind)], (shape, kind)), given, kind=kind)]


def strided(p: Program, dims: int, kind: str, atomic: int = 0) -> Sequence[Outcome]:
    """Parts of rows in global memory to UB and back, by functions of 2 or 3 dimensions."""
    shape = (3, 4, 32)[3 - dims :]
    wide = (*shape[:-1], 64)
    given = numbers.random(wide, kind, 18)
    part = p.given(given, kind).viewed(*shape, strides=dense(wide))
    place = p.local("UB", shape, kind)
    zero = numbers.stored(np.float32(0), kind)
    p.call(f"load_gm_to_ubuf_{dims}d_{kind}", part, place, 0, zero, 0, 0)
    p.order("MTE2", "MTE3")
    got = numbers.random(wide, kind, 19)
    expected = got.copy()
    expected[..., :32] = given[..., :32] + (expected[..., :32] if atomic else 0)
    target = p.updated(got, kind).viewed(*shape, strides=dense(wide))
    p.call(f"store_ubuf_to_gm_{dims}d_{kind}", place, target, atomic)
    return [Outcome(got, expected, kind=kind)]


def strided_moves() -> Iterator[Case]:
    for kind in ALL:
        for dims in (2, 3):
            body = partial(strided, dims=dims, kind=kind)
            yield Case("aiv", f"load_gm_to_ubuf_{dims}d_{kind}", "strided", body)
            yield Case("aiv", f"store_ubuf_to_gm_{dims}d_{kind}", "strided", body)
    for kind in (*REALS, "int16_t", "int32_t", "int8_t"):
        body = partial(strided, dims=2, kind=kind, atomic=ATOMIC_ADD)
        yield Case("aiv", f"store_ubuf_to_gm_2d_{kind}", "atomic addition", body)


def interleaved(p: Program, name: str, kind: str) -> Sequence[Outcome]:
    pair = numbers.random((2, 128), kind, 20)
    got = apply(p, name, [(a, kind) for a in pair], ((256,), kind), scratch(p, kind))
    return [Outcome(got, pair.T.reshape(-1), kind=kind)]


def channel(p: Program, name: str, kind: str, number: int) -> Sequence[Outcome]:
    given = numbers.random((512, 2), kind, 21)
    got = apply(p, name, [(given.reshape(-1), kind)], ((512,), kind))
    return [Outcome(got, given[:, number], kind=kind)]


def gathered(p: Program, name: str, kind: str) -> Sequence[Outcome]:
    given = numbers.random((300,), kind, 22)
    where = np.random.default_rng(23).integers(0, 300, 256).astype(np.int32)
    sources: list[Source] = [(given, kind), (where, "int32_t")]
    got = apply(p, name, sources, ((256,), kind), scratch(p, "int32_t"))
    return [Outcome(got, given[where], kind=kind)]


def counted(p: Program, name: str, kind: str, shape: Shape) -> Sequence[Outcome]:
    """arange: an offset, and a stride for each dimension."""
    strides = (100, 7, 2)[3 - len(shape) :]
    place = p.local("UB", shape, kind)
    p.call(name, place, 5, *strides)
    grid = np.indices(shape)
    expected = 5 + sum(stride * axis for stride, axis in zip(strides, grid, strict=True))
    return [Outcome(store(p, place), expected.astype(numbers.STORED[kind]))]


def accumulated(p: Program, name: str, kind: str, operation: np.ufunc) -> Sequence[Outcome]:
    values = np.random.default_rng(24).integers(1, 3, (6, 64)).astype(numbers.STORED[kind])
    got = apply(p, name, [(values, kind)], (values.shape, kind))
    return [Outcome(got, operation.accumulate(values, axis=0, dtype=values.dtype))]


def others() -> Iterator[Case]:
    for kind in (*REALS, "bfloat16_t", *INTEGERS):
        name = f"interleave_1d_{kind}"
        yield Case("aiv", name, "2 x 128", partial(interleaved, name=name, kind=kind))
        for number in (0, 1):
            name = f"deinterleave_channel_{number}_from_2_channels_1d_{kind}"
            body = partial(channel, name=name, kind=kind, number=number)
            yield Case("aiv", name, "512 x 2", body)
        name = f"gather_1d_{kind}"
        yield Case("aiv", name, "256 of 300", partial(gathered, name=name, kind=kind))
    for kind in ARITHMETIC:
        for shape in ((300,), (4, 64), (2, 3, 32)):
            name = f"arange_{len(shape)}d_{kind}"
            yield Case(
                "aiv", name, text(shape), partial(counted, name=name, kind=kind, shape=shape)
            )
        for base, operation in (("cumsum_ra", np.add), ("cumprod_ra", np.multiply)):
            name = f"{base}_{kind}"
            body = partial(accumulated, name=name, kind=kind, operation=operation)
            yield Case("aiv", name, "6 x 64", body)


def cases() -> Iterator[Case]:
    yield from strided_moves()
    yield from others()
    for base, (kinds, source, target) in BROADCASTS.items():
        for kind in kinds:
            name = f"{base}_{kind}"
            body = partial(broadcast, name=name, kind=kind, source=source, target=target)
            yield Case("aiv", name, text(target), body)
    for kind in ALL:
        for dims, shape in ((1, (1000,)), (2, (5, 64))):
            name = f"broadcast_scalar_{kind}_to_{dims}d"
            yield Case("aiv", name, text(shape), partial(filled, name=name, kind=kind, shape=shape))
        for base, (shape, order) in TRANSPOSES.items():
            name = f"{base}_{kind}"
            body = partial(transposed, name=name, kind=kind, shape=shape, order=order)
            yield Case("aiv", name, text(shape), body)
        for shape in ((1000,), (5, 64), (3, 4, 32)):
            name = f"copy_ubuf_to_ubuf_{len(shape)}d_{kind}"
            yield Case("aiv", name, text(shape), partial(copied, name=name, kind=kind, shape=shape))
