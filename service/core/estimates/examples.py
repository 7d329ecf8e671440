"""Rows as far as a job's work depends on them."""

from array import array
from dataclasses import dataclass

from service.core.datasets import EncodedRow
from service.core.shared_beginnings import Tokens


@dataclass(frozen=True)
class SizedExample:
    """Rows that are computed together: one, or the two of a pair."""

    rows: tuple[Tokens, ...]
    """Kept whole, since what rows begin with in common is computed once."""
    weighed: int
    """Tokens that a weight above zero is on."""

    @property
    def tokens(self) -> int:
        return sum(map(len, self.rows))


def sized(encoded: EncodedRow) -> SizedExample:
    sequences = encoded.values()
    rows = tuple(array("i", sequence.tokens) for sequence in sequences)  # 4 bytes a token
    return SizedExample(rows, sum(sequence.trained for sequence in sequences))
