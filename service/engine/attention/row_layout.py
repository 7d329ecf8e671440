"""Where packed sequences lie when those of similar length are padded to one batch.

A place of padding repeats the last token of its own sequence, so nothing of a neighbour, a NaN
least of all, comes near.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch

_SHORTEST_BUCKET = 32


class RowLayout:
    """The padded places of a packed batch, and the way there and back."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.device = device
        self.longest = max(lengths, default=0)
        buckets = _sort_into_buckets(lengths)
        self.buckets: tuple[tuple[int, int], ...] = tuple((w, len(rows)) for w, rows in buckets)
        """(padded length, sequences), in the order of the padded places"""
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        padded: list[int] = []
        place = [0] * sum(lengths)
        for width, members in buckets:
            for member in members:
                rows = [starts[member] + min(i, lengths[member] - 1) for i in range(width)]
                for i in range(lengths[member]):
                    place[starts[member] + i] = len(padded) + i
                padded += rows
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


def _sort_into_buckets(lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(padded length, members); the padded length is no longer than the longest member."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        bucket = max(_SHORTEST_BUCKET, 1 << (length - 1).bit_length())
        members[bucket].append(index)
    return [(max(lengths[i] for i in group), group) for group in members.values()]
