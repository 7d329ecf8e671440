"""What can be done with aliases."""

from service.api.models.service import find_model
from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.models import ModelAlias
from service.core.errors import AliasCycle, InvalidRequest, LimitReached, NameTaken
from service.core.model_names import RESERVED, is_reserved
from service.core.repositories.aliases import AliasRepository
from service.core.repositories.audit import record
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import model_not_found
from service.core.repositories.paging import Page
from service.core.repositories.registry import RegistryRepository

MAX_ALIASES = 10_000


class AliasService:
    """Aliases of the caller's project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, principal: Principal, name: str, target: str) -> ModelAlias:
        """From the commit on the name means `target`; requests that have begun keep their model.

        Raises InvalidRequest for a name that cannot be one, NameTaken, AliasCycle, ModelNotFound
        for a target that means no model, LimitReached.
        """
        scope = principal.scope
        with self._database.transaction() as connection:
            _check_name(connection, scope, name)
            _check_target(connection, scope, name, target)
            aliases = AliasRepository(connection, scope)
            if aliases.find(name) is None and aliases.count() >= MAX_ALIASES:
                raise LimitReached(
                    f"The project has {MAX_ALIASES} aliases, which is as many as it may have.",
                    param="alias",
                )
            record(connection, principal, "model.alias.set", name)
            return aliases.set(name, target)

    def list(self, principal: Principal, *, after: str | None, limit: int) -> Page[ModelAlias]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            return AliasRepository(connection, principal.scope).list(after=after, limit=limit)

    def get(self, principal: Principal, name: str) -> ModelAlias:
        """Raises AliasNotFound."""
        with self._database.snapshot() as connection:
            return AliasRepository(connection, principal.scope).get(name)

    def delete(self, principal: Principal, name: str) -> None:
        """Raises AliasNotFound."""
        with self._database.transaction() as connection:
            AliasRepository(connection, principal.scope).delete(name)
            record(connection, principal, "model.alias.deleted", name)


def _check_name(connection: Connection, scope: Scope, name: str) -> None:
    if is_reserved(name) or any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequest(
            f"{name!r} cannot be an alias: {' and '.join(RESERVED)} are routes, and each part "
            "between slashes needs a name.",
            param="alias",
        )
    taken = find_model(connection, scope, name) is not None
    if taken or JobRepository(connection, scope).reserves(name):
        raise NameTaken(
            f"{name!r} is the name of a model, and an alias must not hide it. Choose another name.",
            param="alias",
        )


def _check_target(connection: Connection, scope: Scope, name: str, target: str) -> None:
    meanings = list(RegistryRepository(connection).meanings(target, scope))
    if name in meanings:
        raise AliasCycle(
            f"{target!r} is, or means, {name!r} itself; name a model at the end of the chain.",
            param="model",
        )
    if not any(find_model(connection, scope, meaning) for meaning in meanings):
        raise model_not_found(*meanings)
