"""Foreign names for bases and embedding models. The operator's rows, for all tenants: no scope."""

from sqlalchemy import Connection, delete, insert, select, update

from service.core.database import database_now
from service.core.errors import AliasNotFound
from service.core.tables import base_aliases as aliases


class BaseAliasRepository:
    """Names under which every project may ask for a base."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, name: str, target: str) -> None:
        changed = self._connection.execute(
            update(aliases).where(aliases.c.name == name).values(target=target)
        ).rowcount
        if not changed:
            self._connection.execute(
                insert(aliases).values(name=name, target=target, created_at=database_now())
            )

    def find_target(self, name: str) -> str | None:
        return self._connection.scalar(select(aliases.c.target).where(aliases.c.name == name))

    def list(self) -> list[tuple[str, str]]:
        """Name and base, by name."""
        rows = self._connection.execute(select(aliases).order_by(aliases.c.name))
        return [(row.name, row.target) for row in rows]

    def delete(self, name: str) -> None:
        """Raises AliasNotFound."""
        if not self._connection.execute(delete(aliases).where(aliases.c.name == name)).rowcount:
            raise AliasNotFound(f"There is no alias {name!r}.")
