"""The operators ``neumann_tril::*``: their registration with torch, and the calls of them."""

from .dispatch import recording, transformed
from .explanation import Explanation, explain, explanation
from .floating import inverse, plan_text, solve_tril
from .operator import Gradient, Operator
from .quantized import INVERSE_QUANTIZED, SOLVE_TRIL_QUANTIZED
from .tensors import input_gradient, savable

__all__ = [
    "INVERSE_QUANTIZED",
    "SOLVE_TRIL_QUANTIZED",
    "Explanation",
    "Gradient",
    "Operator",
    "explain",
    "explanation",
    "input_gradient",
    "inverse",
    "plan_text",
    "recording",
    "savable",
    "solve_tril",
    "transformed",
]
