"""Lines of text out of chunks of bytes, with bounded memory."""

import codecs
from collections.abc import Iterable, Iterator

from service.core.datasets.formats.bad_table import BadTable
from service.core.datasets.formats.detect import BOM
from service.core.datasets.lines import MAX_LINE_BYTES


def text_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """With their ends. Raises BadTable for one that is too long, UnicodeDecodeError."""
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
                f"A line of the file is longer than {MAX_LINE_BYTES // 1024**2} MiB",
                "split or shorten it",
            )
    last = "".join([*pending, decoder.decode(b"", final=True)])
    if last:
        yield last
