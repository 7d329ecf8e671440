"""How one job's rows are cut: by that job alone, never by what else the engine does."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from service.core.batching import cut_groups
from service.core.engine_protocol import TrainingRow
from service.core.shared_beginnings import packed_tokens


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are computed in one pass; never cut further, but merged with others'."""

    rows: tuple[TrainingRow, ...]
    indices: tuple[int, ...]
    """Where the rows stood in their command."""
    share: bool = False
    """Whether what its rows begin with in common is computed once."""

    @cached_property
    def tokens(self) -> int:
        """Computed in its pass. The step loop asks at every turn, so the rows are compared once."""
        return packed_tokens([row.tokens for row in self.rows], share=self.share)

    def cut(self, limit_tokens: int) -> "list[MicroBatch]":
        """Its rows in smaller ones, each with the places of its rows in the command."""
        return [
            MicroBatch(part.rows, tuple(self.indices[i] for i in part.indices), self.share)
            for part in cut(self.rows, limit_tokens, share=self.share)
        ]


def cut(rows: Sequence[TrainingRow], limit_tokens: int, *, share: bool = False) -> list[MicroBatch]:
    """Fill micro-batches up to the limit with whole groups, in order of appearance.

    A group longer than the limit forms its own.
    """
    groups: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.group, []).append(index)
    members = list(groups.values())
    tokens = [[rows[i].tokens for i in group] for group in members]
    batches = [
        [i for place in places for i in members[place]]
        for places in cut_groups(tokens, limit=limit_tokens, share=share)
    ]
    return [MicroBatch(tuple(rows[i] for i in batch), tuple(batch), share) for batch in batches]
