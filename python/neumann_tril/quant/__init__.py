"""The quantised inverse: int8 and int16 grids for every intermediate of a plan."""

from .plan import QuantPlan

__all__ = ["QuantPlan"]
