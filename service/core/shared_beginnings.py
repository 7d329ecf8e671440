"""Which rows begin alike, and so how many tokens a pass computes."""

from collections.abc import Sequence
from dataclasses import dataclass

_SHORTEST_PREFIX = 16
"""Tokens; sharing less costs more calls than it saves products."""

Tokens = Sequence[int]
"""A tuple or an array: rows are compared and sliced."""


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
    ordered = sorted(tuple(rows[member]) for member in members)
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
