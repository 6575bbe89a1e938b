"""The quantised operators: shapes, layouts, dtypes, gradients, errors."""

import pytest
import torch

import neumann_tril as nt
from neumann_tril import (
    QuantPlan,
    calibrate,
    inverse_quantized,
    quant,
    solve_tril_quantized,
    testing,
)
from neumann_tril.grids import reference

REGIME = "qwen3-next rho 0.7"
BACKENDS = ["cpu", "reference"]


def tokens(length=100, chunk_size=32, heads=3, seed=0):
    """(B, T, H, C)"""
    return testing.layer(REGIME, length, chunk_size, heads=heads, batch=2, seed=seed)


def matrices(**options):
    """(B, N, H, C, C)"""
    return testing.split_chunks(tokens(**options), 32)


def static(bits=8, granularity="head", **options):
    return calibrate(matrices(seed=9), bits=bits, granularity=granularity, **options)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("granularity", ["tensor", "head", "chunk"])
def test_inverse_is_the_reference_of_every_matrix(bits, granularity, backend):
    A = matrices()
    qplan = (
        QuantPlan.dynamic(chunk_size=32, bits=bits)
        if granularity == "chunk"
        else static(bits, granularity)
    )
    group = torch.arange(3).expand(A.shape[:3]).reshape(-1) if granularity == "head" else None
    expected = reference.inverse(A.reshape(-1, 32, 32), qplan, group)
    X = inverse_quantized(A, qplan, backend=backend)
    assert torch.equal(X, expected.wide.reshape(A.shape))
    result, saturated = inverse_quantized(
        A,
        qplan,
        output_dtype=torch.int8 if bits == 8 else torch.int16,
        backend=backend,
        return_saturated=True,
    )
    assert torch.equal(result.codes, expected.codes.to(result.codes.dtype).reshape(A.shape))
    assert int(saturated) == int(expected.saturated.sum())
    scale = result.scale.expand(*A.shape[:3], 1, 1).reshape(-1, 1, 1)
    assert torch.equal(scale, expected.scale)
    diagonal = torch.diagonal(result.dequantize(), dim1=-2, dim2=-1)
    assert torch.allclose(diagonal, torch.ones(()), rtol=1e-6)


@pytest.mark.parametrize("layout", ["bthc", "bhtc"])
def test_time_layouts_are_the_matrices_of_their_chunks(layout, backend):
    A, qplan = tokens(), static()
    dense = inverse_quantized(testing.split_chunks(A, 32), qplan, backend=backend)
    given = A if layout == "bthc" else A.transpose(1, 2)
    X = solve_tril_quantized(given, qplan, layout=layout, backend=backend)
    X = X if layout == "bthc" else X.transpose(1, 2)
    for n in range(4):
        rows = min(32, 100 - 32 * n)
        part = X[:, 32 * n : 32 * n + rows].transpose(1, 2)
        assert torch.equal(part, dense[:, n, :, :rows])
    codes = solve_tril_quantized(
        given, qplan, layout=layout, output_dtype=torch.int8, backend=backend
    )
    assert codes.codes.shape == given.shape
    assert codes.scale.shape == tuple(3 if d == layout.index("h") else 1 for d in range(4))


def test_packed_sequences_are_inverted_one_by_one(backend):
    A, qplan = tokens()[:1], static(16)
    cu_seqlens = torch.tensor([0, 33, 33, 90])
    X = solve_tril_quantized(A, qplan, cu_seqlens, backend=backend)
    for start, end in ((0, 33), (33, 90)):
        assert torch.equal(
            X[:, start:end], solve_tril_quantized(A[:, start:end], qplan, backend=backend)
        )
    assert not X[:, 90:].any()


@pytest.mark.parametrize("bits", [8, 16])
def test_integer_input_is_its_dequantised_self(bits, backend):
    A, qplan = matrices(), static(bits, integer_input=True)
    given = quant.quantize(A, qplan)
    assert given.codes.dtype == (torch.int8 if bits == 8 else torch.int16)
    expected = inverse_quantized(given.dequantize(), qplan, backend=backend)
    assert torch.equal(inverse_quantized(given.codes, qplan, backend=backend), expected)
    scaled = inverse_quantized(given.codes, qplan, scale=given.scale, backend=backend)
    assert torch.equal(scaled, expected)
    snr = testing.snr(expected, testing.truth(A)).min()
    assert snr > (33 if bits == 8 else 80)  # A has eight bits alone
    dynamic = QuantPlan.dynamic(chunk_size=32, bits=bits)
    anew = inverse_quantized(given.codes, dynamic, scale=given.scale, backend=backend)
    assert torch.equal(anew, inverse_quantized(given.dequantize(), dynamic, backend=backend))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_dtypes(dtype, backend):
    A, qplan = matrices().to(dtype), static()
    X = inverse_quantized(A, qplan, output_dtype=torch.float32, backend=backend)
    assert torch.equal(X, inverse_quantized(A.float(), qplan, backend=backend))
    if dtype != torch.float64:
        assert torch.equal(inverse_quantized(A, qplan, backend=backend), X.to(dtype))


def test_results_beyond_a_dtype_saturate(backend):
    """X of all twos grows as 3^n; float16 ends at 65504."""
    A = torch.full((1, 16, 16), -2.0)
    qplan = QuantPlan.dynamic(chunk_size=16, bits=16)
    X = inverse_quantized(A, qplan, output_dtype=torch.float16, backend=backend)
    assert X.max() == 65504 and bool(torch.isfinite(X).all())
    wide = inverse_quantized(A, qplan, backend=backend)
    assert wide.max() == pytest.approx(2 * 3.0**14)


def test_strided_input_and_empty_batches(backend):
    A, qplan = matrices(), static()
    expected = inverse_quantized(A, qplan, backend=backend)
    strided = torch.empty(2, 4, 3, 40, 70)[..., 4:36, 2:66:2].copy_(A)
    assert torch.equal(inverse_quantized(strided, qplan, backend=backend), expected)
    swapped = A.transpose(1, 2)
    X = inverse_quantized(swapped, qplan, head_dim=1, backend=backend)
    assert torch.equal(X.transpose(1, 2), expected)
    assert inverse_quantized(A[:0], qplan, backend=backend).shape == (0, 4, 3, 32, 32)


def test_the_gradient_is_that_of_the_inverse_at_the_quantised_x(backend):
    A, qplan = matrices().requires_grad_(), static(16)
    X = inverse_quantized(A, qplan, backend=backend)
    weight = torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    (X * weight).sum().backward()
    transposed = X.detach().mT
    assert A.grad is not None
    assert torch.allclose(A.grad, -torch.tril(transposed @ weight @ transposed, -1))
    T = tokens().requires_grad_()
    Y = solve_tril_quantized(T, qplan, backend=backend)
    Y.sum().backward()
    assert T.grad is not None and bool(torch.isfinite(T.grad).all()) and bool(T.grad.any())


def test_integers_have_no_gradient(backend):
    A = matrices().requires_grad_()
    codes = inverse_quantized(A, static(), output_dtype=torch.int8, backend=backend).codes
    assert not codes.requires_grad


def test_the_operators_are_well_registered(backend):
    A, qplan = matrices().requires_grad_(), static()
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    for counts, dtype in ((True, torch.float32), (False, torch.int8)):
        torch.library.opcheck(
            torch.ops.neumann_tril.inverse_quantized,
            (A, qplan.text, -3, dtype, counts, backend),
            test_utils=tests,
        )
        torch.library.opcheck(
            torch.ops.neumann_tril.solve_tril_quantized,
            (tokens().requires_grad_(), None, None, qplan.text, dtype, "bthc", counts, backend),
            test_utils=tests,
        )


def test_compiled_code_gives_the_same_bits(backend):
    A, qplan = matrices(), static()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def doubled(A):
        return 2 * inverse_quantized(A, qplan, backend=backend)

    assert torch.equal(doubled(A), 2 * inverse_quantized(A, qplan, backend=backend))


@pytest.mark.parametrize(
    "A, options, named",
    [
        (lambda: [1.0], {}, "A must be a tensor"),
        (lambda: matrices().int(), {}, "A must be"),
        (lambda: matrices()[..., :16], {}, "A must have shape"),
        (lambda: torch.zeros(2, 3, 64, 64), {}, "chunk size 32"),
        (lambda: torch.zeros(2, 5, 32, 32), {}, "3 heads, but A has 5"),
        (lambda: torch.zeros(32, 32), {}, "head_dim"),
        (lambda: matrices()[0, 0][(None,) * 8], {}, "9 batch dimensions, at most 8"),
        (matrices, {"head_dim": -1}, "head_dim"),
        (matrices, {"scale": 0.1}, "scale belongs to integer A"),
        (matrices, {"output_dtype": torch.int16}, "output_dtype"),
        (matrices, {"output_dtype": torch.float64}, "output_dtype"),
        (matrices, {"backend": "gpu"}, "backend"),
        (matrices, {"qplan": "exact"}, "qplan"),
        (lambda: matrices().to(torch.int16), {}, "A must be"),
        (lambda: matrices().to(torch.int8), {"scale": torch.ones(7)}, "broadcast"),
        (lambda: matrices().to(torch.int8), {"scale": 0.0}, "positive"),
        (lambda: matrices().to(torch.int8), {"scale": "small"}, "scale must be"),
        (lambda: matrices().to(torch.int8), {"scale": float("nan")}, "positive"),
        (
            lambda: matrices().to(torch.int8),
            {"qplan": QuantPlan.dynamic(chunk_size=32)},
            "scale is required",
        ),
    ],
)
def test_wrong_arguments_are_named(A, options, named):
    qplan = options.pop("qplan", None) or static()
    with pytest.raises((TypeError, ValueError), match=named):
        inverse_quantized(A(), qplan, **options)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_wrong_arguments_of_time_layouts_are_named(device):
    """As soon as shapes are known: a trace is refused, too."""
    with pytest.raises(ValueError, match="heads"):
        solve_tril_quantized(tokens(heads=4).to(device), static())
    with pytest.raises(ValueError, match="output_dtype"):
        solve_tril_quantized(
            tokens().to(device), QuantPlan.dynamic(chunk_size=32), output_dtype=torch.int8
        )
    with pytest.raises(TypeError, match="cu_seqlens must be a tensor, got list"):
        solve_tril_quantized(tokens().to(device), static(), [0, 100])
    with pytest.raises(ValueError, match="layout"):
        solve_tril_quantized(tokens(), static(), layout="thbc")
    with pytest.raises(ValueError, match="chunk size"):
        solve_tril_quantized(tokens(chunk_size=64), static())


@pytest.mark.parametrize("function", [quant.quantize, quant.error_report])
@pytest.mark.parametrize(
    "A, qplan, named",
    [
        ([1.0], None, "A must be a tensor"),
        (torch.zeros(3, 32, 32), "exact", "qplan must be a QuantPlan"),
        (torch.zeros(3, 32, 32, dtype=torch.int8), None, "floating dtype"),
    ],
)
def test_wrong_arguments_of_the_helpers_are_named(function, A, qplan, named):
    with pytest.raises((TypeError, ValueError), match=named):
        function(A, qplan or static())


def test_the_floating_point_operator_keeps_refusing_integers():
    with pytest.raises(ValueError, match="A must be one of"):
        nt.inverse(torch.zeros(16, 16, dtype=torch.int8))


@pytest.mark.parametrize("granularity", ["tensor", "head", "chunk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
@pytest.mark.parametrize("head_dim, in_dim", [(-3, 0), (-3, 1), (1, 2)])
def test_vmap_of_matrices(granularity, dtype, head_dim, in_dim, backend):
    qplan = QuantPlan.dynamic(chunk_size=32) if granularity == "chunk" else static(8, granularity)
    A = matrices().unsqueeze(0) * torch.tensor([1.0, 0.5]).reshape(2, 1, 1, 1, 1, 1)
    A = A[:, 0]  # (2, N, H, C, C)

    def invert(a):
        return inverse_quantized(a, qplan, output_dtype=dtype, head_dim=head_dim, backend=backend)

    found = torch.vmap(invert, in_dims=in_dim)(A.movedim(0, in_dim))
    wanted = [invert(a) for a in A]
    if dtype == torch.float32:
        assert torch.equal(found, torch.stack(wanted))
        return
    assert torch.equal(found.codes, torch.stack([w.codes for w in wanted]))
    assert torch.equal(found.scale, torch.stack([w.scale for w in wanted]))


@pytest.mark.parametrize("granularity", ["tensor", "head"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
@pytest.mark.parametrize("layout, packed", [("bthc", False), ("bhtc", False), ("thc", True)])
def test_vmap_of_time_layouts(granularity, dtype, layout, packed, backend):
    qplan = static(8, granularity)
    cu_seqlens = torch.tensor([0, 33, 90]) if packed else None
    A = torch.stack([tokens(seed=seed) for seed in range(2)])
    A = A.transpose(2, 3) if layout == "bhtc" else A[:, 0] if layout == "thc" else A

    def solve(a):
        return solve_tril_quantized(
            a, qplan, cu_seqlens, layout=layout, output_dtype=dtype, backend=backend
        )

    found, wanted = torch.vmap(solve)(A), [solve(a) for a in A]
    if dtype == torch.float32:
        assert torch.equal(found, torch.stack(wanted))
        return
    assert torch.equal(found.codes, torch.stack([w.codes for w in wanted]))
    assert torch.equal(found.scale, torch.stack([w.scale for w in wanted]))


def test_vmap_refuses_to_count():
    qplan = static()
    with pytest.raises(NotImplementedError, match="does not count"):
        torch.vmap(lambda a: inverse_quantized(a, qplan, return_saturated=True)[0])(matrices())


def test_a_scale_is_the_callers(backend):
    A, qplan = matrices(), static()
    with torch.inference_mode():
        inverse_quantized(A, qplan, output_dtype=torch.int8, backend=backend)
    first = inverse_quantized(A, qplan, output_dtype=torch.int8, backend=backend).scale
    before = first.clone()
    first.mul_(2)
    found = inverse_quantized(A, qplan, output_dtype=torch.int8, backend=backend).scale
    assert torch.equal(found, before) and not found.is_inference()
