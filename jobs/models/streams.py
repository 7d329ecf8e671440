"""Stored files as streams of bounded reads: what a hostile file says of its sizes allocates
nothing."""

import io
from collections.abc import Iterator

from service.core.errors import InvalidAdapter
from service.core.storage import StoredObjectSource

_WINDOW_BYTES = 1024**2
_LONGEST_READ_BYTES = 8 * 1024**2
"""Longer than any header of an archive that is not made to exhaust memory."""


class ChunkReader(io.RawIOBase):
    """An iterator of chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Exactly `size` bytes, unless the end comes first; a chunk where none is said."""
        while len(self._left) < max(size, 1) and (chunk := next(self._chunks, b"")):
            self._left += chunk
        size = len(self._left) if size < 0 else size
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class ForwardReader:
    """What tarfile reads: it moves forward only. Raises InvalidAdapter for more than `limit` bytes
    in all, and for a single read that only a bomb asks for."""

    def __init__(self, source: io.RawIOBase | io.BufferedIOBase, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._place = 0

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        if place < self._place:
            raise InvalidAdapter("the archive cannot be read from front to back", param="file_id")
        while self._place < place and self.read(min(place - self._place, _WINDOW_BYTES)):
            pass
        return self._place

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, unless the end comes first."""
        check_read(size)
        found = bytearray()
        while len(found) < size:
            piece = self._source.read(size - len(found))
            if not piece:
                break
            found += piece
        self._place += len(found)
        if self._place > self._limit:
            raise InvalidAdapter(
                f"the archive unpacks to more than {self._limit} bytes, which no adapter of this "
                "base needs",
                param="file_id",
            )
        return bytes(found)


class RangeReader(io.RawIOBase):
    """A stored object that can seek; fetched in windows of 1 MiB."""

    def __init__(self, source: StoredObjectSource) -> None:
        self._source = source
        self._place = 0
        self._window = b""
        self._window_start = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._source.size}
        self._place = max(0, origin[whence] + offset)
        return self._place

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._source.size - self._place)
        size = left if size < 0 else min(size, left)
        check_read(size)
        found = bytearray()
        while len(found) < size:
            found += self._from_window(size - len(found))
        return bytes(found)

    def _from_window(self, size: int) -> bytes:
        start = self._place - self._window_start
        if not 0 <= start < len(self._window):
            end = min(self._place + _WINDOW_BYTES, self._source.size)
            self._window = self._source.range(self._place, end)
            self._window_start, start = self._place, 0
        piece = self._window[start : start + size]
        self._place += len(piece)
        return piece


class WholeReads:
    """Reads as long as they are asked for, made of short ones: S3 wants parts of one size."""

    def __init__(self, source: io.IOBase | ChunkReader) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        found = bytearray()
        while size < 0 or len(found) < size:
            wanted = _WINDOW_BYTES if size < 0 else min(size - len(found), _WINDOW_BYTES)
            piece = self._source.read(wanted)
            if not piece:
                break
            found += piece
        return bytes(found)


def check_read(size: int) -> None:
    """Raises InvalidAdapter."""
    if size > _LONGEST_READ_BYTES:
        raise InvalidAdapter("a header of the archive is too long", param="file_id")
