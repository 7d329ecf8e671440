"""Tenants and keys. For the operator and for authentication, so it takes no scope."""

from sqlalchemy import Connection, and_, insert, select, update

from service.core.database import database_now
from service.core.domain.access import ApiKey, Principal, Scope
from service.core.errors import NotFound
from service.core.ids import new_key_id, new_organization_id, new_project_id
from service.core.tables import api_keys, organizations, projects

_DEFAULT_PROJECT = "default"


class AccessRepository:
    """Organisations, projects and API keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ensure_default_project(self, organization: str) -> Scope:
        """The default project of this organisation; both are made when missing."""
        found = self._scope(organizations.c.slug == organization)
        if found is not None:
            return found
        organization_id, project_id = new_organization_id(), new_project_id()
        self._connection.execute(
            insert(organizations).values(
                id=organization_id, slug=organization, created_at=database_now()
            )
        )
        self._connection.execute(
            insert(projects).values(
                id=project_id,
                organization_id=organization_id,
                name=_DEFAULT_PROJECT,
                created_at=database_now(),
            )
        )
        return Scope(organization_id, organization, project_id)

    def ensure_project(self, organization: str, name: str) -> Scope:
        """The project of this name; it is made when missing, and the organisation too."""
        default = self.ensure_default_project(organization)
        found = self._scope(and_(organizations.c.slug == organization, projects.c.name == name))
        if found is not None:
            return found
        project_id = new_project_id()
        self._connection.execute(
            insert(projects).values(
                id=project_id,
                organization_id=default.organization_id,
                name=name,
                created_at=database_now(),
            )
        )
        return Scope(default.organization_id, default.organization, project_id)

    def scope_of_project(self, project_id: str) -> Scope:
        """Raises NotFound."""
        scope = self._scope(projects.c.id == project_id)
        if scope is None:
            raise NotFound(f"no project {project_id!r}")
        return scope

    def _scope(self, condition: object) -> Scope | None:
        row = self._connection.execute(
            select(organizations.c.id, organizations.c.slug, projects.c.id.label("project_id"))
            .join(projects, projects.c.organization_id == organizations.c.id)
            .where(condition)  # type: ignore[arg-type]
            .order_by(projects.c.created_at)
            .limit(1)
        ).first()
        return None if row is None else Scope(row.id, row.slug, row.project_id)

    def add_key(self, project_id: str, *, name: str, hashed: str, last4: str) -> str:
        """Store a key's hash; returns the key's id. The same hash again is the same key."""
        known = self._connection.scalar(select(api_keys.c.id).where(api_keys.c.hash == hashed))
        if known is not None:
            return str(known)
        key_id = new_key_id()
        self._connection.execute(
            insert(api_keys).values(
                id=key_id,
                project_id=project_id,
                name=name,
                hash=hashed,
                last4=last4,
                created_at=database_now(),
            )
        )
        return key_id

    def list_keys(self) -> list[ApiKey]:
        rows = self._connection.execute(select(api_keys).order_by(api_keys.c.created_at)).all()
        return [
            ApiKey(r.id, r.project_id, r.name, r.last4, r.created_at, r.revoked_at) for r in rows
        ]

    def revoke_key(self, key_id: str) -> None:
        """Raises NotFound. A key revoked before stays revoked."""
        changed = self._connection.execute(
            update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=database_now())
        ).rowcount
        if not changed:
            raise NotFound(f"no key {key_id!r}")

    def find_principal(self, hashed: str) -> Principal | None:
        """Whose key this is; None when unknown or revoked."""
        row = self._connection.execute(
            select(
                api_keys.c.id,
                projects.c.id.label("project_id"),
                organizations.c.id.label("organization_id"),
                organizations.c.slug,
            )
            .join(projects, projects.c.id == api_keys.c.project_id)
            .join(organizations, organizations.c.id == projects.c.organization_id)
            .where(api_keys.c.hash == hashed, api_keys.c.revoked_at.is_(None))
        ).first()
        if row is None:
            return None
        return Principal(Scope(row.organization_id, row.slug, row.project_id), key_id=row.id)
