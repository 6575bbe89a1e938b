"""The function ``solve_tril``: layouts, tails, packed sequences, errors."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import neumann_tril as nt
from neumann_tril import testing

BACKENDS = ["cpu", "reference"]
# Positions of B, T, H, C of a (B, T, H, C) tensor in each layout; packed ones drop B.
ORDER = {"bthc": (0, 1, 2, 3), "bhtc": (0, 2, 1, 3), "thc": (1, 2, 3), "htc": (2, 1, 3)}


def to_layout(x: Tensor, layout: str) -> Tensor:
    if layout in ("thc", "htc"):
        x = x[0]
        return x if layout == "thc" else x.transpose(0, 1)
    return x if layout == "bthc" else x.transpose(1, 2)


def naive(A: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """Chunk by chunk, head by head: A (B, T, H, C), spans of rows [first, last) of the chunks."""
    X = torch.zeros_like(A, dtype=torch.float64)
    for b in range(A.shape[0]):
        for h in range(A.shape[2]):
            for first, last in spans:
                n = last - first
                X[b, first:last, h, :n] = testing.truth(A[b, first:last, h, :n])
    return X


def spans_of(starts: list[int], chunk_size: int) -> list[tuple[int, int]]:
    """The chunks of packed sequences."""
    spans = []
    for begin, end in itertools.pairwise(starts):
        spans += [(t, min(t + chunk_size, end)) for t in range(begin, end, chunk_size)]
    return spans


def check(X: Tensor, A: Tensor, spans: list[tuple[int, int]]) -> None:
    """Right to float32 rounding in every chunk, zero elsewhere, exactly."""
    expected = naive(A, spans)
    torch.testing.assert_close(
        X.double(), expected, rtol=0, atol=2e-6 * expected.abs().max().item()
    )
    assert torch.equal(X[expected == 0], torch.zeros_like(X[expected == 0]))


def poison_outside(A: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """NaN wherever nothing may be read: from the diagonal on, and in rows without a chunk."""
    garbage = torch.full_like(A, math.nan)
    for first, last in spans:
        for t in range(first, last):
            garbage[:, t, :, : t - first] = A[:, t, :, : t - first]
    return garbage


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["bthc", "bhtc"])
@pytest.mark.parametrize("chunk_size", [16, 32, 64, 128])
@pytest.mark.parametrize("length", [1, 15, 64, 129, 200])
def test_fixed_lengths(backend: str, layout: str, chunk_size: int, length: int) -> None:
    A = testing.layer("qwen3-next rho 0.3", length, chunk_size, heads=3, batch=2)
    spans = spans_of([0, length], chunk_size)
    poisoned = to_layout(poison_outside(A, spans), layout)
    X = nt.solve_tril(poisoned, layout=layout, backend=backend)
    assert X.is_contiguous() and X.dtype == torch.float32 and X.shape == poisoned.shape
    check(to_layout(X, layout) if layout == "bhtc" else X, A, spans)


STARTS = {
    "one": [0, 150],
    "several": [0, 10, 74, 75, 139, 150],
    "empty sequences": [0, 0, 40, 40, 40, 150, 150],
    "all empty": [0, 0, 0],
    "none": [0],
    "rows behind the last": [0, 64, 100],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", ["bthc", "bhtc", "thc", "htc"])
@pytest.mark.parametrize("starts", list(STARTS.values()), ids=list(STARTS))
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64])
def test_packed_sequences(
    backend: str, layout: str, starts: list[int], index_dtype: torch.dtype
) -> None:
    chunk_size = 32
    A = testing.layer("qwen3-next rho 0.7", 150, chunk_size, heads=2)
    spans = spans_of(starts, chunk_size)
    cu_seqlens = torch.tensor(starts, dtype=index_dtype)
    poisoned = to_layout(poison_outside(A, spans), layout)
    X = nt.solve_tril(poisoned, cu_seqlens, layout=layout, backend=backend)
    back = X if layout in ("bthc", "bhtc") else X.unsqueeze(0)
    check(back.transpose(1, 2) if layout in ("bhtc", "htc") else back, A, spans)


@pytest.mark.parametrize("backend", BACKENDS)
def test_prepared_chunk_indices(backend: str) -> None:
    """FLA's: one row (sequence, chunk) for each chunk; chunks that are not named come out zero."""
    starts, chunk_size = [0, 10, 74, 75, 150], 32
    A = testing.layer("qwen3-next rho 0.7", 150, chunk_size, heads=2)
    cu_seqlens = torch.tensor(starts)
    counts = [-(-(b - a) // chunk_size) for a, b in itertools.pairwise(starts)]
    indices = torch.tensor([(n, c) for n, count in enumerate(counts) for c in range(count)])
    full = nt.solve_tril(A, cu_seqlens, backend=backend)
    shuffled = indices[torch.randperm(len(indices))]
    for given_indices in (indices, indices.int(), shuffled):
        assert torch.equal(nt.solve_tril(A, cu_seqlens, given_indices, backend=backend), full)
    part = nt.solve_tril(A, cu_seqlens, indices[1:], backend=backend)
    assert torch.equal(part[:, :10], torch.zeros_like(part[:, :10]))
    assert torch.equal(part[:, 10:], full[:, 10:])
    empty = nt.solve_tril(A, cu_seqlens, indices[:0], backend=backend)
    assert torch.equal(empty, torch.zeros_like(empty))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 70), min_size=0, max_size=6),
    st.sampled_from([16, 32, 64]),
    st.integers(1, 3),
    st.sampled_from(["bthc", "bhtc", "thc", "htc"]),
    st.integers(0, 20),
)
def test_any_packing(
    lengths: list[int], chunk_size: int, heads: int, layout: str, behind: int
) -> None:
    starts = [0]
    for n in lengths:
        starts.append(starts[-1] + n)
    total = starts[-1] + behind
    A = torch.zeros(1, 0, heads, chunk_size)
    if total:
        A = testing.layer("qwen3.5-0.8b rho 0.3", total, chunk_size, heads=heads)
    spans = spans_of(starts, chunk_size)
    poisoned = to_layout(poison_outside(A, spans), layout)
    X = nt.solve_tril(poisoned, torch.tensor(starts), layout=layout)
    back = X if layout in ("bthc", "bhtc") else X.unsqueeze(0)
    back = back.transpose(1, 2) if layout in ("bhtc", "htc") else back
    if total:
        check(back, A, spans)
    else:
        assert back.shape == A.shape


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_views_are_taken_as_they_are(backend: str) -> None:
    A = testing.layer("qwen3-next rho 0.3", 100, 32, heads=4, batch=2)
    wide = torch.full((2, 100, 8, 70), math.nan)
    wide[:, :, ::2, 3:67:2] = A
    expected = nt.solve_tril(A, backend=backend)
    assert torch.equal(nt.solve_tril(wide[:, :, ::2, 3:67:2], backend=backend), expected)
    transposed = A.transpose(1, 3).contiguous().transpose(1, 3)
    assert torch.equal(nt.solve_tril(transposed, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_output_dtype(backend: str) -> None:
    A = testing.layer("qwen3-next rho 0.3", 64, 32, heads=2, dtype=torch.bfloat16)
    assert nt.solve_tril(A, backend=backend).dtype == torch.float32
    assert nt.solve_tril(A, output_dtype=None, backend=backend).dtype == torch.bfloat16
    full = nt.solve_tril(A, backend=backend)
    half = nt.solve_tril(A, output_dtype=torch.float16, backend=backend)
    assert torch.equal(half, full.half())


@pytest.mark.parametrize("backend", BACKENDS)
def test_non_finite_input_stays_in_its_chunk_and_head(backend: str) -> None:
    A = testing.layer("qwen3-next rho 0.3", 100, 32, heads=3, batch=2)
    clean = nt.solve_tril(A, backend=backend)
    A[1, 40, 2, 3] = math.nan
    X = nt.solve_tril(A, backend=backend)
    hit = torch.zeros(X.shape, dtype=torch.bool)
    hit[1, 32:64, 2] = True
    assert torch.equal(X[~hit], clean[~hit])
    assert not X[hit].isfinite().all()


def test_plans_reach_the_chunks() -> None:
    A = testing.layer("no decay rho 0.95", 128, 64, heads=2)
    chunks = testing.split_chunks(A, 64)
    X = testing.split_chunks(nt.solve_tril(A, plan="paper"), 64)
    assert torch.equal(X, nt.inverse(chunks, "paper"))
    assert not torch.equal(X, nt.inverse(chunks))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0, 64, 2, 16), (2, 0, 2, 16), (2, 64, 0, 16)])
def test_empty_tensors(backend: str, shape: tuple[int, ...]) -> None:
    assert nt.solve_tril(torch.zeros(shape), backend=backend).shape == shape


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda A, cu: nt.solve_tril(A[0]), ValueError, "A must have 4 dimensions"),
        (lambda A, cu: nt.solve_tril(A, layout="tbhc"), ValueError, "layout must be one of bthc"),
        (lambda A, cu: nt.solve_tril(A[..., :8]), ValueError, "chunk size .* got 8"),
        (lambda A, cu: nt.solve_tril(A[0], layout="thc"), ValueError, "cu_seqlens is required"),
        (lambda A, cu: nt.solve_tril(A, cu), ValueError, "batch of A must be 1"),
        (lambda A, cu: nt.solve_tril(A[:1], cu[None]), ValueError, "cu_seqlens must have shape"),
        (lambda A, cu: nt.solve_tril(A[:1], cu[:0]), ValueError, "cu_seqlens must have shape"),
        (lambda A, cu: nt.solve_tril(A[:1], cu.float()), TypeError, "cu_seqlens must be int32"),
        (lambda A, cu: nt.solve_tril(A[:1], [0, 64]), TypeError, "cu_seqlens must be a tensor"),
        (lambda A, cu: nt.solve_tril(A[:1], cu + 1), ValueError, "must start at 0.*T = 64"),
        (lambda A, cu: nt.solve_tril(A[:1], cu * 2), ValueError, r"end at most at T = 64, got \[0"),
        (
            lambda A, cu: nt.solve_tril(A[:1], cu.flip(0) - 64),
            ValueError,
            "not decrease|start at 0",
        ),
        (
            lambda A, cu: nt.solve_tril(A, None, torch.zeros(1, 2, dtype=torch.int64)),
            ValueError,
            "chunk_indices needs cu_seqlens",
        ),
        (
            lambda A, cu: nt.solve_tril(A[:1], cu, torch.zeros(2, dtype=torch.int64)),
            ValueError,
            "chunk_indices must have shape",
        ),
        (
            lambda A, cu: nt.solve_tril(A[:1], cu, torch.tensor([[0, 0], [0, 9]])),
            ValueError,
            r"chunk_indices\[1\] = \[0, 9\] names no chunk",
        ),
        (
            lambda A, cu: nt.solve_tril(A[:1], cu, torch.tensor([[-1, 0]])),
            ValueError,
            r"chunk_indices\[0\] = \[-1, 0\] names no chunk",
        ),
    ],
)
def test_bad_arguments_are_named(call, error: type, message: str) -> None:  # type: ignore[no-untyped-def]
    A = testing.layer("all ones", 64, 16, heads=2, batch=2)
    with pytest.raises(error, match=message):
        call(A, torch.tensor([0, 64]))


@pytest.mark.parametrize("quantized", [False, True])
def test_training_with_indices_that_inference_mode_has_made(quantized: bool) -> None:
    A = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2).requires_grad_()
    qplan = nt.QuantPlan.dynamic(chunk_size=16)

    def gradient(inference: bool) -> Tensor:
        packing = torch.tensor([0, 20, 40]), torch.tensor([[0, 1], [1, 0]])
        with torch.inference_mode(inference):
            packing = packing[0].clone(), packing[1].clone()
        X = nt.solve_tril_quantized(A, qplan, *packing) if quantized else nt.solve_tril(A, *packing)
        return torch.autograd.grad(X.sum(), A)[0]

    assert torch.equal(gradient(inference=True), gradient(inference=False))
