"""An optimizer step as two commands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from jobs.methods.batches import Batch
from jobs.methods.examples import to_messages
from jobs.methods.method import Objective
from jobs.runner.session import EngineSession
from service.core.engine_protocol import ForwardBackward, OptimStep, RowLoss
from service.core.hyperparameters import ResolvedHyperparameters


@dataclass
class SubmittedStep:
    """A step that the engine has been given."""

    batch: Batch
    learning_rate: float
    training: int
    """Number of the command; so are the others."""
    optimizer: int
    sample: list[int] = field(default_factory=list)
    full: list[int] = field(default_factory=list)
    is_saved: bool = False
    evaluation: Sequence[RowLoss] = ()
    """What `full` has found."""


class StepSender:
    """Knows what is the same in every step."""

    def __init__(
        self,
        session: EngineSession,
        numbers: ResolvedHyperparameters,
        objective: Objective,
        total_steps: int,
    ) -> None:
        self._session = session
        self._numbers = numbers
        self._objective = objective
        self._total = total_steps

    def send(self, batch: Batch) -> SubmittedStep:
        """Submit; the commands leave with the next flush."""
        rate = self._numbers.learning_rate_at(batch.step, self._total)
        compute = partial(
            ForwardBackward,
            step=batch.step,
            loss=self._objective.loss,
            normalizer=self._objective.normalizer(batch.examples),
            rows=to_messages(batch.examples),
        )
        apply = partial(
            OptimStep,
            step=batch.step,
            learning_rate=rate,
            weight_decay=self._numbers.weight_decay,
            max_grad_norm=self._numbers.max_grad_norm,
        )
        training = self._session.submit(compute)
        optimizer = self._session.submit(apply)
        return SubmittedStep(batch, rate, training, optimizer)
