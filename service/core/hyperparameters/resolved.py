"""The numbers that a training uses."""

import math
from dataclasses import dataclass

from service.core.hyperparameters.requested import OverLength, SchedulerType


@dataclass(frozen=True)
class ResolvedHyperparameters:
    """Numbers only. The defaults are those of jobs that were resolved before the field existed."""

    batch_size: int
    """Rows an optimizer step; pairs are one row, and so are packed ones and those that fill
    `max_tokens_per_step`."""
    learning_rate_multiplier: float
    n_epochs: int
    learning_rate: float
    """Peak."""
    lr_scheduler_type: SchedulerType
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    max_seq_length: int | None = None
    """None: the base's context."""
    over_length: OverLength = "error"
    packing: bool = False
    eval_steps: int = 10
    n_checkpoints: int = 3
    early_stopping_patience: int | None = None
    max_tokens_per_step: int | None = None

    @property
    def unit_tokens(self) -> int | None:
        """Rows of together at most so many tokens are one for `batch_size`; None: each row is."""
        if self.max_tokens_per_step is not None:
            return self.max_tokens_per_step
        return self.max_seq_length if self.packing else None

    def total_steps(self, rows: int) -> int:
        """Optimizer steps of the whole job; the last batch of an epoch may be short."""
        return self.n_epochs * math.ceil(rows / self.batch_size)

    def checkpoint_steps(self, total_steps: int) -> frozenset[int]:
        """The last step always; as OpenAI keeps them, the ends of the last epochs, or, if more
        are asked for than there are epochs, evenly spread."""
        wanted = min(self.n_checkpoints, total_steps)
        parts = self.n_epochs if wanted <= self.n_epochs else wanted
        return frozenset(
            math.ceil(total_steps * part / parts) for part in range(parts - wanted + 1, parts + 1)
        )

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Learning rate of 1-based `step`: linear warm-up to the peak, then down to zero."""
        warmup = math.ceil(self.warmup_ratio * total_steps)
        if step <= warmup:
            return self.learning_rate * step / warmup
        if self.lr_scheduler_type == "constant":
            return self.learning_rate
        done = (step - 1 - warmup) / max(1, total_steps - warmup)
        if self.lr_scheduler_type == "linear":
            return self.learning_rate * (1 - done)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
