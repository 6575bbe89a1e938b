"""The registered operators: schema, gradients, compilation, export, vmap."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.library import opcheck

import neumann_tril as nt
from neumann_tril import Plan, testing

BACKENDS = ["cpu", "reference"]
OPS = torch.ops.neumann_tril


def matrices(count: int = 3, chunk_size: int = 16, dtype: torch.dtype = torch.float64) -> Tensor:
    return testing.chunk_matrices("qwen3-next rho 0.3", chunk_size, count, dtype=dtype)


@pytest.mark.parametrize("backend", [None, "reference"])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("output_dtype", [None, torch.float32])
def test_opcheck_inverse(
    backend: str | None, requires_grad: bool, output_dtype: torch.dtype | None
) -> None:
    A = matrices().requires_grad_(requires_grad)
    opcheck(OPS.inverse.default, (A, "exact", output_dtype, None, backend))
    opcheck(OPS.inverse.default, (A.mT, "exact", output_dtype, None, backend))


def test_opcheck_inverse_out() -> None:
    A = matrices()
    opcheck(OPS.inverse_out.default, (A, torch.zeros_like(A), "exact", None, None))


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize(
    ("layout", "packed"), [("bthc", False), ("bhtc", False), ("bthc", True), ("htc", True)]
)
def test_opcheck_solve_tril(requires_grad: bool, layout: str, packed: bool) -> None:
    A = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2)
    A = {"bthc": A, "bhtc": A.transpose(1, 2), "htc": A[0].transpose(0, 1)}[layout]
    cu_seqlens = torch.tensor([0, 7, 7, 40]) if packed else None
    A = A.clone().requires_grad_(requires_grad)
    opcheck(OPS.solve_tril.default, (A, cu_seqlens, None, None, layout, "exact", None, None))


def test_opcheck_solve_tril_backward() -> None:
    X = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2)
    opcheck(OPS.solve_tril_backward.default, (X, X + 1, None, None, torch.float32, "bthc"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_inverse(backend: str) -> None:
    A = matrices(1).requires_grad_()

    def invert(A: Tensor) -> Tensor:
        return nt.inverse(A, backend=backend)

    assert gradcheck(invert, A, fast_mode=True)
    assert gradgradcheck(invert, A, fast_mode=True)


def test_gradients_of_inverse_entry_by_entry() -> None:
    A = matrices(2).requires_grad_()
    assert gradcheck(nt.inverse, A)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("layout", "packed"),
    [
        ("bthc", False),
        ("bhtc", False),
        ("bthc", True),
        ("bhtc", True),
        ("thc", True),
        ("htc", True),
    ],
)
def test_gradients_of_solve_tril(backend: str, layout: str, packed: bool) -> None:
    A = testing.layer("qwen3-next rho 0.3", 21, 16, heads=2, dtype=torch.float64)
    A = {"bthc": A, "bhtc": A.transpose(1, 2), "thc": A[0], "htc": A[0].transpose(0, 1)}[layout]
    cu_seqlens = torch.tensor([0, 3, 3, 20]) if packed else None

    def solve(A: Tensor) -> Tensor:
        return nt.solve_tril(A, cu_seqlens, output_dtype=None, layout=layout, backend=backend)

    assert gradcheck(solve, A.contiguous().requires_grad_(), fast_mode=backend == "reference")


def test_a_truncated_plan_differentiates_with_its_own_inverse() -> None:
    A = matrices(2, 64).requires_grad_()
    weight = torch.randn(2, 64, 64, dtype=torch.float64)
    X = nt.inverse(A, "paper")
    (X * weight).sum().backward()
    X = X.detach()
    torch.testing.assert_close(A.grad, -torch.tril(X.mT @ weight @ X.mT, -1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_have_the_inputs_dtype(dtype: torch.dtype) -> None:
    A = matrices(2, 16, dtype).requires_grad_()
    nt.inverse(A, output_dtype=torch.float32).sum().backward()
    assert A.grad is not None and A.grad.dtype == dtype
    B = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2, dtype=dtype).requires_grad_()
    nt.solve_tril(B).sum().backward()
    assert B.grad is not None and B.grad.dtype == dtype and B.grad.shape == B.shape


def test_no_gradient_is_recorded_without_need() -> None:
    A = matrices()
    assert nt.inverse(A).grad_fn is None
    with torch.no_grad():
        assert nt.inverse(A.requires_grad_()).grad_fn is None


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile_without_a_graph_break(backend: str) -> None:
    def model(A: Tensor, B: Tensor) -> Tensor:
        X = nt.inverse(A.sin(), Plan(32, 3, 8)) + nt.inverse(A, output_dtype=A.dtype)
        Y = nt.solve_tril(B * 2, output_dtype=None, plan="paper")
        return X.sum() + Y.square().sum()

    A = matrices(2, 32).requires_grad_()
    B = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2, dtype=torch.float64).requires_grad_()
    expected = torch.autograd.grad(model(A, B), (A, B))
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    actual = torch.autograd.grad(compiled(A, B), (A, B))
    torch.testing.assert_close(actual, expected)


def test_compile_packed_sequences() -> None:
    def model(B: Tensor, cu_seqlens: Tensor) -> Tensor:
        return nt.solve_tril(B, cu_seqlens) * 2

    B = testing.layer("qwen3-next rho 0.3", 40, 16, heads=2)
    cu_seqlens = torch.tensor([0, 9, 40])
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(B, cu_seqlens), model(B, cu_seqlens))


def test_export() -> None:
    class Model(torch.nn.Module):
        def forward(self, A: Tensor) -> Tensor:
            return nt.inverse(A, "fast") @ A

    A = matrices(4, 32, torch.float32)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(Model(), (A,), dynamic_shapes={"A": {0: batch}})
    assert any(node.target is OPS.inverse.default for node in program.graph.nodes)
    more = matrices(7, 32, torch.float32)
    assert torch.equal(program.module()(more), Model()(more))


@pytest.mark.parametrize("in_dim", [0, 1, -1])
def test_vmap_inverse(in_dim: int) -> None:
    A = matrices(6, 16).unflatten(0, (2, 3)).movedim(0, in_dim)
    mapped = torch.vmap(nt.inverse, in_dims=in_dim)(A)
    assert torch.equal(mapped, nt.inverse(A.movedim(in_dim, 0)))


@pytest.mark.parametrize("layout", ["bthc", "bhtc", "thc", "htc"])
@pytest.mark.parametrize("in_dim", [0, 2])
def test_vmap_solve_tril(layout: str, in_dim: int) -> None:
    cu_seqlens = torch.tensor([0, 7, 40])
    A = torch.stack(
        [testing.layer("qwen3-next rho 0.3", 40, 16, heads=2, seed=seed) for seed in range(3)]
    )
    if layout in ("thc", "htc"):
        A = A[:, 0]
    if layout in ("bhtc", "htc"):
        A = A.transpose(-3, -2)

    def solve(A: Tensor) -> Tensor:
        return nt.solve_tril(A, cu_seqlens, layout=layout)

    mapped = torch.vmap(solve, in_dims=in_dim)(A.movedim(0, in_dim))
    assert torch.equal(mapped, torch.stack([solve(a) for a in A]))


def test_meta_tensors_give_shapes() -> None:
    X = nt.inverse(torch.empty(5, 64, 64, device="meta"), output_dtype=torch.float16)
    assert X.shape == (5, 64, 64) and X.dtype == torch.float16 and X.device.type == "meta"


def test_the_npu_key_has_kernels_without_torch_npu() -> None:
    for name in ("inverse", "inverse_out", "solve_tril", "solve_tril_backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(
            f"neumann_tril::{name}", "PrivateUse1"
        )


def test_overwriting_a_saved_tensor_is_found_out() -> None:
    A, w = matrices(), torch.ones(3, 16, 16, dtype=torch.float64, requires_grad=True)
    for function in (nt.inverse, lambda A, out: OPS.inverse_out(A, out, "exact", None, None)):
        out = torch.zeros_like(A)
        total = (w * out).sum()
        function(A, out=out)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            total.backward()
    with torch.inference_mode():
        assert nt.inverse(A, out=torch.zeros_like(A)).is_inference()
