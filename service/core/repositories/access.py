"""Tenants and keys. For the operator and for authentication, so it takes no scope."""

from sqlalchemy import Connection, and_, insert, or_, select, update

from service.core.database import database_now
from service.core.domain.access import ApiKey, KeyScope, Principal, ProjectLimits, Scope
from service.core.errors import NotFound
from service.core.ids import new_organization_id, new_project_id
from service.core.repositories.keys import KeyRepository, scopes_from, to_key, usable_key
from service.core.repositories.projects import limits_from
from service.core.tables import api_keys, organizations, projects

_DEFAULT_PROJECT = "default"
_NOTE_USE_SECONDS = 60.0
"""A key's use is written no more often: a write a request would cost more than many requests."""


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

    def limits_of_project(self, project_id: str) -> ProjectLimits:
        """Of a project that there is."""
        query = select(projects).where(projects.c.id == project_id)
        return limits_from(self._connection.execute(query).one())

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
        """Store a key that may do everything in its project; returns the key's id. The same hash
        again is the same key."""
        known = self._connection.scalar(select(api_keys.c.id).where(api_keys.c.hash == hashed))
        if known is not None:
            return str(known)
        scope = self.scope_of_project(project_id)
        keys = KeyRepository(self._connection, scope.organization_id)
        scopes = frozenset({KeyScope.ALL})
        return keys.add(project_id, name=name, hashed=hashed, last4=last4, scopes=scopes).id

    def list_keys(self) -> list[ApiKey]:
        """Of all organisations, oldest first."""
        rows = self._connection.execute(select(api_keys).order_by(api_keys.c.created_at)).all()
        return [to_key(row) for row in rows]

    def organization_of_key(self, key_id: str) -> str:
        """Raises NotFound."""
        found = self._connection.scalar(
            select(projects.c.organization_id)
            .join(api_keys, api_keys.c.project_id == projects.c.id)
            .where(api_keys.c.id == key_id)
        )
        if found is None:
            raise NotFound(f"no key {key_id!r}")
        return str(found)

    def find_principal(self, hashed: str) -> Principal | None:
        """Whose key this is; None when unknown, expired or revoked, or its project archived."""
        used = api_keys.c.last_used_at
        row = self._connection.execute(
            select(
                api_keys.c.id,
                api_keys.c.scopes,
                or_(used.is_(None), used < database_now() - _NOTE_USE_SECONDS).label("use_is_old"),
                projects.c.id.label("project_id"),
                projects.c.requests_per_minute,
                projects.c.tokens_per_minute,
                projects.c.queued_jobs,
                projects.c.stored_bytes,
                organizations.c.id.label("organization_id"),
                organizations.c.slug,
            )
            .join(projects, projects.c.id == api_keys.c.project_id)
            .join(organizations, organizations.c.id == projects.c.organization_id)
            .where(api_keys.c.hash == hashed, usable_key(), projects.c.archived_at.is_(None))
        ).first()
        if row is None:
            return None
        return Principal(
            Scope(row.organization_id, row.slug, row.project_id),
            key_id=row.id,
            scopes=scopes_from(row.scopes),
            limits=limits_from(row),
            use_is_old=bool(row.use_is_old),
        )

    def note_use(self, key_id: str) -> None:
        """The key is in use now."""
        self._connection.execute(
            update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=database_now())
        )
