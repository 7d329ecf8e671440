"""Rows of plain text."""

from collections.abc import Mapping
from typing import Any

from service.core.datasets.findings import BadLine
from service.core.datasets.rows import TextRow


def read_text(line: int, fields: Mapping[str, Any]) -> TextRow:
    """Raises BadLine."""
    return TextRow(line, checked_text(fields["text"]))


def checked_text(text: Any) -> str:
    """Raises BadLine."""
    if not isinstance(text, str):
        raise BadLine("missing_text", 'needs "text" as a string')
    if not text.strip():
        raise BadLine("empty_text", 'has an empty "text"', "fill it or remove the line")
    return text
