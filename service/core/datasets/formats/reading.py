"""Any accepted file as the bytes of a JSONL file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from service.core.datasets.formats.csv_rows import BadTable, csv_rows
from service.core.datasets.formats.detect import HEAD_BYTES, Format, detect_format
from service.core.datasets.formats.gunzip import BadGzip, gunzip
from service.core.datasets.formats.parquet_rows import parquet_rows
from service.core.datasets.formats.source import ByteSource


class UnreadableFile(ValueError):
    """The file as a whole cannot be read as its format asks; the message says the mend."""


def as_jsonl(source: ByteSource) -> Iterator[bytes]:
    """The file itself if it is JSONL, else row N as line N, in bounded memory.

    Raises UnreadableFile, and what the source raises.
    """
    head, chunks = _peek(source.stream())
    try:
        match detect_format(head):
            case Format.PARQUET:
                yield from _lines(parquet_rows(source))
            case Format.GZIP:
                yield from _text_as_jsonl(*_peek(gunzip(chunks)))
            case _:
                yield from _text_as_jsonl(head, chunks)
    except (BadGzip, BadTable) as bad:
        raise UnreadableFile(str(bad)) from None


def _text_as_jsonl(head: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    match detect_format(head):
        case Format.JSONL:
            yield from chunks
        case Format.CSV:
            yield from _lines(csv_rows(chunks))
        case Format.PARQUET:
            raise UnreadableFile(
                "The file is a compressed Parquet file; Parquet is compressed by itself, so "
                "upload it as it is."
            )
        case Format.GZIP:
            raise UnreadableFile("The file is compressed twice; compress it once.")


def _lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, default=str).encode() + b"\n"


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
