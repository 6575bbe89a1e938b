"""How the kernel of the chunk rule is launched, in the emulator and on a device alike."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..plan import Plan
from .launches import Kernels, Launch
from .structures import (
    DTYPE_CODES,
    NONE_CODE,
    Intra,
    PlanStruct,
    Rule,
    TokenNumbers,
    TokenStrides,
)


class RuleWork(NamedTuple):
    """What a call of the rule asks for, beside its tensors."""

    plan: Plan
    compute_dtype: torch.dtype
    """Of the products' operands."""
    scale: float
    normalize: bool


@dataclass(frozen=True, slots=True)
class RuleTensors:
    """The tensors of a call, on one device. q, k (B, T, H, K), v, o (B, T, HV, V), of which q, k, v
    need a contiguous last dimension only; g, beta (B, T, HV); all others contiguous: float32
    states (N, HV, K, V), those before every chunk (chunks, HV, K, V), x (B, T, HV, 64), and bounds
    (N + 1,) int64."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor | None
    beta: Tensor
    initial_state: Tensor | None
    bounds: Tensor | None
    o: Tensor
    final_state: Tensor | None
    chunk_states: Tensor | None
    x: Tensor | None

    @property
    def inputs(self) -> list[Tensor]:
        given = (self.q, self.k, self.v, self.g, self.beta, self.initial_state, self.bounds)
        return [y for y in given if y is not None]

    @property
    def outputs(self) -> list[Tensor]:
        results = (self.o, self.final_state, self.chunk_states, self.x)
        return [y for y in results if y is not None]

    def structure(self, work: RuleWork, cube_cores: int) -> Rule:
        """The argument of the C functions, with all pointers but the workspace's."""
        rule = Rule(
            **_shared(self, work),
            q=TokenStrides.of(self.q),
            normalize=work.normalize,
            initial_state=self.initial_state is not None,
            final_state=self.final_state is not None,
            chunk_states=self.chunk_states is not None,
            x=self.x is not None,
            scale=work.scale,
            cube_cores=cube_cores,
        )
        _point(rule.tensors, self)
        return rule


class IntraWork(NamedTuple):
    """What a call of the representation asks for, beside its tensors."""

    plan: Plan
    compute_dtype: torch.dtype
    """Of the operands of the inverse."""
    gate_unit: float
    """0: g is of each token; otherwise it is the sum within its chunk, in such units."""


@dataclass(frozen=True, slots=True)
class IntraTensors:
    """The tensors of a call, as those of the rule: w (B, T, HV, K) and u (B, T, HV, V) in k's
    dtype, x (B, T, HV, 64) in that or float32."""

    k: Tensor
    v: Tensor
    g: Tensor | None
    beta: Tensor
    bounds: Tensor | None
    w: Tensor
    u: Tensor
    x: Tensor | None

    @property
    def inputs(self) -> list[Tensor]:
        return [y for y in (self.k, self.v, self.g, self.beta, self.bounds) if y is not None]

    @property
    def outputs(self) -> list[Tensor]:
        return [y for y in (self.w, self.u, self.x) if y is not None]

    def structure(self, work: IntraWork, cube_cores: int) -> Intra:
        """The argument of the C functions, with all pointers but the workspace's."""
        intra = Intra(
            **_shared(self, work),
            x_dtype=NONE_CODE if self.x is None else DTYPE_CODES[self.x.dtype],
            gate_unit=work.gate_unit,
            cube_cores=cube_cores,
        )
        _point(intra.tensors, self)
        return intra


def _shared(tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork) -> dict[str, Any]:
    """The fields that both structures have."""
    batch, length, heads, key_size = tensors.k.shape
    return {
        "plan": PlanStruct.of(work.plan),
        "dtype": DTYPE_CODES[tensors.k.dtype],
        "compute_dtype": DTYPE_CODES[work.compute_dtype],
        "heads": heads,
        "value_heads": tensors.v.shape[2],
        "key_size": key_size,
        "value_size": tensors.v.shape[3],
        "sequences": batch if tensors.bounds is None else len(tensors.bounds) - 1,
        "length": length,
        "k": TokenStrides.of(tensors.k),
        "v": TokenStrides.of(tensors.v),
        "g": TokenNumbers.of(tensors.g),
        "beta": TokenNumbers.of(tensors.beta),
        "packed": tensors.bounds is not None,
    }


def _point(addresses: ctypes.Structure, tensors: RuleTensors | IntraTensors) -> None:
    """The addresses of the tensors, but for the workspace's."""
    for field in addresses._fields_:
        if field[0] != "workspace":
            tensor = getattr(tensors, field[0])
            setattr(addresses, field[0], None if tensor is None else tensor.data_ptr())


def refusal(kernels: Kernels, call: Rule | Intra) -> str | None:
    """Why the kernels do not take such a call; None if they do. Pointers are not looked at."""
    reason = getattr(kernels.library, call.entry.refusal)(call)
    return None if reason is None else str(reason.decode())


def launch_of(
    kernels: Kernels, tensors: RuleTensors | IntraTensors, work: RuleWork | IntraWork
) -> Launch:
    """The launch, but for the address of its workspace.

    Raises:
        ValueError: the kernel refuses it; the text says why.
    """
    call = tensors.structure(work, kernels.cube_cores)  # type: ignore[arg-type]
    reason = refusal(kernels, call)
    if reason is not None:
        raise ValueError(reason)
    size = getattr(kernels.library, call.entry.workspace_bytes)(call)
    return Launch(getattr(kernels.library, call.entry.launch), call, size)
