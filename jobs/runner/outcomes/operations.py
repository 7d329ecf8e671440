"""Long operations: each attempt begins anew."""

from jobs.runner.outcomes.base import Outcomes
from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.jobs import JobError
from service.core.repositories.operations import OperationRepository


class OperationOutcomes(Outcomes):
    """The error of a failed operation is what its owner reads."""

    def is_over(self, connection: Connection, scope: Scope, subject_id: str, /) -> bool:
        return OperationRepository(connection, scope).get(subject_id).is_over

    def leave(self, connection: Connection, scope: Scope, subject_id: str) -> None:
        OperationRepository(connection, scope).give_back(subject_id)

    def end(self, connection: Connection, scope: Scope, subject_id: str, error: JobError) -> None:
        OperationRepository(connection, scope).fail(subject_id, error)
