"""The quantised kernels on the device equal the reference bit for bit: integers leave no choice."""

from __future__ import annotations

import pytest
import torch

import neumann_tril as nt
from neumann_tril.cli.sections import Request


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("bits", [8, 16])
def test_codes_and_numbers(device: Request, bits: int, size: int) -> None:
    tokens = nt.testing.layer("qwen3-next rho 0.7", 4 * size, size, heads=2)
    A = nt.testing.split_chunks(tokens, size)
    qplan = nt.calibrate(A, bits=bits, integer_input=True)
    codes = nt.quant.quantize(A, qplan).codes
    for given, dtype in ((codes, codes.dtype), (A.half(), torch.float16)):
        options = {"output_dtype": dtype}
        found = nt.inverse_quantized(device.move(given), qplan, backend=device.device, **options)
        expected = nt.inverse_quantized(given, qplan, backend="reference", **options)
        if dtype == torch.float16:
            assert torch.equal(found.cpu(), expected)
        else:
            assert torch.equal(found.codes.cpu(), expected.codes)
