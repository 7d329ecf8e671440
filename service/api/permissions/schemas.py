"""Wire shapes of checkpoint permissions."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.wire import Answer, RequestBody
from service.core.domain.models import CheckpointPermission
from service.core.repositories.paging import Page

ProjectId = Annotated[str, Field(min_length=1, max_length=64)]


class CreatePermissions(RequestBody):
    """Projects that shall be able to use the checkpoint."""

    project_ids: Annotated[list[ProjectId], Field(min_length=1, max_length=100)]


class PermissionObject(Answer):
    """One project that may use the checkpoint."""

    id: str
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


class PermissionList(Answer):
    """A page of permissions."""

    object: Literal["list"] = "list"
    data: list[PermissionObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[CheckpointPermission]) -> "PermissionList":
        return cls(
            data=[PermissionObject.from_domain(permission) for permission in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )


class PermissionDeleted(Answer):
    """The project can no longer use the checkpoint."""

    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    deleted: Literal[True] = True
