"""What a user may ask of every method."""

from dataclasses import dataclass
from typing import Literal

from service.core.errors import InvalidHyperparameter

Auto = Literal["auto"]
SchedulerType = Literal["linear", "cosine", "constant"]
OverLength = Literal["error", "truncate", "skip"]


@dataclass(frozen=True)
class Hyperparameters:
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
    max_seq_length: int | Auto = "auto"
    """Tokens of the longest row."""
    over_length: OverLength = "error"
    """What becomes of a longer one."""
    packing: bool | Auto = "auto"
    """Count `max_seq_length` tokens of short rows as one row of a batch."""
    max_tokens_per_step: int | None = None
    """Fill each optimizer step by tokens instead of rows; excludes `batch_size` and `packing`."""
    eval_steps: int | Auto = "auto"
    n_checkpoints: int | Auto = "auto"
    early_stopping_patience: int | None = None
    """Evaluations without a better one after which the training ends."""

    def __post_init__(self) -> None:
        if self.learning_rate is not None and self.learning_rate_multiplier != "auto":
            raise InvalidHyperparameter(
                "Give learning_rate or learning_rate_multiplier, not both.",
                param="hyperparameters.learning_rate",
            )
        if self.max_tokens_per_step is not None:
            self._check_counts_tokens_alone()

    def _check_counts_tokens_alone(self) -> None:
        others = {"batch_size": self.batch_size != "auto", "packing": self.packing is True}
        for name, is_given in others.items():
            if is_given:
                raise InvalidHyperparameter(
                    f"'max_tokens_per_step' counts tokens where {name!r} counts rows; give one of "
                    "them.",
                    param="hyperparameters.max_tokens_per_step",
                )
