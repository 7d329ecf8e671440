"""Files on their way to the server: read in pieces, and readable again for a second attempt."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO

FileSource = str | PathLike[str] | bytes | IO[bytes]
"""A path, the content itself, or an open binary file that can seek."""
OnProgress = Callable[[int, int], None]
"""Called with the bytes sent and the bytes in all."""


@dataclass(frozen=True)
class Upload:
    """A file and the form fields that go with it."""

    source: FileSource
    filename: str
    purpose: str | None = None
    on_progress: OnProgress | None = None
    field: str = "file"
    """The form's field that holds the content."""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        """The content from its first byte."""
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        if isinstance(self.source, str | PathLike):
            return Path(self.source).open("rb")
        self.source.seek(0)
        return nullcontext(self.source)  # it is the caller's to close


class CountingReader(io.RawIOBase):
    """Reports every piece that is read from `content`."""

    def __init__(self, content: IO[bytes], on_progress: OnProgress) -> None:
        self._content = content
        self._on_progress = on_progress
        self._total = content.seek(0, io.SEEK_END)
        content.seek(0)

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        if piece:
            self._on_progress(self._content.tell(), self._total)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()


def name_of(source: FileSource) -> str:
    """The file name to send when the caller gives none."""
    if isinstance(source, bytes):
        return "upload.jsonl"
    path = source if isinstance(source, str | PathLike) else getattr(source, "name", None)
    return Path(path).name if isinstance(path, str | PathLike) else "upload.jsonl"
