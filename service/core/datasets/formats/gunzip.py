"""Decompression that a small file cannot turn into a flood."""

import zlib
from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1024 * 1024
_MAX_BYTES = 16 * 1024**3
_MAX_RATIO = 200
_RATIO_FROM_BYTES = 16 * 1024**2
"""Short repetitive files compress well; only beyond this does the ratio tell a bomb."""
_GZIP = zlib.MAX_WBITS | 16


class BadGzip(ValueError):
    """What is wrong with the file, as a sentence, and the mend."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.problem, self.mend = problem, mend


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content, in pieces of at most 1 MiB. Raises BadGzip for a file that is cut off, damaged,
    or grows beyond what any data set does."""
    taken = given = 0
    inflater = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        taken += len(chunk)
        pending = chunk
        while pending:
            piece, pending = _inflate(inflater, pending)
            given += len(piece)
            _check_growth(taken, given)
            if piece:
                yield piece
            if inflater.eof:  # files may be appended to each other
                pending = inflater.unused_data.lstrip(b"\0")
                inflater = zlib.decompressobj(_GZIP)
                fresh = not pending
            else:
                fresh = False
    if not taken or not fresh:
        raise BadGzip("The gzip file is cut off", "compress and upload it again")


def _inflate(inflater: "zlib._Decompress", pending: bytes) -> tuple[bytes, bytes]:
    try:
        return inflater.decompress(pending, _PIECE_BYTES), inflater.unconsumed_tail
    except zlib.error as error:
        raise BadGzip(f"The gzip file is damaged ({error})", "compress it again") from None


def _check_growth(taken: int, given: int) -> None:
    if given > _MAX_BYTES:
        raise BadGzip(f"The gzip file holds more than {_MAX_BYTES // 1024**3} GiB", "split it")
    if given > _RATIO_FROM_BYTES and given > taken * _MAX_RATIO:
        raise BadGzip(
            f"The gzip file grows to more than {_MAX_RATIO} times its size, as no data set does, "
            "and is not unpacked",
            "upload it uncompressed",
        )
