"""Data sets: streamed, checked line by line, every complaint with its line and the mend."""

from service.core.datasets.lines import numbered_lines
from service.core.datasets.reader import Complaints, invalid_file, read_rows
from service.core.datasets.rows import ChatRow, CompletionRow, Row

__all__ = [
    "ChatRow",
    "Complaints",
    "CompletionRow",
    "Row",
    "invalid_file",
    "numbered_lines",
    "read_rows",
]
