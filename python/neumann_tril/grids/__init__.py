"""Integer grids: quantised plans, their constants, and what an inversion on them means."""

from .plan import CODES, Q_MAX, Constants, QuantPlan, Step, quantized_plan_for, steps

__all__ = ["CODES", "Q_MAX", "Constants", "QuantPlan", "Step", "quantized_plan_for", "steps"]
