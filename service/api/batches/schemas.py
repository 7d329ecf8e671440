"""Wire shapes of batches."""

from typing import Literal

from service.api.pages import Listed, ListPage
from service.api.wire import Answer
from service.core.domain.batches import Batch, BatchProblem, BatchStatus


class BatchErrorObject(Answer):
    """What keeps the batch from being run."""

    code: str
    message: str
    param: str | None
    line: int | None

    @classmethod
    def from_domain(cls, problem: BatchProblem) -> "BatchErrorObject":
        return cls(
            code=problem.code, message=problem.message, param=problem.param, line=problem.line
        )


class BatchErrors(Answer):
    """All of that."""

    object: Literal["list"] = "list"
    data: list[BatchErrorObject]


class RequestCounts(Answer):
    """Lines of the input file."""

    total: int
    completed: int
    failed: int


class BatchObject(Listed):
    """A file of requests and how far they are answered."""

    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None

    @classmethod
    def from_domain(cls, batch: Batch) -> "BatchObject":
        def at(status: BatchStatus) -> int | None:
            reached = batch.reached_at.get(status)
            return None if reached is None else int(reached)

        problems = [BatchErrorObject.from_domain(problem) for problem in batch.problems]
        return cls(
            id=batch.id,
            endpoint=batch.endpoint,
            errors=BatchErrors(data=problems) if problems else None,
            input_file_id=batch.input_file_id,
            status=batch.status,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            created_at=int(batch.created_at),
            in_progress_at=at(BatchStatus.IN_PROGRESS),
            expires_at=int(batch.expires_at),
            finalizing_at=at(BatchStatus.FINALIZING),
            completed_at=at(BatchStatus.COMPLETED),
            failed_at=at(BatchStatus.FAILED),
            expired_at=at(BatchStatus.EXPIRED),
            cancelling_at=at(BatchStatus.CANCELLING),
            cancelled_at=at(BatchStatus.CANCELLED),
            request_counts=RequestCounts(
                total=batch.total, completed=batch.completed, failed=batch.failed
            ),
            metadata=None if batch.metadata is None else dict(batch.metadata),
        )


class BatchList(ListPage[BatchObject]):
    """A page of batches."""
