"""Static scales from samples of chunk matrices.

The samples go through the plan in float arithmetic, one tensor at a time; of every intermediate a
histogram of magnitudes is kept for each group, 32 bins an octave, so that memory does not grow with
the samples. From it come the ranges, and what they cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from torch import Tensor

from ..arguments import check_tensor
from ..context import own_context
from ..grids import Q_MAX, QuantPlan, Step, quantized_plan_for, steps
from ..grids.matrices import groups_of, head_index
from ..grids.plan import A_LIMIT, SCALE_LIMITS
from ..grids.reference import Evaluation
from ..plan import Plan

METHODS = ("min_error", "percentile", "max")

_Array = npt.NDArray[np.float64]

_LOWEST, _HIGHEST = -40, 24  # octaves that a histogram covers
_PER_OCTAVE = 32
_BINS = (_HIGHEST - _LOWEST) * _PER_OCTAVE
_COARSE = _PER_OCTAVE // 2  # bins of one bar of the report's distribution


class _Histogram:
    """Magnitudes of one intermediate by group and bin; a bin's values count as its middle."""

    def __init__(self, groups: int) -> None:
        self.counts = np.zeros((groups, _BINS))
        self.largest = np.zeros(groups)

    def add(self, values: Tensor, group: Tensor) -> None:
        """values (N, ...), group (N,)."""
        magnitudes = values.float().abs().flatten(1)
        bins = (magnitudes.log2() * _PER_OCTAVE).nan_to_num(neginf=-1e9).floor().int()
        bins = (bins - _LOWEST * _PER_OCTAVE).clamp_(0, _BINS - 1)
        index = (bins + group[:, None].int() * _BINS)[magnitudes > 0]
        found = torch.bincount(index, minlength=self.counts.size)
        self.counts += found.numpy().reshape(self.counts.shape)
        most = torch.zeros(len(self.largest), dtype=torch.float64)
        most.scatter_reduce_(0, group, magnitudes.double().amax(1), "amax")
        self.largest = np.maximum(self.largest, most.numpy())

    @property
    def edges(self) -> _Array:
        """Upper edges of the bins."""
        edges: _Array = np.exp2(_LOWEST + (np.arange(_BINS) + 1) / _PER_OCTAVE)
        return edges

    @property
    def middles(self) -> _Array:
        """What a bin's values count as."""
        middles: _Array = self.edges * 2 ** (-0.5 / _PER_OCTAVE)
        return middles

    def noise(self, clip: _Array, q_max: int) -> _Array:
        """Summed squared error of rounding to q_max steps up to ``clip``, and of clipping there;
        clip is (groups, candidates)."""
        noise = np.empty_like(clip)
        for candidate in range(clip.shape[1]):
            c = clip[:, candidate, None]
            beyond = np.maximum(self.middles - c, 0.0)
            rounding = (c / q_max) ** 2 / 12
            each = np.where(beyond > 0, beyond**2, np.minimum(rounding, self.middles**2))
            noise[:, candidate] = (self.counts * each).sum(1)
        return noise

    def ranges(self, method: str, percentile: float, q_max: int) -> _Array:
        """The range of each group by one of `METHODS`."""
        if method == "max":
            return self.largest
        if method == "percentile":
            count = np.cumsum(self.counts, axis=1)
            wanted = count[:, -1:] * (percentile / 100)
            at = np.argmax(count >= wanted, axis=1)
            reached: _Array = np.minimum(self.edges[at], self.largest)
            return reached
        candidates = self.largest[:, None] * np.exp2(-np.arange(0, 4 * _PER_OCTAVE) / _PER_OCTAVE)
        best = np.argmin(self.noise(candidates, q_max), axis=1)
        cheapest: _Array = candidates[np.arange(len(best)), best]
        return cheapest

    def account(self, clip: _Array, q_max: int) -> list[dict[str, Any]]:
        """What the ranges cost: one entry for each group."""
        noise = self.noise(clip[:, None], q_max)[:, 0]
        signal = (self.counts * self.middles**2).sum(1)
        total = self.counts.sum(1)
        above = (self.counts * (self.middles > clip[:, None])).sum(1)
        found = []
        for g in range(len(clip)):
            empty = total[g] == 0 or noise[g] == 0
            found.append(
                {
                    "largest": float(self.largest[g]),
                    "range": float(clip[g]),
                    "clipped": float(above[g] / total[g]) if total[g] else 0.0,
                    "snr": None if empty else float(10 * math.log10(signal[g] / noise[g])),
                }
            )
        return found

    def distribution(self) -> dict[str, Any]:
        """Counts over all groups, two bars an octave, from the first to the last that is not 0."""
        counts = self.counts.sum(0).reshape(-1, _COARSE).sum(1)
        filled = np.flatnonzero(counts)
        first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (0, -1)
        octave = _LOWEST + first * _COARSE / _PER_OCTAVE
        return {"first_octave": octave, "counts": counts[first : last + 1].astype(int).tolist()}


class _Observation(Evaluation):
    """An inversion that rounds nothing and hands every intermediate to the histograms."""

    def __init__(
        self, A: Tensor, plan: Plan, group: Tensor, histograms: dict[str, _Histogram]
    ) -> None:
        self.histograms, self.observed_group = histograms, group
        unrounded = QuantPlan(plan, 8, "chunk", {})
        super().__init__(A, unrounded, torch.zeros_like(group), keep_trace=False)

    def quantise(self, name: str, scaled: Tensor, scale: Tensor) -> Tensor:
        numbers = scaled.double()
        sized = scale.double() if scaled.dim() == 3 else scale.double()[:, None]
        values = numbers * sized
        if name == "X":  # the ones on the diagonal are exact on every grid
            values = torch.tril(values, -1)
        self.histograms[name].add(values, self.observed_group)
        return numbers


def _matrices(sample: Tensor, plan: Plan, head_dim: int | None) -> tuple[Tensor, Tensor]:
    """A sample as (N, C, C) and the head of each matrix (zeros if ``head_dim`` is None)."""
    c = plan.chunk_size
    if sample.shape[-2:] != (c, c):
        raise ValueError(f"a sample must have shape (..., {c}, {c}), got {tuple(sample.shape)}")
    group = groups_of(sample, -1 if head_dim is None else head_dim % sample.dim())
    return sample.detach().cpu().reshape(-1, c, c), group.reshape(-1)


def _check_sample(sample: Tensor) -> None:
    if not isinstance(sample, Tensor):
        raise TypeError(f"samples must be tensors, got {type(sample).__name__}")
    check_tensor("a sample", sample)
    if not sample.dtype.is_floating_point:
        raise ValueError(f"samples must be numbers of a floating dtype, got {sample.dtype}")
    if sample.dim() < 2:
        raise ValueError(f"a sample must have shape (..., C, C), got {tuple(sample.shape)}")


def calibrate(
    samples: Tensor | Iterable[Tensor],
    *,
    plan: str | Plan = "exact",
    bits: int = 8,
    granularity: str = "head",
    head_dim: int = -3,
    method: str = "max",
    percentile: float = 99.99,
    headroom: float | None = None,
    least: float | None = None,
    power_of_two: bool = False,
    integer_input: bool = False,
    progress: bool = False,
) -> QuantPlan:
    """Static scales for chunk matrices like the samples.

    Args:
        samples: chunk matrices (..., C, C) of a floating dtype, or an iterable of such tensors; it
            is gone through once, in constant memory.
        plan: a name, which takes C from the first sample, or a plan.
        bits: 8 or 16.
        granularity: ``"tensor"`` or ``"head"``. (Scales per chunk need no calibration: see
            :meth:`QuantPlan.dynamic`.)
        head_dim: the dimension of the samples that counts heads; read for ``"head"`` alone.
        method: ``"max"``: the largest magnitude seen; ``"percentile"``: that of all nonzero
            magnitudes; ``"min_error"``: the range with the smallest squared error, which raises the
            median SNR by up to 2 dB and lowers the worst by more.
        percentile: for that method.
        headroom: factor on the ranges found; by default 1 for 8 bits, whose error is that of
            rounding, and 1.25 for 16, whose error is that of the one value beyond the range.
        least: the smallest range of a grid of A or T; by default 1/8 for 8 bits and 1/2 for 16.
            Heads that forget fast have small magnitudes with heavy tails: finer steps than the ones
            on X's diagonal can show gain nothing, and clipped values show.
        power_of_two: scales are rounded up to powers of two.
        integer_input: A will come as codes, so its grid must hold all of A, and not only the
            blocks of A that are operands of a product.
        progress: show a progress bar.

    Returns:
        A plan whose ``report`` holds, for every intermediate and group, the largest magnitude, the
        range, the part that is clipped and the SNR of rounding (dB), and a distribution of
        magnitudes, which :func:`neumann_tril.quant.plot` draws.

    Raises:
        TypeError, ValueError: an argument is not of the kind above, there are no samples, or they
            differ in C or in the number of heads; the message names it.
    """
    _check_options(bits, granularity, method, percentile, headroom, least)
    headroom = headroom if headroom is not None else (1.0 if bits == 8 else 1.25)
    if progress and not isinstance(samples, Tensor):
        samples = track(samples, description="calibrating")
    least = least if least is not None else (0.125 if bits == 8 else 0.5)
    observed, chosen = _observe(samples, plan, granularity, head_dim, integer_input)
    q_max = Q_MAX[bits]
    scales, account = {}, {}
    for step in steps(chosen):
        histogram = observed[step.name]
        clip = histogram.ranges(method, percentile, q_max) * headroom
        if not step.unit:
            clip = np.maximum(clip, least)
        scale = _scale_of(step, clip, q_max, power_of_two)
        scales[step.name] = scale.tolist()
        account[step.name] = {
            "groups": histogram.account(scale * q_max, q_max),
            "distribution": histogram.distribution(),
        }
    report = {"method": method, "headroom": headroom, "least": least, "intermediates": account}
    return QuantPlan(chosen, bits, granularity, scales, report)


def _check_options(
    bits: int,
    granularity: str,
    method: str,
    percentile: float,
    headroom: float | None,
    least: float | None,
) -> None:
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, got {bits!r}")
    if granularity not in ("tensor", "head"):
        raise ValueError(
            f"granularity must be 'tensor' or 'head', got {granularity!r}; "
            "scales per chunk need no calibration: QuantPlan.dynamic"
        )
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must lie in 0..100, got {percentile!r}")
    if headroom is not None and not (math.isfinite(headroom) and 0 < headroom <= 1024):
        raise ValueError(f"headroom must lie in 0..1024, got {headroom!r}")
    if least is not None and not 0 <= least <= A_LIMIT:
        raise ValueError(f"least must lie in 0..{A_LIMIT:g}, got {least!r}")


def _observe(
    samples: Tensor | Iterable[Tensor],
    plan: str | Plan,
    granularity: str,
    head_dim: int,
    integer_input: bool,
) -> tuple[dict[str, _Histogram], Plan]:
    observed: dict[str, _Histogram] = {}
    chosen: Plan | None = None
    heads = 1
    if not isinstance(samples, Iterable):
        raise TypeError(
            f"samples must be a tensor or an iterable of tensors, got {type(samples).__name__}"
        )
    for sample in [samples] if isinstance(samples, Tensor) else samples:
        _check_sample(sample)
        if chosen is None:
            chosen = quantized_plan_for(sample.shape[-1], plan)
            heads = head_index(sample, head_dim).numel() if granularity == "head" else 1
            observed = {step.name: _Histogram(heads) for step in steps(chosen)}
        if granularity == "head" and head_index(sample, head_dim).numel() != heads:
            raise ValueError(
                f"samples must have the same heads: {heads} at first, then {sample.shape[head_dim]}"
            )
        per_head = head_dim if granularity == "head" else None
        _observe_sample(sample, chosen, per_head, integer_input, observed)
    if chosen is None or not any(h.largest.any() for h in observed.values()):
        raise ValueError("samples must hold at least one matrix that is not zero")
    return observed, chosen


# Not around the whole: what makes the samples keeps the caller's context.
@own_context
def _observe_sample(
    sample: Tensor,
    plan: Plan,
    head_dim: int | None,
    integer_input: bool,
    observed: dict[str, _Histogram],
) -> None:
    matrices, group = _matrices(sample, plan, head_dim)
    if not bool(torch.isfinite(torch.tril(matrices, -1)).all()):
        raise ValueError("samples must be finite below the diagonal")
    for part, of in zip(matrices.split(512), group.split(512), strict=True):
        if integer_input:
            observed["A"].add(torch.tril(part, -1), of)
        _Observation(part, plan, of, observed).run()


def _scale_of(step: Step, clip: _Array, q_max: int, power_of_two: bool) -> _Array:
    """The scale of a grid that reaches to ``clip``; any grid will do for what is always zero."""
    low, high = SCALE_LIMITS
    if step.name == "A":
        clip = np.minimum(clip, A_LIMIT)
    scale = np.clip(np.where(clip > 0, clip, 1.0) / q_max, low * 4, high / 4)
    if power_of_two:
        scale = np.exp2(np.ceil(np.log2(scale)))
    if not step.unit:
        return scale.astype(np.float32).astype(np.float64)
    n = np.clip(np.floor(1 / scale), 1, q_max)
    if power_of_two:
        n = np.exp2(np.floor(np.log2(n)))
    return 1 / n
