"""/v1/fine_tuning/checkpoints/{checkpoint}/permissions. Names may hold slashes, so `:path`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.permissions.schemas import (
    CreatePermissions,
    PermissionDeleted,
    PermissionList,
    PermissionObject,
)
from service.api.permissions.service import PermissionService

router = APIRouter(
    prefix="/v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint:path}/permissions",
    tags=["fine-tuning"],
)


async def _service(resources: ResourcesDep) -> PermissionService:
    return PermissionService(resources.database)


PermissionsDep = Annotated[PermissionService, Depends(_service)]


@router.post("")
def create_checkpoint_permissions(
    fine_tuned_model_checkpoint: str,
    body: CreatePermissions,
    caller: PrincipalDep,
    permissions: PermissionsDep,
) -> PermissionList:
    """Let other projects of the organisation use a tuned model or checkpoint."""
    page = permissions.grant(caller, fine_tuned_model_checkpoint, body.project_ids)
    return PermissionList.of(page, PermissionObject.from_domain)


@router.get("")
def list_checkpoint_permissions(
    fine_tuned_model_checkpoint: str,
    caller: PrincipalDep,
    permissions: PermissionsDep,
    project_id: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    order: Literal["ascending", "descending"] = "descending",
) -> PermissionList:
    """List the projects that may use a tuned model or checkpoint."""
    page = permissions.list(
        caller,
        fine_tuned_model_checkpoint,
        project_id=project_id,
        after=after,
        limit=limit,
        ascending=order == "ascending",
    )
    return PermissionList.of(page, PermissionObject.from_domain)


@router.delete("/{permission_id}")
def delete_checkpoint_permission(
    fine_tuned_model_checkpoint: str,
    permission_id: str,
    caller: PrincipalDep,
    permissions: PermissionsDep,
) -> PermissionDeleted:
    """Take a permission back."""
    permissions.revoke(caller, fine_tuned_model_checkpoint, permission_id)
    return PermissionDeleted(id=permission_id)
