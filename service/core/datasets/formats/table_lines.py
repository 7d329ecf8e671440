"""Rows of a table as the lines of a JSONL file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.core.datasets.formats.bad_table import BadTable


def table_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Row N as line N. Raises BadTable, and what `rows` raises."""
    for number, row in enumerate(rows, start=1):
        try:
            yield json.dumps(row, default=_as_text).encode() + b"\n"
        except RecursionError:
            raise BadTable(
                "is nested too deeply", "an example is a flat object", line=number
            ) from None
        except UnicodeDecodeError:
            raise BadTable(
                "holds bytes that are no text", "write the column as strings", line=number
            ) from None


def _as_text(value: Any) -> str:
    """Of what JSON does not know: a table's bytes, dates and decimals."""
    return value.decode() if isinstance(value, bytes) else str(value)
