"""Foreign names for bases in an installation's database."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.core.database import Connection, Database, require_newest_schema
from service.core.errors import ConfigurationError
from service.core.model_names import MAX_CHARACTERS, is_reserved
from service.core.repositories.base_aliases import BaseAliasRepository
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.registry import RegistryRepository
from service.core.settings import Settings


def set_base_alias(settings: Settings, name: str, base: str) -> None:
    """Every project may ask for the base under this name from now on.

    Raises ConfigurationError for a name that cannot be one, and for a base that no engine has
    reported.
    """
    with _transaction(settings) as connection:
        known = _known(connection)
        if base not in known:
            raise ConfigurationError(
                f"No engine has reported a base {base!r}. Known are {', '.join(known) or 'none'}."
            )
        if name in known or is_reserved(name) or not 0 < len(name) <= MAX_CHARACTERS:
            raise ConfigurationError(f"{name!r} is the name of a base or a route, or no name.")
        BaseAliasRepository(connection).set(name, base)


def list_base_aliases(settings: Settings) -> list[tuple[str, str]]:
    with _transaction(settings) as connection:
        return BaseAliasRepository(connection).list()


def delete_base_alias(settings: Settings, name: str) -> None:
    """Raises AliasNotFound."""
    with _transaction(settings) as connection:
        BaseAliasRepository(connection).delete(name)


def _known(connection: Connection) -> list[str]:
    bases = RegistryRepository(connection).list_bases()
    embedders = EmbedderRepository(connection).list()
    return [*(base.name for base in bases), *(embedder.name for embedder in embedders)]


@contextmanager
def _transaction(settings: Settings) -> Iterator[Connection]:
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.transaction() as connection:
            yield connection
    finally:
        database.dispose()
