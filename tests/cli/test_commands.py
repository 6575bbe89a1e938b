import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neumann_tril
from neumann_tril.cli import COMMANDS, main, report

PACKAGE = str(Path(neumann_tril.__file__).parents[1])


def command(*arguments, path=(), **environment):
    """Run `python -m neumann_tril` in a process of its own, with folders before it on the path."""
    paths = [*map(str, path), PACKAGE, os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "neumann_tril", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def load(file):
    """JSON as a strict reader takes it: no Infinity, no NaN."""
    return json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))


SMALL_DEMO = ("demo", "--tokens", 130, "--emulated", 16, "--chunk-sizes", 64, 16)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The outcome of a small demo: the process, and its figures."""
    folder = tmp_path_factory.mktemp("demo")
    file = folder / "figures" / "demo.json"
    done = command(*SMALL_DEMO, "--out", folder, "--json", file)
    assert done.returncode == 0, done.stderr
    return done, load(file)


def test_demo_prints_its_picture_and_every_method(demo):
    done, figures = demo
    assert Path(figures["picture"]).read_bytes().startswith(b"\x89PNG")
    assert figures["picture"] in done.stdout
    for row in figures["rows"]:
        assert row["method"] in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-3])) <= 80


def test_demo_figures(demo):
    _, figures = demo
    rows = {(row["chunk_size"], row["operands"], row["method"]): row for row in figures["rows"]}
    timed = rows[64, "float32", "plan exact"]
    assert timed["matrices"] == 3 * 16  # 130 tokens are three chunks, the last short
    assert timed["seconds"] > 0 and timed["speedup"] > 0
    assert timed["worst"] > rows[64, "float32", "solve_triangular"]["worst"] - 3
    for operands in ("float16", "bfloat16"):
        ours = rows[64, operands, "plan exact"]
        assert (ours["matrices"], ours["finite"], ours["seconds"]) == (16, 1.0, None)
        assert ours["worst"] > rows[64, operands, "true inverse, rounded"]["worst"]
        peers = rows[64, operands, "doubling in 16-blocks, merges"]
        assert peers["products"] == 10
        assert ours["worst"] > peers["worst"]
        assert (64, operands, "plan paper") in rows
    assert rows[64, "float16", "doubling, whole chunk"]["worst"] == "-inf"
    assert rows[64, "float16", "doubling, whole chunk"]["products"] == 10


def test_demo_curve_falls_with_correlation_for_the_peers_alone(demo):
    _, figures = demo

    def worst(method):
        points = [
            p for p in figures["curve"] if (p["operands"], p["method"]) == ("float16", method)
        ]
        return [float(p["worst"]) for p in sorted(points, key=lambda p: p["rho"])]

    assert worst("doubling in 16-blocks, merges")[0] > worst("doubling in 16-blocks, merges")[-1]
    assert min(worst("plan exact")) > max(worst("doubling in 16-blocks, merges"))


def test_demo_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    file = tmp_path / "demo.json"
    done = command(
        *("demo", "--tokens", 16, "--chunk-sizes", 16, "--emulated", 16),
        "--json",
        file,
        path=[tmp_path],
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'neumann-tril[plot]'" in done.stdout
    assert load(file)["picture"] is None


def test_doctor_says_what_there_is(tmp_path):
    file = tmp_path / "doctor.json"
    done = command("doctor", "--json", file, ASCEND_HOME_PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    figures = load(file)
    assert figures["backends"] == neumann_tril.backends()
    assert figures["found"]["neumann-tril"] == neumann_tril.__version__
    assert figures["found"]["CANN"].startswith(str(tmp_path))
    assert neumann_tril.native.cpu_isa() in figures["found"]["native library"]


@pytest.mark.parametrize("autoload", ["0", "1"])
def test_doctor_beside_a_torch_npu_that_does_not_load(tmp_path, autoload):
    trace = tmp_path / "imported"
    package = tmp_path / "torch_npu"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"open({str(trace)!r}, 'w').close()\nraise ImportError('libhccl.so: not there')"
    )
    metadata = tmp_path / "torch_npu-9.8.7.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_npu\nVersion: 9.8.7\n")
    file = tmp_path / "doctor.json"
    done = command(
        "doctor", "--json", file, path=[tmp_path], TORCH_DEVICE_BACKEND_AUTOLOAD=autoload
    )
    assert done.returncode == 0, done.stderr
    found = load(file)["found"]["torch-npu"]
    assert found.startswith("9.8.7")
    # Importing the package tries it as `import torch` would; doctor itself never does.
    assert trace.exists() == (autoload == "1")
    assert ("libhccl.so: not there" in found) == (autoload == "1")


def test_bench(tmp_path):
    file = tmp_path / "bench.json"
    done = command(
        *("bench", "--chunk-sizes", 16, 32, "--matrices", 3, "--threads", 1),
        *("--milliseconds", 1, "--json", file),
    )
    assert done.returncode == 0, done.stderr
    rows = load(file)["rows"]
    assert [(row["chunk_size"], row["dtype"]) for row in rows] == [
        (16, "float32"),
        (16, "bfloat16"),
        (32, "float32"),
        (32, "bfloat16"),
    ]
    for row in rows:
        assert row["ratios"]["neumann_tril"] == 1.0
        assert all(seconds > 0 for seconds in row["seconds"].values())
        for name, seconds in row["seconds"].items():
            assert row["ratios"][name] == seconds / row["seconds"]["neumann_tril"]
    assert "float32, 1 thread" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["demo", "--chunk-sizes", "20"],
            "--chunk-sizes: must be a multiple of 16 from 16 to 128, got '20'",
        ),
        (
            ["demo", "--chunk-sizes", "144"],
            "--chunk-sizes: must be a multiple of 16 from 16 to 128, got '144'",
        ),
        (["demo", "--tokens", "0"], "--tokens: must be a positive integer, got '0'"),
        (["demo", "--heads", "two"], "--heads: must be a positive integer, got 'two'"),
        (["demo", "--rho", "1.5"], "--rho: must be a number from 0 to 1, got '1.5'"),
        (["demo", "--rho", "high"], "--rho: must be a number from 0 to 1, got 'high'"),
        (["bench", "--threads", "-1"], "--threads: must be a positive integer, got '-1'"),
        (["bench", "--dtypes", "int8"], "--dtypes: invalid choice: 'int8'"),
        (["doctor", "--json", "."], "--json: must be a file, got the folder '.'"),
        (["demo", "--out", __file__], "--out: must be a folder, got the file"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: command"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_backend_that_cannot_serve_ends_with_its_reason(monkeypatch, capsys):
    def run(options):
        raise neumann_tril.BackendError("no library")

    monkeypatch.setattr(COMMANDS["bench"], "run", run)
    assert main(["bench"]) == 1
    assert capsys.readouterr().err == "error: no library\n"


@pytest.mark.parametrize(
    "seconds, text",
    [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (1e-3, "1 ms"), (4.56789e-5, "45.7 us"), (5e-8, "50 ns")],
)
def test_duration(seconds, text):
    assert report.duration(seconds) == text


def test_decibel():
    values = (float("inf"), float("-inf"), 12.345)
    assert [report.decibel(value) for value in values] == ["exact", "overflow", "12.3"]
