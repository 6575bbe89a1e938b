"""The operator on an NPU against the reference, which spells out every rounding.

Hardware may add the terms of a product in another order than the reference: that may double an
error (`TOLERANCE_DB`). Where no product is involved, the bits must be the same.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from neumann_tril import Plan, inverse, plan_for, reference, testing
from neumann_tril.cli import sections
from neumann_tril.cli.sections import TOLERANCE_DB, Request

SIZES = (16, 32, 64, 128)
OPERANDS = (torch.float16, torch.bfloat16)
REGIME = "qwen3.5-0.8b rho 0.7"


def inverted(device: Request, A: Tensor, plan: str | Plan = "exact", **options: Any) -> Tensor:
    """The inverse by the device, on the CPU, in float32."""
    options.setdefault("output_dtype", torch.float32)
    return inverse(device.move(A), plan, backend=device.device, **options).cpu()


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["exact", "fast", "paper"])
def test_named_plans(device: Request, name: str, size: int, operand: torch.dtype) -> None:
    A = testing.chunk_matrices(REGIME, size, device.matrices[0], dtype=operand)
    plan, truth = plan_for(size, name, operand), testing.truth(A)
    X = inverted(device, A, plan, compute_dtype=operand)
    expected = reference.inverse(A, plan, operand)
    assert testing.snr(X, truth).min() >= testing.snr(expected, truth).min() - TOLERANCE_DB
    assert not X.triu(1).any()


@pytest.mark.parametrize("regime", ["qwen3-next rho 0.95", "beta 2 rho 0.999", "no decay rho 0.95"])
def test_hard_regimes(device: Request, regime: str) -> None:
    A = testing.chunk_matrices(regime, 64, device.matrices[0], dtype=torch.float16)
    truth = testing.truth(A)
    X = inverted(device, A)
    expected = reference.inverse(A, "exact", torch.float16)
    assert testing.snr(X, truth).min() >= testing.snr(expected, truth).min() - TOLERANCE_DB


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", SIZES)
def test_without_products_every_bit_is_the_reference(
    device: Request, size: int, dtype: torch.dtype
) -> None:
    A = testing.chunk_matrices(REGIME, size, 5, dtype=dtype)
    plan = Plan(size, min(size - 1, 20), 1)
    X = inverted(device, A, plan, compute_dtype=torch.float32)
    assert torch.equal(X, reference.inverse(A, plan, torch.float32))


@pytest.mark.parametrize("output", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_of_input_and_output(
    device: Request, given: torch.dtype, output: torch.dtype
) -> None:
    A = testing.chunk_matrices(REGIME, 32, 5, dtype=given)
    operand = torch.bfloat16 if given == torch.bfloat16 else torch.float16
    X = inverted(device, A, output_dtype=output)
    assert X.dtype == output
    truth = testing.truth(A.to(operand))  # the operands of A are rounded to this
    expected = reference.inverse(A, plan_for(32, "exact", operand), operand).to(output)
    assert testing.snr(X, truth).min() >= testing.snr(expected, truth).min() - TOLERANCE_DB


def test_layouts_tails_and_packed_sequences(device: Request) -> None:
    for size in SIZES:
        outcome = sections.layouts(Request(device.device, (size,), ()))
        assert outcome["ok"], (size, outcome["rows"])


def test_only_the_strict_lower_part_is_read(device: Request) -> None:
    A = testing.chunk_matrices(REGIME, 64, 5, dtype=torch.float16)
    rows, columns = torch.triu_indices(64, 64)
    dirty = A.clone()
    dirty[:, rows, columns] = torch.nan
    assert torch.equal(inverted(device, dirty), inverted(device, A))


def test_strides(device: Request) -> None:
    A = testing.chunk_matrices(REGIME, 32, 12, dtype=torch.float16)
    X = inverted(device, A)
    moved = device.move(A)
    reshaped = device.move(A.unflatten(0, (3, 4)))

    def same(given: Tensor, expected: Tensor) -> bool:
        result = inverse(given, output_dtype=torch.float32, backend=device.device)
        return torch.equal(result.cpu(), expected)

    assert same(moved[::3], X[::3])
    assert same(reshaped.transpose(0, 1), X.unflatten(0, (3, 4)).transpose(0, 1))
    assert same(moved[:1].expand(4, 32, 32), X[:1].expand(4, 32, 32))


def test_the_batch_around_a_matrix_changes_no_bit(device: Request) -> None:
    count = device.matrices[0]
    for size in SIZES:
        A = testing.chunk_matrices(REGIME, size, count, dtype=torch.float16)
        X = inverted(device, A)
        assert torch.equal(inverted(device, A), X)
        for first, last in ((0, 1), (3, 6), (count - 1, count)):
            assert torch.equal(inverted(device, A[first:last]), X[first:last])


def test_what_is_not_finite_stays_in_its_own_matrix(device: Request) -> None:
    A = testing.chunk_matrices(REGIME, 64, 9, dtype=torch.float16)
    expected = inverted(device, A)
    A[4, 33, 2] = torch.inf
    X = inverted(device, A)
    others = [n for n in range(9) if n != 4]
    assert torch.equal(X[others], expected[others])
    assert not X[4].isfinite().all()


def test_no_matrices(device: Request) -> None:
    assert inverted(device, torch.empty(0, 64, 64, dtype=torch.float16)).shape == (0, 64, 64)


def test_gradient(device: Request) -> None:
    A = testing.chunk_matrices(REGIME, 32, 6, dtype=torch.float16)
    grad = torch.linspace(-1, 1, A.numel()).reshape(A.shape).half()
    moved = device.move(A).requires_grad_()
    X = inverse(moved, backend=device.device)
    X.backward(device.move(grad))
    assert moved.grad is not None
    x, g = X.detach().cpu().double().mT, grad.double()
    expected = -(x @ g @ x).tril(-1)
    # Two products of operands that hardware may round to 11 bits, and a result of 11 bits.
    limit = 2.0**-10 * (x.abs() @ g.abs() @ x.abs())
    assert ((moved.grad.cpu().double() - expected).abs() <= limit).all()


def test_streams(device: Request) -> None:
    if device.device != "npu":
        pytest.skip("the emulator has no streams")
    npu: Any = torch.npu  # type: ignore[attr-defined]
    batches = [
        testing.chunk_matrices(REGIME, 64, device.matrices[0], dtype=torch.float16, seed=n)
        for n in range(4)
    ]
    expected = [inverted(device, A) for A in batches]
    given = [device.move(A) for A in batches]
    streams = [npu.Stream() for _ in batches]
    npu.synchronize()
    results = []
    for stream, A in zip(streams, given, strict=True):
        with npu.stream(stream):
            results.append(inverse(A, output_dtype=torch.float32, backend="npu"))
    npu.synchronize()
    assert all(torch.equal(X.cpu(), Y) for X, Y in zip(results, expected, strict=True))
