"""Results, gradients, refusals: on the NPU backend as on the emulator's."""

from __future__ import annotations

import pytest
import torch
from on_stand_in import no_host_waits, random

import neumann_tril as nt
from neumann_tril import npu
from neumann_tril.gdn import explain
from neumann_tril.integrations import sglang, transformers
from neumann_tril.integrations.base import Settings

half, bfloat16, float32 = torch.float16, torch.bfloat16, torch.float32
CU = torch.tensor([0, 1, 33, 33, 100])
CU_ON_DEVICE = CU.npu()


def same(X: torch.Tensor, expected: torch.Tensor) -> None:
    assert X.device.type == "npu"
    assert X.dtype == expected.dtype and X.shape == expected.shape
    assert torch.equal(X.cpu(), expected)


def test_the_runtime_is_the_stand_in() -> None:
    assert "stand-in for the Ascend runtime" in (npu.stand_in() or "")


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("dtype", [half, bfloat16, float32])
def test_inverse(size: int, dtype: torch.dtype) -> None:
    A = random(2, 2, size, size, dtype=dtype)
    moved = A.npu()
    with no_host_waits():
        X = nt.inverse(moved)
    same(X, nt.inverse(A, backend="emulator"))


@pytest.mark.parametrize("plan", ["fast", "paper"])
def test_plans_and_dtypes(plan: str) -> None:
    A = random(3, 64, 64)
    kind = {"output_dtype": half, "compute_dtype": bfloat16}
    same(nt.inverse(A.npu(), plan, **kind), nt.inverse(A, plan, backend="emulator", **kind))


def test_float32_without_products() -> None:
    A = random(3, 32, 32)
    kind = {"compute_dtype": float32}
    same(nt.inverse(A.npu(), "fast", **kind), nt.inverse(A, "fast", backend="emulator", **kind))


def views(A: torch.Tensor) -> dict[str, torch.Tensor]:
    """(3, 32, 32) matrices at places that are not those of a fresh tensor."""
    return {
        "offset": A.flatten()[1 : 1 + 3 * 32 * 32].view(3, 32, 32),
        "transposed": A[0, :3].mT,
        "columns apart": A.reshape(4, 32, 64)[:3, :, ::2],
        "broadcast": A[0, :1].expand(3, 32, 32),
        "rows from the last but one": A.flatten()[: 2 * 64 * 32].view(2, 64, 32)[:, ::2],
        "row stride": A.reshape(4, 32, 64)[:3, :, 8:40],
    }


@pytest.mark.parametrize("name", list(views(torch.empty(2, 4, 32, 32))))
def test_strides_and_offsets(name: str) -> None:
    A = random(2, 4, 32, 32)
    moved = A.npu()
    with no_host_waits():
        X = nt.inverse(views(moved)[name])
    same(X, nt.inverse(views(A)[name], backend="emulator"))


def test_out() -> None:
    A = random(3, 32, 32)
    expected = nt.inverse(A, backend="emulator")
    contiguous, strided = torch.zeros(3, 32, 32).npu(), torch.zeros(3, 32, 64).npu()[..., ::2]
    for out in (contiguous, strided):
        assert nt.inverse(A.npu(), out=out) is out
        same(out, expected)


@pytest.mark.parametrize("layout", ["bthc", "bhtc"])
@pytest.mark.parametrize("dtype", [half, float32])
def test_solve_tril(layout: str, dtype: torch.dtype) -> None:
    shape = (2, 70, 3, 32) if layout == "bthc" else (2, 3, 70, 32)
    A = random(*shape, dtype=dtype)
    moved = A.npu()
    with no_host_waits():
        X = nt.solve_tril(moved, layout=layout)
    same(X, nt.solve_tril(A, layout=layout, backend="emulator"))


@pytest.mark.parametrize("place", ["cpu", "npu"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("cu", [[0, 1, 33, 33, 100], [0, 0], [0, 64, 90], [0]])
def test_packed(place: str, dtype: torch.dtype, cu: list[int]) -> None:
    A = random(100, 2, 32)
    sequences = torch.tensor(cu, dtype=dtype)
    moved, bounds = A.npu(), sequences.to(place)
    with no_host_waits():
        X = nt.solve_tril(moved, bounds, layout="thc")
    same(X, nt.solve_tril(A, sequences, layout="thc", backend="emulator"))


def test_gradient_without_any_chunk() -> None:
    A = random(1, 100, 2, 32).npu().requires_grad_()
    X = nt.solve_tril(A, torch.tensor([0, 0]))
    X.backward(random(1, 100, 2, 32, seed=1).npu())
    assert A.grad is not None and not A.grad.cpu().any()


@pytest.mark.parametrize("places", ["cpu cpu", "npu npu", "cpu npu", "npu cpu"])
def test_packed_by_chunk_indices(places: str) -> None:
    A, chosen = random(1, 100, 2, 32), torch.tensor([[4 - 1, 1], [0, 0], [1, 0]])
    bounds, indices = (t.to(p) for t, p in zip((CU, chosen), places.split(), strict=True))
    moved = A.npu()
    with no_host_waits():
        X = nt.solve_tril(moved, bounds, indices)
    same(X, nt.solve_tril(A, CU, chosen, backend="emulator"))


def gradient(A: torch.Tensor, function, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    leaf = A.clone().requires_grad_()
    function(leaf).backward(grad)
    assert leaf.grad is not None and leaf.grad.device == A.device
    return leaf.grad.cpu()


CASES = {
    "inverse": ((2, 32, 32), lambda A, on: nt.inverse(A, backend=on)),
    "solve_tril": ((2, 70, 3, 32), lambda A, on: nt.solve_tril(A, backend=on)),
    "bhtc": ((2, 3, 70, 32), lambda A, on: nt.solve_tril(A, layout="bhtc", backend=on)),
    "packed": ((1, 100, 2, 32), lambda A, on: nt.solve_tril(A, CU, backend=on)),
    "packed on the device": (
        (1, 100, 2, 32),
        lambda A, on: nt.solve_tril(A, CU if on else CU_ON_DEVICE, backend=on),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: str) -> None:
    shape, function = CASES[case]
    A, grad = random(*shape), random(*shape, seed=1)
    expected = gradient(A, lambda a: function(a, "emulator"), grad)
    moved, moved_grad = A.npu(), grad.npu()
    with no_host_waits():
        leaf = moved.clone().requires_grad_()
        function(leaf, None).backward(moved_grad)
    found = leaf.grad.cpu()
    # Two products of C terms in either order of summation; |X| <= 2 and |X^T| |dX| |X^T| is no
    # larger than the product of the row sums, which are below 2.
    C = shape[-1]
    bound = 2 * 2 * C * torch.finfo(float32).eps * 2 * grad.abs().sum(-1).max() * 2
    assert expected.abs().max() > 100 * bound
    assert (found - expected).abs().max() <= bound


def test_compile() -> None:
    A = random(1, 70, 2, 32)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda a: nt.solve_tril(a) + nt.solve_tril(a, layout="bthc", plan="fast"),
        backend="aot_eager",
        fullgraph=True,
    )
    exact, fast = (nt.solve_tril(A, plan=p, backend="emulator") for p in ("exact", "fast"))
    same(compiled(A.npu()), exact + fast)


def test_explain() -> None:
    A = random(1, 32, 32).npu()
    explained = nt.explain(A)
    assert (explained.backend, explained.compute_dtype) == ("npu", half)
    assert explained.others["cpu"] == "takes tensors on cpu, A is on npu"
    assert nt.backends()["npu"] == "available"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"A": (2, 48, 48)}, "chunk_size must be 16, 32, 64 or 128 on the NPU"),
        ({"compute_dtype": float32}, "compute_dtype float32 takes only plans without products"),
        ({"output_dtype": torch.float64}, "X must be float16, bfloat16 or float32 on the NPU"),
        ({"backend": "emulator"}, "takes tensors on cpu, A is on npu"),
    ],
)
def test_refusals(arguments: dict, message: str) -> None:  # type: ignore[type-arg]
    A = torch.zeros(arguments.pop("A", (2, 32, 32))).npu()
    with pytest.raises(nt.BackendError, match=message):
        nt.inverse(A, **arguments)


def test_out_of_memory_leaves_the_device_usable() -> None:
    A = torch.zeros(44 << 10, 32, 32, dtype=half).npu()  # 88 of 256 MiB
    X = nt.inverse(A[:1], "fast")
    with pytest.raises(torch.OutOfMemoryError):
        nt.inverse(A, output_dtype=float32)  # another 176 MiB
    del A
    torch.npu.empty_cache()
    same(X, torch.eye(32, dtype=half)[None])


@pytest.mark.parametrize("bits", [8, 16])
def test_quantised(bits: int) -> None:
    A = nt.testing.split_chunks(nt.testing.layer("qwen3-next rho 0.7", 200, 64, heads=2), 64)
    qplan = nt.calibrate(A, bits=bits, integer_input=True)
    codes = nt.quant.quantize(A, qplan).codes
    on_device = codes.npu()
    nt.inverse_quantized(on_device, qplan, output_dtype=codes.dtype)  # sends the constants
    with no_host_waits():
        X = nt.inverse_quantized(on_device, qplan, output_dtype=codes.dtype)
        Y = nt.inverse_quantized(on_device, qplan, output_dtype=half)
    expected = nt.inverse_quantized(codes, qplan, output_dtype=codes.dtype)
    same(X.codes, expected.codes)
    same(X.scale, expected.scale)
    same(Y, nt.inverse_quantized(codes, qplan, output_dtype=half))


def test_the_drop_ins_of_the_chunk_rule_reach_its_kernel() -> None:
    """With the dtypes that the layers of transformers and of SGLang pass on."""
    q, k, v = (random(1, 70, 2, 32, dtype=bfloat16) for _ in range(3))
    g, beta = -random(1, 70, 2).abs(), random(1, 70, 2).sigmoid().bfloat16()
    tokens = (q, k, v, g, beta)
    moved = [x.npu() for x in tokens]
    found = explain(*moved)
    assert found.backend == "npu" and found.note is None
    emulator = Settings(backend="emulator")
    options = {"output_final_state": True, "use_qk_l2norm_in_kernel": True}
    here = transformers._rule(emulator)(*tokens, **options)
    for x, y in zip(transformers._rule(Settings())(*moved, **options), here, strict=True):
        same(x, y)
    state, bounds = random(2, 2, 32, 32), torch.tensor([0, 0, 70])
    here = sglang._method(emulator)(None, *(x[0] for x in tokens), state, bounds)
    there = sglang._method(Settings())(None, *(x[0] for x in moved), state.npu(), bounds.npu())
    for x, y in zip(there, here, strict=True):
        same(x, y)
