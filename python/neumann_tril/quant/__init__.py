"""The quantised inverse: int8 and int16 grids for every intermediate of a plan."""

from . import kernels
from .account import ErrorReport, error_report, plot
from .calibration import calibrate
from .operator import Quantized, inverse_quantized, quantize, solve_tril_quantized
from .plan import QuantPlan

__all__ = [
    "ErrorReport",
    "QuantPlan",
    "Quantized",
    "calibrate",
    "error_report",
    "inverse_quantized",
    "kernels",
    "plot",
    "quantize",
    "solve_tril_quantized",
]
