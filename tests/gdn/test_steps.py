"""The steps of the NPU kernel against the recurrence in float64: what they may cost."""

from __future__ import annotations

import importlib.util

import pytest

from helpers import ROOT

# What the kernel is held to over 8,192 tokens; rounding o alone costs up to 2e-3.
MOST_OF_O, MOST_OF_STATE = 4e-3, 2e-3
HARD = ["qwen3.5-0.8b one token", "qwen3-next rho 0.999", "no decay rho 0.999", "beta 2 rho 0.999"]
HARD += ["beta 2 repeated tokens", "all ones", "all twos"]


@pytest.fixture(scope="module")
def study():
    path = ROOT / "benchmarks" / "rule_accuracy.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("regime", HARD)
def test_errors_over_many_chunks(study, regime):
    found = study.errors(regime, 1024, 2)
    assert found.o <= MOST_OF_O and found.state <= MOST_OF_STATE, found


def test_the_script_prints_a_row_for_each_regime(study, capsys):
    regimes = ["all ones", "all twos"]
    assert study.main(["--length", "128", "--heads", "1", "--regimes", *regimes]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row[:32].strip() for row in rows] == regimes
