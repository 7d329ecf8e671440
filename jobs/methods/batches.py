"""Rows in training order: a pure function of seed and epoch, so that any attempt sees the same."""

import hashlib
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.core.engine_protocol import TrainingRow


@dataclass(frozen=True)
class TokenRow:
    """One example, tokenised; arrays, since a large data set stays in memory as 8 bytes a token."""

    line: int
    tokens: "array[int]"
    weights: "array[float]"

    @property
    def trained_weight(self) -> float:
        return sum(self.weights)

    def to_message(self) -> TrainingRow:
        return TrainingRow(
            line=self.line,
            group=self.line,
            tokens=tuple(self.tokens),
            weights=tuple(self.weights),
        )


@dataclass(frozen=True)
class Batch:
    """The rows of one optimizer step."""

    step: int
    """1-based over the whole job."""
    epoch: int
    """1-based."""
    rows: Sequence[TokenRow]
    last_of_epoch: bool


def batches(
    rows: Sequence[TokenRow], *, batch_size: int, n_epochs: int, seed: int
) -> Iterator[Batch]:
    """Every row once an epoch, shuffled anew each epoch; the last batch of one may be short."""
    step = 0
    for epoch in range(1, n_epochs + 1):
        order = list(range(len(rows)))
        random.Random(shuffle_seed(seed, epoch)).shuffle(order)
        for start in range(0, len(order), batch_size):
            step += 1
            chosen = [rows[i] for i in order[start : start + batch_size]]
            yield Batch(step, epoch, chosen, last_of_epoch=start + batch_size >= len(order))


def shuffle_seed(seed: int, epoch: int) -> int:
    """Independent streams for every (seed, epoch)."""
    digest = hashlib.sha256(f"shuffle:{seed}:{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
