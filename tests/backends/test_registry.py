"""The choice of a backend: what it is asked, and how often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from neumann_tril import BackendError, QuantPlan, explain, inverse, inverse_quantized
from neumann_tril.backends import BACKENDS, ReferenceBackend, Request, register, resolve


class Counting(ReferenceBackend):
    """The reference, which keeps what it was asked about its availability."""

    name = "counting"
    devices = ("cpu", "npu")

    def __init__(self) -> None:
        self.asked: list[int | None] = []

    def unavailable(self, index: int | None = None) -> str | None:
        self.asked.append(index)
        return "device 1 is broken" if index == 1 else None


@pytest.fixture
def counting() -> Iterator[Counting]:
    backend = Counting()
    register(backend)
    yield backend
    del BACKENDS[backend.name]
    resolve.cache_clear()


def test_calls_of_one_kind_ask_once(counting: Counting) -> None:
    A, qplan = torch.zeros(2, 16, 16), QuantPlan.dynamic(chunk_size=16)
    for _ in range(3):
        inverse(A, backend="counting")
    assert len(counting.asked) == 1
    for _ in range(3):
        inverse_quantized(A, qplan, backend="counting")
    assert len(counting.asked) == 2


def test_it_is_the_tensors_device_that_is_asked_about(counting: Counting) -> None:
    def request(index: int) -> Request:
        return Request("npu", index, "exact", 16, torch.float32, torch.float32, None, 1)

    assert resolve(request(0), "counting").backend is counting
    with pytest.raises(BackendError, match="device 1 is broken"):
        resolve(request(1), "counting")
    assert counting.asked == [0, 1]


def test_every_backend_says_of_a_call_why_it_is_not_its_own() -> None:
    found = explain(torch.zeros(48, 48, dtype=torch.float16))
    assert found.backend == "cpu" and set(found.others) == set(BACKENDS) - {"cpu"}
    assert "backend='reference'" in found.others["reference"]


def test_a_refusal_names_the_backends_that_would_serve() -> None:
    with pytest.raises(BackendError, match="not in torch.float16; backend='reference'.* can$"):
        inverse(torch.zeros(16, 16), compute_dtype=torch.float16)
    with pytest.raises(BackendError, match="A is on cpu; backend='cpu' and backend='reference'"):
        inverse(torch.zeros(16, 16), backend="npu")
