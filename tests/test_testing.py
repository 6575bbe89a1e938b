import math

import pytest
import torch

from neumann_tril import testing
from neumann_tril.testing import GATES, REGIMES, Regime


def naive_layer(key, beta, g, chunk_size):
    """A (T, H, C), entry by entry from the definition."""
    length, heads, _ = key.shape
    A = torch.zeros(length, heads, chunk_size, dtype=torch.float64)
    for t in range(length):
        first = t - t % chunk_size
        for s in range(first, t):
            decay = torch.exp(g[s + 1 : t + 1].sum(0))
            A[t, :, s - first] = beta[t] * decay * (key[t] * key[s]).sum(-1)
    return A


@pytest.mark.parametrize("name", REGIMES)
def test_matrices_follow_the_definition(name):
    A = testing.layer(name, 37, 16, heads=3, dtype=torch.float64, seed=5)
    # The layer draws whole chunks, so its tokens are those of the padded length.
    expected = naive_layer(*testing.tokens(name, 48, heads=3, seed=5), 16)[:37]
    # Not bit for bit: the layer takes differences of cumulative sums, of up to 16 * 170 here.
    torch.testing.assert_close(A[0], expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", REGIMES)
@pytest.mark.parametrize("chunk_size", [16, 128])
def test_regimes_make_finite_strictly_lower_matrices(name, chunk_size):
    A = testing.chunk_matrices(name, chunk_size, 16, dtype=torch.float64)
    assert A.shape == (16, chunk_size, chunk_size)
    assert torch.equal(A, A.tril(-1))
    assert testing.finite_fraction(A) == 1.0
    assert REGIMES[name].description
    half = testing.chunk_matrices(name, chunk_size, 16, dtype=torch.float16)
    assert torch.equal(half, A.to(torch.float16))


def test_matrices_are_the_same_everywhere():
    # Weighted, so that every entry's place counts; the sums are over 32 x 64 x 64 float64 entries.
    weights = torch.cos(torch.arange(32 * 64 * 64, dtype=torch.float64)).reshape(32, 64, 64)
    pinned = {
        "qwen3.5-0.8b rho 0.7": 0.85489240929,
        "qwen3-next rho 0": -4.92181052519,
        "beta 2 repeated tokens": 49.8057027149,
        "all ones": -1.93084801722,
    }
    for name, expected in pinned.items():
        A = testing.chunk_matrices(name, 64, 32, dtype=torch.float64, seed=1)
        assert (weights * A).sum().item() == pytest.approx(expected, rel=1e-9, abs=1e-9), name


def test_global_generator_is_left_alone():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    testing.layer("qwen3-next rho 0", 16, 16)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_differ_and_batch_counts_them():
    A = testing.layer("qwen3-next rho 0.3", 64, 32, batch=2, seed=7)
    assert torch.equal(A[1], testing.layer("qwen3-next rho 0.3", 64, 32, seed=8)[0])
    assert not torch.equal(A[0], A[1])


@pytest.mark.parametrize("gates", ["qwen3.5-0.8b", "qwen3-next"])
def test_gates_have_the_quantiles_of_the_table(gates):
    length = 20_000
    _, beta, g = testing.tokens(Regime(gates=gates, key_size=1), length)
    # A sample's rank of a quantile p has deviation sqrt(p (1 - p) / n); five of them are allowed.
    for p, column in ((0.1, 0), (0.5, 1), (0.9, 2)):
        slack = 5 * math.sqrt(p * (1 - p) / length)
        for h, head in enumerate(GATES[gates]):
            assert abs((beta[:, h] < head.beta[column]).double().mean() - p) < slack
            # The last digit of 126 / 126 / 126 leaves no spread to measure.
            if head.decay[0] < head.decay[2]:
                below = (-g[:, h] < head.decay[column]).double().mean()
                quantile_is_shared = head.decay.count(head.decay[column]) > 1
                assert quantile_is_shared or abs(below - p) < slack
    assert ((beta > 0) & (beta < 1)).all() and (g < 0).all()


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 0.95, 0.999, 1.0])
def test_keys_have_the_asked_correlation(rho):
    key, _, _ = testing.tokens(Regime(rho=rho), 1024, heads=2)
    torch.testing.assert_close(
        key.norm(dim=-1), torch.ones(1024, 2, dtype=torch.float64), atol=1e-5, rtol=0
    )
    gram = torch.einsum("ihd,jhd->hij", key, key)
    off_diagonal = gram.sum((1, 2)) - gram.diagonal(dim1=1, dim2=2).sum(1)
    # Own parts have norm 1 only on average: their squared norm spreads by sqrt(2 / 128) of itself,
    # whose square, about 1/64, is the order of the bias of the normalised keys' cosine.
    assert off_diagonal / (1024 * 1023) == pytest.approx([rho, rho], abs=0.02)


def test_keys_have_exact_inner_products():
    key, _, _ = testing.tokens("qwen3-next rho 0.3", 64, heads=1)
    key = key[:, 0]
    scaled = (key * 2**20).to(torch.int64)
    assert torch.equal(scaled.double() / 2**20, key)
    exact = (scaled[:, None] * scaled[None]).sum(-1)
    assert torch.equal((key @ key.mT) * 2.0**40, exact.double())


def test_ones_and_twos():
    lower = torch.ones(32, 32).tril(-1).expand(4, 32, 32)
    assert torch.equal(testing.chunk_matrices("all ones", 32, 4), lower)
    assert torch.equal(testing.chunk_matrices("all twos", 32, 4), 2 * lower)


def test_repeated_tokens_repeat():
    key, beta, g = testing.tokens("qwen3-next repeated tokens", 256, heads=1)
    for first in (0, 128):
        part = torch.cat(
            (key[first : first + 128, 0], beta[first : first + 128], g[first : first + 128]), -1
        )
        assert len(part.unique(dim=0)) == 4
    assert len(key[:, 0].unique(dim=0)) == 8


def test_beta_two_and_no_decay():
    _, beta, _ = testing.tokens("beta 2 rho 0", 256)
    assert 1.9 < beta.max() <= 2.0
    _, _, g = testing.tokens("no decay rho 0.3", 256)
    assert (g == 0).all()


def test_split_chunks():
    A = testing.layer("qwen3-next rho 0.3", 40, 16, batch=2)
    chunks = testing.split_chunks(A, 16)
    assert chunks.shape == (2, 3, 8, 16, 16)
    assert torch.equal(chunks[1, 2, 5, :8], A[1, 32:, 5])
    assert (chunks[:, 2, :, 8:] == 0).all()


def test_truth_inverts_and_reads_the_lower_part_only():
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.7", 64, 16, dtype=torch.float64)
    X = testing.truth(A + torch.full_like(A, math.nan).triu())
    # Row sums of |A| stay below 64 and entries of X near 1: 64 * 64 roundings of 2^-53.
    assert testing.residual(A, X).max() < 64 * 64 * 2.0**-53
    assert testing.residual(A + torch.full_like(A, math.nan).triu(), X).max() < 64 * 64 * 2.0**-53


def test_snr_of_a_known_error():
    truth = torch.eye(16, dtype=torch.float64).expand(3, 16, 16)
    X = truth.clone()
    X[0] += 1e-3 * torch.eye(16)
    X[1, 5, 3] = math.nan
    values = testing.snr(X, truth)
    assert values[0].item() == pytest.approx(60.0)
    assert values[1].item() == -math.inf
    assert values[2].item() == math.inf
    assert testing.is_finite(X).tolist() == [True, False, True]
    assert testing.finite_fraction(X) == pytest.approx(2 / 3)
    assert testing.snr_mean_worst(X, truth) == (-math.inf, -math.inf)
    assert testing.snr_mean_worst(X[[0, 2]], truth[[0, 2]]) == pytest.approx((60.0, 60.0))
    assert testing.snr_mean_worst(X[2:], truth[2:]) == (math.inf, math.inf)
    assert testing.snr_mean_worst(X[:0], truth[:0]) == (math.inf, math.inf)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_snr_does_not_overflow(scale):
    truth = scale * torch.eye(4, dtype=torch.float64)
    assert testing.snr(truth * 1.001, truth).item() == pytest.approx(60.0, abs=1e-6)
    assert testing.snr(truth * math.inf, truth).item() == -math.inf
    assert testing.snr(torch.zeros(4, 4), torch.zeros(4, 4)).item() == math.inf
    assert testing.snr(truth, torch.zeros(4, 4)).item() == -math.inf


def test_residual_of_what_is_not_finite():
    A = torch.zeros(2, 4, 4)
    X = torch.eye(4).repeat(2, 1, 1)
    X[1, 2, 0] = math.nan
    assert testing.residual(A, X).tolist() == [0.0, math.inf]


@pytest.mark.parametrize(
    "dtype, bits", [(torch.float16, 11), (torch.bfloat16, 8), (torch.float32, 24)]
)
def test_ceiling(dtype, bits):
    truth = testing.truth(testing.chunk_matrices("qwen3.5-0.8b rho 0.7", 64, 16))
    # Rounding to p bits errs by at most 2^-p of each number: 6.02 p dB.
    values = testing.ceiling(truth, dtype)
    assert values.min() >= 20 * bits * math.log10(2) - 0.1
    assert testing.ceiling(truth, torch.float64).min() == math.inf


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: testing.chunk_matrices("rho 7"),
            "regime must be a Regime or one of qwen3.5-0.8b rho 0",
        ),
        (
            lambda: testing.chunk_matrices("all ones", 0),
            "chunk_size must be a positive integer, got 0",
        ),
        (
            lambda: testing.chunk_matrices("all ones", 16, -1),
            "count must be a positive integer, got -1",
        ),
        (lambda: testing.layer("all ones", 2.5), "length must be a positive integer, got 2.5"),
        (lambda: testing.layer("all ones", 16, heads=0), "heads must be a positive integer, got 0"),
        (lambda: testing.layer("all ones", 16, batch=0), "batch must be a positive integer, got 0"),
        (lambda: testing.split_chunks(torch.zeros(2, 16, 16), 16), "x must have shape"),
        (
            lambda: Regime(gates="gpt"),
            "gates must be one of qwen3.5-0.8b, qwen3-next, full, got 'gpt'",
        ),
        (lambda: Regime(rho=1.5), "rho must lie in 0..1, got 1.5"),
        (lambda: Regime(beta_scale=3.0), "beta_scale must lie in 0..2, got 3.0"),
        (lambda: Regime(distinct=-1), "distinct must be 0"),
        (lambda: Regime(key_size=0), "key_size must be positive, got 0"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(message)
