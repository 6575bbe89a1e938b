"""The NPU kernels as backends of the quantised operators, in the emulator."""

import pytest
import torch

from helpers import needs_emulator
from neumann_tril import (
    BackendError,
    QuantPlan,
    calibrate,
    inverse_quantized,
    quant,
    solve_tril_quantized,
    testing,
)

pytestmark = needs_emulator


def tokens(length=200, chunk_size=64):
    return testing.layer("qwen3-next rho 0.7", length, chunk_size, heads=2)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_call_is_the_reference_bit_for_bit(bits):
    A = tokens()
    chunks = testing.split_chunks(A, 64)
    qplan = calibrate(chunks, bits=bits, integer_input=True)
    codes = quant.quantize(chunks, qplan).codes
    for given, dtype in ((codes, codes.dtype), (chunks.half(), torch.float16)):
        options = {"output_dtype": dtype}
        X = inverse_quantized(given, qplan, backend="emulator", **options)
        expected = inverse_quantized(given, qplan, backend="reference", **options)
        if dtype == torch.float16:
            assert torch.equal(X, expected)
        else:
            assert torch.equal(X.codes, expected.codes) and torch.equal(X.scale, expected.scale)
    cu_seqlens = torch.tensor([0, 70, 200])
    packed = solve_tril_quantized(A.half(), qplan, cu_seqlens, backend="emulator")
    assert torch.equal(packed, solve_tril_quantized(A.half(), qplan, cu_seqlens, backend="cpu"))


def test_what_the_kernels_do_not_do_is_refused_with_the_reason():
    chunks = testing.split_chunks(tokens(), 64).half()
    with pytest.raises(BackendError, match="backend 'emulator'"):
        inverse_quantized(chunks, QuantPlan.dynamic(), backend="emulator")
    with pytest.raises(BackendError, match="count"):
        inverse_quantized(chunks, calibrate(chunks), backend="emulator", return_saturated=True)
    with pytest.raises(BackendError, match="backend 'npu'"):
        inverse_quantized(chunks, calibrate(chunks), backend="npu")
