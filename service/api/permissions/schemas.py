"""Wire shapes of checkpoint permissions."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.pages import Listed, ListPage
from service.api.wire import Answer, RequestBody
from service.core.domain.models import CheckpointPermission

ProjectId = Annotated[str, Field(min_length=1, max_length=64)]


class CreatePermissions(RequestBody):
    """Projects that shall be able to use the checkpoint."""

    project_ids: Annotated[list[ProjectId], Field(min_length=1, max_length=100)]


class PermissionObject(Listed):
    """One project that may use the checkpoint."""

    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    created_at: int
    project_id: str

    @classmethod
    def from_domain(cls, permission: CheckpointPermission) -> "PermissionObject":
        return cls(
            id=permission.id,
            created_at=int(permission.created_at),
            project_id=permission.granted_project_id,
        )


class PermissionList(ListPage[PermissionObject]):
    """A page of permissions."""


class PermissionDeleted(Answer):
    """The project can no longer use the checkpoint."""

    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    deleted: Literal[True] = True
