"""Long operations of one project."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.jobs import JobError
from service.core.domain.operations import ENDED, Operation, OperationKind, OperationStatus
from service.core.errors import InvalidTransition, OperationNotFound
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import operations

_MOST_OF_A_SUBJECT = 100


class OperationRepository:
    """Operations visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def add(
        self, operation_id: str, kind: OperationKind, subject: str, request: Mapping[str, Any]
    ) -> Operation:
        """Queued; the caller adds the work in the same transaction."""
        self._connection.execute(
            insert(operations).values(
                id=operation_id,
                project_id=self._project,
                kind=kind,
                subject=subject,
                status=OperationStatus.QUEUED,
                request=dict(request),
                progress=0.0,
                created_at=database_now(),
            )
        )
        return self.get(operation_id)

    def get(self, operation_id: str, *, kind: OperationKind | None = None) -> Operation:
        """Raises OperationNotFound, also for one of another kind."""
        row = self._connection.execute(
            select(operations).where(
                operations.c.id == operation_id, operations.c.project_id == self._project
            )
        ).first()
        if row is None or kind not in (None, row.kind):
            raise OperationNotFound(f"No such operation: {operation_id}", param="id")
        return _to_domain(row)

    def list(
        self, kind: OperationKind, *, subject: str | None = None, after: str | None, limit: int
    ) -> Page[Operation]:
        """Newest first. Raises InvalidCursor."""
        condition = and_(operations.c.project_id == self._project, operations.c.kind == kind)
        if subject is not None:
            condition = and_(condition, operations.c.subject == subject)
        return fetch_page(
            self._connection,
            operations,
            condition,
            after=after,
            limit=limit,
            to_domain=_to_domain,
        )

    def find(
        self, kind: OperationKind, subject: str, request: Mapping[str, Any]
    ) -> Operation | None:
        """The newest that was asked for in the same way."""
        asked = self.list(kind, subject=subject, after=None, limit=_MOST_OF_A_SUBJECT).items
        return next((operation for operation in asked if operation.request == request), None)

    def begin(self, operation_id: str) -> None:
        """An attempt is at work. Raises InvalidTransition when it is over."""
        self._change(operation_id, status=OperationStatus.RUNNING)

    def give_back(self, operation_id: str) -> None:
        """It waits again for an attempt. Raises InvalidTransition when it is over."""
        self._change(operation_id, status=OperationStatus.QUEUED, progress=0.0)

    def note_progress(self, operation_id: str, progress: float) -> None:
        """Raises InvalidTransition when it is over."""
        self._change(operation_id, progress=progress)

    def succeed(self, operation_id: str, result: Mapping[str, Any]) -> None:
        """Raises InvalidTransition when it is over."""
        self._end(operation_id, OperationStatus.SUCCEEDED, result=dict(result), progress=1.0)

    def fail(self, operation_id: str, error: JobError) -> None:
        """Raises InvalidTransition when it is over."""
        self._end(operation_id, OperationStatus.FAILED, error=asdict(error))

    def cancel(self, operation_id: str) -> None:
        """Raises InvalidTransition when it is over."""
        self._end(operation_id, OperationStatus.CANCELLED)

    def _end(self, operation_id: str, status: OperationStatus, **changes: Any) -> None:
        self._change(operation_id, status=status, finished_at=database_now(), **changes)

    def _change(self, operation_id: str, **values: Any) -> None:
        changed = self._connection.execute(
            update(operations)
            .where(
                operations.c.id == operation_id,
                operations.c.project_id == self._project,
                operations.c.status.not_in(ENDED),
            )
            .values(**values)
        ).rowcount
        if not changed:
            raise InvalidTransition(f"operation {operation_id} is over")


def _to_domain(row: Row[Any]) -> Operation:
    return Operation(
        id=row.id,
        project_id=row.project_id,
        kind=OperationKind(row.kind),
        subject=row.subject,
        status=OperationStatus(row.status),
        request=row.request,
        progress=row.progress,
        result=row.result,
        error=None if row.error is None else JobError(**row.error),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
