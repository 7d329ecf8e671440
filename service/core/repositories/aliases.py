"""Further names of one project for models that it can use."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.models import ModelAlias
from service.core.errors import AliasNotFound
from service.core.ids import new_alias_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import model_aliases as aliases


class AliasRepository:
    """Aliases of `scope`'s project. What they mean in the end, `RegistryRepository` says."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def set(self, name: str, target: str) -> ModelAlias:
        """Make the alias, or let it mean something else from the commit on."""
        known = self._point(name, target)
        if known is not None:
            return known
        try:
            with self._connection.begin_nested():
                return self._add(name, target)
        except IntegrityError:  # another request was faster, and this one is the later
            return self._point(name, target) or self._add(name, target)

    def _point(self, name: str, target: str) -> ModelAlias | None:
        row = self._connection.execute(
            update(aliases)
            .where(self._named(name))
            .values(target=target, updated_at=database_now())
            .returning(aliases)
        ).first()
        return None if row is None else _to_domain(row)

    def _add(self, name: str, target: str) -> ModelAlias:
        row = self._connection.execute(
            insert(aliases)
            .values(
                id=new_alias_id(),
                project_id=self._project,
                name=name,
                target=target,
                created_at=database_now(),
                updated_at=database_now(),
            )
            .returning(aliases)
        ).one()
        return _to_domain(row)

    def find(self, name: str) -> ModelAlias | None:
        row = self._connection.execute(select(aliases).where(self._named(name))).first()
        return None if row is None else _to_domain(row)

    def get(self, name: str) -> ModelAlias:
        """Raises AliasNotFound."""
        found = self.find(name)
        if found is None:
            raise _not_found(name)
        return found

    def count(self) -> int:
        query = select(func.count()).where(aliases.c.project_id == self._project)
        return self._connection.scalar(query) or 0

    def list(self, *, after: str | None, limit: int) -> Page[ModelAlias]:
        """Newest first; the cursor is an alias's id. Raises InvalidCursor."""
        return fetch_page(
            self._connection,
            aliases,
            aliases.c.project_id == self._project,
            after=after,
            limit=limit,
            to_domain=_to_domain,
        )

    def delete(self, name: str) -> None:
        """Raises AliasNotFound."""
        if not self._connection.execute(delete(aliases).where(self._named(name))).rowcount:
            raise _not_found(name)

    def _named(self, name: str) -> ColumnElement[bool]:
        return and_(aliases.c.project_id == self._project, aliases.c.name == name)


def _not_found(name: str) -> AliasNotFound:
    return AliasNotFound(f"There is no alias {name!r}.", param="alias")


def _to_domain(row: Row[Any]) -> ModelAlias:
    return ModelAlias(row.id, row.name, row.target, row.created_at, row.updated_at)
