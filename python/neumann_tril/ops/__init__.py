"""The operators ``neumann_tril::*``: their registration with torch, and the calls of them."""

from .explanation import Explanation, explain
from .floating import inverse, solve_tril
from .quantized import INVERSE_QUANTIZED, SOLVE_TRIL_QUANTIZED
from .tensors import savable

__all__ = [
    "INVERSE_QUANTIZED",
    "SOLVE_TRIL_QUANTIZED",
    "Explanation",
    "explain",
    "inverse",
    "savable",
    "solve_tril",
]
