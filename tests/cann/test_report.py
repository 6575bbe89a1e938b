"""`python -m neumann_tril report`: one file, whatever fails."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from neumann_tril import testing
from neumann_tril.backends import EmulatorBackend
from neumann_tril.cli import collect, main, sections

UNAVAILABLE = EmulatorBackend().unavailable()


def figures(file: Path) -> Any:
    """The JSON at the end of a report, as a strict reader takes it."""
    (block,) = re.findall(r"```json\n(.*)\n```", file.read_text(), re.DOTALL)
    return json.loads(block, parse_constant=lambda name: pytest.fail(name))


def test_report_on_the_cpu(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "report.md"
    arguments = ["--device", "cpu", "--chunk-sizes", "16", "--matrices", "2", "--out", str(file)]
    assert main(["report", *arguments, "--json", str(tmp_path / "report.json")]) == 0
    found = figures(file)
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert set(found["sections"]) == set(sections.SECTIONS)
    assert all(section["ok"] for section in found["sections"].values())
    assert found["sections"]["installation"]["backends"]["cpu"] == "available"
    (row,) = found["sections"]["times"]["rows"]
    assert min(row["exact"], row["fast"], row["copy"]) > 0
    text = file.read_text()
    for name in sections.SECTIONS:
        assert f"- {name}: ok" in text and f"## {name}\n" in text


@pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
def test_sections_on_the_emulator() -> None:
    request = sections.Request("emulator", (16,), (3,))
    accuracy = sections.accuracy(request)
    assert accuracy["ok"]
    # The emulator adds in the order of the reference.
    assert {row["equal_entries"] for row in accuracy["rows"]} == {1.0}
    assert sections.layouts(request)["ok"]
    times = sections.times(request)
    assert times["kind"] == "modelled"
    assert all(row["exact"] > 0 and "copy" not in row for row in times["rows"])


def options(tmp_path: Path) -> argparse.Namespace:
    out = tmp_path / "report.md"
    return argparse.Namespace(device="cpu", chunk_sizes=[16], matrices=[2], out=out, json=None)


def test_a_failing_section_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {
        "installation": {"ok": True, "found": {}, "backends": {}, "versions": {}},
        "accuracy": {"ok": True, "rows": []},
        "layouts": {"ok": True, "rows": [{"layout": "thc", "packed": True, "ok": False}]},
    }
    outcomes["layouts"]["ok"] = False

    def program(name: str) -> str:
        if name == "times":
            return "import sys; print('half a line'); sys.exit('the kernel hangs')"
        return f"import sys; open(sys.argv[3], 'w').write({json.dumps(outcomes[name])!r})"

    run = collect.subprocess.run

    def replaced(command: list[str], **keywords: Any) -> Any:
        return run([sys.executable, "-c", program(command[3]), *command[3:]], **keywords)

    monkeypatch.setattr(collect.subprocess, "run", replaced)
    chosen = options(tmp_path)
    assert collect.run(chosen) == 1
    found = figures(chosen.out)["sections"]
    assert [found[name]["ok"] for name in sections.SECTIONS] == [True, True, False, False]
    assert "the kernel hangs" in found["times"]["error"]
    text = chosen.out.read_text()
    assert "exit status 1" in text and "half a line" in text and "**no**" in text


def test_a_section_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "TIMEOUT", 0.01)
    assert collect.run(options(tmp_path)) == 1
    found = figures(tmp_path / "report.md")["sections"]
    assert all("not done after" in section["error"] for section in found.values())


def test_a_wrong_result_is_noticed() -> None:
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.7", 16, 3)
    truth = testing.truth(A)
    right = truth.float()
    assert sections._compare(right, right.clone(), truth)["ok"]
    wrong = right.clone()
    wrong[1, 7, 2] += 1e-4
    assert not sections._compare(wrong, right, truth)["ok"]
    # In an exact copy nothing is lost, so nothing may be.
    eye = torch.eye(16).expand(3, 16, 16)
    assert not sections._compare(wrong, eye.clone(), eye.double())["ok"]


def test_a_stand_in_is_named(tmp_path: Path) -> None:
    installed = {"ok": True, "found": {}, "backends": {}, "versions": {}}
    report = {
        "version": "1",
        "date": "today",
        "device": "npu",
        "sections": {"installation": installed},
    }
    assert "No NPU" not in "\n".join(collect._markdown(report))
    installed["stand_in"] = "emulated"
    assert "No NPU" in "\n".join(collect._markdown(report))
