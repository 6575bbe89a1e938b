"""Calls past torch's dispatcher, and chunk tables that are made without reading their numbers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from neumann_tril.layout import _unread_table, chunk_table
from neumann_tril.ops import dispatch


def ways(*arguments: object) -> str:
    """Which of the two was called: the operator or the kernel."""
    return dispatch.call(lambda *_: "operator", lambda *_: "kernel", arguments)


class Subclass(Tensor):
    pass


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
        return function(*arguments, **(keywords or {}))


def test_a_plain_call_goes_to_the_kernel() -> None:
    A = torch.zeros(2, 2)
    assert ways(A, None, "exact") == "kernel"
    needs_gradient = torch.zeros(2, 2, requires_grad=True)
    with torch.no_grad():
        assert ways(needs_gradient) == "kernel"
    with torch.inference_mode():
        assert ways(A, torch.zeros(2, 2)) == "kernel"
    assert ways(A.mT[:1].expand(3, 2), torch.zeros(1, dtype=torch.int32)) == "kernel"


def under_vmap() -> str:
    found: list[str] = []
    torch.vmap(lambda a: found.append(ways(a)) or a)(torch.zeros(2, 2))  # type: ignore[func-returns-value]
    return found[0]


def under_a_mode(mode: object) -> str:
    with mode:  # type: ignore[attr-defined]
        return ways(torch.zeros(2))


def with_a_fake() -> str:
    return ways(FakeTensorMode().from_tensor(torch.zeros(2)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ways(torch.zeros(2, requires_grad=True)),
        lambda: ways(None, torch.zeros(2, requires_grad=True)),
        lambda: ways(torch.zeros(2, device="meta")),
        lambda: ways(torch.zeros(2, dtype=torch.complex64).conj()),
        lambda: ways(torch.zeros(2).as_subclass(Subclass)),
        lambda: under_a_mode(Mode()),
        lambda: under_a_mode(FakeTensorMode()),
        lambda: under_a_mode(torch.autograd.profiler.profile()),
        with_a_fake,
        under_vmap,
    ],
)
def test_whatever_takes_part_in_a_call_is_not_passed_by(call: Callable[[], str]) -> None:
    assert call() == "operator"


@pytest.mark.parametrize("seed", range(30))
def test_a_table_made_unread_has_the_same_chunks(seed: int) -> None:
    pick = random.Random(seed)
    chunk_size, length = pick.choice([16, 64]), pick.randrange(300)
    inner = sorted(pick.randrange(length + 1) for _ in range(pick.randrange(6)))
    bounds = torch.tensor([0, *inner])
    wanted = chunk_table(length, chunk_size, bounds, None)
    found = _unread_table(length, chunk_size, bounds, None)
    count = len(wanted.first_row)
    assert len(found.first_row) == length // chunk_size + len(inner) >= count or not inner
    assert torch.equal(found.first_row[:count], wanted.first_row)
    assert torch.equal(found.valid_rows[:count], wanted.valid_rows)
    assert not found.valid_rows[count:].any()
    if count:
        lengths = bounds.diff()
        pairs = [
            (n, c) for n, rows in enumerate(lengths) for c in range(-(-int(rows) // chunk_size))
        ]
        indices = torch.tensor(pick.sample(pairs, min(3, len(pairs))))
        some = chunk_table(length, chunk_size, bounds, indices)
        unread = _unread_table(length, chunk_size, bounds, indices)
        assert torch.equal(unread.first_row, some.first_row)
        assert torch.equal(unread.valid_rows, some.valid_rows)
