"""Large files in parts: which there are, and what is kept of them for a second attempt."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from tunery._uploads import Upload

PARTED_ABOVE = 64 * 2**20
"""Bytes. A smaller file goes in one request, which costs two round trips less."""
PART_BYTES = 16 * 2**20
"""As much is sent again when a connection breaks."""
AT_ONCE = 4
"""Parts on their way, and in memory."""

OUTDATED = ("upload_not_found", "upload_not_pending", "checksum_mismatch")
"""Codes of refusals to go on: the hour is over, or the file has changed. One begins anew then."""


@dataclass
class UploadState:
    """What has arrived. Given to `files.upload` again, it lets the upload go on from there, within
    the hour for which the server keeps parts."""

    upload_id: str | None = None
    bytes: int = 0
    part_bytes: int = PART_BYTES
    parts: dict[int, str] = field(default_factory=dict)
    """Ids by number, from 0."""

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> "UploadState":
        """Raises ValueError for what is no state."""
        try:
            found = json.loads(text)
            parts = {int(number): str(id_) for number, id_ in found["parts"].items()}
            return cls(
                str(found["upload_id"]), int(found["bytes"]), int(found["part_bytes"]), parts
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("that is no state of an upload") from error

    def begin(self, upload_id: str, size: int) -> None:
        """Of a file of `size` bytes."""
        self.upload_id, self.bytes = upload_id, size
        self.part_bytes = PART_BYTES
        self.parts = {}

    def fits(self, size: int) -> bool:
        """Whether it is of a file of this size."""
        return self.upload_id is not None and self.bytes == size

    def in_order(self) -> list[str]:
        return [self.parts[number] for number in sorted(self.parts)]

    @property
    def sent(self) -> int:
        """Bytes."""
        whole = sum(self.part_bytes for _ in self.parts)
        return min(whole, self.bytes)


class Pieces:
    """A file's parts in order; `md5` is known once all are read."""

    def __init__(self, content: IO[bytes], part_bytes: int) -> None:
        self._content = content
        self._part_bytes = part_bytes
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while piece := self._content.read(self._part_bytes):
            self._digest.update(piece)
            yield number, piece
            number += 1


def size_of(upload: Upload) -> int:
    """Bytes."""
    with upload.open() as content:
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
        return size
