"""The other architecture; and an error that its kernel meets, after which the process is spent."""

from __future__ import annotations

import pytest
import torch
from on_stand_in import random, tokens

import neumann_tril as nt
from neumann_tril.gdn import chunk_gated_delta_rule


def test_the_kernels_are_those_of_the_chip() -> None:
    assert nt.npu.architecture(torch.npu.get_device_name()) == "dav-3510"
    A = random(2, 32, 32)
    assert torch.equal(nt.inverse(A.npu()).cpu(), nt.inverse(A, backend="emulator"))
    given = tokens()
    o, _ = chunk_gated_delta_rule(*(x.npu() for x in given))
    assert torch.equal(o.cpu(), chunk_gated_delta_rule(*given, backend="emulator")[0])


def test_indices_that_leave_the_tensor() -> None:
    A = torch.zeros(1, 64, 1, 32).npu()
    far = 1 << 40
    cu_seqlens = torch.tensor([0, far]).npu()  # on the device nothing is checked
    chunk_indices = torch.tensor([[0, far // 64]]).npu()
    nt.solve_tril(A, cu_seqlens, chunk_indices)
    with pytest.raises(RuntimeError, match="507015") as caught:
        torch.npu.synchronize()
    assert "lies in no registered buffer" in str(caught.value)
