"""Wire shapes of what a job leaves on record: metrics, rows."""

from typing import Literal

from service.api.wire import Answer
from service.core.ledger import LedgerLine


class Point(Answer):
    """A metric at a step; of several steps their mean, at the last of them."""

    step: int
    value: float


class MetricsObject(Answer):
    """Every metric of a job as a curve."""

    object: Literal["fine_tuning.job.metrics"] = "fine_tuning.job.metrics"
    job_id: str
    total_steps: int | None
    series: dict[str, list[Point]]


class RowObject(Answer):
    """What a line of the training file lost in each epoch."""

    object: Literal["fine_tuning.job.row"] = "fine_tuning.job.row"
    line: int
    losses: list[float | None]
    """By epoch; null where the line was not seen."""

    @classmethod
    def from_domain(cls, line: LedgerLine) -> "RowObject":
        return cls(line=line.line, losses=list(line.losses))


class RowList(Answer):
    """A page of rows."""

    object: Literal["list"] = "list"
    data: list[RowObject]
    total: int
    """Rows of this kind, on whatever page."""
    has_more: bool
