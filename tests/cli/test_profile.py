"""The command that models the NPU kernel's time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neumann_tril import emulator
from neumann_tril.cli import main


def test_profile_reports_time_ratio_pipes_and_a_timeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, trace = tmp_path / "figures.json", tmp_path / "trace.json"
    arguments = ["profile", "--chunk", "32", "--matrices", "64", "--out", str(tmp_path)]
    assert main([*arguments, "--json", str(figures), "--trace", str(trace)]) == 0
    printed = capsys.readouterr().out
    assert "modelled, not measured" in printed
    report = json.loads(figures.read_text())
    assert report["soc"] == "Ascend910B4" and report["time_us"] > 0
    assert report["ratio"] == pytest.approx(report["baseline_us"] / report["time_us"])
    # Every matrix is read once and written once, at least.
    assert report["hbm_bytes"] >= 2 * 64 * 32 * 32 * 2
    assert all(busy > 0 for busy in report["busy_us"].values())
    assert report["worst_snr_db"] > 70
    assert Path(report["picture"]).read_bytes().startswith(b"\x89PNG")
    events = json.loads(trace.read_text())["traceEvents"]
    assert {e["args"]["name"] for e in events if e["name"] == "process_name"} >= {"AIC block 0"}


def test_profile_knows_the_second_architecture(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["profile", "--chunk", "16", "--matrices", "16", "--soc", "Ascend950PR_9599"]
    assert main([*arguments, "--out", str(tmp_path), "--json", str(figures)]) == 0
    assert json.loads(figures.read_text())["baseline_us"] is None


def test_an_unknown_chip_is_named() -> None:
    with pytest.raises(ValueError, match="soc must be one of Ascend910B1.*got 'Ascend310'"):
        emulator.architecture("Ascend310")


def test_profile_tells_which_costs_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["profile", "--chunk", "32", "--matrices", "40", "--out", str(tmp_path)]
    assert main([*arguments, "--json", str(figures), "--sensitivity"]) == 0
    printed = capsys.readouterr().out
    report = json.loads(figures.read_text())
    found = report["sensitivity"]
    assert found["time_range_us"][0] < report["time_us"] < found["time_range_us"][1]
    assert found["ratio_range"][0] < report["ratio"] < found["ratio_range"][1]
    assert "launch_ns (calibrated)" in printed and "Under 0.2%: " in printed
    rows = [line.split()[0] for line in printed.splitlines() if "(calibrated)" in line]
    assert rows == [c["name"] for c in found["costs"] if c["name"] in rows]
    widths = [
        max(times) - min(times)
        for cost in found["costs"]
        for times in [[report["time_us"], *(change["time_us"] for change in cost["changes"])]]
    ]
    assert widths == sorted(widths, reverse=True)
    assert Path(report["tornado"]).read_bytes().startswith(b"\x89PNG")
    assert Path(report["picture"]) != Path(report["tornado"])


def test_profile_has_no_ratio_on_the_second_architecture(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["profile", "--chunk", "16", "--matrices", "16", "--soc", "Ascend950PR_9599"]
    arguments += ["--sensitivity", "--out", str(tmp_path), "--json", str(figures)]
    assert main(arguments) == 0
    report = json.loads(figures.read_text())
    assert report["sensitivity"]["ratio_range"] is None
    assert Path(report["tornado"]).exists()
