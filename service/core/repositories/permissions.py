"""Who else may use a project's tuned models and checkpoints."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.models import CheckpointPermission
from service.core.errors import PermissionNotFound
from service.core.ids import new_permission_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import checkpoint_permissions as permissions


def is_granted(model_name: ColumnElement[str], scope: Scope) -> ColumnElement[bool]:
    """Whether the project of `scope` has a permission for this name of another's."""
    return model_name.in_(
        select(permissions.c.model_name).where(permissions.c.granted_project_id == scope.project_id)
    )


class PermissionRepository:
    """Permissions that the project of `scope` has given."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def grant(self, model_name: str, project_id: str) -> CheckpointPermission:
        """What is granted already stays as it is."""
        known = self._connection.execute(
            select(permissions).where(
                self._of(model_name), permissions.c.granted_project_id == project_id
            )
        ).first()
        if known is not None:
            return _to_domain(known)
        row = self._connection.execute(
            insert(permissions)
            .values(
                id=new_permission_id(),
                project_id=self._project,
                model_name=model_name,
                granted_project_id=project_id,
                created_at=database_now(),
            )
            .returning(permissions)
        ).one()
        return _to_domain(row)

    def list(
        self,
        model_name: str,
        *,
        project_id: str | None,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[CheckpointPermission]:
        """Raises InvalidCursor."""
        condition = self._of(model_name)
        if project_id is not None:
            condition = and_(condition, permissions.c.granted_project_id == project_id)
        return fetch_page(
            self._connection,
            permissions,
            condition,
            after=after,
            limit=limit,
            to_domain=_to_domain,
            ascending=ascending,
        )

    def revoke(self, model_name: str, permission_id: str) -> None:
        """Raises PermissionNotFound."""
        found = and_(self._of(model_name), permissions.c.id == permission_id)
        if not self._connection.execute(delete(permissions).where(found)).rowcount:
            raise PermissionNotFound(
                f"No such permission of {model_name}: {permission_id}", param="permission_id"
            )

    def forget(self, model_names: Sequence[str]) -> None:
        """The models are gone."""
        self._connection.execute(
            delete(permissions).where(
                permissions.c.model_name.in_(model_names),
                permissions.c.project_id == self._project,
            )
        )

    def _of(self, model_name: str) -> ColumnElement[bool]:
        return and_(
            permissions.c.model_name == model_name, permissions.c.project_id == self._project
        )


def _to_domain(row: Row[Any]) -> CheckpointPermission:
    return CheckpointPermission(row.id, row.model_name, row.granted_project_id, row.created_at)
