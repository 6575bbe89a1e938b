"""The inverse of ``I + A`` for the chunk matrices of Gated DeltaNet, by matrix products."""

from .torch_import import import_torch

import_torch()

from . import acl_stand_in, emulator, npu, quant, reference, testing  # noqa: E402
from .backends import BackendError, backends  # noqa: E402
from .ops import Explanation, explain, inverse, solve_tril  # noqa: E402
from .plan import Plan, plan_for  # noqa: E402
from .quant import QuantPlan, calibrate, inverse_quantized, solve_tril_quantized  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Explanation",
    "Plan",
    "QuantPlan",
    "acl_stand_in",
    "backends",
    "calibrate",
    "emulator",
    "explain",
    "inverse",
    "inverse_quantized",
    "npu",
    "plan_for",
    "quant",
    "reference",
    "solve_tril",
    "solve_tril_quantized",
    "testing",
]
