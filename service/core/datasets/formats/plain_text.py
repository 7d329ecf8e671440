"""A file of plain text or Markdown as rows of text."""

import json
import re
from collections.abc import Iterable, Iterator

from service.core.datasets.formats.bad_table import BadTable
from service.core.datasets.formats.detect import BOM
from service.core.datasets.formats.text_lines import text_lines

_PIECE_CHARACTERS = 512 * 1024
"""A piece ends with a paragraph once it has so many: an end of text is trained after each, so that
there should be few. Training cuts it to the model's context."""
_LONGEST_PIECE = 2 * _PIECE_CHARACTERS

_LOOKS_LIKE_JSON = re.compile(rb'\{|\[\s*[{\[\]"]')


def is_plain_text(head: bytes) -> bool:
    """Whether a file that begins so is neither JSONL nor a list in JSON."""
    text = head.removeprefix(BOM).lstrip()
    return bool(text) and not _LOOKS_LIKE_JSON.match(text)


def plain_text_rows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """`{"text": …}` for each piece, on the line that the piece begins on. Raises BadTable."""
    piece: list[str] = []
    size = first = written = 0
    number = 0
    for number, line in enumerate(_lines(chunks), start=1):
        first = first or number
        piece.append(line)
        size += len(line)
        ends_paragraph = not line.strip() and size >= _PIECE_CHARACTERS
        if ends_paragraph or size >= _LONGEST_PIECE:
            yield _row(piece, skipped=first - 1 - written)
            written, first, piece, size = first, 0, [], 0
    if piece:
        yield _row(piece, skipped=first - 1 - written)


def _row(piece: list[str], *, skipped: int) -> bytes:
    text = "".join(piece)
    row = json.dumps({"text": text}).encode() if text.strip() else b""
    return b"\n" * skipped + row + b"\n"


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """With their ends. Raises BadTable."""
    read = 0
    try:
        for line in text_lines(chunks):
            read += 1
            yield line
    except UnicodeDecodeError:
        raise BadTable(
            f"The file is not UTF-8, at or after line {read + 1}", "save it with UTF-8 encoding"
        ) from None
