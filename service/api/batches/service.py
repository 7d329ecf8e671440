"""What can be done with batches."""

from service.api.batches.requests import CreateBatch
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.batches import Batch, BatchStatus
from service.core.domain.files import FilePurpose
from service.core.domain.work import WorkKind
from service.core.errors import BatchNotCancellable, FileNotFound, InvalidRequest, UnknownFile
from service.core.ids import new_batch_id
from service.core.repositories.audit import record
from service.core.repositories.batches import BatchRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.paging import Page
from service.core.repositories.work import WorkRepository


class BatchService:
    """Batches of the caller's project."""

    def __init__(self, database: Database, *, pool: str) -> None:
        self._database = database
        self._pool = pool

    def create(self, principal: Principal, request: CreateBatch) -> Batch:
        """The batch and the work of running it. Raises UnknownFile, InvalidRequest."""
        scope = principal.scope
        expiry = request.output_expires_after
        with self._database.transaction() as connection:
            _check_file(FileRepository(connection, scope), request.input_file_id)
            batch = BatchRepository(connection, scope).add(
                new_batch_id(),
                endpoint=request.endpoint,
                input_file_id=request.input_file_id,
                metadata=request.metadata,
                output_seconds=None if expiry is None else expiry.seconds,
            )
            work = WorkRepository(connection)
            work.add(scope.project_id, WorkKind.BATCH, batch.id, pool=self._pool)
            record(connection, principal, "batch.created", batch.id)
            return batch

    def list(self, principal: Principal, *, after: str | None, limit: int) -> Page[Batch]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            return BatchRepository(connection, principal.scope).list(after=after, limit=limit)

    def get(self, principal: Principal, batch_id: str) -> Batch:
        """Raises BatchNotFound."""
        with self._database.snapshot() as connection:
            return BatchRepository(connection, principal.scope).get(batch_id)

    def cancel(self, principal: Principal, batch_id: str) -> Batch:
        """Ask for the end: the worker stops, stores what is answered, and then it is cancelled.

        Asking again changes nothing. Raises BatchNotFound, BatchNotCancellable.
        """
        with self._database.transaction() as connection:
            batches = BatchRepository(connection, principal.scope)
            batch = batches.get(batch_id)
            if batch.status in (BatchStatus.CANCELLING, BatchStatus.CANCELLED):
                return batch
            if batch.is_over or batch.status is BatchStatus.FINALIZING:
                raise BatchNotCancellable(
                    f"Batch {batch_id} is {batch.status} already.", param="batch_id"
                )
            record(connection, principal, "batch.cancelled", batch_id)
            return batches.move(batch_id, BatchStatus.CANCELLING)


def _check_file(files: FileRepository, file_id: str) -> None:
    try:
        file = files.get(file_id)
    except FileNotFound:
        raise UnknownFile(f"No such File object: {file_id}", param="input_file_id") from None
    if file.purpose is not FilePurpose.BATCH:
        raise InvalidRequest(
            f"File {file_id} has the purpose {file.purpose}; upload it with the purpose batch.",
            param="input_file_id",
        )
