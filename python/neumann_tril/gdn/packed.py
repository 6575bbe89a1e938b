"""Packed sequences as a few padded batches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of similar length.

    members (n,): their numbers. rows (n, length): their rows of the packed time axis, T (one past
    the last) behind a sequence's end.
    """

    members: Tensor
    rows: Tensor


def group_sequences(bounds: list[int], length: int, chunk_size: int) -> list[Group]:
    """The sequences between ``bounds`` by their number of chunks, up to the next power of two.

    So padding at most doubles the work, and there are at most log2(T) groups. Empty sequences are
    in none.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for n in range(len(bounds) - 1):
        chunks = -(-(bounds[n + 1] - bounds[n]) // chunk_size)
        if chunks:
            alike[(chunks - 1).bit_length()].append(n)
    groups = []
    edges = torch.tensor(bounds)
    for sequences in alike.values():
        members = torch.tensor(sequences)
        first, end = edges[members, None], edges[members + 1, None]
        rows = first + torch.arange(int((end - first).max()))
        groups.append(Group(members, torch.where(rows < end, rows, length)))
    return groups
