"""Which rows are there twice, within a file or in two, in bounded memory."""

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from service.core.datasets.rows import LabelledRow, Row

_CACHE_KIB = 16 * 1024


@dataclass(frozen=True)
class Earlier:
    """Where a row was read before."""

    file: str
    line: int
    same_answer: bool
    """False for a text that had another label there."""


class SeenRows:
    """Digests of the rows read so far, in SQLite's temporary database: what 16 MiB do not hold
    goes to a file without a name. A set of them in Python takes some 100 bytes a row."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute(
            "CREATE TABLE seen (content BLOB PRIMARY KEY, answer BLOB, file TEXT, line INTEGER) "
            "WITHOUT ROWID"
        )

    def note(self, row: Row, file: str) -> Earlier | None:
        """The first row with the same content, if there was one; else remember this one."""
        content, answer = _digests(row)
        found = self._database.execute(
            "SELECT answer, file, line FROM seen WHERE content = ?", (content,)
        ).fetchone()
        if found is not None:
            return Earlier(file=found[1], line=found[2], same_answer=found[0] == answer)
        self._database.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?)", (content, answer, file, row.line)
        )
        return None

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def __enter__(self) -> "SeenRows":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _digests(row: Row) -> tuple[bytes, bytes]:
    """Of what a row says but for its line; of a labelled row the label is the answer."""
    content = {name: value for name, value in vars(row).items() if name != "line"}
    answer: Any = None
    if isinstance(row, LabelledRow):
        answer = sorted(content.pop("labels"))
    return _digest([type(row).__name__, content]), _digest(answer)


def _digest(value: Any) -> bytes:
    """12 bytes: two of a billion different rows fall together once in 10^11 files."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=12).digest()
