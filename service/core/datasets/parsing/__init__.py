"""One line into one row of the kind that a method trains on, or what is wrong with it."""

from service.core.datasets.parsing.json_line import parse_object
from service.core.datasets.parsing.line import likeliest_kind, parse_fields
from service.core.datasets.parsing.unusual import repeated_key, unusual

__all__ = ["likeliest_kind", "parse_fields", "parse_object", "repeated_key", "unusual"]
