"""The quantised inverse, every rounding and saturation spelled out.

Codes are integers held in float64, in which their products and sums are exact. Everything that is
not an integer is float32, each operation rounded once:

    a = code(fl(A / s_a))                      codes of A; code() rounds half to even, saturates
    x = the seed of A                          substitution in float32, as in `reference`
    X = code(fl(x n))                          n: code of a one; the diagonal is exactly n
    V = sum(P Q)                               the exact sum of a product, as float32: see below
    code(fl(V to_grid)), code(fl(V to_x))      from a sum to the next operand
    fl(V wide)                                 from a sum to the result; its diagonal is set to 1

8 bits: |V| <= 128 * 128 * 128 < 2^24, so float32 holds it. 16 bits: with P = 256 Ph + Pl and
Q = 256 Qh + Ql in int8 limbs, the sums Ph Qh, (Ph Ql + Pl Qh) and Pl Ql are exact in int32 and in
float32, for C <= 128, and ``V = fl(fl(65536 PhQh + 256 mid) + PlQl)``.

The result consists of the last wide value of every entry: of a seed x itself, of a sum its
fl(V wide).
Every backend equals :func:`inverse` bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..context import own_context
from ..reference import banded_seed
from .plan import A_LIMIT, Q_MAX, QuantPlan

_HUGE = torch.finfo(torch.float32).max
_TINY = 2.0**-60  # smallest scale of a grid found on the fly


@dataclass
class Intermediate:
    """One intermediate of one inversion.

    name: as in :func:`neumann_tril.grids.steps`; "X" once for the seed, then "X" for each sum that
        becomes an operand.
    codes: (N, ..., C, C) or blocks of it. scale: (N, 1, 1), ``value ~ codes * scale``.
    saturated: codes beyond the grid, of each of the N matrices.
    value: what was rounded, in units of the numbers.
    """

    name: str
    codes: Tensor
    scale: Tensor
    saturated: Tensor
    value: Tensor


@dataclass
class Result:
    """X as numbers, as codes on X's grid, its scale, the saturated codes of each matrix, and, where
    asked for, all intermediates."""

    wide: Tensor
    codes: Tensor
    scale: Tensor
    saturated: Tensor
    trace: list[Intermediate] = field(default_factory=list)


def _f32(x: Tensor) -> Tensor:
    """Round to float32, held in float32."""
    return x.to(torch.float32)


def _sanitised(x: Tensor) -> Tensor:
    """float32 without NaN (zero) and infinities (largest number)."""
    return torch.nan_to_num(x, nan=0.0, posinf=_HUGE, neginf=-_HUGE)


def codes_of(scaled: Tensor, bits: int, name: str = "X") -> tuple[Tensor, Tensor]:
    """Codes (float64) of float32 numbers in units of the grid, and which of them saturated.

    They saturate at -q_max and q_max; but 8 bits, other than A's, at -128, as the cube's output
    unit does.
    """
    high = Q_MAX[bits]
    low = -128 if bits == 8 and name != "A" else -high
    rounded = torch.round(scaled.double())
    return rounded.clamp(low, high), (rounded < low) | (rounded > high)


def _limbs(codes: Tensor) -> tuple[Tensor, Tensor]:
    high = torch.floor((codes + 128) / 256)
    return high, codes - 256 * high


def _sum(bits: int, *pairs: tuple[Tensor, Tensor]) -> Tensor:
    """V, float32: the sum of the products of all pairs."""
    if bits == 8:
        return _f32(_added(p @ q for p, q in pairs))
    split = [(*_limbs(p), *_limbs(q)) for p, q in pairs]
    high = _added(ph @ qh for ph, _, qh, _ in split)
    middle = _added(ph @ ql + pl @ qh for ph, pl, qh, ql in split)
    low = _added(pl @ ql for _, pl, _, ql in split)
    return (_f32(high * 65536) + _f32(middle * 256)) + _f32(low)


def _added(products: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(products)).sum(0)


def _amax(x: Tensor) -> Tensor:
    """Largest magnitude of each matrix, (N, 1, 1); x is (N, C, C) or (N, blocks, c, c)."""
    return x.abs().flatten(1).amax(1)[:, None, None]


def _over(x: Tensor, per_matrix: Tensor) -> Tensor:
    """The (N, 1, 1) numbers, to be broadcast over x, (N, C, C) or (N, blocks, c, c)."""
    return per_matrix if x.dim() == 3 else per_matrix[:, None]


class _Diagonal:
    """The blocks of ``side`` rows on the diagonal."""

    row, step = 0, 1

    def __init__(self, side: int) -> None:
        self.side = side

    def _corners(self, x: Tensor) -> range:
        return range(0, x.shape[1], self.step * self.side)

    def of(self, x: Tensor) -> Tensor:
        """(N, C, C) to (N, blocks, side, side)."""
        s, r = self.side, self.row * self.side
        return torch.stack([x[:, i + r : i + r + s, i : i + s] for i in self._corners(x)], 1)

    def put(self, x: Tensor, values: Tensor) -> None:
        """The inverse of :meth:`of`, in place."""
        s, r = self.side, self.row * self.side
        for k, i in enumerate(self._corners(x)):
            x[:, i + r : i + r + s, i : i + s] = values[:, k]


class _LowerLeft(_Diagonal):
    """The lower left blocks of ``side`` rows of all blocks of 2 ``side`` rows on the diagonal."""

    row, step = 1, 2


class _StaticGrids:
    """Grids from the constants of the plan, by the group of each matrix; all are (N, 1, 1)."""

    def __init__(self, qplan: QuantPlan, group: Tensor) -> None:
        self.constants, self.group = qplan.constants, group

    def _of(self, values: Mapping[str, np.ndarray], name: str) -> Tensor:
        return self._pick(values[name])

    def _pick(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values)[self.group][:, None, None]

    def a(self, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Multiplier to codes; scale; the code of a one (where M is formed)."""
        one = self._of(self.constants.units, "A") if "A" in self.constants.units else None
        scale = self._pick(self.constants.a_scale)
        return self._pick(self.constants.a_inverse), scale, scale if one is None else one

    def x(self, wide: Tensor) -> Tensor:
        """n of X's grid, chosen for the numbers that it is to hold."""
        return self._of(self.constants.units, "X")

    def unit(self, name: str, v: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
        """n of the grid of a sum in which a one is ``one``, and the multiplier to its codes."""
        return self._of(self.constants.units, name), self._of(self.constants.to_grid, name)

    def free(self, name: str, v: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Scale of the grid of a sum whose unit is ``scale``, and the multiplier to its codes."""
        return self._of(self.constants.to_x, name), self._of(self.constants.to_grid, name)

    def wide(self, name: str, n: Tensor, p: Tensor) -> Tensor:
        """Multiplier from a sum of products of the grids 1 / n and 1 / p to a number."""
        return self._of(self.constants.wide, name)

    def join(self, name: str, n: Tensor, scale: Tensor) -> Tensor:
        """The same for the grids 1 / n and ``scale``."""
        return self._of(self.constants.wide, name)

    def x_codes(self, name: str, v: Tensor, n: Tensor) -> Tensor | None:
        """A sum in units of X's grid; None: X as a whole is to be put on a new grid."""
        return v * _over(v, self._of(self.constants.to_x, name))


class _DynamicGrids:
    """Grids that hold the largest magnitude of each matrix; the same methods, in float32."""

    def __init__(self, qplan: QuantPlan) -> None:
        self.q = torch.tensor(qplan.q_max, dtype=torch.float32)
        self.forms_m = qplan.forms_m

    def _fitting(self, largest: Tensor) -> Tensor:
        one = torch.ones((), dtype=torch.float32)
        return torch.floor(self.q / largest.clamp_min(_TINY)).clamp(one, self.q)

    def a(self, A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        largest = _amax(A).clamp(_TINY, A_LIMIT)
        if self.forms_m:
            m = self._fitting(largest)
            return m, 1 / m, m
        scale = largest / self.q
        return 1 / scale, scale, scale

    def x(self, wide: Tensor) -> Tensor:
        return self._fitting(_amax(wide))

    def unit(self, name: str, v: Tensor, one: Tensor) -> tuple[Tensor, Tensor]:
        n = self._fitting(_amax(v) / one)
        return n, n / one

    def free(self, name: str, v: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        ratio = self.q / _amax(v).clamp_min(1.0)
        return scale / ratio, ratio

    def wide(self, name: str, n: Tensor, p: Tensor) -> Tensor:
        return 1 / (n * p)

    def join(self, name: str, n: Tensor, scale: Tensor) -> Tensor:
        return scale / n

    def x_codes(self, name: str, v: Tensor, n: Tensor) -> Tensor | None:
        return None


class Evaluation:
    """One inversion: A's codes, and X as numbers and as codes, as far as it is known."""

    def __init__(self, A: Tensor, qplan: QuantPlan, group: Tensor, keep_trace: bool) -> None:
        self.plan, self.bits = qplan.plan, qplan.bits
        self.grids = _DynamicGrids(qplan) if qplan.is_dynamic else _StaticGrids(qplan, group)
        self.trace: list[Intermediate] = []
        self.keep_trace = keep_trace
        self.saturated = torch.zeros(A.shape[0], dtype=torch.int64)
        self.eye = torch.eye(A.shape[-1], dtype=torch.float64)
        self.A = torch.tril(torch.nan_to_num(A.float(), nan=0.0), -1).clamp(-A_LIMIT, A_LIMIT)
        operand = self.A.clone()
        if not qplan.forms_m:  # the leaves on the diagonal are no operand of a product
            _Diagonal(self.plan.leaf).put(operand, operand.new_zeros(1, self.plan.chunk_size, 1, 1))
        inverse, self.a_scale, self.m = self.grids.a(operand)
        self.a = self.quantise("A", operand * inverse, self.a_scale)

    def quantise(self, name: str, scaled: Tensor, scale: Tensor) -> Tensor:
        """Codes of numbers in units of ``scale``, recorded under ``name``."""
        codes, beyond = codes_of(scaled, self.bits, name)
        beyond = beyond.flatten(1).sum(1)
        self.saturated += beyond
        if self.keep_trace:
            value = scaled.double() * _over(scaled, scale.double())
            self.trace.append(Intermediate(name, codes, scale.double(), beyond, value))
        return codes

    # X = the seed of every leaf
    def seed(self) -> None:
        leaf, plan = self.plan.leaf, self.plan
        seeds = banded_seed(_Diagonal(leaf).of(self.A), plan.bandwidth, torch.float32)
        self.wide = torch.zeros_like(self.A)
        _Diagonal(leaf).put(self.wide, _sanitised(seeds.float()))
        self.n = self.grids.x(self.wide)
        self.x = self.quantise("X", self.wide * self.n, 1 / self.n)

    def ones(self, matrix: Tensor, one: Tensor) -> Tensor:
        """The identity with the code ``one``, in the shape of ``matrix``."""
        side = matrix.shape[-1]
        return (self.eye[:side, :side] * _over(matrix, one.double())).expand(matrix.shape)

    def store_x(self, name: str, v: Tensor, wide: Tensor, place: _Diagonal) -> None:
        """A sum becomes part of X; the ones on the diagonal are known, whatever ``wide`` makes of
        them."""
        place.put(self.wide, v * _over(v, wide))
        torch.diagonal(self.wide, dim1=1, dim2=2).fill_(1)
        scaled = self.grids.x_codes(name, v, self.n)
        if scaled is not None:
            place.put(self.x, self.quantise("X", scaled, 1 / self.n))
            return
        self.n = self.grids.x(self.wide)
        self.x = self.quantise("X", self.wide * self.n, 1 / self.n)

    def residual(self, name: str, side: int) -> tuple[Tensor, Tensor]:
        """R = I - M X of the diagonal blocks of ``side`` rows: codes, and the code of a one."""
        a, x = _Diagonal(side).of(self.a), _Diagonal(side).of(self.x)
        m = a + self.ones(a, self.m)
        identity = (self.ones(a, self.m), self.ones(a, self.n))
        v = _sum(self.bits, (-m, x), identity)
        p, ratio = self.grids.unit(name, v, self.m * self.n)
        return self.quantise(name, v * _over(v, ratio), 1 / p), p

    # X = X0 (I + R + ... + R^(terms - 1)) of every leaf
    def leaf_sum(self) -> None:
        plan, side = self.plan, self.plan.leaf
        place = _Diagonal(side)
        r, p = self.residual("R", side)
        if plan.form == "sequential":
            self._horner(r, p, place)
            return
        factors = plan.terms.bit_length() - 1
        for k in range(factors):
            name = f"P{k}" if k else "R"
            if k:
                v = _sum(self.bits, (r, r))
                squared, ratio = self.grids.unit(name, v, p * p)
                r, p = self.quantise(name, v * _over(v, ratio), 1 / squared), squared
            x = place.of(self.x)
            v = _sum(self.bits, (x, r + self.ones(r, p)))
            self.store_x(name, v, self.grids.wide(name, self.n, p), place)

    def _horner(self, r: Tensor, p: Tensor, place: _Diagonal) -> None:
        """Y = X0 + Y R, terms - 1 times; every Y lives on X's grid."""
        seed_wide = self.wide.clone()
        for _ in range(self.plan.terms - 1):
            y = place.of(self.x)
            seed = place.of(codes_of(seed_wide * self.n, self.bits)[0])
            v = _sum(self.bits, (y, r), (seed, self.ones(r, p)))
            self.store_x("R", v, self.grids.wide("R", self.n, p), place)

    # X21 = -X22 (A21 X11) of all pairs of blocks of `side` rows
    def join(self, level: int, side: int) -> None:
        name, pair = f"T{level}", _LowerLeft(side)
        a21 = pair.of(self.a)
        halves = _Diagonal(side).of(self.x)
        upper, lower = halves[:, 0::2], halves[:, 1::2]
        v = _sum(self.bits, (-a21, upper))
        scale, ratio = self.grids.free(name, v, self.a_scale / self.n)
        t = self.quantise(name, v * _over(v, ratio), scale)
        v = _sum(self.bits, (lower, t))
        self.store_x(name, v, self.grids.join(name, self.n, scale), pair)

    # X = X (I + E), E = I - M X, on the whole chunk
    def refine(self, number: int) -> None:
        name, side = f"E{number}", self.plan.chunk_size
        e, p = self.residual(name, side)
        whole = _Diagonal(side)
        v = _sum(self.bits, (whole.of(self.x), e + self.ones(e, p)))
        self.store_x(name, v, self.grids.wide(name, self.n, p), whole)

    def run(self) -> Result:
        plan = self.plan
        self.seed()
        if plan.terms > 1:
            self.leaf_sum()
        for level in range(plan.splits):
            self.join(level, plan.leaf << level)
        for number in range(plan.refinements):
            self.refine(number)
        return Result(_sanitised(self.wide), self.x, 1 / self.n, self.saturated, self.trace)


@own_context
def inverse(
    A: Tensor, qplan: QuantPlan, group: Tensor | None = None, *, trace: bool = False
) -> Result:
    """``(I + tril(A, -1))^-1`` on the grids of ``qplan``.

    Args:
        A: (N, C, C) numbers; only the strictly lower part is read. NaN counts as zero, infinities
            and what exceeds the grid saturate.
        qplan: for chunk size C.
        group: (N,) int64, the group of scales of each matrix; None: all belong to group 0.
        trace: keep all intermediates.
    """
    if group is None:
        group = torch.zeros(A.shape[0], dtype=torch.int64)
    return Evaluation(A, qplan, group, trace).run()
