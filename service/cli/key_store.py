"""API keys in an installation's database."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.core.database import Connection, Database, require_newest_schema
from service.core.domain.access import ApiKey, KeyScope
from service.core.errors import ConfigurationError
from service.core.repositories.access import AccessRepository
from service.core.repositories.keys import KeyRepository
from service.core.security import hash_api_key, new_api_key
from service.core.settings import Settings


def create_key(
    settings: Settings,
    *,
    name: str,
    scopes: frozenset[KeyScope],
    project: str | None = None,
    expires_in: float | None = None,
) -> str:
    """A key of the default project or of the named one, which is made when it is missing: the only
    time its secret is known. An administrator's is kept in the default project.

    Raises ConfigurationError.
    """
    admin = KeyScope.ADMIN in scopes
    if admin and (len(scopes) > 1 or project is not None):
        raise ConfigurationError(
            "A key with the scope admin is the organisation's: it has no other scope and no "
            "project."
        )
    key = new_api_key(admin=admin)
    with _transaction(settings) as connection:
        access = AccessRepository(connection)
        scope = (
            access.ensure_default_project(settings.organization)
            if project is None
            else access.ensure_project(settings.organization, project)
        )
        KeyRepository(connection, scope.organization_id).add(
            scope.project_id,
            name=name,
            hashed=hash_api_key(key, settings),
            last4=key[-4:],
            scopes=scopes,
            expires_in=expires_in,
        )
    return key


def list_keys(settings: Settings) -> list[ApiKey]:
    with _transaction(settings) as connection:
        return AccessRepository(connection).list_keys()


def rotate_key(settings: Settings, key_id: str, *, keep_old: float) -> str:
    """Another key for the same; the old one goes on for `keep_old` seconds. Raises NotFound."""
    with _keys_with(settings, key_id) as keys:
        key = new_api_key(admin=KeyScope.ADMIN in keys.get(key_id).scopes)
        hashed = hash_api_key(key, settings)
        keys.rotate(key_id, hashed=hashed, last4=key[-4:], keep_old=keep_old)
    return key


def revoke_key(settings: Settings, key_id: str) -> None:
    """Raises NotFound."""
    with _keys_with(settings, key_id) as keys:
        keys.revoke(key_id)


@contextmanager
def _keys_with(settings: Settings, key_id: str) -> Iterator[KeyRepository]:
    """The keys among which this one is. Raises NotFound."""
    with _transaction(settings) as connection:
        organization_id = AccessRepository(connection).organization_of_key(key_id)
        yield KeyRepository(connection, organization_id)


@contextmanager
def _transaction(settings: Settings) -> Iterator[Connection]:
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.transaction() as connection:
            yield connection
    finally:
        database.dispose()
