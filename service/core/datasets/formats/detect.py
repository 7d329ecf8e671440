"""What a file is, by its first bytes; names and MIME types are not asked."""

import csv
from enum import StrEnum

from service.core.datasets.formats.columns import COLUMNS

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 64 * 1024


class Format(StrEnum):
    """How rows are written down."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    GZIP = "gzip"
    """Any of the texts, compressed."""


def detect_format(head: bytes) -> Format:
    """Whatever is none of the others counts as JSONL, whose checks say what is wrong with it."""
    if head.startswith(b"\x1f\x8b"):
        return Format.GZIP
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    return Format.CSV if _has_header(head) else Format.JSONL


def _has_header(head: bytes) -> bool:
    first = head.removeprefix(BOM).split(b"\n", 1)[0].decode("utf-8", errors="replace")
    try:
        names = next(csv.reader([first.rstrip("\r")]), [])
    except csv.Error:
        return False
    return any(name.strip() in COLUMNS for name in names)
