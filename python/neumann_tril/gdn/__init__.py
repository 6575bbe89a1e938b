"""Gated DeltaNet on top of the operator: the chunk rule, and the recurrence it must agree with."""

from .chunk import chunk_delta_rule, chunk_gated_delta_rule, explain
from .naive import naive_recurrent_gated_delta_rule

__all__ = [
    "chunk_delta_rule",
    "chunk_gated_delta_rule",
    "explain",
    "naive_recurrent_gated_delta_rule",
]
