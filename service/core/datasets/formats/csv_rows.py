"""Rows of a CSV file whose first line names the columns."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.core.datasets.formats.bad_table import BadTable
from service.core.datasets.formats.columns import TEXT_COLUMNS, cell_value
from service.core.datasets.formats.text_lines import text_lines
from service.core.datasets.lines import MAX_LINE_BYTES


def csv_rows(chunks: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Row by row, `messages` and its like taken as JSON. Raises BadTable."""
    csv.field_size_limit(MAX_LINE_BYTES)
    number = 0
    lines = _RowLines(text_lines(chunks))
    try:
        for number, row in enumerate(csv.DictReader(lines, strict=True), start=1):
            lines.begin_row()
            yield _checked(number, row)
    except csv.Error as error:
        raise BadTable(
            f"is not valid CSV ({error})",
            "put text with commas, quotes or line ends in double quotes, and double those in it",
            line=number + 1,
        ) from None
    except UnicodeDecodeError:
        raise BadTable(
            f"The file is not UTF-8, at or after line {number + 1}", "save it with UTF-8 encoding"
        ) from None


class _RowLines:
    """Lines of text, not too many of them for one row: quoted cells may go on over line ends."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._characters = 0

    def begin_row(self) -> None:
        self._characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._characters += len(line)
        if self._characters > MAX_LINE_BYTES:
            raise csv.Error(f"a row has more than {MAX_LINE_BYTES // 1024**2} MiB")
        return line


def _checked(number: int, row: Mapping[str | None, Any]) -> Mapping[str, Any]:
    """Empty cells are absent; a row must have as many cells as the header."""
    if None in row or None in row.values():
        raise BadTable(
            "has another number of cells than the header",
            "put text with commas or line ends in double quotes",
            line=number,
        )
    return {
        str(name).strip(): _value(number, str(name).strip(), cell)
        for name, cell in row.items()
        if cell != "" or name in TEXT_COLUMNS
    }


def _value(number: int, name: str, cell: str) -> Any:
    try:
        return cell_value(name, cell)
    except (ValueError, RecursionError):
        raise BadTable(
            f'has "{name}" that is not JSON', "write it as JSON in one cell", line=number
        ) from None
