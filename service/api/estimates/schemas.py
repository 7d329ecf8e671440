"""Wire shapes of estimates."""

from typing import Literal

from service.api.wire import Answer
from service.core.estimates import Bounded


class BoundedObject(Answer):
    """A number, and the bounds that the real one keeps to nine times out of ten."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, bounded: Bounded, *, digits: int = 3) -> "BoundedObject":
        return cls(
            value=round(bounded.value, digits),
            low=round(bounded.low, digits),
            high=round(bounded.high, digits),
        )


class CountObject(Answer):
    """A whole number with bounds; low and high are the value where it was counted."""

    value: int
    low: int
    high: int

    @classmethod
    def of(cls, bounded: Bounded) -> "CountObject":
        return cls(value=round(bounded.value), low=round(bounded.low), high=round(bounded.high))


class PriceObject(BoundedObject):
    """From the operator's price table."""

    currency: str
    per_million_tokens: float


class RowsObject(Answer):
    """Of the training file."""

    examined: int
    """Rows that were tokenised."""
    examples: int
    """That would be trained on."""
    is_sample: bool
    """Whether the file is larger than what was read, and the rest taken to be alike."""


class HyperparametersObject(Answer):
    """The numbers that a job would resolve to."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float


class CalibrationObject(Answer):
    """Whose measurements the time and memory are from."""

    engine: str
    device: str
    observations: int


class Estimate(Answer):
    """What a job would take."""

    object: Literal["fine_tuning.estimate"] = "fine_tuning.estimate"
    model: str
    base: str
    method: str
    tuning: str
    hyperparameters: HyperparametersObject
    rows: RowsObject
    tokens_per_epoch: CountObject
    trained_tokens: CountObject
    steps: CountObject
    seconds: BoundedObject | None
    """From the start of the training, alone on its engine, until the model answers."""
    queue_seconds: BoundedObject | None
    """Before that, by what runs and waits now."""
    peak_memory_bytes: CountObject | None
    """Of the engine, its base included."""
    price: PriceObject | None
    """None where the operator's table has no entry."""
    confident: bool
    """Whether measurements support the bounds of time and memory."""
    notes: list[str]
    calibration: CalibrationObject | None
