"""The native libraries, reached by ctypes through their C interfaces (``csrc/include``)."""

from .cpu import cpu_inverse, cpu_inverse_quantized, cpu_isa, quant_constants
from .libraries import FOLDER, LIBRARY, LIBRARY_VARIABLE, VERSION, library
from .structures import (
    DTYPE_CODES,
    MAX_DIMS,
    QUANTIZED_DTYPE_CODES,
    Chunks,
    Inversion,
    PlanStruct,
    QuantizedInversion,
    QuantStruct,
    dense_chunks,
    time_chunks,
)

__all__ = [
    "DTYPE_CODES",
    "FOLDER",
    "LIBRARY",
    "LIBRARY_VARIABLE",
    "MAX_DIMS",
    "QUANTIZED_DTYPE_CODES",
    "VERSION",
    "Chunks",
    "Inversion",
    "PlanStruct",
    "QuantStruct",
    "QuantizedInversion",
    "cpu_inverse",
    "cpu_inverse_quantized",
    "cpu_isa",
    "dense_chunks",
    "library",
    "quant_constants",
    "time_chunks",
]
