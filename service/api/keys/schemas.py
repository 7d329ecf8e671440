"""Wire shapes of keys."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.pages import Listed, ListPage
from service.api.wire import Answer, RequestBody
from service.core.domain.access import ApiKey, KeyScope

KeyName = Annotated[str, Field(min_length=1, max_length=128)]
Seconds = Annotated[int, Field(ge=1, le=10 * 366 * 86400)]
ProjectScope = Literal["all", "read", "training", "inference"]


class CreateProjectKey(RequestBody):
    """What the key is for."""

    name: KeyName
    scopes: Annotated[list[ProjectScope], Field(min_length=1, max_length=4)] = ["all"]  # noqa: RUF012
    expires_in_seconds: Seconds | None = None
    """It never expires without."""

    def to_scopes(self) -> frozenset[KeyScope]:
        return frozenset(KeyScope(scope) for scope in self.scopes)


class CreateAdminKey(RequestBody):
    """What the key is for."""

    name: KeyName
    expires_in_seconds: Seconds | None = None
    """It never expires without."""


class RotateKey(RequestBody):
    """How the old key ends."""

    keep_old_for_seconds: Annotated[int, Field(ge=0, le=7 * 86400)] = 0


class ServiceAccount(Answer):
    """Who has the key. Keys have no persons here: each is an account of its own."""

    id: str
    name: str
    role: Literal["member"] = "member"
    created_at: int


class ProjectKeyOwner(Answer):
    """Who has the key."""

    type: Literal["service_account"] = "service_account"
    service_account: ServiceAccount


class AdminKeyOwner(Answer):
    """Who has the key."""

    type: Literal["service_account"] = "service_account"
    object: Literal["organization.service_account"] = "organization.service_account"
    id: str
    name: str
    role: Literal["owner"] = "owner"
    created_at: int


class _KeyObject(Listed):
    name: str
    redacted_value: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    """To the minute."""


class ProjectKeyObject(_KeyObject):
    """A project's key, without its secret."""

    object: Literal["organization.project.api_key"] = "organization.project.api_key"
    scopes: list[KeyScope]
    owner: ProjectKeyOwner
    owner_project_access: Literal["active", "inactive"]

    @classmethod
    def from_domain(cls, key: ApiKey, *, is_archived: bool) -> "ProjectKeyObject":
        account = ServiceAccount(id=key.id, name=key.name, created_at=int(key.created_at))
        return cls(
            id=key.id,
            name=key.name,
            redacted_value=f"sk-ft-...{key.last4}",
            created_at=int(key.created_at),
            expires_at=_seconds(key.expires_at),
            last_used_at=_seconds(key.last_used_at),
            scopes=sorted(key.scopes),
            owner=ProjectKeyOwner(service_account=account),
            owner_project_access="inactive" if is_archived else "active",
        )


class ProjectKeyWithValue(ProjectKeyObject):
    """A new key; its value is told this once."""

    value: str


class ProjectKeyList(ListPage[ProjectKeyObject]):
    """A page of keys."""


class ProjectKeyDeleted(Answer):
    """The key is refused from now on."""

    id: str
    object: Literal["organization.project.api_key.deleted"] = "organization.project.api_key.deleted"
    deleted: Literal[True] = True


class AdminKeyObject(_KeyObject):
    """An administrator's key, without its secret."""

    object: Literal["organization.admin_api_key"] = "organization.admin_api_key"
    owner: AdminKeyOwner

    @classmethod
    def from_domain(cls, key: ApiKey) -> "AdminKeyObject":
        return cls(
            id=key.id,
            name=key.name,
            redacted_value=f"sk-ft-admin-...{key.last4}",
            created_at=int(key.created_at),
            expires_at=_seconds(key.expires_at),
            last_used_at=_seconds(key.last_used_at),
            owner=AdminKeyOwner(id=key.id, name=key.name, created_at=int(key.created_at)),
        )


class AdminKeyWithValue(AdminKeyObject):
    """A new key; its value is told this once."""

    value: str


class AdminKeyList(ListPage[AdminKeyObject]):
    """A page of keys."""


class AdminKeyDeleted(Answer):
    """The key is refused from now on."""

    id: str
    object: Literal["organization.admin_api_key.deleted"] = "organization.admin_api_key.deleted"
    deleted: Literal[True] = True


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
