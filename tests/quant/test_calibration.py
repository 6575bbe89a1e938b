"""Calibration: what it finds, what it reports, and what it refuses."""

import math

import pytest
import torch

from neumann_tril import Plan, QuantPlan, calibrate, quant, testing
from neumann_tril.grids import reference

REGIME = "no decay rho 0.3"


def layer(seed=0, length=512, chunk_size=32):
    """(1, N, H, C, C)"""
    return testing.split_chunks(testing.layer(REGIME, length, chunk_size, seed=seed), chunk_size)


def true_a21(A):
    return A[..., 16:, :16]


def test_max_reaches_the_largest_value_of_each_head():
    A = layer()
    qplan = calibrate(A, bits=8)
    reached = torch.tensor(qplan.scales["A"]) * 127
    assert torch.allclose(reached, true_a21(A).abs().amax((0, 1, 3, 4)), rtol=1e-6)
    x21 = testing.truth(A).tril(-1).abs().amax((0, 1, 3, 4))
    assert bool((torch.tensor(qplan.scales["X"]) * 127 >= x21 * 0.999).all())
    t = true_a21(A).double() @ testing.truth(A)[..., :16, :16]
    reached = torch.tensor(qplan.scales["T0"]) * 127
    assert torch.allclose(reached, t.abs().amax((0, 1, 3, 4)).float(), rtol=1e-5)


def test_one_tensor_or_an_iterator_of_its_parts_is_the_same():
    A = layer()
    whole = calibrate(A, bits=16)
    parts = calibrate((A[:, i : i + 4] for i in range(0, A.shape[1], 4)), bits=16)
    assert whole == parts


def test_tensor_granularity_takes_the_widest_head():
    A = layer()
    per_head, single = calibrate(A), calibrate(A, granularity="tensor")
    assert single.scales["A"] == (max(per_head.scales["A"]),)
    assert single.scales["X"] == (max(per_head.scales["X"]),)
    assert single.groups == 1 and per_head.groups == A.shape[2]


def test_the_default_device_does_not_matter():
    A = layer()
    qplan = calibrate(A)
    with torch.device("meta"):
        assert calibrate(A) == qplan
        assert quant.error_report(A, qplan).worst > 20


def test_heads_are_found_along_the_dimension_that_is_named():
    A = layer()
    assert calibrate(A, head_dim=2) == calibrate(A.transpose(1, 2), head_dim=1)


def test_small_ranges_of_grids_without_a_one_are_widened():
    A = layer() / 64
    fine, wide = calibrate(A, least=0.0), calibrate(A, least=0.25)
    assert max(fine.scales["A"]) * 127 < 0.05
    for name in ("A", "T0"):
        assert wide.scales[name] == pytest.approx([0.25 / 127] * 8)
    assert wide.scales["X"] == fine.scales["X"]


def test_headroom_and_powers_of_two():
    A = layer()
    plain = calibrate(A, bits=16, headroom=1.0, least=0.0)
    roomy = calibrate(A, bits=16, headroom=2.0, least=0.0)
    for a, b in zip(plain.scales["T0"], roomy.scales["T0"], strict=True):
        assert b == pytest.approx(2 * a, rel=1e-6)
    for values in calibrate(A, power_of_two=True).scales.values():
        assert all(math.log2(value).is_integer() for value in values)


@pytest.mark.parametrize("bits", [8, 16])
def test_min_error_is_never_noisier_on_its_own_samples(bits):
    A = layer(length=1024)
    noise = {}
    for method in ("max", "min_error", "percentile"):
        report = calibrate(A, bits=bits, method=method, headroom=1.0, percentile=95).report
        assert report is not None
        noise[method] = [g["snr"] for g in report["intermediates"]["T0"]["groups"]]
    for least, largest in zip(noise["min_error"], noise["max"], strict=True):
        assert least >= largest - 0.2  # a bin is 2 percent wide
    assert min(noise["percentile"]) < min(noise["min_error"])  # 5 percent are clipped


def test_the_reported_snr_and_clipping_are_those_of_the_quantiser():
    """The histogram predicts what rounding the very same values costs."""
    A = layer(length=1024)
    qplan = calibrate(A, granularity="tensor", method="percentile", percentile=99.0)
    assert qplan.report is not None
    account = qplan.report["intermediates"]["A"]["groups"][0]
    value = true_a21(A).double()
    scale = qplan.scales["A"][0]
    codes = torch.round(value / scale)
    error = codes.clamp(-127, 127) * scale - value
    snr = 10 * math.log10(float((value**2).sum() / (error**2).sum()))
    assert account["snr"] == pytest.approx(snr, abs=0.5)
    clipped = float((value.abs() > 127 * scale).sum() / (value != 0).sum())
    assert account["clipped"] == pytest.approx(clipped, abs=0.003)
    assert account["largest"] == pytest.approx(float(value.abs().max()))


def test_integer_input_needs_a_grid_for_all_of_a():
    A = layer()
    A[..., :16, :16] *= 1.5
    wide = calibrate(A, granularity="tensor", integer_input=True)
    assert wide.scales["A"][0] * 127 == pytest.approx(float(A.tril(-1).abs().max()))
    assert wide.scales["A"][0] > calibrate(A, granularity="tensor").scales["A"][0]


def test_all_intermediates_of_a_summed_plan_are_calibrated():
    plan = Plan(32, 3, 4, "doubling", 0, 1)
    qplan = calibrate(layer(), plan=plan, bits=16)
    assert list(qplan.scales) == ["A", "X", "R", "P1", "E0"]
    assert all((1 / v) == pytest.approx(round(1 / v)) for v in qplan.scales["R"])


def test_saturation_is_rare_on_the_samples_themselves():
    A = layer()
    qplan = calibrate(A, granularity="tensor", headroom=1.01)
    assert int(reference.inverse(A.reshape(-1, 32, 32), qplan).saturated.sum()) == 0


@pytest.mark.parametrize(
    "samples, options, named",
    [
        (lambda: layer(), {"bits": 7}, "bits"),
        (lambda: layer(), {"granularity": "chunk"}, "QuantPlan.dynamic"),
        (lambda: layer(), {"method": "best"}, "method"),
        (lambda: layer(), {"percentile": 0}, "percentile"),
        (lambda: layer(), {"headroom": -1.0}, "headroom"),
        (lambda: layer(), {"least": -1.0}, "least"),
        (lambda: layer(), {"head_dim": 4}, "head_dim"),
        (lambda: layer(), {"plan": "paper2"}, "plan"),
        (lambda: layer(), {"plan": Plan(64, 3, 8)}, "64"),
        (lambda: layer()[0, 0, 0], {}, "head_dim must name a batch dimension"),
        (lambda: layer().to(torch.int8), {}, "samples must be numbers"),
        (lambda: torch.zeros(32), {}, "a sample must have shape"),
        (lambda: [1.0], {}, "samples must be tensors, got float"),
        (lambda: 1.0, {}, "samples must be a tensor or an iterable"),
        (lambda: [], {}, "at least one matrix"),
        (lambda: torch.zeros(2, 3, 32, 32), {}, "not zero"),
        (lambda: torch.full((2, 3, 32, 32), math.nan), {}, "finite"),
        (lambda: [layer(), layer()[:, :, :2]], {}, "same heads"),
        (lambda: [layer(), torch.zeros(1, 2, 8, 64, 64)], {}, "shape"),
    ],
)
def test_what_cannot_be_calibrated_is_named(samples, options, named):
    with pytest.raises((TypeError, ValueError), match=named):
        calibrate(samples(), **options)


def test_the_picture_of_the_distributions(tmp_path):
    pytest.importorskip("matplotlib")
    quant.plot(calibrate(layer()), str(tmp_path / "ranges.png"))
    assert (tmp_path / "ranges.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="report"):
        quant.plot(QuantPlan.dynamic(), str(tmp_path / "none.png"))
