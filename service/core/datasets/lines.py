"""Lines out of chunks, with bounded memory."""

from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 16 * 1024**2
"""A longer line is no example that fits any context; it must not fill the memory."""


class LineTooLong(ValueError):
    """A line over the limit; nothing after it is read."""

    def __init__(self, line: int, limit_bytes: int) -> None:
        super().__init__(f"line {line} is longer than {limit_bytes} bytes")
        self.line = line
        self.limit_bytes = limit_bytes


def numbered_lines(
    chunks: Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    """(1-based number, line without its end) for each line that is not blank.

    Raises LineTooLong as soon as a line has passed the limit.
    """
    number = 1
    pending: list[bytes] = []  # joined once a line, so a long line costs no repeated copying
    pending_bytes = 0
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            line = b"".join([*pending, piece])
            pending, pending_bytes = [], 0
            if len(line) > max_line_bytes:
                raise LineTooLong(number, max_line_bytes)
            if line.strip():
                yield number, line
            number += 1
        pending.append(rest)
        pending_bytes += len(rest)
        if pending_bytes > max_line_bytes:
            raise LineTooLong(number, max_line_bytes)
    last = b"".join(pending)
    if last.strip():
        yield number, last
