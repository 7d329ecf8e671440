"""Batches: many requests in a file, answered in the background."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

WINDOW_SECONDS = 24 * 3600


class BatchStatus(StrEnum):
    """Where a batch stands."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


OVER = frozenset(
    {BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED}
)


@dataclass(frozen=True)
class BatchProblem:
    """What keeps a batch from being run."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Batch:
    """A file of requests and how far they are answered."""

    id: str
    project_id: str
    endpoint: str
    input_file_id: str
    status: BatchStatus
    problems: tuple[BatchProblem, ...]
    metadata: Mapping[str, str] | None
    output_seconds: int | None
    """Life time of the result files; None is for ever."""
    output_file_id: str | None
    error_file_id: str | None
    total: int
    completed: int
    failed: int
    created_at: float
    expires_at: float
    seconds_left: float
    """Until it expires, by the database's clock."""
    reached_at: Mapping[BatchStatus, float]
    """When each status was reached, save the first."""

    @property
    def done(self) -> int:
        """Lines that have an answer; they are the first of the file."""
        return self.completed + self.failed

    @property
    def has_expired(self) -> bool:
        """Whether its window closed before every line had its answer."""
        return BatchStatus.EXPIRED in self.reached_at

    @property
    def is_over(self) -> bool:
        return self.status in OVER
