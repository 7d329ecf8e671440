"""What administrators can do with keys. `project_id` None means the administrators' own keys."""

from service.core.database import Connection, Database
from service.core.domain.access import ApiKey, KeyScope, Principal
from service.core.repositories.audit import record
from service.core.repositories.keys import KeyRepository
from service.core.repositories.paging import Page
from service.core.repositories.projects import ProjectRepository
from service.core.security import hash_api_key, new_api_key
from service.core.settings import Settings


class KeyService:
    """Keys in the caller's organisation."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def create(
        self,
        principal: Principal,
        project_id: str | None,
        *,
        name: str,
        scopes: frozenset[KeyScope],
        expires_in: float | None,
    ) -> tuple[ApiKey, str]:
        """The key and its secret, which is known this once. Raises NotFound, InvalidRequest."""
        secret = new_api_key(admin=project_id is None)
        with self._database.transaction() as connection:
            projects = ProjectRepository(connection, principal.scope.organization_id)
            home = projects.get_active(project_id or projects.first_id()).id
            key = _keys(connection, principal).add(
                home,
                name=name,
                hashed=hash_api_key(secret, self._settings),
                last4=secret[-4:],
                scopes=scopes,
                expires_in=expires_in,
            )
            _record(connection, principal, "api_key.created", key)
        return key, secret

    def list(
        self,
        principal: Principal,
        project_id: str | None,
        *,
        after: str | None,
        limit: int,
        ascending: bool = False,
    ) -> Page[ApiKey]:
        """Raises NotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            return _keys(connection, principal).list(
                admin=project_id is None,
                project_id=project_id,
                after=after,
                limit=limit,
                ascending=ascending,
            )

    def get(self, principal: Principal, project_id: str | None, key_id: str) -> ApiKey:
        """Raises NotFound."""
        with self._database.snapshot() as connection:
            return _find(connection, principal, project_id, key_id)

    def delete(self, principal: Principal, project_id: str | None, key_id: str) -> None:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            key = _find(connection, principal, project_id, key_id)
            _keys(connection, principal).revoke(key_id)
            _record(connection, principal, "api_key.deleted", key)

    def rotate(
        self, principal: Principal, project_id: str | None, key_id: str, *, keep_old: float
    ) -> tuple[ApiKey, str]:
        """Another key for the same, and its secret. Raises NotFound."""
        secret = new_api_key(admin=project_id is None)
        with self._database.transaction() as connection:
            _find(connection, principal, project_id, key_id)
            key = _keys(connection, principal).rotate(
                key_id,
                hashed=hash_api_key(secret, self._settings),
                last4=secret[-4:],
                keep_old=keep_old,
            )
            details = {"replaced_by": key.id, "kept_for_seconds": keep_old}
            record(
                connection,
                principal,
                "api_key.rotated",
                key_id,
                project_id=key.project_id,
                details=details,
            )
        return key, secret


def _keys(connection: Connection, principal: Principal) -> KeyRepository:
    return KeyRepository(connection, principal.scope.organization_id)


def _find(
    connection: Connection, principal: Principal, project_id: str | None, key_id: str
) -> ApiKey:
    return _keys(connection, principal).get(key_id, project_id=project_id, admin=project_id is None)


def _record(connection: Connection, principal: Principal, action: str, key: ApiKey) -> None:
    details = {"name": key.name, "scopes": sorted(key.scopes)}
    record(connection, principal, action, key.id, project_id=key.project_id, details=details)
