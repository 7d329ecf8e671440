"""Whether a training has left the ground: no number any more, or a loss that has exploded."""

import math
from collections.abc import Sequence

from jobs.methods.reporting import StepReport
from service.core.engine_protocol import OptimStepDone
from service.core.errors import TrainingDiverged

_TIMES, _NATS = 2.0, 5.0
"""A loss above twice the first and these nats is worse than guessing: cross-entropy that began at
3 has then passed 11, where ln of 50,000 words is 10.8; preferences begin at 0.69 and have passed
6.4."""


class Divergence:
    """Compares with the first loss, which earlier attempts may have told."""

    def __init__(self, told: Sequence[StepReport] = ()) -> None:
        losses = [report.metrics["train_loss"] for report in told if "train_loss" in report.metrics]
        self._first = losses[0] if losses else None

    def check(
        self, step: int, loss: float, optimizer: OptimStepDone, learning_rate: float
    ) -> float:
        """The norm of the gradient. Raises TrainingDiverged."""
        if optimizer.skipped or optimizer.grad_norm is None or not math.isfinite(loss):
            raise TrainingDiverged(
                f"Loss or gradient became infinite at step {step} {_advice(learning_rate)}"
            )
        if self._first is None:
            self._first = loss
        if loss > _TIMES * self._first + _NATS:
            raise TrainingDiverged(
                f"The loss has exploded: it began at {self._first:.3g} and is {loss:.3g} at step "
                f"{step} {_advice(learning_rate)}"
            )
        return optimizer.grad_norm


def _advice(learning_rate: float) -> str:
    return (
        f"(learning rate {learning_rate:.3g}). Lower learning_rate_multiplier, for example to a "
        "third, and look for broken rows in the training file. Checkpoints stored before stay."
    )
