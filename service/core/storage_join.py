"""How stored pieces become the parts of one S3 object. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MIN_PART_BYTES = 5 * 1024**2
"""S3 takes no smaller part, save as the last."""


@dataclass(frozen=True)
class StoredPiece:
    """A whole object."""

    key: str
    bytes: int


@dataclass(frozen=True)
class Range:
    """Bytes [start, end) of an object."""

    key: str
    start: int
    end: int


@dataclass(frozen=True)
class JoinPart:
    """One part of the new object."""

    ranges: tuple[Range, ...]
    is_copy: bool
    """One range that the store copies by itself; else the ranges are read and written."""

    @property
    def bytes(self) -> int:
        return sum(r.end - r.start for r in self.ranges)


def plan_join(pieces: Sequence[StoredPiece]) -> Iterator[JoinPart]:
    """Parts that S3 takes, of all bytes in order. Those that are not copied stay below twice the
    smallest part; a large piece behind small ones lends them its beginning."""
    small: list[Range] = []
    for piece in (piece for piece in pieces if piece.bytes):
        start = 0
        if small:
            start = _lent(piece.bytes, MIN_PART_BYTES - _size(small))
            small.append(Range(piece.key, 0, start))
            if _size(small) >= MIN_PART_BYTES:
                yield JoinPart(tuple(small), is_copy=False)
                small = []
        if piece.bytes - start >= MIN_PART_BYTES:
            yield JoinPart((Range(piece.key, start, piece.bytes),), is_copy=True)
        elif start < piece.bytes:
            small.append(Range(piece.key, start, piece.bytes))
    if small:
        yield JoinPart(tuple(small), is_copy=False)


def _lent(size: int, wanted: int) -> int:
    """How much of a piece goes to the small ones before it: all, if the rest were small itself."""
    return wanted if size - wanted >= MIN_PART_BYTES else size


def _size(ranges: Sequence[Range]) -> int:
    return sum(r.end - r.start for r in ranges)
