"""Rows in one line of tokens, in which what rows begin with in common is computed once.

Causal attention makes a token's states a function of the tokens before it, so rows with the same
beginning have the same states there, and the gradients that reach them add up. Rows of a chat
data set share their system prompt, pairs and groups of answers share the whole prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

_SHORTEST_PREFIX = 16
"""Tokens; sharing less costs more calls than it saves products."""

Tokens = tuple[int, ...]


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


@dataclass(frozen=True)
class ShareGroup:
    """Rows, by index, that share their first tokens; a prefix of length 0 is no sharing."""

    members: tuple[int, ...]
    prefix_length: int

    @property
    def saved(self) -> int:
        """Tokens that need not be computed."""
        return self.prefix_length * (len(self.members) - 1)


def packed_tokens(rows: Sequence[Tokens], *, share: bool) -> int:
    """How many tokens `Packing.add` would make of them."""
    saved = sum(group.saved for group in share_groups(rows)) if share and rows else 0
    return sum(map(len, rows)) - saved


def share_groups(rows: Sequence[Tokens]) -> list[ShareGroup]:
    """The way to divide the rows that saves most tokens when a row may share one beginning.

    Every row keeps a token of its own, so that no sequence is empty. Groups stand in the order of
    their first rows.
    """
    groups = _divide(rows, tuple(range(len(rows))), 0)
    return sorted(groups, key=lambda group: group.members[0])


def _divide(rows: Sequence[Tokens], members: tuple[int, ...], depth: int) -> list[ShareGroup]:
    """Of rows that are equal up to `depth`."""
    if len(members) == 1:
        return [ShareGroup(members, 0)]
    ordered = sorted(rows[member] for member in members)
    common = _common(ordered[0], ordered[-1], depth)
    length = min(common, *(len(rows[member]) - 1 for member in members))
    together = ShareGroup(members, length if length >= _SHORTEST_PREFIX else 0)
    apart = [
        group
        for branch in _branches(rows, members, common)
        for group in (_divide(rows, branch, common) if branch != members else [together])
    ]
    if together.saved >= sum(group.saved for group in apart):
        return [together]
    return apart


def _common(first: Tokens, second: Tokens, depth: int) -> int:
    """How many tokens are equal, `depth` of which are known to be."""
    shortest = min(len(first), len(second))
    return next((i for i in range(depth, shortest) if first[i] != second[i]), shortest)


def _branches(
    rows: Sequence[Tokens], members: tuple[int, ...], depth: int
) -> list[tuple[int, ...]]:
    """Rows by the token at `depth`; those that end there are a branch."""
    branches: dict[int | None, list[int]] = {}
    for member in members:
        row = rows[member]
        branches.setdefault(row[depth] if depth < len(row) else None, []).append(member)
    return [tuple(branch) for branch in branches.values()]


def _apart(rows: Sequence[Tokens]) -> list[ShareGroup]:
    return [ShareGroup((index,), 0) for index in range(len(rows))]
