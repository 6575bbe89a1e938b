"""How an operator is made known to torch, once for all of them.

Registered from Python, by schema, per dispatch key; an NPU's key is PrivateUse1, which needs no
torch_npu.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ..context import own_context
from .dispatch import call

NAMESPACE = "neumann_tril"
KEYS = ("CPU", "PrivateUse1")
_library = torch.library.Library(NAMESPACE, "DEF")

Function = Callable[..., Any]


class Gradient(NamedTuple):
    """``save(ctx, inputs, output)``; ``differentiate(ctx, *grads)``: one gradient per input."""

    save: Function | None
    differentiate: Function


class Operator:
    """An operator of torch, and the call of it.

    Args:
        schema: its name and arguments. Plans travel as text, so that a traced graph shows them.
        kernel: on any device; it asks the backends.
        fake: results without numbers.
        gradient, vmap: its rules, as torch.library takes them; None: it has none.
        composite: the same in operations that torch can differentiate in every way.
    """

    def __init__(
        self,
        schema: str,
        kernel: Function,
        fake: Function,
        gradient: Gradient | None = None,
        vmap: Function | None = None,
        composite: Function | None = None,
    ) -> None:
        name = schema.partition("(")[0]
        qualified = f"{NAMESPACE}::{name}"
        _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
        for key in KEYS:
            _library.impl(name, own_context(kernel), key)
        torch.library.register_fake(qualified, fake, lib=_library)
        if gradient is not None:
            torch.library.register_autograd(
                qualified,
                own_context(gradient.differentiate),
                setup_context=gradient.save,
                lib=_library,
            )
        if vmap is not None:
            torch.library.register_vmap(qualified, vmap, lib=_library)
        self.kernel = kernel
        self.composite = composite
        # The overload itself: looking it up by name at every call would cost microseconds.
        self.overload = getattr(getattr(torch.ops, NAMESPACE), name).default

    def __call__(self, *arguments: Any) -> Any:
        """The operator's result; see :func:`call` for the way to it."""
        return call(self.overload, self.kernel, arguments, self.composite)
