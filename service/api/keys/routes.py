"""/v1/organization/projects/{project_id}/api_keys and /v1/organization/admin_api_keys"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.keys.schemas import (
    AdminKeyDeleted,
    AdminKeyList,
    AdminKeyObject,
    AdminKeyWithValue,
    CreateAdminKey,
    CreateProjectKey,
    ProjectKeyDeleted,
    ProjectKeyList,
    ProjectKeyObject,
    ProjectKeyWithValue,
    RotateKey,
)
from service.api.keys.service import KeyService
from service.api.projects.service import ProjectService
from service.api.wire import Order
from service.core.domain.access import ApiKey, KeyScope

router = APIRouter(tags=["organization"], prefix="/v1/organization")

_KEYS = "/projects/{project_id}/api_keys"
_ADMIN_KEYS = "/admin_api_keys"

After = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=100)]


async def _service(resources: ResourcesDep) -> KeyService:
    return KeyService(resources.database, resources.settings)


KeysDep = Annotated[KeyService, Depends(_service)]


def _is_archived(project_id: str, caller: PrincipalDep, resources: ResourcesDep) -> bool:
    """Of the address's project. Raises NotFound."""
    return ProjectService(resources.database).get(caller, project_id).archived_at is not None


ArchivedDep = Annotated[bool, Depends(_is_archived)]


@router.post(_KEYS)
def create_project_api_key(
    project_id: str,
    body: CreateProjectKey,
    caller: PrincipalDep,
    keys: KeysDep,
    archived: ArchivedDep,
) -> ProjectKeyWithValue:
    """Make a key of a project; its value is in this answer only."""
    key, value = keys.create(
        caller,
        project_id,
        name=body.name,
        scopes=body.to_scopes(),
        expires_in=body.expires_in_seconds,
    )
    return _with_value(key, value, archived)


@router.get(_KEYS)
def list_project_api_keys(
    project_id: str,
    caller: PrincipalDep,
    keys: KeysDep,
    archived: ArchivedDep,
    after: After = None,
    limit: Limit = 20,
) -> ProjectKeyList:
    """List a project's keys, newest first."""
    page = keys.list(caller, project_id, after=after, limit=limit)
    return ProjectKeyList.of(
        page, lambda key: ProjectKeyObject.from_domain(key, is_archived=archived)
    )


@router.get(f"{_KEYS}/{{api_key_id}}")
def retrieve_project_api_key(
    project_id: str, api_key_id: str, caller: PrincipalDep, keys: KeysDep, archived: ArchivedDep
) -> ProjectKeyObject:
    """Describe a key of a project."""
    key = keys.get(caller, project_id, api_key_id)
    return ProjectKeyObject.from_domain(key, is_archived=archived)


@router.delete(f"{_KEYS}/{{api_key_id}}", dependencies=[Depends(_is_archived)])
def delete_project_api_key(
    project_id: str, api_key_id: str, caller: PrincipalDep, keys: KeysDep
) -> ProjectKeyDeleted:
    """Refuse a key from its next request on."""
    keys.delete(caller, project_id, api_key_id)
    return ProjectKeyDeleted(id=api_key_id)


@router.post(f"{_KEYS}/{{api_key_id}}/rotate")
def rotate_project_api_key(
    project_id: str,
    api_key_id: str,
    caller: PrincipalDep,
    keys: KeysDep,
    archived: ArchivedDep,
    body: RotateKey | None = None,
) -> ProjectKeyWithValue:
    """Replace a key by another with its name, scopes and end."""
    keep_old = 0 if body is None else body.keep_old_for_seconds
    return _with_value(*keys.rotate(caller, project_id, api_key_id, keep_old=keep_old), archived)


@router.post(_ADMIN_KEYS)
def create_admin_api_key(
    body: CreateAdminKey, caller: PrincipalDep, keys: KeysDep
) -> AdminKeyWithValue:
    """Make another administrator's key; its value is in this answer only."""
    key, value = keys.create(
        caller,
        None,
        name=body.name,
        scopes=frozenset({KeyScope.ADMIN}),
        expires_in=body.expires_in_seconds,
    )
    return AdminKeyWithValue(**AdminKeyObject.from_domain(key).model_dump(), value=value)


@router.get(_ADMIN_KEYS)
def list_admin_api_keys(
    caller: PrincipalDep,
    keys: KeysDep,
    after: After = None,
    limit: Limit = 20,
    order: Order = "asc",
) -> AdminKeyList:
    """List the administrators' keys, by age."""
    page = keys.list(caller, None, after=after, limit=limit, ascending=order == "asc")
    return AdminKeyList.of(page, AdminKeyObject.from_domain)


@router.get(f"{_ADMIN_KEYS}/{{key_id}}")
def retrieve_admin_api_key(key_id: str, caller: PrincipalDep, keys: KeysDep) -> AdminKeyObject:
    """Describe an administrator's key."""
    return AdminKeyObject.from_domain(keys.get(caller, None, key_id))


@router.delete(f"{_ADMIN_KEYS}/{{key_id}}")
def delete_admin_api_key(key_id: str, caller: PrincipalDep, keys: KeysDep) -> AdminKeyDeleted:
    """Refuse an administrator's key from its next request on, be it the caller's own."""
    keys.delete(caller, None, key_id)
    return AdminKeyDeleted(id=key_id)


def _with_value(key: ApiKey, value: str, archived: bool) -> ProjectKeyWithValue:
    described = ProjectKeyObject.from_domain(key, is_archived=archived).model_dump()
    return ProjectKeyWithValue(**described, value=value)
