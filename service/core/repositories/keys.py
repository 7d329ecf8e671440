"""API keys of an organisation: its projects' and those that administer it.

An administrator's key is kept in the organisation's first project, which cannot be archived.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, update

from service.core.database import database_now
from service.core.domain.access import ApiKey, KeyScope
from service.core.errors import NotFound
from service.core.ids import new_key_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import api_keys, projects


def usable_key() -> ColumnElement[bool]:
    """Neither revoked nor expired."""
    expires_at = api_keys.c.expires_at
    return and_(
        api_keys.c.revoked_at.is_(None),
        or_(expires_at.is_(None), expires_at > database_now()),
    )


def scopes_from(text: str) -> frozenset[KeyScope]:
    """As they are stored: words, as in OAuth."""
    return frozenset(KeyScope(word) for word in text.split())


def to_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        last4=row.last4,
        scopes=scopes_from(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


class KeyRepository:
    """Keys of one organisation. A revoked key is missing, save for the operator's list."""

    def __init__(self, connection: Connection, organization_id: str) -> None:
        self._connection = connection
        own = select(projects.c.id).where(projects.c.organization_id == organization_id)
        self._own = and_(api_keys.c.project_id.in_(own), api_keys.c.revoked_at.is_(None))

    def add(
        self,
        project_id: str,
        *,
        name: str,
        hashed: str,
        last4: str,
        scopes: frozenset[KeyScope],
        expires_in: float | None = None,
    ) -> ApiKey:
        """Store a key's hash. `expires_in` is in seconds; None is for ever."""
        key_id = new_key_id()
        self._connection.execute(
            insert(api_keys).values(
                id=key_id,
                project_id=project_id,
                name=name,
                hash=hashed,
                last4=last4,
                scopes=" ".join(sorted(scopes)),
                created_at=database_now(),
                expires_at=None if expires_in is None else database_now() + expires_in,
            )
        )
        return self.get(key_id)

    def get(
        self, key_id: str, *, project_id: str | None = None, admin: bool | None = None
    ) -> ApiKey:
        """Of this project, if one is given; an administrator's or a project's, if that is said.

        Raises NotFound.
        """
        wanted = and_(self._own, api_keys.c.id == key_id)
        if project_id is not None:
            wanted = and_(wanted, api_keys.c.project_id == project_id)
        if admin is not None:
            wanted = and_(wanted, _is_admin(admin))
        row = self._connection.execute(select(api_keys).where(wanted)).first()
        if row is None:
            raise NotFound(f"No such API key: {key_id}.")
        return to_key(row)

    def list(
        self,
        *,
        admin: bool,
        after: str | None,
        limit: int,
        project_id: str | None = None,
        ascending: bool = False,
    ) -> Page[ApiKey]:
        """An administrators' list, or a project's. Raises InvalidCursor."""
        wanted = and_(self._own, _is_admin(admin))
        if project_id is not None:
            wanted = and_(wanted, api_keys.c.project_id == project_id)
        return fetch_page(
            self._connection,
            api_keys,
            wanted,
            after=after,
            limit=limit,
            to_domain=to_key,
            ascending=ascending,
        )

    def revoke(self, key_id: str) -> None:
        """From the next request on. Raises NotFound."""
        self._change(key_id, revoked_at=database_now())

    def rotate(self, key_id: str, *, hashed: str, last4: str, keep_old: float) -> ApiKey:
        """Another key for the same, that expires at the same time; the old one goes on for
        `keep_old` seconds. Raises NotFound."""
        old = self.get(key_id)
        new_id = new_key_id()
        self._connection.execute(
            insert(api_keys).values(
                id=new_id,
                project_id=old.project_id,
                name=old.name,
                hash=hashed,
                last4=last4,
                scopes=" ".join(sorted(old.scopes)),
                created_at=database_now(),
                expires_at=old.expires_at,
            )
        )
        if keep_old <= 0:
            self.revoke(key_id)
        else:
            self._end_within(old, keep_old)
        return self.get(new_id)

    def _end_within(self, key: ApiKey, seconds: float) -> None:
        now = float(self._connection.scalar(select(database_now())) or 0)
        self._change(key.id, expires_at=min(now + seconds, key.expires_at or now + seconds))

    def _change(self, key_id: str, **values: object) -> None:
        changed = self._connection.execute(
            update(api_keys).where(self._own, api_keys.c.id == key_id).values(**values)
        ).rowcount
        if not changed:
            raise NotFound(f"No such API key: {key_id}.")


def _is_admin(admin: bool) -> ColumnElement[bool]:
    is_admin = api_keys.c.scopes == KeyScope.ADMIN.value
    return is_admin if admin else ~is_admin
