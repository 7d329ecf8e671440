"""Events of a job: appended, never changed, ordered by `number`."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.jobs import EventLevel, JobEvent, NewEvent
from service.core.errors import InvalidCursor
from service.core.ids import new_event_id
from service.core.repositories.paging import Page
from service.core.tables import job_events


class EventRepository:
    """Events of the jobs within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def append(self, job_id: str, events: Sequence[NewEvent]) -> None:
        """Write events in the given order, in one statement a batch."""
        if not events:
            return
        now = self._connection.scalar(select(database_now()))
        self._connection.execute(
            insert(job_events),
            [
                {
                    "id": new_event_id(),
                    "project_id": self._project,
                    "job_id": job_id,
                    "level": event.level,
                    "type": event.type,
                    "message": event.message,
                    "data": dict(event.data),
                    "created_at": now,
                }
                for event in events
            ],
        )

    def list(self, job_id: str, *, after: str | None, limit: int) -> Page[JobEvent]:
        """Newest first. Raises InvalidCursor."""
        query = select(job_events).where(
            job_events.c.job_id == job_id, job_events.c.project_id == self._project
        )
        if after is not None:
            query = query.where(job_events.c.number < self.number_of(job_id, after))
        rows = self._connection.execute(
            query.order_by(job_events.c.number.desc()).limit(limit + 1)
        ).all()
        return Page(tuple(_to_domain(row) for row in rows[:limit]), has_more=len(rows) > limit)

    def list_behind(self, job_id: str, number: int, *, limit: int) -> Sequence[JobEvent]:
        """Oldest first."""
        rows = self._connection.execute(
            select(job_events)
            .where(
                job_events.c.job_id == job_id,
                job_events.c.project_id == self._project,
                job_events.c.number > number,
            )
            .order_by(job_events.c.number)
            .limit(limit)
        ).all()
        return [_to_domain(row) for row in rows]

    def number_of(self, job_id: str, event_id: str) -> int:
        """Its place among all. Raises InvalidCursor."""
        number = self._connection.scalar(
            select(job_events.c.number).where(
                job_events.c.job_id == job_id,
                job_events.c.project_id == self._project,
                job_events.c.id == event_id,
            )
        )
        if number is None:
            raise InvalidCursor(f"No event {event_id!r} in this list.", param="after")
        return int(number)

    def metrics(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """The data of all metrics events, oldest first."""
        rows = self._connection.execute(
            select(job_events.c.data)
            .where(
                job_events.c.job_id == job_id,
                job_events.c.project_id == self._project,
                job_events.c.type == "metrics",
            )
            .order_by(job_events.c.number)
        ).scalars()
        return rows.all()


def _to_domain(row: Row[Any]) -> JobEvent:
    return JobEvent(
        id=row.id,
        number=row.number,
        job_id=row.job_id,
        created_at=row.created_at,
        level=EventLevel(row.level),
        type=row.type,
        message=row.message,
        data=row.data,
    )
