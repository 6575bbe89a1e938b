import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import neumann_tril
from neumann_tril import Plan, benchmark, reference, testing

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(64, 3, 8, "sequential"),
        Plan(64, 3, 4, "doubling"),
        Plan(64, 7, 4, "doubling", splits=1),
        Plan(64, 15, 1, "doubling", splits=2),
        Plan(64, 0, 2, "doubling", splits=1, refinements=1),
        Plan(48, 5, 8, "doubling"),
    ],
    ids=str,
)
def test_plan_by_bmm_means_the_plan(plan):
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0", plan.chunk_size, 16, dtype=torch.float64)
    expected = reference.inverse(A, plan, torch.float64)
    # Norms of A stay below 4 here; a handful of products of 64 terms each.
    torch.testing.assert_close(benchmark.plan_by_bmm(A, plan), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [16, 64, 128])
def test_every_timed_call_inverts(size, dtype):
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", size, 8).to(dtype)
    before = A.clone()
    truth = testing.truth(A)
    calls = benchmark.calls_for(A)
    assert tuple(calls) == benchmark.METHODS
    for name, call in calls.items():
        X = call()
        assert X.dtype == dtype
        if name == benchmark.COPY:
            assert torch.equal(X, A)
            continue
        # Within a bit of rounding the truth in bfloat16; a few rows of roundings in float32.
        slack = 6.0 if dtype == torch.bfloat16 else 30.0
        assert (testing.snr(X, truth) > testing.ceiling(truth, dtype) - slack).all(), name
    assert torch.equal(A, before)


def test_row_loop_is_left_out_where_it_takes_seconds():
    A = torch.zeros(1, 16, 16).expand(benchmark.ROW_LOOP_LIMIT // 256 + 1, 16, 16)
    assert "row loop" not in benchmark.calls_for(A)


def test_medians_take_turns(monkeypatch):
    clock = [0.0]
    log = []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])

    def call(name, *durations):
        left = list(durations)

        def run():
            log.append(name)
            clock[0] += left.pop(0) if len(left) > 1 else left[0]

        return run

    # The first call, and the second of a short one, estimate; one before each turn warms up.
    calls = {"a": call("a", 2, 1, 1, 5, 2), "b": call("b", 2, 1, 4), "slow": call("slow", 9, 100)}
    assert benchmark.medians(calls, budget=3.0, rounds=10) == {"a": 2, "b": 4, "slow": 100}
    assert "".join(name[0] for name in log) == "aabbs" + "aabbss" + "aabb" + "aabb"


def test_medians_repeat_short_calls(monkeypatch):
    clock = [0.0]
    count = [0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])

    def call():
        count[0] += 1
        clock[0] += 2.0**-13

    assert benchmark.medians({"short": call}, budget=2.0**-9, rounds=4) == {"short": 2.0**-13}
    # Eight repeats are a millisecond, and two turns fit the budget; a warm-up before each.
    assert count[0] == 2 + 2 * (1 + 8)


def test_cpu_table_restores_the_threads():
    before = torch.get_num_threads()
    (line,) = benchmark.cpu_table([16], [2], [torch.float32], [before + 1], budget=0.001)
    assert torch.get_num_threads() == before
    assert (line.chunk_size, line.count, line.dtype, line.threads) == (16, 2, "float32", before + 1)
    assert line.ratio("copy") == line.seconds["copy"] / line.seconds["neumann_tril"]


def test_machine_is_named():
    machine = benchmark.machine()
    assert machine["processor"] and machine["torch"] == torch.__version__


def script(name, *arguments):
    path = [str(Path(neumann_tril.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / name, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cpu_script(tmp_path):
    file = tmp_path / "cpu.json"
    sizes = ("--chunk-sizes", 16, "--matrices", 2, "--threads", 1, "--milliseconds", 1)
    script("cpu.py", *sizes, "--json", file)
    assert len(json.loads(file.read_text())["rows"]) == 2


def test_plan_sweep(tmp_path):
    out = script(
        *("plans.py", "--chunk-sizes", 32, "--dtypes", "float16", "--matrices", 8),
        *("--out", tmp_path),
    )
    assert "C = 32, float16 operands" in out
    results = json.loads((tmp_path / "plans.json").read_text())["results"]
    assert (tmp_path / "plans.png").stat().st_size > 0
    named = {name: r for r in results for name in r["names"]}
    assert set(named) == {"exact", "fast", "paper"}
    for result in results:
        assert set(result["regimes"]) == set(testing.REGIMES)
        assert float(result["worst"]) == min(map(float, result["regimes"].values()))
    # What the names promise: refining pays, and truncation costs.
    assert named["exact"]["worst"] > named["fast"]["worst"] > named["paper"]["worst"]
