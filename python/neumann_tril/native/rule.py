"""How the kernel of the chunk rule is launched, in the emulator and on a device alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..plan import Plan
from .launches import Kernels, Launch
from .structures import (
    DTYPE_CODES,
    NONE_CODE,
    PlanStruct,
    Rule,
    RuleTensors,
    TokenNumbers,
    TokenStrides,
)


@dataclass(frozen=True, slots=True)
class RuleWork:
    """What a call of the rule asks for, beside its tensors.

    compute_dtype: of the products' operands; chunk_states_dtype: None without them.
    """

    plan: Plan
    scale: float
    normalize: bool
    compute_dtype: torch.dtype
    chunk_states_dtype: torch.dtype | None = None


@dataclass(frozen=True, slots=True)
class RuleCall:
    """The tensors of a call, on one device. q, k (B, T, H, K), v (B, T, HV, V), g, beta (B, T, HV),
    the last dimension of q, k, v contiguous; states (N, HV, K, V) float32, contiguous; bounds
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

    @property
    def inputs(self) -> list[Tensor]:
        given = (self.q, self.k, self.v, self.g, self.beta, self.initial_state, self.bounds)
        return [x for x in given if x is not None]

    @property
    def outputs(self) -> list[Tensor]:
        return [x for x in (self.o, self.final_state, self.chunk_states) if x is not None]

    def structure(self, work: RuleWork, cube_cores: int) -> Rule:
        """The argument of the C functions, with all pointers but the workspace's."""
        batch, length, heads, key_size = self.q.shape
        states = work.chunk_states_dtype
        rule = Rule(
            plan=PlanStruct.of(work.plan),
            dtype=DTYPE_CODES[self.q.dtype],
            compute_dtype=DTYPE_CODES[work.compute_dtype],
            heads=heads,
            value_heads=self.v.shape[2],
            key_size=key_size,
            value_size=self.v.shape[3],
            sequences=batch if self.bounds is None else len(self.bounds) - 1,
            length=length,
            q=TokenStrides.of(self.q),
            k=TokenStrides.of(self.k),
            v=TokenStrides.of(self.v),
            g=TokenNumbers.of(self.g),
            beta=TokenNumbers.of(self.beta),
            packed=self.bounds is not None,
            normalize=work.normalize,
            initial_state=self.initial_state is not None,
            final_state=self.final_state is not None,
            chunk_states_dtype=NONE_CODE if states is None else DTYPE_CODES[states],
            scale=work.scale,
            cube_cores=cube_cores,
        )
        for name, _ in RuleTensors._fields_:
            if name != "workspace":
                tensor = getattr(self, name)
                setattr(rule.tensors, name, None if tensor is None else tensor.data_ptr())
        return rule


def launch_of(kernels: Kernels, call: RuleCall, work: RuleWork) -> Launch:
    """The launch, but for the address of its workspace.

    Raises:
        ValueError: the kernel refuses it; the text says why.
    """
    rule = call.structure(work, kernels.cube_cores)
    library, entry = kernels.library, rule.entry
    reason = getattr(library, entry.refusal)(rule)
    if reason is not None:
        raise ValueError(reason.decode())
    return Launch(
        getattr(library, entry.launch), rule, getattr(library, entry.workspace_bytes)(rule)
    )
