"""Any accepted file as the bytes of a JSONL file."""

from collections.abc import Iterable, Iterator
from itertools import chain

from service.core.datasets.findings import Finding, Severity
from service.core.datasets.formats.bad_table import BadTable
from service.core.datasets.formats.csv_rows import csv_rows
from service.core.datasets.formats.detect import HEAD_BYTES, Format, detect_format
from service.core.datasets.formats.gunzip import BadGzip, gunzip
from service.core.datasets.formats.parquet_process import parquet_lines
from service.core.datasets.formats.plain_text import is_plain_text, plain_text_rows
from service.core.datasets.formats.source import ByteSource
from service.core.datasets.formats.table_lines import table_lines
from service.core.datasets.rows import RowKind


class UnreadableFile(ValueError):
    """The file cannot be read on, as its format asks; what came before was good."""

    def __init__(self, problem: str, mend: str, *, line: int | None = None) -> None:
        self.finding = Finding(line, "unreadable_file", Severity.ERROR, problem, mend)
        super().__init__(self.finding.message)


def as_jsonl(source: ByteSource, *, kind: RowKind | None = None) -> Iterator[bytes]:
    """The file itself if it is JSONL, else row N as line N, in bounded memory.

    Where the rows are to be texts, what is neither a table nor begins like JSON is text itself: a
    piece of it that begins on line N is then a row on line N. Raises UnreadableFile, and what the
    source raises.
    """
    head, chunks = _peek(source.stream())
    try:
        match detect_format(head):
            case Format.PARQUET:
                yield from parquet_lines(source)
            case Format.GZIP:
                yield from _text_as_jsonl(*_peek(gunzip(chunks)), kind)
            case _:
                yield from _text_as_jsonl(head, chunks, kind)
    except BadGzip as bad:
        raise UnreadableFile(bad.problem, bad.mend) from None
    except BadTable as bad:
        raise UnreadableFile(bad.problem, bad.mend, line=bad.line) from None


def _text_as_jsonl(head: bytes, chunks: Iterable[bytes], kind: RowKind | None) -> Iterator[bytes]:
    match detect_format(head):
        case Format.JSONL if kind is RowKind.TEXT and is_plain_text(head):
            yield from plain_text_rows(chunks)
        case Format.JSONL:
            yield from chunks
        case Format.CSV:
            yield from table_lines(csv_rows(chunks))
        case Format.PARQUET:
            raise UnreadableFile(
                "The file is a compressed Parquet file",
                "upload it as it is: Parquet is compressed by itself",
            )
        case Format.GZIP:
            raise UnreadableFile("The file is compressed twice", "compress it once")


def _peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning, and everything."""
    taken: list[bytes] = []
    size = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= HEAD_BYTES:
            break
    return b"".join(taken), chain(taken, chunks)
