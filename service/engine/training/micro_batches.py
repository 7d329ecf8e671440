"""How one job's rows are cut: by that job alone, never by what else the engine does."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import TrainingRow


@dataclass(frozen=True)
class MicroBatch:
    """Rows that are computed in one pass; never cut further, but merged with others'."""

    rows: tuple[TrainingRow, ...]
    indices: tuple[int, ...]
    """Where the rows stood in their command."""

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)

    def cut(self, limit_tokens: int) -> "list[MicroBatch]":
        """Its rows in smaller ones, each with the places of its rows in the command."""
        return [
            MicroBatch(part.rows, tuple(self.indices[i] for i in part.indices))
            for part in cut(self.rows, limit_tokens)
        ]


def cut(rows: Sequence[TrainingRow], limit_tokens: int) -> list[MicroBatch]:
    """Fill micro-batches up to the limit with whole groups, in order of appearance.

    A group longer than the limit forms its own.
    """
    groups: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.group, []).append(index)
    batches: list[list[int]] = []
    room = 0
    for members in groups.values():
        size = sum(len(rows[i].tokens) for i in members)
        if not batches or size > room:
            batches.append([])
            room = limit_tokens
        batches[-1] += members
        room -= size
    return [MicroBatch(tuple(rows[i] for i in batch), tuple(batch)) for batch in batches]
