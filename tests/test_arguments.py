"""Tensors of kinds that nothing here computes with are refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import neumann_tril
from neumann_tril import QuantPlan, bounds, plan_for, quant, reference, testing
from neumann_tril.gdn import (
    chunk_delta_rule,
    chunk_gated_delta_rule,
    explain,
    naive_recurrent_gated_delta_rule,
)

A = torch.zeros(2, 16, 16)
X = torch.eye(16).expand(2, 16, 16)
TIME = torch.zeros(1, 20, 2, 16)
BETA = torch.zeros(1, 20, 2)
QPLAN = QuantPlan.dynamic(chunk_size=16)
STATIC = neumann_tril.calibrate(testing.chunk_matrices("all ones", 16, 2))
CODES = torch.zeros(2, 16, 16, dtype=torch.int8)


def _quantized(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop them
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


def _nested(x: Tensor, layout: torch.layout) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them a prototype
        return torch.nested.nested_tensor([*x], layout=layout)


KINDS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sparse": (Tensor.to_sparse, "torch.sparse_coo one"),
    "quantized": (_quantized, "quantized one"),
    "nested": (lambda x: _nested(x, torch.strided), "nested one"),
    "jagged": (lambda x: _nested(x, torch.jagged), "nested one"),
    "complex": (lambda x: x.to(torch.complex64), "complex one"),
    "mkldnn": (Tensor.to_mkldnn, "torch._mkldnn one"),
    "numpy": (Tensor.numpy, "ndarray"),
    "list": (Tensor.tolist, "list"),
}

# The argument that is given as another kind, and the call.
CALLS: dict[str, tuple[str, Tensor, Callable[[Any], Any]]] = {
    "inverse": ("A", A, neumann_tril.inverse),
    "inverse, out": ("out", A, lambda x: neumann_tril.inverse(A, out=x)),
    "explain": ("A", A, neumann_tril.explain),
    "solve_tril": ("A", TIME, neumann_tril.solve_tril),
    "solve_tril, starts": ("cu_seqlens", X[0, :1], lambda x: neumann_tril.solve_tril(TIME, x)),
    "solve_tril, chunks": (
        "chunk_indices",
        X[0, :1],
        lambda x: neumann_tril.solve_tril(TIME, torch.tensor([0, 20]), x),
    ),
    "inverse_quantized": ("A", A, lambda x: neumann_tril.inverse_quantized(x, QPLAN)),
    "inverse_quantized, scale": (
        "scale",
        A + 1,
        lambda x: neumann_tril.inverse_quantized(CODES, QPLAN, scale=x),
    ),
    "solve_tril_quantized": ("A", TIME, lambda x: neumann_tril.solve_tril_quantized(x, QPLAN)),
    "quantize": ("A", A, lambda x: quant.quantize(x, STATIC)),
    "error_report": ("A", A, lambda x: quant.error_report(x, STATIC)),
    "calibrate": ("sample", A, lambda x: neumann_tril.calibrate([x])),
    "chunk rule": ("q", TIME, lambda x: chunk_gated_delta_rule(x, TIME, TIME, BETA, BETA)),
    "chunk rule, gates": (
        "A_log",
        BETA,
        lambda x: chunk_gated_delta_rule(
            TIME, TIME, TIME, BETA, BETA, use_gate_in_kernel=True, A_log=x
        ),
    ),
    "explain of the chunk rule": ("k", TIME, lambda x: explain(TIME, x, TIME, BETA, BETA)),
    "chunk rule without gates": ("beta", BETA, lambda x: chunk_delta_rule(TIME, TIME, TIME, x)),
    "recurrence": (
        "v",
        TIME,
        lambda x: naive_recurrent_gated_delta_rule(TIME, TIME, x, None, BETA),
    ),
    "reference": ("A", A, reference.inverse),
    "banded_seed": ("a", A, lambda x: reference.banded_seed(x, 3)),
    "forward_substitution": ("A", A, reference.forward_substitution),
    "chunk_doubling": ("A", A, reference.chunk_doubling),
    "block_doubling": ("A", A, reference.block_doubling),
    "error_envelope": ("A", A, lambda x: bounds.error_envelope(x, plan_for(16))),
    "truth": ("A", A, testing.truth),
    "residual": ("X", A, lambda x: testing.residual(A, x)),
    "snr": ("X", A, lambda x: testing.snr(x, A)),
    "is_finite": ("X", A, testing.is_finite),
    "ceiling": ("truth", A, lambda x: testing.ceiling(x, torch.float16)),
    "split_chunks": ("x", TIME, lambda x: testing.split_chunks(x, 16)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_other_kinds_of_tensors(name: str, kind: str) -> None:
    argument, tensor, call = CALLS[name]
    make, told = KINDS[kind]
    with pytest.raises(TypeError, match=rf"{argument}s? must be .*, got (a )?{told}"):
        call(make(tensor.contiguous()))


def test_codes_as_numpy_scalars_are_no_tensors_either() -> None:
    with pytest.raises(TypeError, match="A must be a tensor, got float32"):
        neumann_tril.inverse(np.float32(1.0))  # type: ignore[arg-type]
