"""API keys in an installation's database."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.core.database import Database, require_newest_schema
from service.core.domain.access import ApiKey
from service.core.repositories.access import AccessRepository
from service.core.security import hash_api_key, new_api_key
from service.core.settings import Settings


def create_key(settings: Settings, *, name: str, project: str | None = None) -> str:
    """A key of the default project or of the named one, which is made when it is missing: the only
    time its secret is known."""
    key = new_api_key()
    with _access(settings) as access:
        scope = (
            access.ensure_default_project(settings.organization)
            if project is None
            else access.ensure_project(settings.organization, project)
        )
        access.add_key(
            scope.project_id,
            name=name,
            hashed=hash_api_key(key, settings),
            last4=key[-4:],
        )
    return key


def list_keys(settings: Settings) -> list[ApiKey]:
    with _access(settings) as access:
        return access.list_keys()


def revoke_key(settings: Settings, key_id: str) -> None:
    """Raises NotFound."""
    with _access(settings) as access:
        access.revoke_key(key_id)


@contextmanager
def _access(settings: Settings) -> Iterator[AccessRepository]:
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.transaction() as connection:
            yield AccessRepository(connection)
    finally:
        database.dispose()
