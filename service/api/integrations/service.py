"""What can be done with integrations' keys."""

from service.api.integrations.schemas import PutIntegration
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.integrations import IntegrationSecret, IntegrationType
from service.core.encryption import Cipher
from service.core.repositories.audit import record
from service.core.repositories.integrations import IntegrationRepository

_HINT_CHARACTERS = 4


class IntegrationService:
    """Keys of the caller's project."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def put(
        self, principal: Principal, kind: IntegrationType, request: PutIntegration
    ) -> IntegrationSecret:
        """Store a key, in the place of an earlier one. Raises EncryptionUnavailable."""
        sealed = self._cipher.seal(request.api_key)
        hint = f"…{request.api_key[-_HINT_CHARACTERS:]}"
        with self._database.transaction() as connection:
            integrations = IntegrationRepository(connection, principal.scope)
            stored = integrations.put(kind, sealed=sealed, hint=hint)
            record(connection, principal, "integration.created", kind)
        return stored

    def get(self, principal: Principal, kind: IntegrationType) -> IntegrationSecret:
        """Raises IntegrationNotFound."""
        with self._database.snapshot() as connection:
            return IntegrationRepository(connection, principal.scope).get(kind)

    def delete(self, principal: Principal, kind: IntegrationType) -> None:
        """Raises IntegrationNotFound. Jobs that have begun keep what they hold."""
        with self._database.transaction() as connection:
            IntegrationRepository(connection, principal.scope).delete(kind)
            record(connection, principal, "integration.deleted", kind)
