"""Calls of the chunk rule for tests of its kernel: tokens, the emulated kernel, what it owes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize

from neumann_tril import emulator
from neumann_tril.gdn import steps
from neumann_tril.native.rule import IntraTensors, IntraWork, RuleTensors, RuleWork
from neumann_tril.plan import Plan, plan_for

F16, BF16, F32 = torch.float16, torch.bfloat16, torch.float32
CHUNK = 64
OUTPUTS = ("o", "final_state", "chunk_states", "x")


def poisoned(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.full(shape, torch.nan, dtype=dtype)


@dataclass(frozen=True)
class Tokens:
    """q, k (B, T, H, K), v (B, T, HV, V), g, beta (B, T, HV)."""

    q: Tensor
    k: Tensor
    v: Tensor
    g: Tensor | None
    beta: Tensor


def draw(
    T: int,
    heads: tuple[int, int] = (1, 1),
    sizes: tuple[int, int] = (32, 32),
    B: int = 1,
    dtype: torch.dtype = BF16,
    decay: float = 0.1,
    unit: bool = True,
    seed: int = 0,
) -> Tokens:
    """Keys with a part in common, as a model's have; `unit`: q and k of length 1."""
    (H, HV), (K, V) = heads, sizes
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    q, k = normal(B, T, H, K), normal(B, T, H, K) + normal(1, 1, H, K)
    if unit:
        q, k = normalize(q, dim=-1), normalize(k, dim=-1)
    g = -decay * torch.rand(B, T, HV, generator=generator)
    beta = torch.rand(B, T, HV, generator=generator)
    return Tokens(q.to(dtype), k.to(dtype), normal(B, T, HV, V).to(dtype), g, beta)


def with_gates(y: Tokens, g: torch.dtype | None, beta: torch.dtype) -> Tokens:
    """The same tokens, gates in these dtypes; None: no gates."""
    return replace(y, g=None if g is None else y.g.to(g), beta=y.beta.to(beta))


@dataclass(frozen=True)
class Call:
    """A call of the rule; bounds: the ends of packed sequences."""

    tokens: Tokens
    initial: Tensor | None = None
    bounds: list[int] | None = None
    normalize: bool = False
    scale: float = 0.25
    plan: str | Plan = "exact"
    compute: torch.dtype = F16

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """Batch, first token and end of each sequence."""
        if self.bounds is None:
            return [(b, 0, self.tokens.q.shape[1]) for b in range(len(self.tokens.q))]
        return [(0, *span) for span in pairwise(self.bounds)]

    @property
    def chunks(self) -> int:
        return sum(-(-(end - begin) // CHUNK) for _, begin, end in self.spans)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        return self.tokens.v.shape[2], self.tokens.k.shape[3], self.tokens.v.shape[3]

    @cached_property
    def owed(self) -> Outputs:
        """What the kernel must write: that of the step-exact reference, NaN where nothing."""
        y = self.tokens
        found = steps.chunk_gated_delta_rule(
            *(y.q, y.k, y.v, y.g, y.beta),
            scale=self.scale,
            initial_state=self.initial,
            use_qk_l2norm_in_kernel=self.normalize,
            cu_seqlens=None if self.bounds is None else torch.tensor(self.bounds),
            plan=self.plan,
            compute_dtype=self.compute,
        )
        owed = self.blank(OUTPUTS)
        for number, (batch, begin, end) in enumerate(self.spans):
            owed.o[batch, begin:end] = found.o[batch, begin:end]
            owed.x[batch, begin:end] = found.x[batch, begin:end]
            if end > begin:
                owed.final_state[number] = found.state[number]
        owed.chunk_states.copy_(found.chunk_states)
        return owed

    def blank(self, outputs: tuple[str, ...]) -> Outputs:
        """Memory for these outputs, NaN throughout."""
        shape = self.tokens.v.shape
        states = poisoned(len(self.spans), *self.state_shape)
        found = poisoned(self.chunks, *self.state_shape)
        everything = {
            "o": poisoned(*shape, dtype=self.tokens.q.dtype),
            "final_state": states,
            "chunk_states": found,
            "x": poisoned(*shape[:3], CHUNK),
        }
        return Outputs(**{name: x for name, x in everything.items() if name in outputs})

    def run(
        self,
        outputs: tuple[str, ...] = OUTPUTS,
        arch: int = 2201,
        cores: int | None = None,
    ) -> Outputs:
        """What the emulated kernel writes of these outputs."""
        made = self.blank(outputs)
        report = emulator.gated_delta(self.given(made), self.work, arch, cores)
        return replace(made, report=report)

    def given(self, made: Outputs) -> RuleTensors:
        y, bounds = self.tokens, None if self.bounds is None else torch.tensor(self.bounds)
        return RuleTensors(
            *(y.q, y.k, y.v, y.g, y.beta, self.initial, bounds),
            *(made.o, made.final_state, made.chunk_states, made.x),
        )

    @property
    def work(self) -> RuleWork:
        plan = plan_for(CHUNK, self.plan, self.compute)
        return RuleWork(plan, self.compute, self.scale, self.normalize)

    def check(
        self,
        outputs: tuple[str, ...] = OUTPUTS,
        arch: int = 2201,
        cores: int | None = None,
    ) -> None:
        """Every output is bit for bit what is owed, and nothing else has been written."""
        made = self.run(outputs, arch, cores)
        for name in outputs:
            check_bits(name, getattr(made, name), getattr(self.owed, name))


@dataclass(frozen=True)
class Outputs:
    o: Tensor
    final_state: Tensor | None = None
    chunk_states: Tensor | None = None
    x: Tensor | None = None
    report: emulator.Report | None = field(default=None, compare=False)


def check_bits(name: str, made: Tensor, owed: Tensor) -> None:
    """Equal numbers, NaN where NaN is owed."""
    same = (made == owed) | (made.isnan() & owed.isnan())
    if not bool(same.all()):
        where = (~same).nonzero()
        first = tuple(where[0].tolist())
        raise AssertionError(
            f"{name}: {len(where)} of {made.numel()} differ, first at {first}: "
            f"{made[first].item()!r}, owed {owed[first].item()!r}"
        )


def with_initial(call: Call, seed: int = 9) -> Call:
    """With a state before each sequence."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(len(call.spans), *call.state_shape, generator=generator)
    return replace(call, initial=state)


def represent(
    tokens: Tokens, x_dtype: torch.dtype | None, gate_unit: float = 0.0
) -> emulator.Report:
    """The kernel of the representation alone, on one core."""
    shape = tokens.v.shape
    w = poisoned(*shape[:3], tokens.k.shape[3], dtype=tokens.k.dtype)
    u = poisoned(*shape, dtype=tokens.k.dtype)
    x = None if x_dtype is None else poisoned(*shape[:3], CHUNK, dtype=x_dtype)
    tensors = IntraTensors(tokens.k, tokens.v, tokens.g, tokens.beta, None, w, u, x)
    work = IntraWork(plan_for(CHUNK, "exact", F16), F16, gate_unit)
    return emulator.gated_delta(tensors, work, cube_cores=1)
