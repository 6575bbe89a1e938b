"""Launches of fla-npu's kernels: tiling data as their host side computes it, shapes, references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BLOCKS = 2  # cube cores; a chip has more, and they would do the same
TYPES = {"half": "half", "bfloat16": "bfloat16_t", "float": "float"}


def encode(values: Array, dtype: str) -> Array:
    """Float32 values as the bits of a dtype, rounded to nearest even."""
    if dtype == "float":
        return values.astype(np.float32)
    if dtype == "half":
        return values.astype(np.float16).view(np.uint16)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def decode(bits: Array, dtype: str) -> Array:
    """The float32 values of what encode gives."""
    if dtype == "float":
        return bits.view(np.float32)
    if dtype == "half":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(values: Array, dtype: str) -> Array:
    """Float32 values, each one of the dtype's."""
    return decode(encode(values, dtype), dtype)


@dataclass
class Case:
    """One launch: arguments in order (None: a null pointer), which of them are results, and what
    those must be within ``tolerance`` (absolute, at values of order 1)."""

    kernel: str
    name: str
    defines: dict[str, str]
    arguments: Sequence[Array | None]
    results: dict[int, tuple[str, Callable[[], Array]]]  # argument: dtype, reference (NaN: any)
    tolerance: float
    scratch: set[int] = field(default_factory=set)  # arguments that nothing has written yet
    blocks: int = BLOCKS
    stale: bool = False  # computes on lanes that nothing wrote, and stores none of them


def tiling(**fields: int) -> Array:
    """Tiling data whose fields all have 64 bits."""
    return np.array([int(value) for value in fields.values()], np.int64)


def chunks(lengths: Sequence[int], chunk: int) -> list[tuple[int, int, int, int]]:
    """(sequence, chunk within it, first token, end) of every chunk, in order."""
    starts = np.cumsum([0, *lengths])
    return [
        (s, first // chunk, int(starts[s]) + first, int(starts[s]) + min(first + chunk, length))
        for s, length in enumerate(lengths)
        for first in range(0, length, chunk)
    ]


def variable(lengths: Sequence[int], chunk: int) -> tuple[Array, Array]:
    """cu_seqlens and the pairs (sequence, chunk) of sequences of several lengths."""
    pairs = [[s, c] for s, c, _, _ in chunks(lengths, chunk)]
    return np.cumsum([0, *lengths]).astype(np.int64), np.array(pairs, np.int64).reshape(-1)


def solve_tri_case(layout: str, lengths: Sequence[int], heads: int, chunk: int, dtype: str) -> Case:
    """The inverse of I + A; a batch of equal lengths in dense layouts, else packed sequences."""
    rng = np.random.default_rng(chunk + heads)
    dense = layout in ("bsnd", "bnsd")
    batch, tokens = (len(lengths), lengths[0]) if dense else (1, sum(lengths))
    a = np.zeros((batch, heads, tokens, chunk), np.float32)
    x = np.full_like(a, np.nan)
    spans = chunks([tokens] if dense else lengths, chunk)
    for b in range(batch):
        for h in range(heads):
            for _, _, first, end in spans:
                n = end - first
                block = rounded(np.tril(rng.standard_normal((n, n)) * 0.1, -1), dtype)
                a[b, h, first:end, :n] = block
                x[b, h, first:end, :n] = np.linalg.inv(np.eye(n) + block)
    if layout in ("bsnd", "tnd"):
        a, x = a.swapaxes(1, 2).copy(), x.swapaxes(1, 2).copy()
    cu, pairs = (None, None) if dense else variable(lengths, chunk)
    tiles = batch * heads * len(spans)
    layouts = ("bnsd", "bsnd", "tnd", "ntd")
    data = tiling(
        totalTiles=tiles,
        matrixSize=chunk,
        numHeads=heads,
        seqLen=tokens,
        batchSize=batch,
        isLower=1,
        hasCuSeqlens=not dense,
        tilesPerCore=-(-tiles // BLOCKS),
        chunkSize=chunk,
        numChunks=len(spans) if dense else 0,
        lastChunkValidSize=(tokens % chunk or chunk) if dense else 0,
        isVarlen=not dense,
        totalChunks=0 if dense else len(spans),
        layoutMode=layouts.index(layout),
        dtypeMode=dtype == "bfloat16",
        totalTokens=tokens if layout == "ntd" else 0,
    )
    workspace = np.zeros((3 + 2 * BLOCKS) * chunk * chunk, np.uint16)
    return Case(
        "solve_tri",
        f"{layout} {list(lengths)} H={heads} C={chunk} {dtype}",
        {"TILING_KEY_VAR": "1", "DTYPE_X": TYPES[dtype]},
        [encode(a, dtype), cu, pairs, np.zeros(a.shape, np.uint16), workspace, data],
        {3: (dtype, lambda: x)},
        1e-3 if dtype == "half" else 2e-2,
        {4},
        min(BLOCKS, tiles),
    )


def solve_tri_cases() -> Iterator[Case]:
    """The shapes of the kernel's own test."""
    dense = [(1, 1, 16, 16), (2, 4, 32, 16), (1, 2, 32, 32), (2, 4, 64, 32), (1, 2, 64, 64)]
    dense += [(2, 4, 128, 64), (1, 2, 128, 128)]
    packed: list[tuple[list[int], int, int]] = [
        ([64], 1, 32), ([32, 32, 32], 2, 32), ([45], 1, 32), ([100, 50, 35], 2, 32),
        ([64], 1, 64), ([100, 80], 2, 64), ([128], 1, 128), ([100, 80, 60], 2, 128),
    ]  # fmt: skip
    for layout in ("bsnd", "bnsd"):
        for batch, heads, tokens, chunk in dense:
            yield solve_tri_case(layout, [tokens] * batch, heads, chunk, "half")
    for layout in ("tnd", "ntd"):
        for lengths, heads, chunk in packed:
            yield solve_tri_case(layout, lengths, heads, chunk, "half")
    for batch, heads, tokens, chunk in dense[2:]:
        yield solve_tri_case("bsnd", [tokens] * batch, heads, chunk, "bfloat16")


def recompute_case(
    batch: int, k_heads: int, v_heads: int, lengths: Sequence[int], chunk: int, v_dim: int,
    dtype: str, gate: str,
) -> Case:  # fmt: skip
    """w = A (beta exp(g) k) and u = A (beta v) in each chunk; one length: a batch of it."""
    label = f"B={batch} Hk={k_heads} Hv={v_heads} T={list(lengths)} C={chunk} V={v_dim}"
    label += f" {dtype} {gate}"
    rng = np.random.default_rng(chunk + v_heads)
    tokens, k_dim, ratio = sum(lengths), 128, v_heads // k_heads
    k = rounded(rng.uniform(-1, 1, (batch, k_heads, tokens, k_dim)), dtype)
    v = rounded(rng.uniform(-1, 1, (batch, v_heads, tokens, v_dim)), dtype)
    beta = rounded(rng.uniform(0, 1, (batch, v_heads, tokens)), gate)
    g = rounded(rng.uniform(-2, 0, (batch, v_heads, tokens)), gate)
    a = rounded(rng.uniform(-1, 1, (batch, v_heads, tokens, chunk)) / 8, dtype)
    spans = chunks(lengths, chunk)
    packed = len(lengths) > 1
    cu, pairs = variable(lengths, chunk) if packed else (None, None)

    def reference(right: Array) -> Array:
        out = np.zeros_like(right)
        for _, _, first, end in spans:
            block = a[:, :, first:end, : end - first]
            out[:, :, first:end] = block @ rounded(right[:, :, first:end], dtype)
        return out

    keys = np.repeat(k, ratio, 1)
    data = tiling(
        B=batch,
        Hk=k_heads,
        Hv=v_heads,
        hvPerHk=ratio,
        T=tokens,
        K=k_dim,
        V=v_dim,
        chunkNum=batch * len(spans),
        chunkSize=chunk,
        vbVecRow=16,
        kbgExpVecRow=16,
        isVariable=packed,
    )
    values = batch * v_heads * tokens
    w, u = np.zeros(values * k_dim, np.uint16), np.zeros(values * v_dim, np.uint16)
    workspace = np.zeros(values * v_dim, np.uint16)
    return Case(
        "recompute_w_u_fwd",
        label,
        {"TILING_KEY_VAR": "2" if v_dim == 256 else "1"}
        | {"DTYPE_K": TYPES[dtype], "DTYPE_BETA": TYPES[gate]},
        [
            *(encode(k, dtype), encode(v, dtype), encode(beta, gate)),
            *(encode(a, dtype), encode(g, gate)),
            *(None, cu, pairs, w, u, workspace, data),
        ],
        {
            8: (dtype, lambda: reference(keys * (beta * np.exp(g))[..., None])),
            9: (dtype, lambda: reference(v * beta[..., None])),
        },
        8e-3 if dtype == "half" else 6e-2,
        {10},
    )


def recompute_cases() -> Iterator[Case]:
    """Both chunk sizes, both value widths, ragged ends, grouped heads, packed sequences."""
    yield recompute_case(1, 1, 2, [192], 64, 128, "half", "float")
    yield recompute_case(2, 2, 2, [130], 64, 128, "half", "half")
    yield recompute_case(1, 2, 4, [256], 128, 128, "bfloat16", "float")
    yield recompute_case(1, 1, 1, [100], 64, 256, "half", "float")
    yield recompute_case(1, 1, 2, [200], 128, 256, "bfloat16", "bfloat16")
    yield recompute_case(1, 1, 2, [70, 33, 64], 64, 128, "half", "float")


def chunk_o_case(
    batch: int, k_heads: int, v_heads: int, lengths: Sequence[int], chunk: int, v_dim: int,
    dtype: str, gate: str,
) -> Case:  # fmt: skip
    """o = scale (exp(g) q h + tril(q k' exp(g - g')) v) in each chunk."""
    label = f"B={batch} Hk={k_heads} Hv={v_heads} T={list(lengths)} C={chunk} V={v_dim}"
    label += f" {dtype} {gate}"
    rng = np.random.default_rng(chunk + v_heads)
    tokens, k_dim, ratio, scale = sum(lengths), 128, v_heads // k_heads, 128**-0.5
    spans = chunks(lengths, chunk)
    q = rounded(rng.standard_normal((batch, k_heads, tokens, k_dim)) * 0.1, dtype)
    k = rounded(rng.standard_normal((batch, k_heads, tokens, k_dim)) * 0.1, dtype)
    v = rounded(rng.standard_normal((batch, v_heads, tokens, v_dim)), dtype)
    h = rounded(rng.standard_normal((batch, v_heads, len(spans), k_dim, v_dim)), dtype)
    g = rounded(np.cumsum(rng.uniform(-0.02, 0, (batch, v_heads, tokens)), -1), gate)
    packed = len(lengths) > 1
    cu, pairs = variable(lengths, chunk) if packed else (None, None)

    def reference() -> Array:
        out = np.zeros((batch, v_heads, tokens, v_dim), np.float32)
        queries, keys = np.repeat(q, ratio, 1), np.repeat(k, ratio, 1)
        for number, (_, _, first, end) in enumerate(spans):
            at = np.s_[:, :, first:end]
            decay = np.exp(g[at][..., :, None] - g[at][..., None, :])
            inner = np.tril(queries[at] @ keys[at].swapaxes(-1, -2) * decay) @ v[at]
            outer = (queries[at] * np.exp(g[at])[..., None]) @ h[:, :, number]
            out[at] = scale * (inner + outer)
        return out

    # Two stages of each intermediate result for every core, one after the other; then the mask.
    stages = [BLOCKS * chunk * width * 4 * 2 for width in (v_dim, v_dim, chunk, chunk)]
    ends = np.cumsum([0, *stages, chunk * chunk])
    kinds = {"half": 0, "bfloat16": 1, "float": 2}
    data = tiling(
        shapeBatch=batch,
        seqlen=tokens,
        kNumHead=k_heads,
        vNumHead=v_heads,
        kHeadDim=k_dim,
        vHeadDim=v_dim,
        chunkSize=chunk,
        isVariedLen=packed,
        tokenBatch=len(lengths),
        dataType=kinds[dtype],
        gDataType=kinds[gate],
        vWorkspaceOffset=ends[0],
        hWorkspaceOffset=ends[1],
        attnWorkspaceOffset=ends[2],
        aftermaskWorkspaceOffset=ends[3],
        maskWorkspaceOffset=ends[4],
        scale=np.float32(scale).view(np.uint32),
    )
    inputs = [encode(x, dtype) for x in (q, k, v, h)]
    results, workspace = np.zeros(v.shape, np.uint16), np.zeros(ends[5], np.uint8)
    return Case(
        "chunk_fwd_o",
        label,
        {"TILING_KEY_VAR": "1"},
        [*inputs, encode(g, gate), cu, pairs, results, workspace, data],
        {7: (dtype, reference)},
        4e-3 if dtype == "half" else 3e-2,
        {8},
        stale=True,
    )


def chunk_o_cases() -> Iterator[Case]:
    """Both chunk sizes, both value widths, ragged ends, grouped heads, packed sequences."""
    yield chunk_o_case(1, 1, 2, [192], 64, 128, "half", "float")
    yield chunk_o_case(2, 2, 2, [65], 64, 128, "half", "half")
    yield chunk_o_case(2, 2, 2, [65], 64, 128, "bfloat16", "bfloat16")
    yield chunk_o_case(1, 2, 4, [256], 128, 128, "bfloat16", "float")
    yield chunk_o_case(1, 1, 1, [130], 64, 256, "half", "float")
    yield chunk_o_case(1, 1, 2, [70, 33, 64], 64, 128, "half", "float")
