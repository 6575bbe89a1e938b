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
