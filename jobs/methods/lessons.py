"""What a policy learns from: the answers of a rollout with their advantages. It is made once and
learned from over several steps, so that an attempt that goes on between them needs the same one."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from jobs.methods.examples import Example, TokenRow
from service.core.engine_protocol import PolicyExtras, TrainingRow


@dataclass(frozen=True)
class Lesson:
    """Of one rollout, drawn by the weights before its first step."""

    rows: Sequence[Example]
    """An answer each."""
    metrics: Mapping[str, float]
    """Of the answers."""
    samples: Sequence[Mapping[str, Any]]
    """Some of them, to be shown."""

    @property
    def tokens(self) -> int:
        return sum(example.tokens for example in self.rows)

    def to_bytes(self) -> bytes:
        """Every number as exactly as it is."""
        stored = _Stored(
            rows=[row.to_message(0) for example in self.rows for row in example.rows],
            metrics=dict(self.metrics),
            samples=[dict(sample) for sample in self.samples],
        )
        return gzip.compress(stored.model_dump_json().encode(), mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Lesson":
        stored = _Stored.model_validate_json(gzip.decompress(content))
        return cls([_example(row) for row in stored.rows], stored.metrics, stored.samples)


class _Stored(BaseModel):
    rows: list[TrainingRow]
    metrics: dict[str, float]
    samples: list[dict[str, Any]]


def _example(row: TrainingRow) -> Example:
    extras = row.extras if isinstance(row.extras, PolicyExtras) else None
    return Example((TokenRow.of(row.line, row.tokens, row.weights, extras),))
