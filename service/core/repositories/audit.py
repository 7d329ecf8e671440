"""The audit log: append-only, written in the transaction of the change it records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Principal
from service.core.domain.audit import AuditContent, AuditEntry, ChainHead
from service.core.ids import new_audit_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import audit, projects

_ROWS_AT_ONCE = 1000


def record(
    connection: Connection,
    principal: Principal,
    action: str,
    subject_id: str,
    *,
    project_id: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Note that `principal` did `action` (such as `file.deleted`) to `subject_id`, in the caller's
    project unless another one is given.

    From here to the end of the transaction the project's chain is this transaction's alone.
    """
    project_id = project_id or principal.scope.project_id
    # not FOR UPDATE: that would wait for every other transaction with a row that refers to the
    # project, and two such transactions for each other
    head = connection.execute(
        select(projects.c.audit_entries, projects.c.audit_head, database_now().label("now"))
        .where(projects.c.id == project_id)
        .with_for_update(key_share=True)
    ).one()
    content = AuditContent(
        id=new_audit_id(),
        project_id=project_id,
        number=head.audit_entries + 1,
        actor=principal.key_id,
        action=action,
        subject_id=subject_id,
        details=details,
        created_at=head.now,
        previous_hash=head.audit_head,
    )
    hash_ = content.hash()
    connection.execute(insert(audit).values(**vars(content), hash=hash_))
    connection.execute(
        update(projects)
        .where(projects.c.id == project_id)
        .values(audit_entries=content.number, audit_head=hash_)
    )


@dataclass(frozen=True)
class AuditFilter:
    """Which entries are wanted; None is all."""

    actions: Sequence[str] | None = None
    actors: Sequence[str] | None = None
    project_ids: Sequence[str] | None = None
    subject_ids: Sequence[str] | None = None
    after: float | None = None
    """Seconds since 1970; at this moment or later."""
    before: float | None = None
    """Earlier than this moment."""


class AuditRepository:
    """The entries of all projects of an organisation."""

    def __init__(self, connection: Connection, organization_id: str) -> None:
        self._connection = connection
        own = select(projects.c.id).where(projects.c.organization_id == organization_id)
        self._own = audit.c.project_id.in_(own)

    def list(
        self, wanted: AuditFilter, *, after: str | None, before: str | None, limit: int
    ) -> Page[AuditEntry]:
        """Newest first: what follows `after`, or the last ones ahead of `before`.

        Raises InvalidCursor.
        """
        page = fetch_page(
            self._connection,
            audit,
            and_(self._own, *_conditions(wanted)),
            after=after if before is None else before,
            limit=limit,
            to_domain=to_entry,
            ascending=before is not None,
        )
        return page if before is None else Page(page.items[::-1], page.has_more)


def _conditions(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    for column, values in (
        (audit.c.action, wanted.actions),
        (audit.c.actor, wanted.actors),
        (audit.c.project_id, wanted.project_ids),
        (audit.c.subject_id, wanted.subject_ids),
    ):
        if values is not None:
            yield column.in_(values)
    if wanted.after is not None:
        yield audit.c.created_at >= wanted.after
    if wanted.before is not None:
        yield audit.c.created_at < wanted.before


class ChainRepository:
    """Whole chains, for the operator who verifies them, so it takes no scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def heads(self) -> dict[str, ChainHead]:
        """By project."""
        rows = self._connection.execute(select(projects).order_by(projects.c.created_at)).all()
        return {row.id: ChainHead(row.audit_entries, row.audit_head) for row in rows}

    def entries(self, project_id: str) -> Iterator[AuditEntry]:
        """In the chain's order."""
        query = select(audit).where(audit.c.project_id == project_id).order_by(audit.c.number)
        yield from map(to_entry, self._connection.execute(query).yield_per(_ROWS_AT_ONCE))


def to_entry(row: Row[Any]) -> AuditEntry:
    content = AuditContent(
        id=row.id,
        project_id=row.project_id,
        number=row.number,
        actor=row.actor,
        action=row.action,
        subject_id=row.subject_id,
        details=row.details,
        created_at=row.created_at,
        previous_hash=row.previous_hash,
    )
    return AuditEntry(content, row.hash)
