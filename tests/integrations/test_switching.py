"""Enabling and disabling, on a package made up for it."""

from __future__ import annotations

import threading
from types import ModuleType

import pytest

from neumann_tril import integrations
from neumann_tril.integrations.base import Integration, IntegrationError, Patch, Settings


class Example(Integration):
    name = "example"
    distributions = ("torch",)

    def __init__(self) -> None:
        super().__init__()
        self.module = ModuleType("example")
        self.module.value = "theirs"  # type: ignore[attr-defined]

    def patches(self, settings: Settings) -> list[Patch]:
        return [Patch("example.value", self.module, "value", settings.plan)]


def test_on_and_off() -> None:
    example = Example()
    assert not example.status().enabled
    example.enable()
    assert example.module.value == "exact"
    assert example.status().enabled and example.status().patched == ("example.value",)
    example.disable()
    assert example.module.value == "theirs"
    assert example.status().patched == ()


def test_twice_is_once() -> None:
    example = Example()
    example.enable()
    example.enable()
    example.disable()
    assert example.module.value == "theirs"
    example.disable()
    assert example.module.value == "theirs"


def test_other_settings_replace_the_first() -> None:
    example = Example()
    example.enable("fast")
    example.enable("paper")
    assert example.module.value == "paper"
    example.disable()
    assert example.module.value == "theirs"


def test_the_end_of_a_block_brings_back_what_was_before() -> None:
    example = Example()
    with example.enable("fast"):
        with example.enable("paper"), example.enable("paper"):
            assert example.module.value == "paper"
        assert example.module.value == "fast"
    assert example.module.value == "theirs"
    with pytest.raises(KeyError), example.enable():
        raise KeyError
    assert example.module.value == "theirs"


def test_what_someone_else_rebound_is_not_overwritten() -> None:
    example = Example()
    example.enable()
    example.module.value = "someone's"  # type: ignore[attr-defined]
    with pytest.raises(IntegrationError, match=r"example\.value has been rebound"):
        example.disable()
    assert example.module.value == "someone's"
    assert example.status().enabled


def test_from_many_threads() -> None:
    example = Example()

    def work() -> None:
        for _ in range(200):
            example.enable("fast")
            example.enable("paper")
            example.disable()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    example.disable()
    assert example.module.value == "theirs"


def test_bad_settings_change_nothing() -> None:
    example = Example()
    with pytest.raises(ValueError, match="plan must be a Plan or one of"):
        example.enable("best")
    with pytest.raises(ValueError, match="backend must be None or one of"):
        example.enable(backend="gpu")
    assert example.module.value == "theirs"


def test_a_missing_package_is_named() -> None:
    example = Example()
    example.distributions = ("no-such-package",)
    assert example.status().version is None
    with pytest.raises(IntegrationError, match="no-such-package is not installed"):
        example.enable()


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="name must be one of flash_linear_attention"):
        integrations.enable("flax")
    with pytest.raises(ValueError, match="name must be one of"):
        integrations.disable("flax")


def test_status_of_all_says_what_is_off() -> None:
    for name, status in integrations.status().items():
        assert not status.enabled
        assert str(status).startswith(f"{name}: off (")
