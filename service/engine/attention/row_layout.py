"""Where packed sequences lie when those of similar length are padded to one batch.

A sequence may go on from another, its prefix, which several share: it is computed once and seen by
each of them. A place of padding repeats the last token of its own sequence, so nothing of a
neighbour, a NaN least of all, comes near.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

_SHORTEST_BUCKET = 64
"""Padding of so few places costs less than the calls of another bucket."""


@dataclass(frozen=True)
class Bucket:
    """Sequences of similar length behind the same prefix, padded to one batch."""

    places: slice
    """The padded places, sequence after sequence."""
    width: int
    """Of each sequence, padding included."""
    count: int
    prefix: slice
    """The packed rows that all of them see first; empty for sequences that stand alone."""

    @property
    def prefix_length(self) -> int:
        return int(self.prefix.stop - self.prefix.start)

    @property
    def keys(self) -> int:
        """Tokens that the last place of a sequence sees."""
        return self.prefix_length + self.width


class RowLayout:
    """The padded places of a packed batch, and the way there and back."""

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device,
        prefixes: Sequence[int | None] | None = None,
    ) -> None:
        """`prefixes` names for each sequence the one that it goes on from, which itself stands
        alone; without it all stand alone."""
        self.device = device
        prefixes = prefixes or [None] * len(lengths)
        starts = [0, *accumulate(lengths)]
        self.buckets: list[Bucket] = []
        padded: list[int] = []
        place = [0] * sum(lengths)
        for prefix, width, members in _sort_into_buckets(lengths, prefixes):
            seen = slice(0, 0) if prefix is None else slice(starts[prefix], starts[prefix + 1])
            places = slice(len(padded), len(padded) + width * len(members))
            self.buckets.append(Bucket(places, width, len(members), seen))
            for member in members:
                rows = [starts[member] + min(i, lengths[member] - 1) for i in range(width)]
                for i in range(lengths[member]):
                    place[starts[member] + i] = len(padded) + i
                padded += rows
        self.longest = max((bucket.keys for bucket in self.buckets), default=0)
        """Tokens of the longest sequence with its prefix."""
        self.needs_padding = padded != list(range(len(place)))
        self.padded = torch.tensor(padded, device=device)
        """(padded places): the packed row that each repeats"""
        self.place = torch.tensor(place, device=device)
        """(packed rows): where each lies"""
        self.is_real = torch.zeros(len(padded), dtype=torch.bool, device=device)
        self.is_real[self.place] = True

    def pad(self, rows: torch.Tensor) -> torch.Tensor:
        """(packed rows, …) → (padded places, …); no gradient."""
        return rows.index_select(0, self.padded) if self.needs_padding else rows

    def unpad(self, padded: torch.Tensor) -> torch.Tensor:
        """(padded places, …) → (packed rows, …); no gradient."""
        return padded.index_select(0, self.place) if self.needs_padding else padded

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """As `pad`, with zeros in the places of padding: the gradient of `unpad`."""
        if not self.needs_padding:
            return rows
        real = self.is_real.view(-1, *[1] * (rows.dim() - 1))
        return rows.index_select(0, self.padded).masked_fill_(~real, 0)


def _sort_into_buckets(
    lengths: Sequence[int], prefixes: Sequence[int | None]
) -> Iterator[tuple[int | None, int, list[int]]]:
    """(prefix, padded length, members); the padded length is no longer than the longest member."""
    members: dict[tuple[int | None, int], list[int]] = defaultdict(list)
    for index, (length, prefix) in enumerate(zip(lengths, prefixes, strict=True)):
        size = max(_SHORTEST_BUCKET, 1 << (length - 1).bit_length())
        members[prefix, size].append(index)
    for (prefix, _), group in members.items():
        yield prefix, max(lengths[i] for i in group), group
