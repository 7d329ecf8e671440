"""Where in a packed pass lies what the losses read: trained tokens, and states to be pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.engine_protocol import HeadSpec, TrainingRow
from service.engine.heads import pooled_tokens
from service.engine.training.losses import Needs
from service.engine.training.packing import RowPlace


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


@dataclass(frozen=True)
class PartRead:
    """A job's rows, where they lie, and what its loss reads of them."""

    rows: Sequence[TrainingRow]
    places: Sequence[RowPlace]
    needs: Needs
    head: HeadSpec | None

    @property
    def pooled(self) -> list[int]:
        """The packed places that the head's pooling reads, row by row."""
        if not (self.needs.scores and self.head):
            return []
        return [
            place.of(at)
            for row, place in zip(self.rows, self.places, strict=True)
            for at in pooled_tokens(len(row.tokens), self.head.pooling)
        ]


def locate(parts: Sequence[PartRead]) -> Places:
    """What the losses of all parts read."""
    trained = [_trained(part) if part.needs.tokens else _Trained() for part in parts]
    index = [place for of_part in trained for place in of_part.places]
    tokens, first = len(index), 0
    places = []
    for part, of_part in zip(parts, trained, strict=True):
        pooled = part.pooled
        own = slice(first, first := first + len(of_part.places))
        places.append(
            PartPlaces(
                own,
                slice(len(index), len(index) + len(pooled)),
                of_part.row_of,
                of_part.targets,
                of_part.weights,
                [len(row.tokens) for row in part.rows],
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


def _trained(part: PartRead) -> _Trained:
    """Token i is predicted from the place before it."""
    found = _Trained()
    for number, (row, place) in enumerate(zip(part.rows, part.places, strict=True)):
        for at in range(1, len(row.tokens)):
            if row.weights[at] > 0:
                found.places.append(place.of(at - 1))
                found.row_of.append(number)
                found.targets.append(row.tokens[at])
                found.weights.append(row.weights[at])
    return found
