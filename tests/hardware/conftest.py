"""Tests for a machine with an NPU: `python -m pytest tests/hardware --device npu -x`.

With `--device emulator` the same tests run on the emulator, which is how they are tested
themselves. Without the option they are skipped. Stop at the first failure (-x): after a kernel has
failed torch_npu may go on with memory that nobody has written.
"""

from __future__ import annotations

import importlib

import pytest

import neumann_tril
from neumann_tril.cli.sections import Request


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", choices=("npu", "emulator"), help="what the tests of tests/hardware run on"
    )


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> Request:
    """The device under test; it moves tensors, and its name is that of the backend."""
    # Where the whole suite runs, this option is not known.
    name = request.config.getoption("--device", None)
    if name is None:
        pytest.skip("tests of an NPU; run `python -m pytest tests/hardware --device npu -x`")
    if name == "npu":
        importlib.import_module("torch_npu")
    found = neumann_tril.backends()[name]
    assert found == "available", found
    # On an NPU more matrices than its cores take in one round, whatever the chunk size.
    return Request(name, (16, 32, 64, 128), (1024 if name == "npu" else 8,))
