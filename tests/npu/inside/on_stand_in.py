"""What the tests on the stand-in share."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

runtime = ctypes.CDLL("libascendcl.so")
runtime.nt_acl_host_waits.restype = ctypes.c_int64
runtime.aclrtLaunchHostFunc.argtypes = [ctypes.c_void_p] * 3


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Entries of a size whose inverses stay small, and of which all bits matter."""
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values / shape[-1]).to(dtype)


def tokens(
    length: int = 150,
    batch: int = 1,
    dtype: torch.dtype = torch.float16,
    key_size: int = 32,
    seed: int = 0,
) -> list[torch.Tensor]:
    """q, k, v, g, beta of one head of queries and two of values of 16."""
    r = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(batch, length, 1, key_size, generator=r) for _ in range(2))
    v = torch.randn(batch, length, 2, 16, generator=r)
    g, beta = (torch.rand(batch, length, 2, generator=r) for _ in range(2))
    return [q.to(dtype), torch.nn.functional.normalize(k, dim=-1).to(dtype), v.to(dtype), -g, beta]


def hold(stream: torch.npu.Stream, milliseconds: int) -> None:
    """Let a stream sleep before what is put on it afterwards."""
    sleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p)
    runtime.aclrtLaunchHostFunc(stream.npu_stream, sleep, 1000 * milliseconds)


@contextmanager
def no_host_waits() -> Iterator[None]:
    """Fail if the host waits for a device inside."""
    before = runtime.nt_acl_host_waits()
    yield
    assert runtime.nt_acl_host_waits() == before, "the host waited for the device"
