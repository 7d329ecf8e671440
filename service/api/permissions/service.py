"""What can be done with permissions: only by the project that owns the checkpoint."""

from collections.abc import Sequence

from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.models import CheckpointPermission
from service.core.errors import InvalidRequest, NotFound
from service.core.repositories.access import AccessRepository
from service.core.repositories.audit import record
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.models import ModelRepository, model_not_found
from service.core.repositories.paging import Page
from service.core.repositories.permissions import PermissionRepository


class PermissionService:
    """A checkpoint is named by its model's name, its own name or its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grant(
        self, principal: Principal, checkpoint: str, project_ids: Sequence[str]
    ) -> Page[CheckpointPermission]:
        """All or none. Raises ModelNotFound, and InvalidRequest for a project that is not one of
        the organisation's others."""
        scope = principal.scope
        with self._database.transaction() as connection:
            name = _owned_name(connection, scope, checkpoint)
            permissions = PermissionRepository(connection, scope)
            granted = []
            for project_id in dict.fromkeys(project_ids):
                _check_project(connection, scope, project_id)
                granted.append(permissions.grant(name, project_id))
                record(connection, principal, "checkpoint.permission.created", granted[-1].id)
        return Page(tuple(granted), has_more=False)

    def list(
        self,
        principal: Principal,
        checkpoint: str,
        *,
        project_id: str | None,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[CheckpointPermission]:
        """Raises ModelNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            name = _owned_name(connection, principal.scope, checkpoint)
            return PermissionRepository(connection, principal.scope).list(
                name, project_id=project_id, after=after, limit=limit, ascending=ascending
            )

    def revoke(self, principal: Principal, checkpoint: str, permission_id: str) -> None:
        """Raises ModelNotFound, PermissionNotFound."""
        with self._database.transaction() as connection:
            name = _owned_name(connection, principal.scope, checkpoint)
            PermissionRepository(connection, principal.scope).revoke(name, permission_id)
            record(connection, principal, "checkpoint.permission.deleted", permission_id)


def _owned_name(connection: Connection, scope: Scope, reference: str) -> str:
    """Raises ModelNotFound."""
    if ModelRepository(connection, scope).find(reference) is not None:
        return reference
    checkpoints = CheckpointRepository(connection, scope)
    found = checkpoints.find_by_name(reference) or checkpoints.find(reference)
    if found is None:
        raise model_not_found(reference)
    return found.model_name


def _check_project(connection: Connection, scope: Scope, project_id: str) -> None:
    try:
        other = AccessRepository(connection).scope_of_project(project_id)
    except NotFound:
        other = None
    if other is None or other.organization_id != scope.organization_id:
        raise InvalidRequest(
            f"{project_id!r} is no project of your organisation; `tunery-server keys list` shows "
            "the operator which there are.",
            param="project_ids",
        )
    if other.project_id == scope.project_id:
        raise InvalidRequest(
            f"{project_id!r} owns the checkpoint and can use it anyway.", param="project_ids"
        )
