"""The audit log: append-only, written in the transaction of the change it records."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Principal
from service.core.domain.audit import AuditContent, AuditEntry, ChainHead
from service.core.ids import new_audit_id
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
