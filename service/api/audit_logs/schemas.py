"""Wire shapes of the audit log."""

from typing import Any, Literal

from pydantic import ConfigDict

from service.api.pages import Listed, ListPage
from service.api.wire import Answer
from service.core.domain.audit import AuditEntry


class AuditKey(Answer):
    """The key that was used."""

    id: str
    type: Literal["service_account"] = "service_account"


class AuditActor(Answer):
    """Who did it."""

    type: Literal["api_key"] = "api_key"
    api_key: AuditKey


class AuditProject(Answer):
    """Where it was done."""

    id: str


class AuditLogObject(Listed):
    """An entry. The member that is named like its type says what was changed, and how."""

    model_config = ConfigDict(frozen=True, extra="allow")

    object: Literal["organization.audit_log"] = "organization.audit_log"
    type: str
    effective_at: int
    project: AuditProject
    actor: AuditActor
    number: int
    """Its place in the project's chain, from 1."""
    hash: str

    @classmethod
    def from_domain(cls, entry: AuditEntry) -> "AuditLogObject":
        content = entry.content
        subject: dict[str, Any] = {"id": content.subject_id}
        if content.details is not None:
            subject["data"] = content.details
        return cls(
            id=content.id,
            type=content.action,
            effective_at=int(content.created_at),
            project=AuditProject(id=content.project_id),
            actor=AuditActor(api_key=AuditKey(id=content.actor)),
            number=content.number,
            hash=entry.hash,
            **{content.action: subject},
        )


class AuditLogList(ListPage[AuditLogObject]):
    """A page of entries."""
