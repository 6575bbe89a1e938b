"""Modelled times on Ascend 910B4: targets of the kernel, and a published time the model meets."""

from __future__ import annotations

import pytest
import torch

from neumann_tril import emulator, reference
from neumann_tril.emulator import EmulatorBackend
from neumann_tril.native import dense_chunks
from neumann_tril.plan import plan_for

UNAVAILABLE = EmulatorBackend().unavailable()
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))


def matrices(count, c):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(count, c, c, generator=generator) * 0.1).tril(-1).half()


@pytest.mark.parametrize("c, most_us", ((64, 32), (128, 110)))
def test_1024_matrices_of_float16(c, most_us):
    A = matrices(1024, c)
    X = torch.empty_like(A)
    plan = plan_for(c, "exact", torch.float16)
    with emulator.options(soc="Ascend910B4"):
        report = emulator.inverse(A, X, plan, torch.float16, dense_chunks(A, X), cube_cores=20)
    assert report.time_us <= most_us
    assert torch.equal(X[::37], reference.inverse(A[::37], plan, torch.float16).half())


def test_published_method_meets_its_published_time():
    with emulator.options(soc="Ascend910B4"):
        X, report = emulator.peer_baseline(matrices(1024, 64))
    assert abs(report.time_us / 159.6 - 1) < 0.25
    A = matrices(1024, 64)[::37]
    true = torch.linalg.inv(torch.eye(64).double() + A.double())
    assert (X[::37].double() - true).norm() < 2e-3 * true.norm()
