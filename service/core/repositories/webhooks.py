"""Webhook endpoints of one project."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.webhooks import WebhookEndpoint
from service.core.errors import WebhookNotFound
from service.core.ids import new_webhook_endpoint_id
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import webhook_deliveries, webhook_endpoints

_OLD_SECRET_SECONDS = 24 * 3600


class WebhookEndpointRepository:
    """Endpoints visible within `scope`; secrets come and go encrypted."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope

    def add(
        self, *, name: str, url: str, event_types: Sequence[str], sealed_secret: str, hint: str
    ) -> WebhookEndpoint:
        endpoint_id = new_webhook_endpoint_id()
        self._connection.execute(
            insert(webhook_endpoints).values(
                id=endpoint_id,
                project_id=self._scope.project_id,
                name=name,
                url=url,
                event_types=list(event_types),
                secret=sealed_secret,
                secret_hint=hint,
                created_at=database_now(),
                updated_at=database_now(),
            )
        )
        return self.get(endpoint_id)

    def count(self) -> int:
        number = self._connection.scalar(
            select(func.count())
            .select_from(webhook_endpoints)
            .where(webhook_endpoints.c.project_id == self._scope.project_id)
        )
        return int(number or 0)

    def get(self, endpoint_id: str) -> WebhookEndpoint:
        """Raises WebhookNotFound."""
        row = self._connection.execute(
            select(webhook_endpoints).where(
                webhook_endpoints.c.id == endpoint_id,
                webhook_endpoints.c.project_id == self._scope.project_id,
            )
        ).first()
        if row is None:
            raise _not_found(endpoint_id)
        return _to_domain(row)

    def list(self, *, after: str | None, limit: int) -> Page[WebhookEndpoint]:
        """Newest first. Raises InvalidCursor."""
        return fetch_page(
            self._connection,
            webhook_endpoints,
            webhook_endpoints.c.project_id == self._scope.project_id,
            after=after,
            limit=limit,
            to_domain=_to_domain,
        )

    def subscribed(self, event_type: str) -> Sequence[WebhookEndpoint]:
        """Enabled endpoints that want to hear of this."""
        rows = self._connection.execute(
            select(webhook_endpoints).where(
                webhook_endpoints.c.project_id == self._scope.project_id,
                webhook_endpoints.c.disabled_at.is_(None),
            )
        ).all()
        return [_to_domain(row) for row in rows if event_type in row.event_types]

    def update(self, endpoint_id: str, **changes: Any) -> WebhookEndpoint:
        """Write `changes`, if they change anything. Raises WebhookNotFound."""
        before = self.get(endpoint_id)
        real = {k: v for k, v in changes.items() if _plain(getattr(before, k)) != v}
        if real:
            self._write(endpoint_id, real)
        return self.get(endpoint_id)

    def enable(self, endpoint_id: str) -> WebhookEndpoint:
        """Raises WebhookNotFound."""
        if self.get(endpoint_id).disabled_at is not None:
            self._write(endpoint_id, {"disabled_at": None})
        return self.get(endpoint_id)

    def disable(self, endpoint_id: str) -> WebhookEndpoint:
        """Raises WebhookNotFound."""
        if self.get(endpoint_id).disabled_at is None:
            self._write(endpoint_id, {"disabled_at": database_now()})
        return self.get(endpoint_id)

    def rotate(
        self, endpoint_id: str, *, sealed_secret: str, hint: str, keep_old: bool
    ) -> WebhookEndpoint:
        """The old secret signs for another day, or no more. Raises WebhookNotFound."""
        self.get(endpoint_id)
        until = database_now() + _OLD_SECRET_SECONDS
        self._write(
            endpoint_id,
            {
                "old_secret": webhook_endpoints.c.secret if keep_old else None,
                "old_secret_until": until if keep_old else None,
                "secret": sealed_secret,
                "secret_hint": hint,
            },
        )
        return self.get(endpoint_id)

    def delete(self, endpoint_id: str) -> None:
        """With the log of its deliveries; those under way find nothing and end. Raises
        WebhookNotFound."""
        self.get(endpoint_id)
        self._connection.execute(
            delete(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint_id)
        )
        self._connection.execute(
            delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
        )

    def _write(self, endpoint_id: str, changes: dict[str, Any]) -> None:
        self._connection.execute(
            update(webhook_endpoints)
            .where(
                webhook_endpoints.c.id == endpoint_id,
                webhook_endpoints.c.project_id == self._scope.project_id,
            )
            .values(updated_at=database_now(), **changes)
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _not_found(endpoint_id: str) -> WebhookNotFound:
    return WebhookNotFound(f"No webhook endpoint {endpoint_id!r}.", param="webhook_endpoint_id")


def _to_domain(row: Row[Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        url=row.url,
        event_types=tuple(row.event_types),
        sealed_secret=row.secret,
        secret_hint=row.secret_hint,
        sealed_old_secret=row.old_secret,
        old_secret_until=row.old_secret_until,
        disabled_at=row.disabled_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
