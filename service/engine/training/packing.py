"""Rows in one line of tokens, in which what rows begin with in common is computed once.

Causal attention makes a token's states a function of the tokens before it, so rows with the same
beginning have the same states there, and the gradients that reach them add up. Rows of a chat
data set share their system prompt, pairs and groups of answers share the whole prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.shared_beginnings import ShareGroup, Tokens, share_groups


@dataclass(frozen=True)
class RowPlace:
    """Where a row's tokens lie: its shared beginning, if it has one, and its own rest."""

    prefix_start: int
    prefix_length: int
    start: int

    def of(self, token: int) -> int:
        """The packed row of the row's token `token`."""
        if token < self.prefix_length:
            return self.prefix_start + token
        return self.start + token - self.prefix_length


@dataclass
class Packing:
    """Sequences one after the other; a row is a sequence, or a shared one and its own."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """Each token's place in its row."""
    lengths: list[int] = field(default_factory=list)
    """Of each sequence."""
    prefixes: list[int | None] = field(default_factory=list)
    """For each sequence the one that it goes on from."""
    places: list[RowPlace] = field(default_factory=list)
    """For each row, in the order in which rows were added."""

    def add(self, rows: Sequence[Tokens], *, share: bool) -> int:
        """Append rows that may share with each other, and with none of an earlier call.

        Returns how many tokens that makes.
        """
        before = len(self.tokens)
        places: dict[int, RowPlace] = {}
        for group in share_groups(rows) if share else _apart(rows):
            start, sequence = len(self.tokens), None
            if group.prefix_length:
                sequence = self._append(rows[group.members[0]][: group.prefix_length], 0, None)
            for member in group.members:
                places[member] = RowPlace(start, group.prefix_length, len(self.tokens))
                self._append(rows[member][group.prefix_length :], group.prefix_length, sequence)
        self.places += [places[index] for index in range(len(rows))]
        return len(self.tokens) - before

    def _append(self, tokens: Tokens, position: int, prefix: int | None) -> int:
        """A sequence whose first token has this place in its row; returns its index."""
        self.tokens += tokens
        self.positions += range(position, position + len(tokens))
        self.lengths.append(len(tokens))
        self.prefixes.append(prefix)
        return len(self.lengths) - 1


def _apart(rows: Sequence[Tokens]) -> list[ShareGroup]:
    return [ShareGroup((index,), 0) for index in range(len(rows))]
