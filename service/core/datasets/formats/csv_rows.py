"""Rows of a CSV file whose first line names the columns."""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.core.datasets.formats.detect import BOM
from service.core.datasets.lines import MAX_LINE_BYTES

_JSON_COLUMNS = ("messages", "tools")


class BadTable(ValueError):
    """What is wrong with a row or the whole, and the mend."""


def csv_rows(chunks: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Row by row, `messages` and `tools` taken as JSON. Raises BadTable."""
    csv.field_size_limit(MAX_LINE_BYTES)
    number = 0
    try:
        for number, row in enumerate(csv.DictReader(_lines(chunks), strict=True), start=1):
            yield _checked(number, row)
    except csv.Error as error:
        raise BadTable(f"Line {number + 1} is not valid CSV ({error}).") from None
    except UnicodeDecodeError:
        raise BadTable(
            f"The file is not UTF-8, at or after line {number + 1}; save it with UTF-8 encoding."
        ) from None


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of text with their ends. Raises BadTable for one without end, UnicodeDecodeError."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending: list[str] = []  # joined once a line, so a long line costs no repeated copying
    pending_characters = 0
    for index, chunk in enumerate(chunks):
        text = decoder.decode(chunk.removeprefix(BOM) if index == 0 else chunk)
        *ended, rest = text.split("\n")
        for piece in ended:
            yield "".join([*pending, piece, "\n"])
            pending, pending_characters = [], 0
        pending.append(rest)
        pending_characters += len(rest)
        if pending_characters > MAX_LINE_BYTES:
            raise BadTable(
                f"A line of the CSV file is longer than {MAX_LINE_BYTES // 1024**2} MiB; split or "
                "shorten it."
            )
    last = "".join([*pending, decoder.decode(b"", final=True)])
    if last:
        yield last


def _checked(number: int, row: Mapping[str | None, Any]) -> Mapping[str, Any]:
    """Empty cells are absent; a row must have as many cells as the header."""
    if None in row or None in row.values():
        raise BadTable(
            f"Line {number} has another number of cells than the header; put text with commas or "
            "line ends in double quotes."
        )
    return {
        str(name).strip(): _value(number, str(name).strip(), cell)
        for name, cell in row.items()
        if cell != "" or name in ("prompt", "completion")
    }


def _value(number: int, name: str, cell: str) -> Any:
    if name not in _JSON_COLUMNS:
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise BadTable(
            f'Line {number} has "{name}" that is not JSON; write the list as JSON in one cell.'
        ) from None
