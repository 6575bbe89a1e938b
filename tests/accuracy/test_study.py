"""The accuracy study: its data, its injection of inverses, and a quick run of all of it."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from neumann_tril import plan_for, reference, testing
from neumann_tril.bounds import error_envelope

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "accuracy"
HARDEST = slice(8, 12)


def test_trained_chunks_are_chunk_matrices() -> None:
    A = testing.trained_chunks()
    assert A.shape == (6, 4, 14, 64, 64) and A.dtype == torch.float16
    assert torch.equal(A, A.tril(-1)) and bool(A.isfinite().all())
    # beta, a decay and the product of unit keys are at most 1 each.
    assert A.abs().max() <= 1
    assert torch.equal(testing.trained_chunks(torch.float64), A.double())
    norm = A.double().abs().sum(-1).amax(-1)
    # Of the same text, and chosen before the rounding to float16.
    even, hardest = norm[:, :, :8], norm[:, :, HARDEST]
    assert bool((hardest.amax(-1) * (1 + 2**-10) >= even.amax(-1)).all())
    assert hardest.mean() > 1.2 * even.mean()
    assert len(A.flatten(0, 2).flatten(1).unique(dim=0)) > 300  # of 336


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_plans_keep_their_bounds_on_trained_chunks(dtype: torch.dtype) -> None:
    A = testing.trained_chunks(dtype)
    truth = testing.truth(A)
    for name in ("exact", "fast"):
        plan = plan_for(64, name, dtype)
        error = (reference.inverse(A, plan, dtype).double() - truth).abs()
        assert bool((error <= error_envelope(A, plan, dtype)).all())


def test_trained_chunks_break_doubling_over_the_chunk() -> None:
    """What the data is for: matrices of a real model on which the usual method overflows."""
    A = testing.trained_chunks()
    assert testing.finite_fraction(reference.chunk_doubling(A)) < 1
    assert testing.finite_fraction(reference.inverse(A, "exact", torch.float16)) == 1


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The study's modules, which lie beside its scripts."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    monkeypatch.syspath_prepend(FOLDER)
    import methods
    import study
    import text
    import train

    return SimpleNamespace(methods=methods, study=study, text=text, train=train)


def test_only_the_inverse_is_replaced(study: SimpleNamespace) -> None:
    """Zeros break the model, the true inverse gives transformers' own losses, and hooks go."""
    model = study.study.Model.load(FOLDER / "model")
    tokens = model.encode(study.text.held_out()[:192])[None]
    theirs = model.losses(tokens)
    same = model.losses(tokens)
    layers = []

    def true_inverse(A: torch.Tensor, layer: int) -> torch.Tensor:
        layers.append(layer)
        return testing.truth(A).float()

    with model.inverting_by(true_inverse):
        ours = model.losses(tokens)
    assert layers == [0, 1, 2, 3, 4, 5]
    # Each side rounds its sums to float32, over eight layers.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    with model.inverting_by(lambda A, layer: torch.zeros_like(A)):
        assert model.losses(tokens).mean() > 1.1 * theirs.mean()
    assert torch.equal(model.losses(tokens), same)
    # A trained model: far below the 8 bits of a random byte, on text it has not seen.
    assert theirs.mean() < 0.25 * math.log(256)


def test_the_grid_without_a_mask_is_the_truncated_series(study: SimpleNamespace) -> None:
    A = testing.chunk_matrices("qwen3.5-0.8b rho 0.3", 64, 4, dtype=torch.float64)
    series = torch.eye(64) - A + A @ A - A @ A @ A
    X = study.methods.series(3, 1, False, torch.float64)(A, 0)
    torch.testing.assert_close(X, series.float(), rtol=1e-5, atol=1e-5)
    whole = study.methods.series(3, 16, False, torch.float64)(A, 0)
    torch.testing.assert_close(whole, testing.truth(A).float(), rtol=1e-4, atol=1e-4)


def test_held_out_files_are_not_trained_on(study: SimpleNamespace, tmp_path: Path) -> None:
    names = [f"package/module_{n}.py" for n in range(200)]
    for name in [*names, "site-packages/other.py"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    training, held_out = (part.split(b"\0") for part in study.text.split(tmp_path))
    kept = [n for n in names if hashlib.sha256(n.encode()).digest()[-1] < 6]
    assert sorted(held_out) == sorted(name.encode() for name in kept) and kept
    assert sorted(training + held_out) == sorted(name.encode() for name in names)


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(FOLDER / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quick_study(study: SimpleNamespace, tmp_path: Path) -> None:
    page = run("evaluate.py", "--quick", "--out", str(tmp_path))
    figures = json.loads((tmp_path / "accuracy.json").read_text())
    found = {(row["method"], row["operands"]): row for row in figures["rows"]}
    assert abs(found["plan exact", "float32"]["change_percent"]) < 0.01
    assert abs(found["plan exact", "float16"]["change_percent"]) < 0.05
    assert ("plan exact, static", "int16") in found
    assert all(len(row["layers"]) == 6 for row in figures["rows"])
    assert page.strip().startswith((tmp_path / "accuracy.md").read_text()[:40])


def test_training_learns(study: SimpleNamespace, tmp_path: Path) -> None:
    options = SimpleNamespace(device="cpu", steps=4, batch=1, length=64, minutes=math.inf, report=3)
    _, history = study.train.train(options, study.text.held_out(), study.text.held_out()[:130])
    assert history[-1]["held_out"] < history[0]["held_out"]
