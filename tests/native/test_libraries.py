"""Libraries that are missing, do not load, or have another interface are named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from neumann_tril import BackendError
from neumann_tril.native import FOLDER, LIBRARY, libraries


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    loaders = (libraries.library, libraries.emulator_library)
    for loader in loaders:
        loader.cache_clear()
    monkeypatch.setattr(libraries, "FOLDER", tmp_path)
    yield
    for loader in loaders:
        loader.cache_clear()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=f"{tmp_path / LIBRARY} does not exist: reinstall"):
        libraries.library()
    with pytest.raises(BackendError, match="emulator_2201.so does not exist: build with"):
        libraries.emulator_library(2201)


def test_broken(tmp_path: Path) -> None:
    (tmp_path / LIBRARY).write_text("not a library")
    with pytest.raises(BackendError, match=f"{LIBRARY} does not load: "):
        libraries.library()


def test_another_interface(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copy(FOLDER / LIBRARY, tmp_path / LIBRARY)
    monkeypatch.setattr(libraries, "VERSION", 2)
    with pytest.raises(BackendError, match=f"{LIBRARY} has interface 1, this package needs 2"):
        libraries.library()
    shutil.copy(FOLDER / LIBRARY, tmp_path / "libneumann_tril_emulator_2201.so")
    with pytest.raises(BackendError, match="emulator_2201.so has interface None"):
        libraries.emulator_library(2201)
