"""What a job leaves on record: curves, losses by row, the receipt."""

from typing import Any

from tunery._types.base import APIObject


class MetricPoint(APIObject):
    """A metric at a step; of several steps their mean, at the last of them."""

    step: int
    value: float


class JobMetrics(APIObject):
    """Every metric of a job as a curve."""

    job_id: str
    total_steps: int | None = None
    series: dict[str, list[MetricPoint]]


class RowLosses(APIObject):
    """What a line of the training file lost in each epoch."""

    line: int
    losses: list[float | None]
    """By epoch; None where the line was not seen."""


class JobRows(APIObject):
    """A page of rows."""

    data: list[RowLosses]
    total: int
    """Rows of this kind, on whatever page."""
    has_more: bool = False


class Receipt(APIObject):
    """What a finished job's weights depend on. More members are in `model_extra`."""

    job: str
    model: str
    base: str
    base_digest: str
    data: dict[str, str]
    """sha256 of each file, by the job's field that names it."""
    method: dict[str, Any]
    tuning: dict[str, Any]
    hyperparameters: dict[str, Any] | None = None
    seed: int
    exact: bool
    attempts: int
    steps: int
    mixed_steps: int
    unmixed: bool
    """Whether no step shared a pass with another job, so that the same bytes can be expected."""
    checkpoint: dict[str, Any]
    worker: dict[str, str]
    """Versions of what makes the tokens."""
    engine: dict[str, str]
    """Device, number format and versions of what trains."""
