"""What is said on a machine that lacks a part: torch_npu, CANN, a device, the NPU library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neumann_tril as nt
from helpers import TORCH_NPU, needs_stand_in, needs_torch_npu
from neumann_tril import acl_stand_in, native, npu
from neumann_tril.cli import main, npu_demo


@pytest.fixture(autouse=True)
def _fresh_library():  # type: ignore[no-untyped-def]
    npu.library.cache_clear()
    yield
    npu.library.cache_clear()


def command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m neumann_tril`` beside the genuine torch_npu."""
    paths = [TORCH_NPU, Path(npu.__file__).parents[1], os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "neumann_tril", *map(str, arguments)],
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )


def doctor(file: Path, **variables: str) -> tuple[str, str]:
    """What doctor says of NPUs and of the backend."""
    done = command("doctor", "--json", file, **variables)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    return figures["found"]["NPUs"], figures["backends"]["npu"]


def test_without_torch_npu() -> None:
    assert nt.backends()["npu"].startswith("torch_npu is ")  # not installed, or not imported
    assert npu.devices().startswith("none: torch_npu is ")
    assert npu.stand_in() is None


@needs_torch_npu
def test_torch_npu_without_cann(tmp_path: Path) -> None:
    found, backend = doctor(tmp_path / "doctor.json", TORCH_DEVICE_BACKEND_AUTOLOAD="1")
    assert found == f"none: {backend}"
    assert backend.startswith("torch_npu does not load: ImportError: lib") and ".so" in backend


@needs_torch_npu
@needs_stand_in
def test_cann_without_a_device(tmp_path: Path) -> None:
    found, backend = doctor(tmp_path / "doctor.json", **acl_stand_in.environment(devices=0))
    assert (found, backend) == ("none: torch_npu finds no device", "torch_npu finds no device")


@needs_torch_npu
@needs_stand_in
def test_demo(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    size = ("--tokens", 40, "--heads", 1, "--chunk-sizes", 32, "--json", file)
    done = command("demo", "--device", "npu", *size, **acl_stand_in.environment(devices=2))
    assert done.returncode == 0, done.stderr
    assert "Nothing ran on an NPU" in done.stdout
    figures = json.loads(file.read_text())
    assert figures["devices"].startswith("2 x Ascend910B4, 20 cube cores (no NPU: ")
    assert figures["stand_in"]
    assert all(row["same"] and row["worst"] > 60 for row in figures["rows"])


def test_demo_without_an_npu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--device", "npu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: no NPU: torch_npu is ") and "--device stand-in" in error


def test_demo_on_the_stand_in_without_torch_npu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(npu_demo.importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "--device", "stand-in"]) == 1
    assert "not installed: pip install torch_npu==" in capsys.readouterr().err


@needs_stand_in
def test_demo_on_the_stand_in_is_the_same_command_there(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def started_with(command, env):  # type: ignore[no-untyped-def]
        started.append((command[3:], env["LD_LIBRARY_PATH"].split(":")[0]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(npu_demo.subprocess, "run", started_with)
    monkeypatch.setattr(npu_demo.importlib.util, "find_spec", lambda name: name)
    for words in (["--device", "stand-in", "--heads", "2"], ["--device=stand-in", "--heads", "2"]):
        monkeypatch.setattr(sys, "argv", ["neumann_tril", "demo", *words])
        assert main(sys.argv[1:]) == 0
    folder = str(acl_stand_in.FOLDER)
    assert started == [
        (["demo", "--device", "npu", "--heads", "2"], folder),
        (["demo", "--device=npu", "--heads", "2"], folder),
    ]


@pytest.mark.parametrize(
    "soc, arch",
    [
        ("Ascend910B2C", "dav-2201"),
        ("Ascend910_9362", "dav-2201"),
        ("Ascend950DT_9581", "dav-3510"),
    ],
)
def test_architecture(soc: str, arch: str) -> None:
    assert npu.architecture(soc) == arch


@pytest.mark.parametrize("soc", ["Ascend910A", "Ascend310P3"])
def test_a_chip_without_kernels(soc: str) -> None:
    with pytest.raises(nt.BackendError, match=f"there are no kernels for {soc}"):
        npu.architecture(soc)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(npu.LIBRARY_VARIABLE, raising=False)
    beside = Path(npu.__file__).with_name("libneumann_tril_npu_dav-0.so")
    with pytest.raises(nt.BackendError, match=f"{beside} does not exist.*{npu.LIBRARY_VARIABLE}"):
        npu.library("dav-0")
    monkeypatch.setenv(npu.LIBRARY_VARIABLE, str(tmp_path))
    assert npu.library_path("dav-2201") == tmp_path / "libneumann_tril_npu_dav-2201.so"
    monkeypatch.setenv(npu.LIBRARY_VARIABLE, str(tmp_path / "mine.so"))
    with pytest.raises(nt.BackendError, match=r"mine\.so does not exist"):
        npu.library("dav-2201")


def test_a_library_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.so"
    broken.write_text("not a library")
    monkeypatch.setenv(npu.LIBRARY_VARIABLE, str(broken))
    with pytest.raises(nt.BackendError, match=r"broken\.so does not load with this CANN: "):
        npu.library("dav-2201")
    other = native.FOLDER / native.LIBRARY
    monkeypatch.setenv(npu.LIBRARY_VARIABLE, str(other))
    npu.library.cache_clear()
    with pytest.raises(nt.BackendError, match=f"{other} has interface None, this package needs 1"):
        npu.library("dav-2201")


@needs_stand_in
@pytest.mark.parametrize("name", ["devices", "memory_mb", "delay_us", "seed"])
def test_a_stand_in_with_less_than_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        acl_stand_in.environment(**{name: -1})  # type: ignore[arg-type]
