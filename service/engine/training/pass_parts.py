"""What one job gives to a pass, and what it gets back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import (
    CrossEntropy,
    HeadSpec,
    Loss,
    Policy,
    Report,
    RowLoss,
    TrainingRow,
)
from service.engine.training.head_inputs import HeadDropout
from service.engine.training.losses import Needs
from service.engine.training.model import TrainedModel
from service.engine.training.weights import RowWeights

_CROSS_ENTROPY = CrossEntropy()


@dataclass(frozen=True)
class PassPart:
    """One job's rows in a pass. They have been checked against the loss."""

    model: TrainedModel
    rows: tuple[TrainingRow, ...]
    normalizer: float
    seed: int
    step: int
    loss: Loss = _CROSS_ENTROPY
    report: tuple[Report, ...] = ()
    at_start: bool = False
    """Computed with the weights that the job began with."""

    @property
    def used(self) -> RowWeights:
        """What its rows are computed with."""
        return self.model.at_start if self.at_start else self.model.now

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)

    @property
    def dropout(self) -> float:
        """Of the adapter's input. None in the policy's objective: its ratio is to the policy that
        drew the answers, and that one dropped nothing."""
        return 0.0 if isinstance(self.loss, Policy) else self.model.dropout

    @property
    def head_dropout(self) -> HeadDropout | None:
        """Keys of the head's masks, with the same exception."""
        return None if isinstance(self.loss, Policy) else HeadDropout(self.seed, self.step)

    @property
    def spec(self) -> HeadSpec | None:
        """Of the head, if there is one."""
        return None if self.model.head is None else self.model.head.head.spec

    @property
    def needs(self) -> Needs:
        return Needs.of(self.loss, self.report, self.spec)


@dataclass(frozen=True)
class PartOutcome:
    """What a pass found for one job."""

    losses: list[RowLoss]
    """In the order of the rows."""
    gradients: Sequence[torch.Tensor] | None = None
    """Of the model's leaves; None where nothing was differentiated."""
