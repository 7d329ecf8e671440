"""A few lines out of a file, without reading much more of it."""

from collections.abc import Iterable, Iterator

from service.core.datasets import numbered_lines
from service.core.errors import InvalidRequest

_MAX_BYTES = 64 * 1024**2
"""Read in one request, at some 100 MB/s; a report covers the whole file."""


class LineWindow:
    """`limit` lines that are not blank, from `first` on, under the numbers that they have."""

    def __init__(self, *, first: int, limit: int) -> None:
        self._first = first
        self._limit = limit
        self.has_more = False
        """Known once all lines are taken."""

    def lines(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Raises InvalidRequest for lines that lie too far behind, LineTooLong."""
        written = taken = 0
        for number, line in numbered_lines(_bounded(chunks)):
            if number < self._first:
                continue
            if taken == self._limit:
                self.has_more = True
                return
            yield b"\n" * (number - 1 - written) + line + b"\n"
            written, taken = number, taken + 1


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        if read > _MAX_BYTES:
            raise InvalidRequest(
                f"A preview reads the first {_MAX_BYTES // 1024**2} MiB of a file; look at earlier "
                "lines, or give the rows themselves.",
                param="first_line",
            )
        yield chunk
