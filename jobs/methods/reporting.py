"""What a training loop says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.core.engine_protocol import ForwardDone


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


@dataclass
class Tally:
    """Sums over rows."""

    loss_sum: float = 0.0
    weight: float = 0.0
    correct: int = 0
    trained_tokens: int = 0

    def add(self, result: ForwardDone) -> None:
        for row in result.rows:
            self.loss_sum += row.loss
            self.weight += row.weight
            self.correct += row.correct
            self.trained_tokens += row.trained_tokens

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood a trained token, nats."""
        return self.loss_sum / self.weight if self.weight else 0.0

    def named(self, prefix: str) -> dict[str, float]:
        """`{prefix}_loss` and `{prefix}_mean_token_accuracy`."""
        accuracy = self.correct / self.trained_tokens if self.trained_tokens else 0.0
        return {f"{prefix}_loss": self.loss, f"{prefix}_mean_token_accuracy": accuracy}
