"""What is trained on, tokenised: rows, and the examples that they make up."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.core.batching import pack_sizes
from service.core.datasets.rows import Message, Tool
from service.core.engine_protocol import Extras, TrainingRow


@dataclass(frozen=True)
class TokenRow:
    """Token ids of a line, or of a part of it; arrays, since a large data set stays in memory as 8
    bytes a token."""

    line: int
    """Below 1 for a row that is not of the training file."""
    tokens: "array[int]"
    weights: "array[float]"
    extras: Extras | None = None

    @classmethod
    def of(
        cls,
        line: int,
        tokens: Iterable[int],
        weights: Iterable[float],
        extras: Extras | None = None,
    ) -> "TokenRow":
        return cls(line, array("i", tokens), array("f", weights), extras)

    @property
    def trained_weight(self) -> float:
        return sum(self.weights)

    def to_message(self, group: int) -> TrainingRow:
        return TrainingRow(
            line=self.line,
            group=group,
            tokens=tuple(self.tokens),
            weights=tuple(self.weights),
            extras=self.extras,
        )


@dataclass(frozen=True)
class Example:
    """Rows that are meaningless without each other: one, or the two of a pair."""

    rows: tuple[TokenRow, ...]
    labels: tuple[str, ...] = ()
    """What is true of a labelled example."""
    is_multi_label: bool = False
    """Whether several may be."""
    item: Mapping[str, Any] | None = None
    """What graders may look up about a prompt …"""
    messages: tuple[Message, ...] = ()
    """… and what it says …"""
    tools: tuple[Tool, ...] | None = None
    """… with the tools that it offers."""

    @property
    def line(self) -> int:
        return self.rows[0].line

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)


Unit = tuple[Example, ...]
"""What `batch_size` counts: an example, or several that are packed."""


def to_messages(examples: Iterable[Example]) -> tuple[TrainingRow, ...]:
    """Rows of one command; those of an example are a group."""
    return tuple(
        row.to_message(group) for group, example in enumerate(examples) for row in example.rows
    )


def single(examples: Sequence[Example]) -> list[Unit]:
    return [(example,) for example in examples]


def pack(examples: Sequence[Example], *, tokens: int, seed: int) -> list[Unit]:
    """Examples in an order of their own, as many in each unit as have together at most `tokens`.

    They share no attention and need no padding; only `batch_size` counts them as one.
    """
    sizes = [example.tokens for example in examples]
    units = pack_sizes(sizes, limit=tokens, seed=seed)
    return [tuple(examples[place] for place in unit) for unit in units]
