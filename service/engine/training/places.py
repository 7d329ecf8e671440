"""Where in a packed pass lies what the losses read: trained tokens, and states to be pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.engine_protocol import HeadSpec, TrainingRow
from service.engine.heads import pooled_places
from service.engine.training.losses import Needs


@dataclass(frozen=True)
class PartPlaces:
    """Of one job. The slices are of the gathered states."""

    tokens: slice
    """States that predict a trained token, row by row; only a weight above zero counts."""
    pooled: slice
    """States that are pooled, row by row."""
    row_of: Sequence[int]
    """(tokens): which of the job's rows."""
    targets: Sequence[int]
    weights: Sequence[float]
    lengths: Sequence[int]
    """(rows): tokens of each."""

    @property
    def counts(self) -> list[int]:
        """(rows): trained tokens of each."""
        counts = [0] * len(self.lengths)
        for row in self.row_of:
            counts[row] += 1
        return counts


@dataclass(frozen=True)
class Places:
    """Of all jobs of a pass: their tokens first, then what they pool."""

    index: list[int]
    """The packed places to gather."""
    tokens: int
    """Of these, how many are tokens'."""
    parts: list[PartPlaces]

    @property
    def targets(self) -> list[int]:
        return [target for part in self.parts for target in part.targets]


def locate(parts: Sequence[tuple[Sequence[TrainingRow], Needs, HeadSpec | None]]) -> Places:
    """The parts' rows are packed in this order."""
    index: list[int] = []
    trained: list[_Trained] = []
    starts: list[list[int]] = []
    at = 0
    for rows, needs, _ in parts:
        starts.append([])
        for row in rows:
            starts[-1].append(at)
            at += len(row.tokens)
        trained.append(_trained(rows, starts[-1]) if needs.tokens else _Trained())
        index += trained[-1].places
    tokens, first = len(index), 0
    places = []
    for (rows, needs, head), begin, of_part in zip(parts, starts, trained, strict=True):
        lengths = [len(row.tokens) for row in rows]
        pooled = pooled_places(begin, lengths, head.pooling) if needs.scores and head else []
        own = slice(first, first := first + len(of_part.places))
        places.append(
            PartPlaces(
                own,
                slice(len(index), len(index) + len(pooled)),
                of_part.row_of,
                of_part.targets,
                of_part.weights,
                lengths,
            )
        )
        index += pooled
    return Places(index, tokens, places)


@dataclass(frozen=True)
class _Trained:
    """Trained tokens of a job: where each is predicted, and whose it is."""

    places: list[int] = field(default_factory=list)
    row_of: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def _trained(rows: Sequence[TrainingRow], starts: Sequence[int]) -> _Trained:
    """Token i is predicted from the place before it."""
    found = _Trained()
    for number, (row, start) in enumerate(zip(rows, starts, strict=True)):
        for at in range(1, len(row.tokens)):
            if row.weights[at] > 0:
                found.places.append(start + at - 1)
                found.row_of.append(number)
                found.targets.append(row.tokens[at])
                found.weights.append(row.weights[at])
    return found
