"""Batches: the answers that are stored stay."""

from jobs.runner.outcomes.base import Outcomes
from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.batches import BatchProblem, BatchStatus
from service.core.domain.jobs import JobError
from service.core.repositories.batches import BatchRepository


class BatchOutcomes(Outcomes):
    """A batch keeps its status while it waits for its next attempt."""

    def is_over(self, connection: Connection, scope: Scope, subject_id: str, /) -> bool:
        return BatchRepository(connection, scope).get(subject_id).is_over

    def end(self, connection: Connection, scope: Scope, subject_id: str, error: JobError) -> None:
        problem = BatchProblem(error.code, error.message, error.param)
        batches = BatchRepository(connection, scope)
        batches.move(subject_id, BatchStatus.FAILED, problems=[problem])
