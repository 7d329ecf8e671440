"""Data sets: streamed, checked line by line, every finding with its line and the mend."""

from service.core.datasets.findings import BadLine, Finding, Severity
from service.core.datasets.lines import numbered_lines
from service.core.datasets.reader import read_rows
from service.core.datasets.report import Report, invalid_file
from service.core.datasets.rows import (
    ChatRow,
    CompletionRow,
    LabelledRow,
    PreferenceRow,
    ReinforcementRow,
    Row,
    RowKind,
    TextRow,
)

__all__ = [
    "BadLine",
    "ChatRow",
    "CompletionRow",
    "Finding",
    "LabelledRow",
    "PreferenceRow",
    "ReinforcementRow",
    "Report",
    "Row",
    "RowKind",
    "Severity",
    "TextRow",
    "invalid_file",
    "numbered_lines",
    "read_rows",
]
