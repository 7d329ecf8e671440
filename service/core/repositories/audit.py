"""The audit log: append-only, written in the transaction of the change it records."""

from sqlalchemy import Connection, insert

from service.core.database import database_now
from service.core.domain.access import Principal
from service.core.ids import new_audit_id
from service.core.tables import audit


def record(connection: Connection, principal: Principal, action: str, subject_id: str) -> None:
    """Note that `principal` did `action` (such as `file.deleted`) to `subject_id`."""
    connection.execute(
        insert(audit).values(
            id=new_audit_id(),
            project_id=principal.scope.project_id,
            actor=principal.key_id,
            action=action,
            subject_id=subject_id,
            created_at=database_now(),
        )
    )
