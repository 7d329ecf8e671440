"""How one job's rows are cut: by that job alone, never by what else the engine does."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.batching import cut_sizes
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


def cut(rows: Sequence[TrainingRow], limit_tokens: int) -> list[MicroBatch]:
    """Fill micro-batches up to the limit with whole groups, in order of appearance.

    A group longer than the limit forms its own.
    """
    groups: dict[int, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.group, []).append(index)
    members = list(groups.values())
    sizes = [sum(len(rows[i].tokens) for i in group) for group in members]
    batches = [
        [i for g in batch for i in members[g]] for batch in cut_sizes(sizes, limit=limit_tokens)
    ]
    return [MicroBatch(tuple(rows[i] for i in batch), tuple(batch)) for batch in batches]
