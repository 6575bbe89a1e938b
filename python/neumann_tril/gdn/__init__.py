"""Gated DeltaNet on top of the operator: the chunk rule, and the recurrence it must agree with."""

from .chunk import chunk_delta_rule, chunk_gated_delta_rule, explain
from .intra import chunk_gated_delta_rule_fwd_intra, explain_intra
from .naive import naive_recurrent_gated_delta_rule

__all__ = [
    "chunk_delta_rule",
    "chunk_gated_delta_rule",
    "chunk_gated_delta_rule_fwd_intra",
    "explain",
    "explain_intra",
    "naive_recurrent_gated_delta_rule",
]
