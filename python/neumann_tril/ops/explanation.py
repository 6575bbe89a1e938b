"""How a call would be served, and why by no other backend."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..arguments import check_tensor
from ..backends import BACKENDS, AnyRequest, BackendError, Resolved, rejection, resolve
from ..context import own_context
from ..plan import Plan
from .floating import request_for


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which backend and plan a call takes, and why the others do not.

    ``backend`` and ``plan`` are None if the call would raise; ``error`` is then its message.
    ``note`` says what else is worth knowing of the way.
    """

    backend: str | None
    plan: Plan | None
    compute_dtype: torch.dtype | None
    output_dtype: torch.dtype
    others: dict[str, str]
    error: str | None = None
    note: str | None = None

    def __str__(self) -> str:
        if self.error is not None:
            head = [f"raises: {self.error}"]
        else:
            head = [
                f"backend: {self.backend}",
                f"plan: {self.plan}",
                f"computes in {self.compute_dtype}, returns {self.output_dtype}",
            ] + ([] if self.note is None else [self.note])
        return "\n".join(head + [f"not {name}: {reason}" for name, reason in self.others.items()])


@own_context
def explain(
    A: Tensor,
    plan: str | Plan = "exact",
    *,
    output_dtype: torch.dtype | None = None,
    compute_dtype: torch.dtype | None = None,
    backend: str | None = None,
) -> Explanation:
    """Which backend and plan a call with these arguments takes, and why the others do not.

    Args:
        A: the matrices (..., C, C), or a tensor in one of :func:`solve_tril`'s layouts.
        plan, output_dtype, compute_dtype, backend: as for :func:`inverse`.
    """
    check_tensor("A", A)
    return explanation(request_for(A, plan, output_dtype, compute_dtype), backend)


def explanation(request: AnyRequest, backend: str | None) -> Explanation:
    """The same of any request."""
    chosen: Resolved | None = None
    error = None
    try:
        chosen = resolve(request, backend)
    except (BackendError, ValueError) as raised:
        error = str(raised)
    others = {}
    for name in BACKENDS:
        if chosen is not None and name == chosen.backend.name:
            continue
        try:
            outcome = rejection(name, request)
        except ValueError as raised:
            outcome = str(raised)
        if isinstance(outcome, Resolved):
            outcome = f"would serve it; ask with backend={name!r}"
        others[name] = outcome
    return Explanation(
        chosen.backend.name if chosen else None,
        chosen.work.plan if chosen else None,
        chosen.work.compute_dtype if chosen else None,
        request.output_dtype,
        others,
        error,
        getattr(chosen.work, "note", None) if chosen else None,
    )
