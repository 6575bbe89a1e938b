"""The quantised inverse: int8 and int16 grids for every intermediate of a plan."""

from ..grids import QuantPlan
from .account import ErrorReport, error_report, plot
from .calibration import calibrate
from .functions import Quantized, inverse_quantized, quantize, solve_tril_quantized

__all__ = [
    "ErrorReport",
    "QuantPlan",
    "Quantized",
    "calibrate",
    "error_report",
    "inverse_quantized",
    "plot",
    "quantize",
    "solve_tril_quantized",
]
