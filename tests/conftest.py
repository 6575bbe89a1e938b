"""Settings that hold for every test."""

from __future__ import annotations

import os

# Before torch: an installed torch_npu must not be loaded here, nor in spawned workers.
os.environ.setdefault("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

# torch's own threads wait by spinning, which stalls a machine with fewer free cores.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``torch.empty`` hands out NaN, so that an entry nobody wrote is seen."""
    empty = torch.empty

    def poisoned(*args: Any, **kwargs: Any) -> torch.Tensor:
        tensor = empty(*args, **kwargs)
        if (
            tensor.is_floating_point()
            and tensor.device.type == "cpu"
            and type(tensor) is torch.Tensor
        ):
            tensor.detach().fill_(math.nan)
        return tensor

    monkeypatch.setattr(torch, "empty", poisoned)
    yield
