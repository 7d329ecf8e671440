"""What can be done with verifications of the caller's jobs."""

from service.api.operations.ending import cancel
from service.api.verifications.requests import CreateVerification
from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.operations import Operation, OperationKind
from service.core.domain.work import WorkKind
from service.core.errors import OperationNotFound, RecordNotFound
from service.core.ids import new_verification_id
from service.core.repositories.audit import record
from service.core.repositories.jobs import JobRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.paging import Page
from service.core.repositories.work import WorkRepository


class VerificationService:
    """Verifications are long operations about a job."""

    def __init__(self, database: Database, *, pool: str) -> None:
        self._database = database
        self._pool = pool

    def create(self, principal: Principal, job_id: str, request: CreateVerification) -> Operation:
        """Raises JobNotFound, and RecordNotFound for a job that has left no receipt."""
        scope = principal.scope
        with self._database.transaction() as connection:
            job = JobRepository(connection, scope).get(job_id)
            if "receipt" not in job.artefacts:
                raise RecordNotFound(
                    f"Job {job.id} has no receipt to verify, since its status is "
                    f"{job.status.value!r}; a job gets one when it succeeds.",
                    param="fine_tuning_job_id",
                )
            operation = OperationRepository(connection, scope).add(
                new_verification_id(), OperationKind.VERIFICATION, job.id, request.model_dump()
            )
            WorkRepository(connection).add(
                scope.project_id, WorkKind.VERIFICATION, operation.id, pool=self._pool
            )
            record(connection, principal, "fine_tuning.job.verification.created", operation.id)
            return operation

    def list(
        self, principal: Principal, job_id: str, *, after: str | None, limit: int
    ) -> Page[Operation]:
        """Raises JobNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            job = JobRepository(connection, principal.scope).get(job_id)
            operations = OperationRepository(connection, principal.scope)
            return operations.list(
                OperationKind.VERIFICATION, subject=job.id, after=after, limit=limit
            )

    def get(self, principal: Principal, job_id: str, verification_id: str) -> Operation:
        """Raises OperationNotFound."""
        with self._database.snapshot() as connection:
            return _find(connection, principal.scope, job_id, verification_id)

    def cancel(self, principal: Principal, job_id: str, verification_id: str) -> Operation:
        """Raises OperationNotFound, OperationNotCancellable."""
        with self._database.transaction() as connection:
            operation = _find(connection, principal.scope, job_id, verification_id)
            record(connection, principal, "fine_tuning.job.verification.cancelled", verification_id)
            return cancel(connection, principal.scope, operation, WorkKind.VERIFICATION)


def _find(connection: Connection, scope: Scope, job_id: str, verification_id: str) -> Operation:
    operations = OperationRepository(connection, scope)
    operation = operations.get(verification_id, kind=OperationKind.VERIFICATION)
    if operation.subject != job_id:
        raise OperationNotFound(f"No such operation: {verification_id}", param="id")
    return operation
