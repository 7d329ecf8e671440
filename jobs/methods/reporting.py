"""What a training loop says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.core.engine_protocol import RowLoss


@dataclass(frozen=True)
class StepReport:
    """One optimizer step's account; step 0 is the state before the first."""

    step: int
    total_steps: int
    epoch: float
    """Fractional epochs done."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    """Tokens computed for training in this step."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What is no number, as JSON, such as a confusion matrix."""
    rows: Sequence[RowLoss] = ()
    """What each row contributed, for the ledger."""
    epoch_number: int = 0
    """1-based epoch that the rows are of."""


@dataclass
class Tally:
    """Sums over rows."""

    loss_sum: float = 0.0
    weight: float = 0.0
    correct: int = 0
    trained_tokens: int = 0

    @classmethod
    def of(cls, rows: Sequence[RowLoss]) -> "Tally":
        tally = cls()
        for row in rows:
            tally.loss_sum += row.loss
            tally.weight += row.weight
            tally.correct += row.correct
            tally.trained_tokens += row.trained_tokens
        return tally

    @property
    def loss(self) -> float:
        """Weighted mean of the rows' losses: of cross-entropy nats a trained token."""
        return self.loss_sum / self.weight if self.weight else 0.0


def row_mean(rows: Sequence[RowLoss], name: str) -> float | None:
    """Mean of a metric over the rows that have it, by their weights; None if none has."""
    having = [row for row in rows if name in row.metrics]
    weight = sum(row.weight for row in having)
    return sum(row.metrics[name] * row.weight for row in having) / weight if weight else None
