"""Long operations: asked for at once, done in the background, looked at until they end."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.core.domain.jobs import JobError


class OperationKind(StrEnum):
    """What is done; also the `object` of the resource."""

    IMPORT = "model.import"
    EXPORT = "model.export"
    FILE_REPORT = "file.report"
    VERIFICATION = "fine_tuning.job.verification"


class OperationStatus(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({OperationStatus.SUCCEEDED, OperationStatus.FAILED, OperationStatus.CANCELLED})


@dataclass(frozen=True)
class Operation:
    """One of them. What `request` and `result` hold is the kind's own affair."""

    id: str
    project_id: str
    kind: OperationKind
    subject: str
    """The public name of what it is about: a model, or the id of a file or job."""
    status: OperationStatus
    request: Mapping[str, Any]
    """Everything that the work needs, pinned when it was asked for."""
    progress: float
    """From 0 to 1."""
    result: Mapping[str, Any] | None
    error: JobError | None
    created_at: float
    finished_at: float | None

    @property
    def is_over(self) -> bool:
        return self.status in ENDED
