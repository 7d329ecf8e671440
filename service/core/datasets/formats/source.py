"""What a reader of a stored file needs: a stream, and for Parquet a place to seek in."""

import io
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_BLOCK_BYTES = 1024 * 1024


class ByteSource(Protocol):
    """A stored file."""

    def stream(self) -> Iterator[bytes]:
        """All bytes, from the beginning."""

    @property
    def size(self) -> int:
        """Bytes."""

    def range(self, start: int, end: int) -> bytes:
        """The bytes [start, end)."""


def open_seekable(source: ByteSource) -> io.BufferedReader:
    """The file as a seekable reader, fetched in blocks as they are needed."""
    return io.BufferedReader(_Ranges(source.size, source.range), _BLOCK_BYTES)


class _Ranges(io.RawIOBase):
    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read_range = read_range
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        content = self._read_range(self._position, end) if end > self._position else b""
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
