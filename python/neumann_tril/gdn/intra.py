"""The representation of chunks alone, for those who keep their own kernel of the state."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from ..arguments import check_tensor
from ..backends import AroundInverse, IntraCall, IntraOutputs, IntraRequest, resolve
from ..context import own_context
from ..ops import Explanation, Gradient, Operator, explanation, plan_text, savable
from ..plan import Plan, check_chunk_size
from .inputs import Sizes, check_shapes, read_bounds
from .operator import as_plan, derive
from .packed import Packing, with_none
from .representation import Decay, chunks_of, numbers_of, represent, rows_of

Results = tuple[Tensor, ...]


def _sizes(call: IntraCall) -> Sizes:
    """The sizes of a call that is in order; raises for others."""
    check_chunk_size(call.chunk_size)
    k, v, g, beta, cu_seqlens, chunk_indices = call.tensors
    sizes = check_shapes(k, k, v, g, beta, None, cu_seqlens, chunk_indices, leading="k")
    if not math.isfinite(call.gate_unit):
        raise ValueError(f"gate_unit must be finite, got {call.gate_unit}")
    if call.x_dtype not in (None, k.dtype, torch.float32):
        raise ValueError(
            f"x_dtype must be None, k's {k.dtype} or torch.float32, got {call.x_dtype}"
        )
    return sizes


def _request(call: IntraCall, sizes: Sizes) -> IntraRequest:
    k, v, g, beta, *_ = call
    x_dtype = (call.x_dtype or k.dtype) if call.output_x else None
    return IntraRequest(
        k.device.type,
        k.device.index,
        call.plan,
        call.chunk_size,
        k.dtype,
        (v.dtype, None if g is None else g.dtype, beta.dtype, x_dtype),
        sizes.dtype,
        call.gate_unit,
        sizes.key_size,
        sizes.value_size,
        sizes.heads,
        sizes.value_heads,
        call.cu_seqlens is not None,
    )


def _allocate(call: IntraCall, sizes: Sizes) -> IntraOutputs:
    """Memory for the results."""
    rows = (sizes.batch, sizes.length, sizes.value_heads)
    k, v = call.k, call.v
    x_shape = (*rows, call.chunk_size) if call.output_x else (0,)
    return IntraOutputs(
        k.new_empty((*rows, sizes.key_size)),
        v.new_empty((*rows, sizes.value_size)),
        k.new_empty(x_shape, dtype=call.x_dtype or k.dtype),
    )


def _kernel(*arguments: Any) -> Results:
    call = IntraCall(*arguments)
    sizes = _sizes(call)
    served = resolve(_request(call, sizes), call.backend)
    if isinstance(served.work, AroundInverse) or not call.v.numel():
        return _compose(call, sizes)
    outputs = _allocate(call, sizes)
    served.backend.run_intra(call, outputs, served.work)  # type: ignore[attr-defined]
    return outputs


def _fake(*arguments: Any) -> Results:
    call = IntraCall(*arguments)
    return tuple(_allocate(call, _sizes(call)))


def _composite(*arguments: Any) -> Results:
    """The operator in differentiable operations."""
    call = IntraCall(*arguments)
    return _compose(call, _sizes(call))


def _compose(call: IntraCall, sizes: Sizes) -> Results:
    k, v, g, beta, *_ = call
    tokens = [k, v, torch.zeros_like(beta) if g is None else g, beta]
    bounds = read_bounds(call.cu_seqlens, sizes.length)
    if not sizes.batch * sizes.length or (bounds is not None and not bounds[-1]):
        rows = [x.zero_() for x in _allocate(call, sizes)]
    elif bounds is None:
        rows = _rows(call, sizes, tokens)
    else:
        packing = _chunks(bounds, call, k.device)
        tokens = [packing.tokens.take(with_none(x[0]), 0) for x in tokens]
        rows = [packing.tokens.join([x])[None] for x in _rows(call, sizes, tokens)]
    dtypes = (k.dtype, v.dtype, call.x_dtype or k.dtype)
    w, u, x = (y.to(dtype).contiguous() for y, dtype in zip(rows, dtypes, strict=True))
    return w, u, x if call.output_x else x.new_empty(0)


def _chunks(bounds: list[int], call: IntraCall, device: torch.device) -> Packing:
    """The chunks of packed sequences, as sequences of their own: one batch."""
    spans = (range(*span, call.chunk_size) for span in itertools.pairwise(bounds))
    edges = [*itertools.chain.from_iterable(spans), bounds[-1]]
    return Packing(edges, call.v.shape[1], call.chunk_size, device)


def _rows(call: IntraCall, sizes: Sizes, tokens: list[Tensor]) -> list[Tensor]:
    """W, U, X row by row, of tokens k, v, g, beta."""
    length, size, dtype = tokens[0].shape[1], call.chunk_size, sizes.dtype
    k, v = (chunks_of(x, size, dtype) for x in tokens[:2])
    g, beta = (numbers_of(x, size, dtype, sizes.heads) for x in tokens[2:])
    decay = Decay.of_sums(g * call.gate_unit) if call.gate_unit else Decay.of(g)
    X, minus_W, U = represent(k, v, decay, beta, as_plan(call.plan), call.backend)
    return [rows_of(x)[:, :length] for x in (-minus_W.flatten(2, 3), U, X.flatten(2, 3))]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Results) -> None:
    call = IntraCall(*inputs)
    ctx.set_materialize_grads(False)
    if not call.output_x:
        ctx.mark_non_differentiable(output[2])
    ctx.save_for_backward(*(None if y is None else savable(y) for y in call.tensors))
    ctx.options = call[len(call.tensors) :]


def _differentiate(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    arguments = (*ctx.saved_tensors, *ctx.options)
    needed = list(ctx.needs_input_grad[:4])
    return *derive(_composite, arguments, needed, grads), *(None for _ in arguments[4:])


INTRA = Operator(
    "chunk_gated_delta_rule_fwd_intra(Tensor k, Tensor v, Tensor? g, Tensor beta, "
    "Tensor? cu_seqlens, Tensor? chunk_indices, float gate_unit, bool output_x, "
    "ScalarType? x_dtype, int chunk_size, str plan, str? backend) "
    "-> (Tensor w, Tensor u, Tensor x)",
    _kernel,
    _fake,
    Gradient(_save, _differentiate),
    composite=_composite,
)


@own_context
def chunk_gated_delta_rule_fwd_intra(
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    cu_seqlens: Tensor | None = None,
    chunk_size: int = 64,
    chunk_indices: Tensor | None = None,
    *,
    gate_unit: float = 0.0,
    output_x: bool = True,
    x_dtype: torch.dtype | None = None,
    plan: str | Plan = "exact",
    backend: str | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What the chunks write into the state, without the state: w, u and X of the gated delta rule.

    With ``A = tril(beta_i exp(c_i - c_j) <k_i, k_j>, -1)`` in a chunk, c the sum of g within it:
    ``X = (I + A)^-1``, ``u = X (beta v)``, ``w = X (beta exp(c) k)``. The first arguments are those
    of FLA's function of this name, whose g is a sum in units that differ between its versions.
    Differentiable in k, v, g, beta; the gradient forms everything anew.

    Args:
        k: (B, T, H, K); float16, bfloat16, float32 or float64.
        v: (B, T, HV, V), HV a multiple of H.
        g: (B, T, HV), logarithm of the decay, or its sum, see ``gate_unit``; None: nothing decays.
        beta: (B, T, HV), write strength.
        cu_seqlens: (N + 1,) int32 or int64, as in :func:`chunk_gated_delta_rule`.
        chunk_size: C, a multiple of 16 from 16 to 128.
        chunk_indices: (chunks, 2), as there.
        gate_unit: 0 if g is of each token. Otherwise g is finite and its sum from the first token
            of the chunk to this one, in such units: 1, or ln 2 for powers of two.
        output_x: whether to return X.
        x_dtype: of X, k's or float32; None: k's.
        plan, backend: of the inverse, see :func:`neumann_tril.inverse`.

    Returns:
        w (B, T, HV, K) in k's dtype, u (B, T, HV, V) in v's, and x (B, T, HV, C), row t that of t
        in its chunk's X, or None; rows of no sequence are zero.

    Raises:
        TypeError, ValueError: an argument is not of the kind above; the message names it.
        BackendError: the backend cannot serve the call; the message says why.
    """
    call = _call(k, v, g, beta, cu_seqlens, chunk_indices, gate_unit, x_dtype, chunk_size, plan)
    w, u, x = INTRA(*call._replace(output_x=output_x, backend=backend))
    return w, u, x if output_x else None


@own_context
def explain_intra(
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    cu_seqlens: Tensor | None = None,
    chunk_size: int = 64,
    chunk_indices: Tensor | None = None,
    *,
    gate_unit: float = 0.0,
    x_dtype: torch.dtype | None = None,
    plan: str | Plan = "exact",
    backend: str | None = None,
) -> Explanation:
    """Which backend serves a call of :func:`chunk_gated_delta_rule_fwd_intra` with these arguments,
    by a kernel or by torch's products around its inverse, and why no other does."""
    call = _call(k, v, g, beta, cu_seqlens, chunk_indices, gate_unit, x_dtype, chunk_size, plan)
    return explanation(_request(call, _sizes(call)), backend)


def _call(
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    cu_seqlens: Tensor | None,
    chunk_indices: Tensor | None,
    gate_unit: float,
    x_dtype: torch.dtype | None,
    chunk_size: int,
    plan: str | Plan,
) -> IntraCall:
    """The operator's arguments, of any backend. Raises TypeError for what is no tensor."""
    optional = {"g": g, "cu_seqlens": cu_seqlens, "chunk_indices": chunk_indices}
    given = {name: x for name, x in optional.items() if x is not None}
    for name, x in {"k": k, "v": v, "beta": beta, **given}.items():
        check_tensor(name, x)
    tensors = (k, v, g, beta, cu_seqlens, chunk_indices)
    return IntraCall(*tensors, float(gate_unit), True, x_dtype, chunk_size, plan_text(plan), None)
