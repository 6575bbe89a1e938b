"""Where the vendor's tile library is installed, its functions agree with numpy on the emulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from vendor import bitcode
from vendor.check import check


@pytest.mark.parametrize("core", ("aic", "aiv"))
def test_what_is_missing_is_named_in_one_line(core: str) -> None:
    try:
        assert bitcode.library(core).is_file()
    except bitcode.Missing as missing:
        assert bitcode.INSTALL in str(missing)
        assert "\n" not in str(missing)


def test_functions_agree(tmp_path: Path) -> None:
    try:
        functions = check(tmp_path)
    except bitcode.Missing as missing:
        pytest.skip(str(missing))
    assert {f.name: f.disagreements for f in functions if f.disagreements} == {}
    for core in ("aic", "aiv"):
        assert sum(f.core == core and f.agreements > 0 for f in functions) >= 40
