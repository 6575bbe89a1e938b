"""Derivatives of any order and mode, and the transforms of torch.func."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.functional import normalize

import neumann_tril as nt
from neumann_tril.gdn import chunk_gated_delta_rule

Function = Callable[..., Tensor]
BOUNDS = torch.tensor([0, 3, 3, 20])


def _tokens() -> tuple[Tensor, ...]:
    r = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=r, dtype=torch.float64)

    q, k, v = normal(1, 21, 1, 3), normalize(normal(1, 21, 1, 3), dim=-1), normal(1, 21, 2, 2)
    return q, k, v, -normal(1, 21, 2).abs(), normal(1, 21, 2).sigmoid(), normal(1, 2, 3, 2)


def _rule(*tokens: Tensor, **options: Any) -> Tensor:
    results = chunk_gated_delta_rule(
        *tokens[:5], initial_state=tokens[5], output_final_state=True, chunk_size=16, **options
    )
    return torch.cat([x.flatten() for x in results])


def _packed_rule(*tokens: Tensor) -> Tensor:
    state = tokens[5].expand(3, 2, 3, 2)
    return _rule(*tokens[:5], state, cu_seqlens=BOUNDS, use_qk_l2norm_in_kernel=True)


A = 0.3 * torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ROWS = 0.3 * torch.randn(
    1, 21, 2, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64
)
CASES: dict[str, tuple[Function, tuple[Tensor, ...]]] = {
    "inverse": (nt.inverse, (A,)),
    "inverse, reference": (lambda A: nt.inverse(A, backend="reference"), (A,)),
    "solve_tril": (lambda A: nt.solve_tril(A, output_dtype=None), (ROWS,)),
    "solve_tril, packed": (lambda A: nt.solve_tril(A, BOUNDS, output_dtype=None), (ROWS,)),
    "solve_tril, bhtc": (
        lambda A: nt.solve_tril(A.transpose(1, 2), output_dtype=None, layout="bhtc"),
        (ROWS,),
    ),
    "solve_tril, htc": (
        lambda A: nt.solve_tril(A[0].transpose(0, 1), BOUNDS, output_dtype=None, layout="htc"),
        (ROWS,),
    ),
    "solve_tril, thc": (
        lambda A: nt.solve_tril(A[0], BOUNDS, output_dtype=None, layout="thc"),
        (ROWS,),
    ),
    "chunk rule": (_rule, _tokens()),
    "chunk rule, packed": (_packed_rule, _tokens()),
}
every_case = pytest.mark.parametrize("name", CASES)


def scalar(function: Function) -> Function:
    """A curved number of the result."""
    return lambda *tensors: function(*tensors).sin().sum()


def tangents(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    r = torch.Generator().manual_seed(3)
    return tuple(torch.randn(x.shape, generator=r, dtype=x.dtype) for x in tensors)


def gradients(function: Function, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """By autograd, which the tests of the operators compare with finite differences."""
    leaves = [x.clone().requires_grad_() for x in tensors]
    return torch.autograd.grad(function(*leaves), leaves)


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(tuple(found), tuple(expected), rtol=1e-9, atol=1e-11)


@every_case
def test_forward_mode(name: str) -> None:
    function, tensors = CASES[name]
    leaves = [x.clone().requires_grad_() for x in tensors]
    assert gradcheck(function, leaves, check_forward_ad=True, fast_mode=True)
    directions = tangents(tensors)
    along = sum(
        (x * y).sum() for x, y in zip(gradients(scalar(function), tensors), directions, strict=True)
    )
    close([jvp(scalar(function), tensors, directions)[1]], [along])
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x, y) for x, y in zip(tensors, directions, strict=True)]
        close([forward_ad.unpack_dual(scalar(function)(*duals)).tangent], [along])


@every_case
def test_second_derivatives(name: str) -> None:
    function, tensors = CASES[name]
    leaves = [x.clone().requires_grad_() for x in tensors]
    assert gradgradcheck(function, leaves, fast_mode=True)
    every, directions = tuple(range(len(tensors))), tangents(tensors)
    first = torch.autograd.grad(scalar(function)(*leaves), leaves, create_graph=True)
    along = sum((x * y).sum() for x, y in zip(first, directions, strict=True))
    expected = torch.autograd.grad(along, leaves)
    close(jvp(grad(scalar(function), every), tensors, directions)[1], expected)
    close(vjp(grad(scalar(function), every), *tensors)[1](directions), expected)


@every_case
def test_gradients_of_torch_func(name: str) -> None:
    function, tensors = CASES[name]
    every = tuple(range(len(tensors)))
    close(grad(scalar(function), every)(*tensors), gradients(scalar(function), tensors))


@every_case
def test_vmap_and_grad_in_either_order(name: str) -> None:
    function, tensors = CASES[name]
    every = tuple(range(len(tensors)))
    stacked = tuple(torch.stack([x, 0.5 * x, 0 * x]) for x in tensors)
    expected = [
        torch.stack(parts)
        for parts in zip(
            *(gradients(scalar(function), x) for x in zip(*stacked, strict=True)), strict=True
        )
    ]
    close(vmap(grad(scalar(function), every))(*stacked), expected)
    close(grad(lambda *x: vmap(scalar(function))(*x).sum(), every)(*stacked), expected)


@every_case
def test_jacobians(name: str) -> None:
    function, tensors = CASES[name]
    close([jacfwd(function)(*tensors)], [jacrev(function)(*tensors)])
    leaves = [x.clone().requires_grad_() for x in tensors]
    results = function(*leaves)
    some = torch.eye(results.numel(), dtype=results.dtype)[:3].unflatten(1, results.shape)
    batched = torch.autograd.grad(results, leaves, some, is_grads_batched=True, retain_graph=True)
    singly = [torch.autograd.grad(results, leaves, x, retain_graph=True) for x in some]
    close(batched, [torch.stack(x) for x in zip(*singly, strict=True)])


def test_hessian() -> None:
    def curved(a: Tensor) -> Tensor:
        return scalar(nt.inverse)(a.expand(16, 16).tril(-1))

    def plain(a: Tensor) -> Tensor:
        identity = torch.eye(16, dtype=a.dtype)
        return torch.linalg.inv(identity + a.expand(16, 16).tril(-1)).sin().sum()

    a = 0.1 * torch.arange(16, dtype=torch.float64)
    close([hessian(curved)(a)], [hessian(plain)(a)])


def test_forward_mode_follows_the_definition() -> None:
    """``dX = -X tril(dA, -1) X``."""
    X, dX = jvp(nt.inverse, (A,), (A + 1,))
    close([dX], [-X @ (A + 1).tril(-1) @ X])
    half, tangent = A.bfloat16(), (A + 1).bfloat16()
    assert jvp(lambda A: nt.inverse(A, output_dtype=torch.float32), (half,), (tangent,))[
        1
    ].dtype == (torch.float32)


def test_saved_x_is_enough_under_a_batch_of_gradients() -> None:
    """Of the operator itself, whose gradient is another operator."""
    from neumann_tril.gdn.operator import RULE

    leaves = [x.clone().requires_grad_() for x in _tokens()]
    options = (None, None, 1.0, False, True, True, True, False, False, 16, "exact", None)
    o, *_ = RULE(*leaves, *options)
    some = torch.stack([torch.ones_like(o), 2 * torch.ones_like(o)])
    found = torch.autograd.grad(o, leaves, some, is_grads_batched=True, retain_graph=True)
    once = torch.autograd.grad(o, leaves, some[0])
    close([x[1] for x in found], [2 * x for x in once])


@pytest.mark.parametrize("name", ["inverse", "solve_tril, packed", "chunk rule"])
def test_derivatives_inside_a_compiled_function(name: str) -> None:
    """They are left to eager mode."""
    function, tensors = CASES[name]
    every = tuple(range(len(tensors)))

    def derivatives(*tensors: Tensor) -> Any:
        along = jvp(scalar(function), tensors, tensors)[1]
        return grad(scalar(function), every)(*tensors), along

    torch._dynamo.reset()
    found, along = torch.compile(derivatives, backend="aot_eager")(*tensors)
    expected, expected_along = derivatives(*tensors)
    close((*found, along), (*expected, expected_along))


def test_constants_are_no_obstacle() -> None:
    """A quantised inverse of what the derivative is not taken in."""
    qplan = nt.QuantPlan.dynamic(chunk_size=16)
    X = nt.inverse_quantized(A, qplan)
    found = grad(lambda w: (w * nt.inverse_quantized(A, qplan)).sum())(torch.ones_like(X))
    assert torch.equal(found, X)


def test_quantised_operators_refuse_forward_mode_and_torch_func() -> None:
    """The dispatcher would drop the tangents, and the derivative would be zero."""
    qplan, rows = nt.QuantPlan.dynamic(chunk_size=16), torch.zeros(1, 16, 2, 16)
    for function, x in (
        (lambda A: nt.inverse_quantized(A, qplan), A),
        (lambda A: nt.solve_tril_quantized(A, qplan), rows),
    ):
        with pytest.raises(NotImplementedError, match="forward-mode"):
            torch.func.jvp(function, (x,), (x,))
        with pytest.raises(NotImplementedError, match=r"torch\.func\.grad are not supported by"):
            grad(scalar(function))(x)
        with torch.autograd.forward_ad.dual_level():
            function(x)  # carries no tangent
