"""What the two processes that read a Parquet file say to each other: a letter, a length, bytes."""

import struct
from typing import IO

WANTED, LINES, BAD, DONE = b"R", b"L", b"B", b"Z"
"""A range of the file; rows as lines; a BadTable as JSON; the end. The answer to the first is the
range's bytes without a frame, for both know how many there are."""
RANGE = struct.Struct("!QQ")
_HEAD = struct.Struct("!cQ")


def write_frame(pipe: IO[bytes], kind: bytes, content: bytes = b"") -> None:
    pipe.write(_HEAD.pack(kind, len(content)))
    pipe.write(content)
    pipe.flush()


def read_frame(pipe: IO[bytes], *, limit: int) -> tuple[bytes, bytes]:
    """Kind and content. Raises EOFError where the other side has ended, or sends more than `limit`
    bytes."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    kind, length = _HEAD.unpack(head)
    content = pipe.read(length) if length <= limit else b""
    if len(content) < length:
        raise EOFError
    return kind, content
