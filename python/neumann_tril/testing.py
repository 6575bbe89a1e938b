"""Chunk matrices of Gated DeltaNet to test with, and the measures of an inverse's accuracy.

A chunk matrix is A[i, j] = beta_i exp(g_{j+1} + ... + g_i) <k_i, k_j> for j < i, zero elsewhere:
k are unit keys, beta the write strength and g <= 0 the log decay of each token. How hard its
inverse is depends on three things, which a `Regime` names: the gates, how alike the keys are, and
how often a token comes back.

Everything is drawn in float64 from a seeded CPU generator and cast to the wanted dtype at the end.
Elementwise functions turn its uniform numbers into all others, and keys are rounded to multiples
of 2^-20, which makes their inner products exact in float64 whatever the order of summation: every
machine gets the same matrices, but for the last bits of its exp and log.
"""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .arguments import check_tensor
from .context import own_context

__all__ = [
    "GATES",
    "REGIMES",
    "Head",
    "Regime",
    "Snr",
    "ceiling",
    "chunk_matrices",
    "finite_fraction",
    "is_finite",
    "layer",
    "residual",
    "snr",
    "snr_mean_worst",
    "split_chunks",
    "tokens",
    "trained_chunks",
    "truth",
]


class Head(NamedTuple):
    """p10, p50, p90 over the tokens of one head, of the write strength beta and of -g."""

    beta: tuple[float, float, float]
    decay: tuple[float, float, float]


# Gates of one layer each over 8,192 tokens, from the public data of huawei-csl/gdn-tri-inverse.
GATES: dict[str, tuple[Head, ...]] = {
    "qwen3.5-0.8b": (
        Head((0.196, 0.458, 0.656), (1.94, 4.11, 6.42)),
        Head((0.367, 0.51, 0.661), (1.83e-05, 0.000181, 0.00253)),
        Head((0.483, 0.65, 0.773), (5.74e-05, 0.000541, 0.00517)),
        Head((0.977, 0.992, 0.997), (2.63, 3.49, 4.49)),
        Head((0.665, 0.789, 0.932), (0.0703, 0.153, 0.282)),
        Head((0.245, 0.342, 0.481), (5.06e-05, 0.000338, 0.00269)),
        Head((0.215, 0.247, 0.285), (2.34e-05, 0.000132, 0.000786)),
        Head((0.277, 0.502, 0.746), (0.00107, 0.00975, 0.0564)),
        Head((0.11, 0.179, 0.329), (3.26e-10, 1.14e-09, 4.57e-09)),
        Head((0.192, 0.325, 0.573), (0.00037, 0.00248, 0.0143)),
        Head((0.135, 0.263, 0.519), (3.77e-05, 0.000351, 0.00373)),
        Head((0.145, 0.376, 0.619), (1.4, 2.37, 3.19)),
        Head((0.286, 0.434, 0.617), (5.18e-05, 0.00044, 0.00353)),
        Head((0.62, 0.781, 0.91), (1.21, 1.59, 1.96)),
        Head((0.061, 0.148, 0.397), (4.13e-06, 3.14e-05, 0.000332)),
        Head((0.17, 0.3, 0.548), (0.000125, 0.00091, 0.00659)),
    ),
    "qwen3-next": (
        Head((0.396, 0.513, 0.646), (7.19e-05, 0.000467, 0.00492)),
        Head((0.214, 0.36, 0.561), (1.31e-05, 9.39e-05, 0.0011)),
        Head((0.838, 0.96, 0.989), (0.0149, 0.101, 0.26)),
        Head((0.845, 0.965, 0.992), (0.000269, 0.00173, 0.0256)),
        Head((0.582, 0.749, 0.861), (1.22e-05, 0.000115, 0.00227)),
        Head((0.992, 0.997, 0.999), (165.0, 166.0, 166.0)),
        Head((0.993, 0.998, 0.999), (126.0, 126.0, 126.0)),
        Head((0.353, 0.562, 0.739), (2.86e-06, 2.41e-05, 0.000431)),
    ),
    # Every token is written fully and nothing is forgotten.
    "full": (Head((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),),
}

STRETCH = 128  # tokens that share one small vocabulary, where a regime has one


@dataclass(frozen=True)
class Regime:
    """What the tokens of a layer are like.

    gates: the heads whose beta and g are drawn, a name of `GATES`.
    rho: expected cosine of any two different keys of a head, 0 <= rho <= 1.
    decay: False for g = 0.
    beta_scale: 2 for models that allow negative eigenvalues (beta = 2 sigmoid).
    distinct: how many different tokens 128 consecutive ones are drawn from; 0: all differ.
        The same token has the same key and the same gates.
    key_size: entries of a key.

    Raises ValueError, naming the argument, for a value outside these.
    """

    description: str = ""
    gates: str = "qwen3.5-0.8b"
    rho: float = 0.0
    decay: bool = True
    beta_scale: float = 1.0
    distinct: int = 0
    key_size: int = 128

    def __post_init__(self) -> None:
        if self.gates not in GATES:
            raise ValueError(f"gates must be one of {', '.join(GATES)}, got {self.gates!r}")
        if not 0.0 <= self.rho <= 1.0:
            raise ValueError(f"rho must lie in 0..1, got {self.rho!r}")
        if not 0.0 <= self.beta_scale <= 2.0:
            raise ValueError(f"beta_scale must lie in 0..2, got {self.beta_scale!r}")
        if self.distinct < 0:
            raise ValueError(f"distinct must be 0 (all differ) or positive, got {self.distinct!r}")
        if self.key_size < 1:
            raise ValueError(f"key_size must be positive, got {self.key_size!r}")

    @property
    def heads(self) -> int:
        """Heads of the layer that the gates were read from."""
        return len(GATES[self.gates])


def _regimes() -> Iterator[tuple[str, Regime]]:
    for gates in ("qwen3.5-0.8b", "qwen3-next"):
        for rho in (0.0, 0.3, 0.7, 0.95, 0.999):
            text = f"gates of {gates}, keys of correlation {rho:g}"
            yield f"{gates} rho {rho:g}", Regime(text, gates, rho)
        text = f"gates of {gates}, tokens drawn from only four"
        yield f"{gates} repeated tokens", Regime(text, gates, distinct=4)
        text = f"gates of {gates}, one token again and again"
        yield f"{gates} one token", Regime(text, gates, distinct=1)
    for rho in (0.3, 0.95, 0.999):
        text = f"betas of qwen3-next, no decay, keys of correlation {rho:g}"
        yield f"no decay rho {rho:g}", Regime(text, "qwen3-next", rho, decay=False)
    for rho in (0.0, 0.7, 0.999):
        text = f"betas of qwen3-next doubled, keys of correlation {rho:g}"
        yield f"beta 2 rho {rho:g}", Regime(text, "qwen3-next", rho, beta_scale=2.0)
    text = "betas of qwen3-next doubled, no decay, tokens drawn from only four"
    yield (
        "beta 2 repeated tokens",
        Regime(text, "qwen3-next", decay=False, beta_scale=2.0, distinct=4),
    )
    ones = Regime("every entry below the diagonal is 1", "full", distinct=1, key_size=1)
    yield "all ones", ones
    text = "every entry below the diagonal is 2"
    yield "all twos", Regime(text, "full", beta_scale=2.0, distinct=1, key_size=1)


REGIMES: dict[str, Regime] = dict(_regimes())


def _regime(regime: str | Regime) -> Regime:
    if isinstance(regime, Regime):
        return regime
    if regime in REGIMES:
        return REGIMES[regime]
    raise ValueError(f"regime must be a Regime or one of {', '.join(REGIMES)}, got {regime!r}")


def _positive(**counts: int) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be a positive integer, got {count!r}")


def _normal(generator: torch.Generator, *size: int) -> Tensor:
    # rand is exact on every machine; randn depends on the number of elements and on the libm.
    uniform = torch.rand(size, generator=generator, dtype=torch.float64)
    normal: Tensor = torch.special.ndtri(uniform.clamp_(min=2.0**-54))
    return normal


def _two_piece_normal(z: Tensor, quantiles: tuple[float, float, float]) -> Tensor:
    """Map standard normal z to a variable of these p10, p50, p90, normal on each side of p50."""
    low, middle, high = quantiles
    # Of float32, in which the published matrices have been drawn.
    below, above = (torch.tensor(w, dtype=torch.float32) for w in (middle - low, high - middle))
    width = torch.where(z < 0, below, above)
    return middle + z * (width / 1.2815515655446004)  # the standard normal's p90


def _draw_beta(z: Tensor, head: Head) -> Tensor:
    if head.beta[0] == 1.0:
        return torch.ones_like(z)
    low, middle, high = (math.log(p / (1 - p)) for p in head.beta)
    return torch.sigmoid(_two_piece_normal(z, (low, middle, high)))


def _draw_g(z: Tensor, head: Head) -> Tensor:
    if head.decay[2] == 0.0:
        return torch.zeros_like(z)
    low, middle, high = (math.log(p) for p in head.decay)
    return -torch.exp(_two_piece_normal(z, (low, middle, high)))


def _draw_keys(generator: torch.Generator, count: int, regime: Regime) -> Tensor:
    common = torch.nn.functional.normalize(_normal(generator, regime.key_size), dim=0)
    own = _normal(generator, count, regime.key_size) / math.sqrt(regime.key_size)
    keys = math.sqrt(regime.rho) * common + math.sqrt(1.0 - regime.rho) * own
    keys = torch.nn.functional.normalize(keys, dim=-1)
    return torch.round(keys * 2.0**20) / 2.0**20  # exact inner products: see the module's docstring


def _draw_head(
    generator: torch.Generator, length: int, regime: Regime, head: Head
) -> tuple[Tensor, Tensor, Tensor]:
    """Key (length, key_size), beta (length,) and g (length,) of one head."""
    stretches = -(-length // STRETCH)
    count = stretches * regime.distinct if regime.distinct else length
    key = _draw_keys(generator, count, regime)
    beta = regime.beta_scale * _draw_beta(_normal(generator, count), head)
    g = _draw_g(_normal(generator, count), head) * float(regime.decay)
    if regime.distinct:
        token = torch.randint(regime.distinct, (length,), generator=generator)
        token += torch.arange(length) // STRETCH * regime.distinct
        key, beta, g = key[token], beta[token], g[token]
    return key, beta, g


def _draw_layer(
    regime: Regime, length: int, heads: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    presets = GATES[regime.gates]
    for head in range(heads):
        yield _draw_head(generator, length, regime, presets[head % len(presets)])


@own_context
def tokens(
    regime: str | Regime, length: int = 8192, *, heads: int | None = None, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys (T, H, D), beta (T, H) and log decay g (T, H) of T = length tokens, float64.

    logit(beta) and log(-g) are normal on each side of the median, with the p10, p50, p90 of the
    head's row in `GATES`, independent of each other and from token to token. (In the layer of
    Qwen3.5-0.8B neighbouring tokens' gates are uncorrelated, as here; beta and g of one token are
    correlated, between -0.8 and 0.5 by head, which is left out.) Heads beyond the preset's begin
    again from its first.

    Raises ValueError for an unknown regime, or a length or heads below 1.
    """
    regime = _regime(regime)
    heads = regime.heads if heads is None else heads
    _positive(length=length, heads=heads)
    key, beta, g = zip(*_draw_layer(regime, length, heads, seed), strict=True)
    return torch.stack(key, 1), torch.stack(beta, 1), torch.stack(g, 1)


def _matrices(key: Tensor, beta: Tensor, g: Tensor, chunk_size: int) -> Tensor:
    """The (N, C, C) chunk matrices of one head; its length is a multiple of the chunk size."""
    key = key.reshape(-1, chunk_size, key.shape[-1])
    beta = beta.reshape(-1, chunk_size)
    g = g.reshape(-1, chunk_size).cumsum(-1)
    decay = g.unsqueeze(-1) - g.unsqueeze(-2)
    lower = torch.ones(chunk_size, chunk_size, dtype=torch.bool).tril(-1)
    # Masked before exp: above the diagonal the exponent is positive and may overflow.
    decay = decay.masked_fill(~lower, -math.inf).exp()
    return beta.unsqueeze(-1) * decay * (key @ key.mT)


@own_context
def layer(
    regime: str | Regime,
    length: int = 8192,
    chunk_size: int = 64,
    *,
    heads: int | None = None,
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Tensor:
    """The chunk matrices of a whole layer, (B, T, H, C) as `solve_tril` takes them.

    Row t holds the C columns of its row in the chunk that has it; the last chunk may be short.
    heads: those of the gates, if None. Sequence b of the batch is drawn with seed + b.

    Raises ValueError for an unknown regime, or a count below 1.
    """
    regime = _regime(regime)
    heads = regime.heads if heads is None else heads
    _positive(length=length, chunk_size=chunk_size, heads=heads, batch=batch)
    padded = -(-length // chunk_size) * chunk_size
    out = torch.empty(batch, length, heads, chunk_size, dtype=dtype)
    for b in range(batch):
        for h, head in enumerate(_draw_layer(regime, padded, heads, seed + b)):
            out[b, :, h] = _matrices(*head, chunk_size).flatten(0, 1)[:length].to(dtype)
    return out


@own_context
def split_chunks(x: Tensor, chunk_size: int) -> Tensor:
    """(B, T, H, C) to (B, N, H, C, C), a copy; the missing rows of a short last chunk are zero."""
    check_tensor("x", x)
    if x.ndim != 4 or x.shape[-1] != chunk_size:
        raise ValueError(f"x must have shape (B, T, H, {chunk_size}), got {tuple(x.shape)}")
    x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % chunk_size))
    batch, length, heads, _ = x.shape
    x = x.reshape(batch, length // chunk_size, chunk_size, heads, chunk_size)
    return x.transpose(2, 3).contiguous()


@own_context
def chunk_matrices(
    regime: str | Regime,
    chunk_size: int = 64,
    count: int = 64,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Tensor:
    """`count` chunk matrices (count, C, C), strictly lower triangular; head after head in turn.

    A multiple of the heads of the regime's gates (16 for qwen3.5-0.8b, 8 for qwen3-next) has each
    head equally often.

    Raises ValueError for an unknown regime, or a count below 1.
    """
    regime = _regime(regime)
    _positive(chunk_size=chunk_size, count=count)
    length = -(-count // regime.heads) * chunk_size
    matrices = split_chunks(layer(regime, length, chunk_size, dtype=dtype, seed=seed), chunk_size)
    return matrices.flatten(0, 2)[:count].clone()


@own_context
def trained_chunks(dtype: torch.dtype = torch.float16) -> Tensor:
    """Chunk matrices of a trained model: (6 layers, 4 heads, 14, 64, 64), strictly lower.

    The model is the Qwen3.5 of four million parameters that `benchmarks/accuracy` trains on
    Python's standard library (bytes are its tokens; keys of 64). Of the 14 chunks of each head, 8
    lie evenly over held-out text, 4 have the largest infinity norms of 256 chunks of that text, and
    2 the largest on one byte repeated. They are float16 numbers, whatever the dtype.
    """
    file = importlib.resources.files(__package__) / "data" / "trained_chunks.npz"
    with file.open("rb") as opened:
        lower = torch.from_numpy(np.load(opened)["lower"])
    size = (1 + math.isqrt(1 + 8 * lower.shape[-1])) // 2
    A = torch.zeros(*lower.shape[:-1], size, size, dtype=dtype)
    row, column = torch.tril_indices(size, size, -1)
    A[..., row, column] = lower.to(dtype)
    return A


@own_context
def truth(A: Tensor) -> Tensor:
    """The inverse of I + tril(A, -1), float64, by substitution. A: (..., C, C)."""
    check_tensor("A", A)
    eye = torch.eye(A.shape[-1], dtype=torch.float64, device=A.device)
    M = A.to(torch.float64).tril(-1)
    X: Tensor = torch.linalg.solve_triangular(M, eye, upper=False, unitriangular=True)
    return X


@own_context
def is_finite(X: Tensor) -> Tensor:
    """Whether every entry of a matrix is finite: (..., C, C) to (...), bool."""
    check_tensor("X", X)
    return torch.isfinite(X).flatten(-2).all(-1)


@own_context
def finite_fraction(X: Tensor) -> float:
    """The part of the matrices (..., C, C) that is finite throughout; 1 if there are none."""
    finite = is_finite(X)
    return finite.double().mean().item() if finite.numel() else 1.0


@own_context
def snr(X: Tensor, truth: Tensor) -> Tensor:
    """Signal to noise, 20 log10(|truth| / |X - truth|) in dB with Frobenius norms, of each matrix.

    (..., C, C) to (...), float64. inf where there is no error at all, -inf where X is not finite.
    """
    check_tensor("X", X)
    check_tensor("truth", truth)
    truth = truth.to(torch.float64)
    error = X.to(torch.float64) - truth
    scale = truth.abs().amax((-2, -1), keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    signal = torch.linalg.matrix_norm(truth / scale)
    noise = torch.linalg.matrix_norm(error / scale)
    ratio = torch.where(noise == 0, math.inf, signal / noise)
    return torch.where(is_finite(X) & is_finite(truth), 20 * ratio.log10(), -math.inf)


class Snr(NamedTuple):
    """Signal to noise over many matrices, dB."""

    mean: float
    worst: float


@own_context
def snr_mean_worst(X: Tensor, truth: Tensor) -> Snr:
    """Mean and worst of `snr` over all matrices; -inf, both, if one of them is not finite.

    The mean leaves out matrices without any error; both are inf if all are so.
    """
    values = snr(X, truth).flatten()
    if not values.numel():
        return Snr(math.inf, math.inf)
    inexact = values[values != math.inf]
    mean = inexact.mean().item() if inexact.numel() else math.inf
    return Snr(mean, values.min().item())


@own_context
def ceiling(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """The `snr` of rounding the true inverse to dtype: no result stored in dtype can do better."""
    check_tensor("truth", truth)
    return snr(truth.to(dtype), truth)


@own_context
def residual(A: Tensor, X: Tensor) -> Tensor:
    """max |(I + tril(A, -1)) X - I| of each matrix (..., C, C) to (...), in float64; nan as inf."""
    check_tensor("A", A)
    check_tensor("X", X)
    X = X.to(torch.float64)
    eye = torch.eye(A.shape[-1], dtype=torch.float64, device=A.device)
    error = X - eye + A.to(torch.float64).tril(-1) @ X
    return error.abs().amax((-2, -1)).nan_to_num(nan=math.inf, posinf=math.inf)
