"""Rows as sizes: all that a job's work depends on."""

from dataclasses import dataclass

from service.core.datasets import EncodedRow


@dataclass(frozen=True)
class SizedExample:
    """Rows that are computed together: one, or the two of a pair."""

    lengths: tuple[int, ...]
    """Tokens of each row."""
    weighed: int
    """Tokens that a weight above zero is on."""

    @property
    def tokens(self) -> int:
        return sum(self.lengths)


def sized(encoded: EncodedRow) -> SizedExample:
    sequences = encoded.values()
    lengths = tuple(len(sequence.tokens) for sequence in sequences)
    return SizedExample(lengths, sum(sequence.trained for sequence in sequences))
