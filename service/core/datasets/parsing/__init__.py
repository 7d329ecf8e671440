"""One line into one row of the kind that a method trains on, or what is wrong with it."""

from service.core.datasets.parsing.line import parse_line

__all__ = ["parse_line"]
