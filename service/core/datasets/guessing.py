"""Which method a file is meant for, by its first rows."""

from collections.abc import Iterable
from itertools import islice
from pathlib import PurePosixPath

from service.core.datasets.findings import BadLine
from service.core.datasets.formats import UnreadableFile
from service.core.datasets.lines import LineTooLong, numbered_lines
from service.core.datasets.parsing import likeliest_kind, parse_object
from service.core.datasets.rows import RowKind

_ASKED_ROWS = 20
_TEXT_SUFFIXES = frozenset({".txt", ".md"})


def guess_kind(chunks: Iterable[bytes], filename: str) -> RowKind:
    """Of the first row that says; conversations if none does. Raises what `chunks` raises."""
    if PurePosixPath(filename).suffix.lower() in _TEXT_SUFFIXES:
        return RowKind.TEXT
    try:
        for number, line in islice(numbered_lines(chunks), _ASKED_ROWS):
            try:
                kind = likeliest_kind(parse_object(number, line))
            except BadLine:
                continue
            if kind is not None:
                return kind
    except (LineTooLong, UnreadableFile):
        pass  # the report will say so
    return RowKind.CONVERSATION
