"""Batches of one project."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.batches import (
    WINDOW_SECONDS,
    Batch,
    BatchProblem,
    BatchStatus,
)
from service.core.domain.webhooks import WebhookEventType
from service.core.errors import BatchNotFound, InvalidTransition
from service.core.repositories.deliveries import emit
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import batch_blocks, batches

_TOLD_BY_WEBHOOK = {
    BatchStatus.COMPLETED: WebhookEventType.BATCH_COMPLETED,
    BatchStatus.FAILED: WebhookEventType.BATCH_FAILED,
    BatchStatus.EXPIRED: WebhookEventType.BATCH_EXPIRED,
    BatchStatus.CANCELLED: WebhookEventType.BATCH_CANCELLED,
}


class BatchRepository:
    """Batches visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self._project = scope.project_id

    def add(
        self,
        batch_id: str,
        *,
        endpoint: str,
        input_file_id: str,
        metadata: Mapping[str, str] | None,
        output_seconds: int | None,
    ) -> Batch:
        now = database_now()
        self._connection.execute(
            insert(batches).values(
                id=batch_id,
                project_id=self._project,
                endpoint=endpoint,
                input_file_id=input_file_id,
                status=BatchStatus.VALIDATING,
                problems=[],
                metadata=metadata,
                output_seconds=output_seconds,
                total=0,
                completed=0,
                failed=0,
                created_at=now,
                expires_at=now + WINDOW_SECONDS,
                reached_at={},
            )
        )
        return self.get(batch_id)

    def get(self, batch_id: str) -> Batch:
        """Raises BatchNotFound."""
        row = self._connection.execute(
            select(batches).where(batches.c.id == batch_id, batches.c.project_id == self._project)
        ).first()
        if row is None:
            raise BatchNotFound(f"No such Batch object: {batch_id}", param="batch_id")
        return _to_domain(row, self._now())

    def list(self, *, after: str | None, limit: int) -> Page[Batch]:
        now = self._now()
        return fetch_page(
            self._connection,
            batches,
            batches.c.project_id == self._project,
            after=after,
            limit=limit,
            to_domain=lambda row: _to_domain(row, now),
        )

    def move(
        self,
        batch_id: str,
        status: BatchStatus,
        *,
        problems: Sequence[BatchProblem] = (),
        **changes: Any,
    ) -> Batch:
        """Reach a status, noting the time. The end of a batch is told to the project's webhooks by
        the same transaction. Raises InvalidTransition when the batch is over."""
        batch = self.get(batch_id)
        if batch.is_over:
            raise InvalidTransition(f"a batch that is {batch.status} cannot become {status}")
        reached = {**batch.reached_at, status: self._now()}
        changed = self._connection.execute(
            update(batches)
            .where(batches.c.id == batch_id, batches.c.status == batch.status)
            .values(
                status=status,
                reached_at=reached,
                problems=[asdict(problem) for problem in problems],
                **changes,
            )
        ).rowcount
        if not changed:
            raise InvalidTransition(f"batch {batch_id} was moved by another")
        if status in _TOLD_BY_WEBHOOK:
            emit(self._connection, self._scope, _TOLD_BY_WEBHOOK[status], batch_id)
        return self.get(batch_id)

    def note_expiry(self, batch_id: str) -> None:
        """Its window has closed: however often its end is begun anew, it will be `expired`, unless
        it is being cancelled."""
        reached = {**self.get(batch_id).reached_at, BatchStatus.EXPIRED: self._now()}
        self._connection.execute(
            update(batches)
            .where(batches.c.id == batch_id, batches.c.status == BatchStatus.IN_PROGRESS)
            .values(reached_at=reached)
        )

    def add_block(self, batch_id: str, key: str, *, completed: int, failed: int) -> None:
        """The next lines have their answers."""
        number = len(self.blocks(batch_id))
        self._connection.execute(
            insert(batch_blocks).values(
                batch_id=batch_id, number=number, project_id=self._project, key=key
            )
        )
        self._connection.execute(
            update(batches)
            .where(batches.c.id == batch_id)
            .values(completed=batches.c.completed + completed, failed=batches.c.failed + failed)
        )

    def blocks(self, batch_id: str) -> Sequence[str]:
        """Keys, in the order of the lines."""
        rows = self._connection.execute(
            select(batch_blocks.c.key)
            .where(batch_blocks.c.batch_id == batch_id, batch_blocks.c.project_id == self._project)
            .order_by(batch_blocks.c.number)
        )
        return [row.key for row in rows]

    def forget_blocks(self, batch_id: str) -> None:
        self._connection.execute(delete(batch_blocks).where(batch_blocks.c.batch_id == batch_id))

    def _now(self) -> float:
        return float(self._connection.scalar(select(database_now())) or 0)


def _to_domain(row: Row[Any], now: float) -> Batch:
    return Batch(
        id=row.id,
        project_id=row.project_id,
        endpoint=row.endpoint,
        input_file_id=row.input_file_id,
        status=BatchStatus(row.status),
        problems=tuple(BatchProblem(**problem) for problem in row.problems),
        metadata=row.metadata,
        output_seconds=row.output_seconds,
        output_file_id=row.output_file_id,
        error_file_id=row.error_file_id,
        total=row.total,
        completed=row.completed,
        failed=row.failed,
        created_at=row.created_at,
        expires_at=row.expires_at,
        seconds_left=row.expires_at - now,
        reached_at={BatchStatus(name): at for name, at in row.reached_at.items()},
    )
