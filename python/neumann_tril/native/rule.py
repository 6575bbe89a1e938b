"""How the kernel of the chunk rule is launched, in the emulator and on a device alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..plan import Plan
from .launches import Kernels, Launch
from .structures import (
    DTYPE_CODES,
    PlanStruct,
    Rule,
    RuleAddresses,
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
        batch, length, heads, key_size = self.q.shape
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
            chunk_states=self.chunk_states is not None,
            x=self.x is not None,
            scale=work.scale,
            cube_cores=cube_cores,
        )
        for name, _ in RuleAddresses._fields_:
            if name != "workspace":
                tensor = getattr(self, name)
                setattr(rule.tensors, name, None if tensor is None else tensor.data_ptr())
        return rule


def refusal(kernels: Kernels, rule: Rule) -> str | None:
    """Why the kernel does not take such a call; None if it does. Pointers are not looked at."""
    reason = getattr(kernels.library, rule.entry.refusal)(rule)
    return None if reason is None else str(reason.decode())


def launch_of(kernels: Kernels, tensors: RuleTensors, work: RuleWork) -> Launch:
    """The launch, but for the address of its workspace.

    Raises:
        ValueError: the kernel refuses it; the text says why.
    """
    rule = tensors.structure(work, kernels.cube_cores)
    reason = refusal(kernels, rule)
    if reason is not None:
        raise ValueError(reason)
    size = getattr(kernels.library, rule.entry.workspace_bytes)(rule)
    return Launch(getattr(kernels.library, rule.entry.launch), rule, size)
