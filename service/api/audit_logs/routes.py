"""/v1/organization/audit_logs"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints

from service.api.audit_logs.schemas import AuditLogList, AuditLogObject
from service.api.dependencies import PrincipalDep, ResourcesDep
from service.core.errors import InvalidRequest
from service.core.repositories.audit import AuditFilter, AuditRepository

router = APIRouter(tags=["organization"])

_MOST_VALUES = 100
Values = list[Annotated[str, StringConstraints(max_length=256)]] | None
_END = 10**11


async def _filter(
    event_types: Annotated[Values, Query(alias="event_types[]", max_length=_MOST_VALUES)] = None,
    project_ids: Annotated[Values, Query(alias="project_ids[]", max_length=_MOST_VALUES)] = None,
    actor_ids: Annotated[Values, Query(alias="actor_ids[]", max_length=_MOST_VALUES)] = None,
    resource_ids: Annotated[Values, Query(alias="resource_ids[]", max_length=_MOST_VALUES)] = None,
    gt: Annotated[int | None, Query(alias="effective_at[gt]", ge=0, le=_END)] = None,
    gte: Annotated[int | None, Query(alias="effective_at[gte]", ge=0, le=_END)] = None,
    lt: Annotated[int | None, Query(alias="effective_at[lt]", ge=0, le=_END)] = None,
    lte: Annotated[int | None, Query(alias="effective_at[lte]", ge=0, le=_END)] = None,
) -> AuditFilter:
    """Whole seconds, as `effective_at` shows them."""
    starts = [*([] if gt is None else [gt + 1]), *([] if gte is None else [gte])]
    ends = [*([] if lt is None else [lt]), *([] if lte is None else [lte + 1])]
    return AuditFilter(
        actions=event_types,
        project_ids=project_ids,
        actors=actor_ids,
        subject_ids=resource_ids,
        after=max(starts, default=None),
        before=min(ends, default=None),
    )


@router.get("/v1/organization/audit_logs")
def list_audit_logs(
    caller: PrincipalDep,
    resources: ResourcesDep,
    wanted: Annotated[AuditFilter, Depends(_filter)],
    after: Annotated[str | None, Query(max_length=64)] = None,
    before: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> AuditLogList:
    """List what was changed in the organisation, newest first."""
    if after is not None and before is not None:
        raise InvalidRequest("Give one of after and before, not both.", param="before")
    with resources.database.snapshot() as connection:
        entries = AuditRepository(connection, caller.scope.organization_id)
        page = entries.list(wanted, after=after, before=before, limit=limit)
    return AuditLogList.of(page, AuditLogObject.from_domain)
