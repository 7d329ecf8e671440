"""Keys of one project for services outside."""

from sqlalchemy import Connection, delete, insert, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.integrations import IntegrationSecret, IntegrationType
from service.core.errors import IntegrationNotFound
from service.core.tables import integration_secrets


class IntegrationRepository:
    """At most one key a service; they come and go encrypted."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope

    def put(self, kind: IntegrationType, *, sealed: str, hint: str) -> IntegrationSecret:
        """In the place of an earlier one."""
        self._delete(kind)
        self._connection.execute(
            insert(integration_secrets).values(
                project_id=self._scope.project_id,
                type=kind,
                secret=sealed,
                hint=hint,
                created_at=database_now(),
            )
        )
        return self.get(kind)

    def find(self, kind: IntegrationType) -> IntegrationSecret | None:
        row = self._connection.execute(
            select(integration_secrets).where(
                integration_secrets.c.project_id == self._scope.project_id,
                integration_secrets.c.type == kind,
            )
        ).first()
        if row is None:
            return None
        return IntegrationSecret(kind, row.secret, row.hint, row.created_at)

    def get(self, kind: IntegrationType) -> IntegrationSecret:
        """Raises IntegrationNotFound."""
        found = self.find(kind)
        if found is None:
            raise IntegrationNotFound(f"This project has no key for {kind!r}.")
        return found

    def delete(self, kind: IntegrationType) -> None:
        """Raises IntegrationNotFound."""
        if not self._delete(kind):
            raise IntegrationNotFound(f"This project has no key for {kind!r}.")

    def _delete(self, kind: IntegrationType) -> int:
        return self._connection.execute(
            delete(integration_secrets).where(
                integration_secrets.c.project_id == self._scope.project_id,
                integration_secrets.c.type == kind,
            )
        ).rowcount
