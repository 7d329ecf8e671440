"""Data sets: streamed, checked line by line, every finding with its line and the mend."""

from service.core.datasets.encoding import EncodedRow, encode_row
from service.core.datasets.enough import minimum_examples
from service.core.datasets.examining import Examination, examine
from service.core.datasets.findings import BadLine, Finding, Severity
from service.core.datasets.fitting import LengthLimit
from service.core.datasets.guessing import guess_kind
from service.core.datasets.lines import numbered_lines
from service.core.datasets.parsing.tools import read_tools
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
from service.core.datasets.seen import SeenRows

__all__ = [
    "BadLine",
    "ChatRow",
    "CompletionRow",
    "EncodedRow",
    "Examination",
    "Finding",
    "LabelledRow",
    "LengthLimit",
    "PreferenceRow",
    "ReinforcementRow",
    "Report",
    "Row",
    "RowKind",
    "SeenRows",
    "Severity",
    "TextRow",
    "encode_row",
    "examine",
    "guess_kind",
    "invalid_file",
    "minimum_examples",
    "numbered_lines",
    "read_rows",
    "read_tools",
]
