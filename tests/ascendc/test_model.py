"""Accuracy and modelled time of the kernels at full size; the model reads no clock."""

from __future__ import annotations

import pytest
import torch

from neumann_tril import emulator, plan_for, reference, testing
from neumann_tril.native import dense_chunks

F16, BF16 = torch.float16, torch.bfloat16


@pytest.mark.parametrize(("chunk_size", "dtype", "worst"), [
    (64, F16, 58), (64, BF16, 40), (128, F16, 55), (128, BF16, 37),
])  # fmt: skip
def test_worst_snr_with_alike_keys(chunk_size: int, dtype: torch.dtype, worst: float) -> None:
    """The published method stands at 24 and 0 dB (C = 64), 23 and -2 dB (C = 128) there."""
    A = testing.chunk_matrices("qwen3-next rho 0.95", chunk_size, 64, dtype=dtype)
    X = torch.empty_like(A)
    plan = plan_for(chunk_size, "exact", dtype)
    emulator.inverse(A, X, plan, dtype, dense_chunks(A, X))
    assert testing.snr(X, testing.truth(A)).min() >= worst


@pytest.mark.parametrize(
    ("chunk_size", "limit_us", "published_us"), [(64, 29.5, 159.6), (128, 89.0, 547.2)]
)
def test_modelled_time_of_1024_matrices_on_910b4(
    chunk_size: int, limit_us: float, published_us: float
) -> None:
    A = testing.chunk_matrices("qwen3-next rho 0.95", chunk_size, 1024, dtype=F16)
    X = torch.empty_like(A)
    plan = plan_for(chunk_size, "exact", F16)
    report = emulator.inverse(A, X, plan, F16, dense_chunks(A, X))
    assert report.time_us <= limit_us
    assert torch.equal(X, reference.inverse(A, plan, F16).half())
    # The model is calibrated by the published times of the peer's kernel.
    _, peer = emulator.peer_baseline(A)
    assert peer.time_us == pytest.approx(published_us, rel=0.25)
