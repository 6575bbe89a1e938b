"""The chunk rule on an NPU against the recurrence in float64, step by step."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from neumann_tril.cli.sections import Request
from neumann_tril.gdn import chunk_gated_delta_rule, explain, naive_recurrent_gated_delta_rule

HALVES = (torch.float16, torch.bfloat16)
PACKINGS = (None, [0, 1, 1, 70, 200])


def draw(length: int, sizes: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """q, k, v, g, beta of one head of queries and two of values."""
    r = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, length, 1, sizes[0], generator=r) for _ in range(2))
    v = torch.randn(1, length, 2, sizes[1], generator=r)
    g, beta = (torch.rand(1, length, 2, generator=r) for _ in range(2))
    return [q.to(dtype), k.to(dtype), v.to(dtype), -g, beta]


def relative_error(x: Tensor, truth: Tensor) -> float:
    return float((x.double().cpu() - truth).norm() / truth.norm())


@pytest.mark.parametrize("bounds", PACKINGS)
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("sizes", [(128, 128), (32, 48), (256, 64)])
def test_rule(
    device: Request, sizes: tuple[int, int], dtype: torch.dtype, bounds: list[int] | None
) -> None:
    tokens = draw(200, sizes, dtype)
    spans = [0, 200] if bounds is None else bounds
    state = torch.randn(len(spans) - 1, 2, *sizes, generator=torch.Generator().manual_seed(1))
    cu_seqlens = None if bounds is None else device.move(torch.tensor(bounds))
    options: dict[str, Any] = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    moved = [device.move(x) for x in tokens]
    assert explain(*moved, backend=device.device).note is None  # by the kernel of the whole rule
    o, final = chunk_gated_delta_rule(
        *moved,
        initial_state=device.move(state),
        cu_seqlens=cu_seqlens,
        backend=device.device,
        **options,
    )
    for n, (begin, end) in enumerate(itertools.pairwise(spans)):
        if begin == end:
            assert torch.equal(final[n].cpu(), state[n])
            continue
        wide = (x[:, begin:end].double() for x in tokens)
        given = state[n : n + 1].double()
        truth, last = naive_recurrent_gated_delta_rule(*wide, initial_state=given, **options)
        # Rounding o to its dtype costs half a unit; the state is float32, its operands float16.
        assert relative_error(o[:, begin:end], truth) < torch.finfo(dtype).eps
        assert relative_error(final[n : n + 1], last) < 2e-3
