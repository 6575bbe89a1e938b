"""The error account: it names the step that loses."""

import math

import pytest
import torch

from neumann_tril import QuantPlan, calibrate, inverse_quantized, quant, testing
from neumann_tril.grids.reference import Evaluation


def test_the_account_adds_up_and_names_the_step_that_is_made_worse():
    A = testing.split_chunks(testing.layer("qwen3-next rho 0.7", 512, 64), 64)
    qplan = calibrate(A)
    report = quant.error_report(A, qplan)
    assert [s.name for s in report.steps] == ["A", "X", "T0", "T1"]
    snr = testing.snr(inverse_quantized(A, qplan, backend="reference"), testing.truth(A))
    assert report.worst == float(snr.min()) and report.median == float(snr.median())
    # One rounding alone leaves no more noise than all of them together.
    assert all(s.result_median > report.median for s in report.steps)

    scales = {name: list(values) for name, values in qplan.scales.items()}
    scales["T1"] = [8 * v for v in scales["T1"]]
    coarse = QuantPlan(qplan.plan, 8, "head", scales)
    spoiled = {s.name: s for s in quant.error_report(A, coarse).steps}
    before = {s.name: s for s in report.steps}
    assert spoiled["T1"].own < before["T1"].own - 12
    assert min(spoiled.values(), key=lambda s: s.result_median).name == "T1"

    scales["T1"] = [v / 64 for v in scales["T1"]]
    clipped = quant.error_report(A, QuantPlan(qplan.plan, 8, "head", scales))
    assert {s.name: s.saturated > 1e-3 for s in clipped.steps}["T1"]
    assert "T1" in str(clipped)


def test_dynamic_scales_have_an_account_too():
    A = testing.chunk_matrices("qwen3-next rho 0.3", 32, 8)
    report = quant.error_report(A, QuantPlan.dynamic(chunk_size=32))
    assert report.worst > 40 and torch.isfinite(torch.tensor(report.worst))


def test_the_own_error_of_x_is_that_of_all_its_blocks():
    """X21, which a join gives, has no ones and is not triangular: all of it counts."""
    A = testing.chunk_matrices("qwen3-next rho 0.3", 32, 8)
    qplan = calibrate(A, granularity="tensor")
    whole = Evaluation(A, qplan, torch.zeros(8, dtype=torch.int64), keep_trace=True).run()
    seed, joined = (i for i in whole.trace if i.name == "X")
    signal = noise = 0.0
    for values, codes in ((seed.value, seed.codes), (joined.value, joined.codes)):
        rounded = codes / round(1 / qplan.scales["X"][0])
        noise += float(((rounded - values) ** 2).sum())
        signal += float((values**2).sum())
    signal -= 8 * 32  # the ones
    own = {s.name: s.own for s in quant.error_report(A, qplan).steps}["X"]
    assert own == pytest.approx(10 * math.log10(signal / noise), abs=0.01)
