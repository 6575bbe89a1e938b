"""Where the chunk matrices of a tensor lie.

A *problem* is a tensor of chunk matrices seen through one of the layouts:

* ``"dense"``: (..., C, C), every matrix whole;
* ``"bthc"`` (B, T, H, C), ``"bhtc"`` (B, H, T, C): row t of a chunk holds its C columns; chunk n
  has the rows n C .. min((n + 1) C, T) - 1. With ``cu_seqlens`` B must be 1 and T is the packed
  time axis;
* ``"thc"`` (T, H, C), ``"htc"`` (H, T, C): packed sequences, ``cu_seqlens`` required.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["LAYOUTS", "ChunkTable", "Problem", "chunk_table", "chunk_table_on", "time_view"]
__all__ += [
    "check_layout",
    "check_packing",
    "from_time_view",
    "gather_chunks",
    "join_chunks",
    "sequence_bounds",
]

LAYOUTS = ("bthc", "bhtc", "thc", "htc")
_PACKED = ("thc", "htc")


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """The chunks of the packed time axis: ``first_row`` and ``valid_rows``, int64 (N,).

    On the device of the matrices. ``covers``: every row of the time axis is known to belong to a
    chunk.
    """

    first_row: Tensor
    valid_rows: Tensor
    covers: bool


class Problem(NamedTuple):
    """The chunk matrices of one call, and where their inverses go.

    A, X: (..., C, C), or (B, T, H, C) where ``time``; then ``table`` has the chunks of packed
    sequences.
    """

    A: Tensor
    X: Tensor
    time: bool = False
    table: ChunkTable | None = None

    @property
    def chunks(self) -> int | None:
        """How many chunks lie on the time axis; None without one."""
        if not self.time:
            return None
        if self.table is not None:
            return len(self.table.first_row)
        return -(-self.A.shape[1] // self.A.shape[3])


def time_view(A: Tensor, layout: str) -> Tensor:
    """The same memory as (B, T, H, C)."""
    if layout == "bthc":
        return A
    if layout == "bhtc":
        return A.transpose(1, 2)
    if layout == "thc":
        return A.unsqueeze(0)
    return A.transpose(0, 1).unsqueeze(0)


def from_time_view(A: Tensor, layout: str) -> Tensor:
    """The opposite of :func:`time_view`."""
    if layout == "bthc":
        return A
    if layout == "bhtc":
        return A.transpose(1, 2)
    if layout == "thc":
        return A[0]
    return A[0].transpose(0, 1)


def check_layout(
    A: Tensor, layout: str, cu_seqlens: Tensor | None, chunk_indices: Tensor | None
) -> None:
    """Raise ValueError or TypeError, naming the argument, unless shapes and dtypes fit."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if A.dim() != len(layout):
        raise ValueError(
            f"A must have {len(layout)} dimensions ({', '.join(layout.upper())}) in layout "
            f"{layout!r}, got shape {tuple(A.shape)}"
        )
    if cu_seqlens is None:
        if layout in _PACKED:
            raise ValueError(f"cu_seqlens is required in the packed layout {layout!r}")
        if chunk_indices is not None:
            raise ValueError("chunk_indices needs cu_seqlens")
        return
    check_packing(cu_seqlens, "A", 1 if layout in _PACKED else A.shape[0], chunk_indices)


def _check_integers(name: str, value: Tensor) -> None:
    if value.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"{name} must be int32 or int64, got {value.dtype}")


def check_packing(
    cu_seqlens: Tensor, name: str, batch: int, chunk_indices: Tensor | None = None
) -> None:
    """Raise unless ``cu_seqlens`` (N + 1,) can describe sequences packed into the tensor ``name``,
    and ``chunk_indices`` (chunks, 2) their chunks; no numbers are looked at."""
    _check_integers("cu_seqlens", cu_seqlens)
    if cu_seqlens.dim() != 1 or cu_seqlens.shape[0] < 1:
        raise ValueError(f"cu_seqlens must have shape (N + 1,), got {tuple(cu_seqlens.shape)}")
    if batch != 1:
        raise ValueError(
            f"with cu_seqlens the batch of {name} must be 1 (packed sequences), got B = {batch}"
        )
    if chunk_indices is None:
        return
    _check_integers("chunk_indices", chunk_indices)
    if chunk_indices.dim() != 2 or chunk_indices.shape[1] != 2:
        raise ValueError(
            "chunk_indices must have shape (chunks, 2): sequence, chunk within it; "
            f"got {tuple(chunk_indices.shape)}"
        )


def sequence_bounds(cu_seqlens: Tensor, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The numbers of ``cu_seqlens``: from 0, not decreasing, at most T = ``length``.

    Raises:
        ValueError: they are not so.
    """
    bounds = _numbers(cu_seqlens)
    if bounds[0] != 0 or (np.diff(bounds) < 0).any() or bounds[-1] > length:
        shown = ", ".join(map(str, bounds[:16].tolist())) + (", ..." if len(bounds) > 16 else "")
        raise ValueError(
            f"cu_seqlens must start at 0, not decrease and end at most at T = {length}, "
            f"got [{shown}]"
        )
    return bounds


def chunk_table(
    length: int, chunk_size: int, cu_seqlens: Tensor, chunk_indices: Tensor | None
) -> ChunkTable:
    """First rows and valid rows of the chunks of packed sequences.

    Args:
        length: T, rows of the packed time axis.
        chunk_size: C.
        cu_seqlens: (N + 1,), starts of the sequences and the end of the last one: from 0, not
            decreasing, at most T. Rows behind the last sequence belong to no chunk.
        chunk_indices: (chunks, 2) as FLA prepares them (sequence, chunk within the sequence), or
            None: all chunks of all sequences.

    Raises:
        ValueError: the numbers do not describe such sequences.
    """
    # numpy: these few numbers cost it a fraction of what torch's operators take.
    bounds = sequence_bounds(cu_seqlens, length)
    lengths = np.diff(bounds)
    if chunk_indices is None:
        counts = -(-lengths // chunk_size)
        sequence = np.repeat(np.arange(len(lengths)), counts)
        within = np.arange(len(sequence)) - np.repeat(counts.cumsum() - counts, counts)
        covers = bool(bounds[-1] == length)
    else:
        sequence, within = _numbers(chunk_indices).T
        bad = (sequence < 0) | (sequence >= len(lengths)) | (within < 0)
        if not bad.any():
            bad = within * chunk_size >= lengths[sequence]
        if bad.any():
            n = int(bad.argmax())
            raise ValueError(
                f"chunk_indices[{n}] = {[int(sequence[n]), int(within[n])]} names no chunk of "
                f"{chunk_size} rows of the {len(lengths)} sequences in cu_seqlens"
            )
        covers = False
    first = bounds[sequence] + within * chunk_size
    valid = np.minimum(bounds[sequence + 1] - first, chunk_size)
    return ChunkTable(torch.from_numpy(first), torch.from_numpy(valid), covers)


def _numbers(values: Tensor) -> np.ndarray[Any, np.dtype[np.int64]]:
    # As they are, whatever transform of torch.func is under way.
    with torch._C._DisableFuncTorch():
        numbers = values.detach().cpu().numpy()
    found: np.ndarray[Any, np.dtype[np.int64]] = numbers.astype(np.int64)
    return found


def chunk_table_on(
    device: torch.device,
    length: int,
    chunk_size: int,
    cu_seqlens: Tensor,
    chunk_indices: Tensor | None,
) -> ChunkTable:
    """:func:`chunk_table` on a device, for which the host does not wait.

    Numbers on the CPU are checked there and sent from pinned memory. Numbers on the device are
    taken as they are; without ``chunk_indices`` such a table has entries for as many chunks as
    there can be, T // C + N, of which the last have no rows.
    """
    given = [t for t in (cu_seqlens, chunk_indices) if t is not None]
    if device.type == "cpu":
        return chunk_table(length, chunk_size, cu_seqlens, chunk_indices)
    if any(t.device.type != "cpu" for t in given):
        bounds, *indices = (_send(t.detach().long(), device) for t in given)
        return _unread_table(length, chunk_size, bounds, indices[0] if indices else None)
    table = chunk_table(length, chunk_size, cu_seqlens, chunk_indices)
    first, valid = _send(torch.stack([table.first_row, table.valid_rows]), device)
    return ChunkTable(first, valid, table.covers)


def _send(values: Tensor, device: torch.device) -> Tensor:
    """To a device, from pinned memory: the host need not wait."""
    if values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def _unread_table(
    length: int, chunk_size: int, bounds: Tensor, chunk_indices: Tensor | None
) -> ChunkTable:
    """The table of numbers that only their device knows: no shape depends on them."""
    count = len(bounds) - 1
    if chunk_indices is not None:
        sequence, within = chunk_indices.unbind(1)
    elif count == 0:
        sequence = within = bounds[:0]
    else:
        chunks = (bounds[1:] - bounds[:-1] + (chunk_size - 1)) // chunk_size
        ends = chunks.cumsum(0)
        entry = torch.arange(length // chunk_size + count, device=bounds.device)
        sequence = torch.searchsorted(ends, entry, right=True).clamp(max=count - 1)
        within = entry - (ends - chunks).index_select(0, sequence)
    first = bounds.index_select(0, sequence) + within * chunk_size
    valid = (bounds.index_select(0, sequence + 1) - first).clamp(0, chunk_size)
    return ChunkTable(first, valid, False)


def gather_chunks(A: Tensor, table: ChunkTable | None) -> Tensor:
    """(B, T, H, C) to (B, H, N, C, C); rows that a chunk does not have are zero.

    Without a table chunk n has the rows from n C on.
    """
    batch, length, heads, chunk_size = A.shape
    count = -(-length // chunk_size) if table is None else len(table.first_row)
    rows = count * chunk_size if table is None else length + 1
    padded: Tensor = A.new_zeros(batch, rows, heads, chunk_size)
    padded[:, :length] = A
    if table is not None:
        padded = padded.index_select(1, _rows(table, length, chunk_size))
    return padded.view(batch, count, chunk_size, heads, chunk_size).permute(0, 3, 1, 2, 4)


def join_chunks(X: Tensor, table: ChunkTable | None, length: int) -> Tensor:
    """The opposite of :func:`gather_chunks`; rows that belong to no chunk are zero."""
    batch, heads, _, _, chunk_size = X.shape
    rows = X.permute(0, 2, 3, 1, 4).flatten(1, 2)
    if table is not None:
        joined = X.new_zeros(batch, length + 1, heads, chunk_size)
        rows = joined.index_copy_(1, _rows(table, length, chunk_size), rows)
    return rows[:, :length]


def _rows(table: ChunkTable, length: int, chunk_size: int) -> Tensor:
    """Every chunk's C rows; ``length``, one row behind the last, stands for those it lacks."""
    row = torch.arange(chunk_size, device=table.first_row.device)
    absent = row >= table.valid_rows[:, None]
    return (table.first_row[:, None] + row).masked_fill(absent, length).flatten()
