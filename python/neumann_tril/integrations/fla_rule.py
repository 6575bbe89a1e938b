"""flash-linear-attention: a backend of its registry for ``chunk_gated_delta_rule``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..gdn import chunk_gated_delta_rule, explain
from .base import Settings

KNOWN = frozenset(inspect.signature(chunk_gated_delta_rule).parameters) - {"removed"}
KNOWN |= {"transpose_state_layout"}


def make_rule_backend(base: type, theirs: Callable[..., Any]) -> type:
    """The backend, as a subclass of the package's own base class; ``theirs`` is its function."""
    signature = inspect.signature(theirs)

    def named(*args: Any, **kwargs: Any) -> dict[str, Any]:
        given = signature.bind(*args, **kwargs).arguments
        return {**given.pop("kwargs", {}), **given}

    class NeumannTrilRuleBackend(base):  # type: ignore[misc]
        backend_type = "neumann_tril"
        package_name = None
        env_var = None
        priority = -1  # before the package's own for NPUs, 0
        settings: Settings | None = None

        @classmethod
        def is_available(cls) -> bool:
            return cls.settings is not None

        def chunk_gated_delta_rule_verifier(
            self, *args: Any, **kwargs: Any
        ) -> tuple[bool, str | None]:
            reason = refusal(named(*args, **kwargs), self.settings or Settings())
            return reason is None, reason

        def chunk_gated_delta_rule(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
            plan, backend = (settings := self.settings or Settings()).plan, settings.backend
            given = named(*args, **kwargs)
            return chunk_gated_delta_rule(**given, plan=plan, backend=backend)

    return NeumannTrilRuleBackend


def refusal(given: dict[str, Any], settings: Settings) -> str | None:
    """Why a call is left to the package; None if it is not."""
    unknown = [name for name in given if name not in KNOWN]
    if unknown:
        return f"{unknown[0]} is not known"
    if given.get("cp_context") is not None:
        return "cp_context is not supported"
    asked = {name: given[name] for name in ("q", "k", "v", "g", "beta")}
    optional = ("initial_state", "cu_seqlens", "state_v_first", "chunk_size")
    asked |= {name: given[name] for name in optional if name in given}
    if given.get("transpose_state_layout"):
        asked["state_v_first"] = True
    try:
        found = explain(**asked, plan=settings.plan, backend=settings.backend)
    except (TypeError, ValueError) as error:
        return str(error)
    if found.backend is None:
        return found.error
    # On an NPU the package's own kernels are the better choice then.
    return found.note if given["q"].device.type != "cpu" else None
