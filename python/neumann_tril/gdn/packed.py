"""Packed sequences as a few padded batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layout import send


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of similar length.

    members (n,): their numbers. rows (n, length): their rows of the packed time axis, T (one past
    the last) behind a sequence's end. chunks (n, count): numbers of their chunks, counted over all
    sequences, one past the last where a sequence has no more.
    """

    members: Tensor
    rows: Tensor
    chunks: Tensor


def chunk_slots(length: int, chunk_size: int, sequences: int | None) -> int:
    """For how many chunks there is room: all on a time axis, or as many as T tokens packed into so
    many sequences can have at most."""
    if sequences is None:
        return -(-length // chunk_size)
    return length // chunk_size + sequences


def group_sequences(bounds: list[int], length: int, chunk_size: int) -> list[Group]:
    """The sequences between ``bounds`` by their number of chunks, up to the next power of two.

    So padding at most doubles the work, and there are at most log2(T) groups. Empty sequences are
    in none.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    first_chunks = [0]
    for n in range(len(bounds) - 1):
        chunks = -(-(bounds[n + 1] - bounds[n]) // chunk_size)
        first_chunks.append(first_chunks[-1] + chunks)
        if chunks:
            alike[(chunks - 1).bit_length()].append(n)
    slots = chunk_slots(length, chunk_size, len(bounds) - 1)
    groups = []
    for sequences in alike.values():
        members = torch.tensor(sequences)
        rows = _spans(bounds, members, length)
        groups.append(Group(members, rows, _spans(first_chunks, members, slots)))
    return groups


def _spans(bounds: list[int], members: Tensor, absent: int) -> Tensor:
    """What lies between the bounds of each, padded to the longest with ``absent``."""
    edges = torch.tensor(bounds)
    first, end = edges[members, None], edges[members + 1, None]
    numbers = first + torch.arange(int((end - first).max()))
    return torch.where(numbers < end, numbers, absent)


class Packing:
    """Packed sequences as padded batches: where their tokens, themselves and their chunks lie."""

    def __init__(
        self, bounds: list[int], length: int, chunk_size: int, device: torch.device
    ) -> None:
        groups = group_sequences(bounds, length, chunk_size)
        count = len(bounds) - 1
        slots = chunk_slots(length, chunk_size, count)
        self.batches = range(len(groups))
        self.tokens = Places(length, [group.rows for group in groups], device)
        self.sequences = Places(count, [group.members for group in groups], device)
        self.chunks = Places(slots, [group.chunks for group in groups], device)


class Places:
    """An axis of ``size`` entries, and where each lies in padded batches.

    Args:
        indices: the entries in each batch; ``size`` stands for none.
        device: of the tensors.
    """

    def __init__(self, size: int, indices: Sequence[Tensor], device: torch.device) -> None:
        self._indices = [send(index, device) for index in indices]
        place, taken = torch.full((size,), -1), 0
        for index in indices:
            present = index.flatten() < size
            place[index.flatten()[present]] = present.nonzero()[:, 0] + taken
            taken += len(present)
        self._place = place
        self._device = device

    def take(self, x: Tensor, batch: int) -> Tensor:
        """A batch of x (size, ...), or of x (size + 1, ...) whose last entry stands for none."""
        index = self._indices[batch]
        taken: Tensor = x.index_select(0, index.flatten()).unflatten(0, index.shape)
        return taken

    def join(self, batches: Sequence[Tensor], others: Tensor | None = None) -> Tensor:
        """The entries (size, ...) of the batches; those in none are zero, or as in ``others``."""
        parts = [x.flatten(0, y.dim() - 1) for x, y in zip(batches, self._indices, strict=True)]
        if others is None:
            others = parts[0].new_zeros(1, *parts[0].shape[1:])
        own = torch.arange(len(others)).expand(self._place.shape)
        place = torch.where(self._place < 0, own, self._place + len(others))
        return torch.cat([others, *parts]).index_select(0, send(place, self._device))


def with_none(x: Tensor) -> Tensor:
    """One more entry behind the last, which stands for none."""
    return torch.cat([x, x.new_zeros(1, *x.shape[1:])])
