"""The kind of tensor that every public function takes."""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(name: str, value: object) -> None:
    """Raise TypeError unless it is a dense tensor of real numbers."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    if value.is_nested:
        kind = "nested"
    elif value.layout is not torch.strided:
        kind = str(value.layout)
    elif value.is_quantized:
        kind = "quantized"
    elif value.is_complex():
        kind = "complex"
    else:
        return
    raise TypeError(f"{name} must be a dense tensor of real numbers, got a {kind} one")
