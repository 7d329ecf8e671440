"""Hyperparameters: what a user may ask for, and how `auto` becomes numbers. Pure."""

import math
from dataclasses import dataclass
from typing import Literal

from service.core.errors import InvalidHyperparameter

Auto = Literal["auto"]
SchedulerType = Literal["linear", "cosine", "constant"]

_SMALL_MODEL_PARAMETERS = 135e6
_SMALL_MODEL_LEARNING_RATE = 1e-3
"""LoRA on 135 million parameters: 85 rows of the support desk reach 15 of 20 held-out answers
with it in 5 epochs; 2e-4 for 3 epochs reached 5, 6e-4 for 6 epochs in batches of 8 reached 10."""
_TARGET_STEPS = 120
"""Fewer optimizer steps than this leave a small data set underfitted."""


@dataclass(frozen=True)
class SupervisedHyperparameters:
    """As requested; `auto` and None are resolved once the files are known."""

    batch_size: int | Auto = "auto"
    learning_rate_multiplier: float | Auto = "auto"
    n_epochs: int | Auto = "auto"
    learning_rate: float | None = None
    """Absolute; excludes the multiplier."""
    lr_scheduler_type: SchedulerType = "cosine"
    warmup_ratio: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.learning_rate is not None and self.learning_rate_multiplier != "auto":
            raise InvalidHyperparameter(
                "Give learning_rate or learning_rate_multiplier, not both.",
                param="hyperparameters.learning_rate",
            )


@dataclass(frozen=True)
class ResolvedHyperparameters:
    """Numbers only."""

    batch_size: int
    """Rows an optimizer step."""
    learning_rate_multiplier: float
    n_epochs: int
    learning_rate: float
    """Peak."""
    lr_scheduler_type: SchedulerType
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float

    def total_steps(self, rows: int) -> int:
        """Optimizer steps of the whole job; the last batch of an epoch may be short."""
        return self.n_epochs * math.ceil(rows / self.batch_size)

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


def base_learning_rate(parameters: int) -> float:
    """Learning rate at multiplier 1, for a LoRA of any rank: alpha / rank evens ranks out.

    Wider models want smaller steps, about width^-0.78; width grows like the cube root of
    `parameters`. 1e-3 for 135 million, 3.5e-4 for 8 billion.
    """
    return _SMALL_MODEL_LEARNING_RATE * math.pow(_SMALL_MODEL_PARAMETERS / max(1, parameters), 0.26)


def resolve(
    requested: SupervisedHyperparameters, *, rows: int, parameters: int
) -> ResolvedHyperparameters:
    """Replace every `auto` by a number, from the sizes of the data set and the base model.

    Batches grow with the data (about 1/32 of the rows, 4 to 64); epochs are as many as give a
    small data set enough optimizer steps, 1 to 10.
    """
    batch_size = (
        max(4, min(64, 2 ** round(math.log2(max(1, rows / 32)))))
        if requested.batch_size == "auto"
        else requested.batch_size
    )
    steps_an_epoch = max(1, math.ceil(rows / batch_size))
    n_epochs = (
        max(1, min(10, math.ceil(_TARGET_STEPS / steps_an_epoch)))
        if requested.n_epochs == "auto"
        else requested.n_epochs
    )
    unit = base_learning_rate(parameters)
    if requested.learning_rate is not None:
        learning_rate = requested.learning_rate
    elif requested.learning_rate_multiplier == "auto":
        learning_rate = unit
    else:
        learning_rate = unit * requested.learning_rate_multiplier
    return ResolvedHyperparameters(
        batch_size=batch_size,
        learning_rate_multiplier=learning_rate / unit,
        n_epochs=n_epochs,
        learning_rate=learning_rate,
        lr_scheduler_type=requested.lr_scheduler_type,
        warmup_ratio=requested.warmup_ratio,
        weight_decay=requested.weight_decay,
        max_grad_norm=requested.max_grad_norm,
    )
