"""What every integration is: a few attributes of another package, rebound and put back."""

from __future__ import annotations

import importlib.metadata
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..backends import BACKENDS
from ..plan import Plan, plan_for

_lock = threading.RLock()
_MISSING = object()


class IntegrationError(RuntimeError):
    """An integration cannot be enabled or disabled; the message says why."""


class UnsupportedVersionError(IntegrationError):
    """The installed version of the package is not one that the integration knows."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the package's calls are served: plan and backend of :func:`neumann_tril.inverse`.

    Raises:
        TypeError, ValueError: an unknown plan or backend.
    """

    plan: str | Plan = "exact"
    backend: str | None = None

    def __post_init__(self) -> None:
        plan_for(self.plan.chunk_size if isinstance(self.plan, Plan) else 64, self.plan)
        if self.backend is not None and self.backend not in BACKENDS:
            raise ValueError(
                f"backend must be None or one of {', '.join(BACKENDS)}, got {self.backend!r}"
            )


@dataclass(frozen=True, slots=True)
class Status:
    """What an integration does now; ``version`` is None if the package is not installed."""

    name: str
    version: str | None
    settings: Settings | None
    patched: tuple[str, ...]

    @property
    def enabled(self) -> bool:
        return self.settings is not None

    def __str__(self) -> str:
        if self.settings is None:
            found = "not installed" if self.version is None else f"{self.version} installed"
            return f"{self.name}: off ({found})"
        how = f"plan {self.settings.plan}, backend {self.settings.backend or 'by device'}"
        return f"{self.name} {self.version}: on ({how}); replaced: {', '.join(self.patched)}"


class Patch:
    """An attribute of a module, class or function of the package, and its replacement."""

    def __init__(self, label: str, owner: Any, name: str, value: Any) -> None:
        self.label, self.owner, self.name, self.value = label, owner, name, value
        self.original: Any = _MISSING

    def _current(self) -> Any:
        if isinstance(self.owner, type):  # not what it inherits
            return vars(self.owner).get(self.name, _MISSING)
        return getattr(self.owner, self.name, _MISSING)

    def apply(self) -> None:
        self.original = self._current()
        setattr(self.owner, self.name, self.value)

    def intact(self) -> bool:
        return self._current() is self.value

    def undo(self) -> None:
        if self.original is _MISSING:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.original)


class Handle:
    """Returned by ``enable``; as a context manager it goes back to what was before."""

    def __init__(self, integration: Integration, before: Settings | None) -> None:
        self._integration, self._before = integration, before

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._integration.switch(self._before)


class Integration(ABC):
    """One package; safe to use from several threads, and what it does holds for all of them."""

    name: str
    distributions: tuple[str, ...]
    """Names under which the package may be installed."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._patches: list[Patch] = []

    @abstractmethod
    def patches(self, settings: Settings) -> list[Patch]:
        """What to rebind.

        Raises:
            UnsupportedVersionError: the package is not as this integration knows it.
        """

    def version(self) -> str | None:
        """Installed version of the package; None if there is none."""
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def enable(self, plan: str | Plan = "exact", backend: str | None = None) -> Handle:
        """Serve the package's calls from now on; enabling twice is enabling once.

        Raises:
            IntegrationError: the package is not installed, or its version is not supported.
            TypeError, ValueError: an unknown plan or backend.
        """
        settings = Settings(plan, backend)
        with _lock:
            before = self._settings
            self.switch(settings)
        return Handle(self, before)

    def disable(self) -> None:
        """Put back what was before; nothing happens if it is not enabled."""
        self.switch(None)

    def switch(self, settings: Settings | None) -> None:
        """Go to these settings; None: off."""
        with _lock:
            if settings == self._settings:
                return
            lost = [patch.label for patch in self._patches if not patch.intact()]
            if lost:
                raise IntegrationError(
                    f"{', '.join(lost)} has been rebound since {self.name} was enabled; "
                    "undo that first"
                )
            patches = [] if settings is None else self._checked_patches(settings)
            for patch in reversed(self._patches):
                patch.undo()
            for patch in patches:
                patch.apply()
            self._settings, self._patches = settings, patches

    def _checked_patches(self, settings: Settings) -> list[Patch]:
        if self.version() is None:
            raise IntegrationError(
                f"{self.name} cannot be enabled: {' or '.join(self.distributions)} is not installed"
            )
        return self.patches(settings)

    def unsupported(self, reason: str) -> UnsupportedVersionError:
        """The error for a package that differs from what this integration knows."""
        return UnsupportedVersionError(f"{self.name} {self.version()} is not supported: {reason}")

    def status(self) -> Status:
        """What it does now."""
        with _lock:
            labels = tuple(patch.label for patch in self._patches)
            return Status(self.name, self.version(), self._settings, labels)
