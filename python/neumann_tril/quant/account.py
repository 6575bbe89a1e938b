"""What each rounding of a quantised inversion costs, and pictures of the magnitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..context import own_context
from ..grids import QuantPlan, steps
from ..grids.matrices import check_dense, groups_of, numbers_of
from ..grids.reference import Evaluation, Intermediate
from ..testing import snr, truth
from .functions import check_operands


@dataclass(frozen=True, slots=True)
class StepError:
    """One intermediate over all matrices.

    own: SNR of its rounding (dB), over all its values but X's ones, which are exact; inf where
        nothing was rounded.
    result_worst, result_median: SNR of X, per matrix, if this intermediate alone is rounded.
    saturated: part of its codes that saturated.
    """

    name: str
    own: float
    result_worst: float
    result_median: float
    saturated: float


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Which step loses how much; ``worst`` and ``median`` are the SNR of X as it is computed."""

    steps: tuple[StepError, ...]
    worst: float
    median: float

    def __str__(self) -> str:
        lines = [f"{'':4}{'own':>8}{'X worst':>10}{'X median':>10}{'saturated':>11}"]
        lines += [
            f"{s.name:4}{s.own:8.1f}{s.result_worst:10.1f}{s.result_median:10.1f}"
            f"{s.saturated:11.1e}"
            for s in self.steps
        ]
        return "\n".join([*lines, f"{'all':4}{'':8}{self.worst:10.1f}{self.median:10.1f}"])


class _OnlyOne(Evaluation):
    """An inversion in which one intermediate alone is rounded; the others keep their grids."""

    def __init__(self, A: Tensor, qplan: QuantPlan, group: Tensor, rounded: str) -> None:
        self.rounded = rounded
        super().__init__(A, qplan, group, keep_trace=False)

    def quantise(self, name: str, scaled: Tensor, scale: Tensor) -> Tensor:
        if name == self.rounded:
            return super().quantise(name, scaled, scale)
        return scaled.double()


@own_context
def error_report(A: Tensor, qplan: QuantPlan, *, head_dim: int = -3) -> ErrorReport:
    """Which step of the quantised inversion of these matrices loses how much.

    Args:
        A: (..., C, C) as :func:`neumann_tril.inverse_quantized` takes it, floating point.
        qplan, head_dim: as there.

    Raises:
        TypeError, ValueError: A is not as above, or does not fit the plan; the message says why.
    """
    check_operands(A, qplan)
    if not A.dtype.is_floating_point or A.numel() == 0:
        raise ValueError(
            f"A must hold numbers of a floating dtype, got shape {tuple(A.shape)} of {A.dtype}"
        )
    head = check_dense(A, qplan, head_dim)
    return _report(A.detach().cpu(), qplan, head)


def _report(A: Tensor, qplan: QuantPlan, head: int) -> ErrorReport:
    group = groups_of(A, head)
    c = qplan.plan.chunk_size
    numbers, group = numbers_of(A, qplan, group).reshape(-1, c, c), group.reshape(-1)
    exact = truth(A.reshape(-1, c, c))
    whole = Evaluation(numbers, qplan, group, keep_trace=True).run()
    found = []
    for step in steps(qplan.plan):
        alone = snr(_OnlyOne(numbers, qplan, group, step.name).run().wide, exact)
        own, saturated = _own([i for i in whole.trace if i.name == step.name], c)
        found.append(
            StepError(step.name, own, float(alone.min()), float(alone.median()), saturated)
        )
    values = snr(whole.wide, exact)
    return ErrorReport(tuple(found), float(values.min()), float(values.median()))


def _without_ones(x: Tensor, chunk_size: int) -> Tensor:
    """X (N, C, C), or blocks of it (N, blocks, c, c), which have ones if they fill its diagonal."""
    has_ones = x.dim() == 3 or x.shape[1] * x.shape[3] == chunk_size
    return torch.tril(x, -1) if has_ones else x


def _own(uses: list[Intermediate], chunk_size: int) -> tuple[float, float]:
    """SNR of the rounding of an intermediate, and the part that saturated."""
    signal = noise = 0.0
    saturated = total = 0
    for use in uses:
        scale = use.scale if use.codes.dim() == 3 else use.scale[:, None]
        error = use.codes * scale - use.value
        rounded = _without_ones(use.value, chunk_size) if use.name == "X" else use.value
        signal += float((rounded**2).sum())
        noise += float((error**2).sum())
        saturated += int(use.saturated.sum())
        total += use.codes.numel()
    return (10 * math.log10(signal / noise) if noise else math.inf), saturated / max(total, 1)


def plot(qplan: QuantPlan, path: str) -> None:
    """Draw the magnitudes that calibration saw, and each range, into a picture file.

    Raises:
        ValueError: the plan holds no report.
        ImportError: matplotlib is not installed (extra ``plot``).
    """
    if qplan.report is None:
        raise ValueError("qplan has no report: it does not come from calibrate")
    from matplotlib.figure import Figure

    intermediates: dict[str, Any] = qplan.report["intermediates"]
    figure = Figure(figsize=(8, 1.6 * len(intermediates)), layout="constrained")
    axes = figure.subplots(len(intermediates), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, account) in zip(axes, intermediates.items(), strict=True):
        shown = account["distribution"]
        octaves = [shown["first_octave"] + k / 2 for k in range(len(shown["counts"]))]
        axis.bar(octaves, shown["counts"], width=0.5, align="edge", color="tab:blue")
        for group in account["groups"]:
            if group["range"] > 0:
                axis.axvline(math.log2(group["range"]), color="tab:red", linewidth=0.6)
        axis.set_yscale("log")
        axis.set_ylabel(name, rotation=0)
    axes[-1].set_xlabel("log2 of the magnitude; red: the range of each group")
    figure.suptitle(str(qplan), fontsize=9)
    figure.savefig(path)
