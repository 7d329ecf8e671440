"""API keys in an installation's database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from service.core.database import Database, require_newest_schema
from service.core.domain.access import ApiKey
from service.core.repositories.access import AccessRepository
from service.core.security import hash_api_key, new_api_key
from service.core.settings import Settings


def create_key(settings: Settings, *, name: str) -> str:
    """A key of the default project: the only time its secret is known."""
    key = new_api_key()
    with _transaction(settings) as connection:
        access = AccessRepository(connection)
        access.add_key(
            access.ensure_default_project(settings.organization).project_id,
            name=name,
            hashed=hash_api_key(key, settings),
            last4=key[-4:],
        )
    return key


def list_keys(settings: Settings) -> list[ApiKey]:
    with _transaction(settings) as connection:
        return AccessRepository(connection).list_keys()


def revoke_key(settings: Settings, key_id: str) -> None:
    """Raises NotFound."""
    with _transaction(settings) as connection:
        AccessRepository(connection).revoke_key(key_id)


@contextmanager
def _transaction(settings: Settings) -> Iterator[Connection]:
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.transaction() as connection:
            yield connection
    finally:
        database.dispose()
