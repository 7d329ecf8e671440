"""Webhook events on their way: the outbox that a change fills, and the log of what became of it."""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.webhooks import (
    DeliveryAttempt,
    DeliveryStatus,
    WebhookDelivery,
    WebhookEventType,
)
from service.core.domain.work import WorkKind
from service.core.errors import WebhookNotFound
from service.core.ids import new_webhook_delivery_id, new_webhook_event_id
from service.core.repositories.paging import Page, fetch_page
from service.core.repositories.webhooks import WebhookEndpointRepository
from service.core.repositories.work import WorkRepository
from service.core.tables import webhook_deliveries

_ANY_POOL = "any"
"""Deliveries are claimed by their id, in whatever pool."""
_ATTEMPTS_KEPT = 20
_LOG_SECONDS = 30 * 24 * 3600


def emit(
    connection: Connection, scope: Scope, event_type: WebhookEventType, subject_id: str
) -> None:
    """Tell every endpoint that wants to hear of it. Call it in the transaction that changes
    `subject_id`: the event is told if and only if the change is committed."""
    endpoints = WebhookEndpointRepository(connection, scope).subscribed(event_type)
    if not endpoints:
        return
    event_id, body = new_event(connection, event_type, subject_id)
    deliveries = DeliveryRepository(connection, scope)
    deliveries.forget_old()
    for endpoint in endpoints:
        deliveries.add(endpoint.id, event_id=event_id, event_type=event_type, body=body)


def new_event(
    connection: Connection, event_type: WebhookEventType, subject_id: str
) -> tuple[str, str]:
    """An event's id and the text that is sent."""
    event_id = new_webhook_event_id()
    event = {
        "id": event_id,
        "object": "event",
        "created_at": int(connection.scalar(select(database_now())) or 0),
        "type": event_type.value,
        "data": {"id": subject_id},
    }
    return event_id, json.dumps(event, separators=(",", ":"))


class DeliveryRepository:
    """Deliveries visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope

    def add(self, endpoint_id: str, *, event_id: str, event_type: str, body: str) -> None:
        """With the work of delivering it."""
        delivery_id = new_webhook_delivery_id()
        self._connection.execute(
            insert(webhook_deliveries).values(
                id=delivery_id,
                project_id=self._scope.project_id,
                endpoint_id=endpoint_id,
                event_id=event_id,
                event_type=event_type,
                body=body,
                status=DeliveryStatus.PENDING,
                attempts=[],
                tries=0,
                created_at=database_now(),
            )
        )
        self._add_work(delivery_id)

    def get(self, delivery_id: str) -> WebhookDelivery:
        """Raises WebhookNotFound."""
        row = self._connection.execute(
            select(webhook_deliveries).where(self._is(delivery_id))
        ).first()
        if row is None:
            raise WebhookNotFound(
                f"No webhook delivery {delivery_id!r}.", param="webhook_delivery_id"
            )
        return _to_domain(row)

    def list(
        self, endpoint_id: str, *, status: DeliveryStatus | None, after: str | None, limit: int
    ) -> Page[WebhookDelivery]:
        """Newest first. Raises InvalidCursor."""
        conditions = [
            webhook_deliveries.c.endpoint_id == endpoint_id,
            webhook_deliveries.c.project_id == self._scope.project_id,
        ]
        if status is not None:
            conditions.append(webhook_deliveries.c.status == status)
        return fetch_page(
            self._connection,
            webhook_deliveries,
            and_(*conditions),
            after=after,
            limit=limit,
            to_domain=_to_domain,
        )

    def record(
        self, delivery: WebhookDelivery, *, code: int | None, error: str | None, ended: bool
    ) -> None:
        """Write one try down; `ended` when no other follows. The caller has checked its claim."""
        delivered = error is None and code is not None and 200 <= code < 300
        at = float(self._connection.scalar(select(database_now())) or 0)
        attempts = [*delivery.attempts, DeliveryAttempt(at, code, error)][-_ATTEMPTS_KEPT:]
        status = DeliveryStatus.DELIVERED if delivered else DeliveryStatus.FAILED
        self._write(
            delivery.id,
            attempts=[asdict(attempt) for attempt in attempts],
            tries=delivery.tries + 1,
            status=status if ended else DeliveryStatus.PENDING,
            finished_at=at if ended else None,
        )

    def replay(self, delivery_id: str) -> WebhookDelivery:
        """Deliver it again, at once and with all its tries. Raises WebhookNotFound."""
        self.get(delivery_id)
        # the work first, as a worker does: two orders could deadlock
        WorkRepository(self._connection).remove(WorkKind.WEBHOOK, delivery_id)
        self._write(delivery_id, status=DeliveryStatus.PENDING, tries=0, finished_at=None)
        self._add_work(delivery_id)
        return self.get(delivery_id)

    def forget_old(self) -> None:
        """Drop what ended a month ago from the log."""
        self._connection.execute(
            delete(webhook_deliveries).where(
                webhook_deliveries.c.project_id == self._scope.project_id,
                webhook_deliveries.c.created_at < database_now() - _LOG_SECONDS,
                webhook_deliveries.c.status != DeliveryStatus.PENDING,
            )
        )

    def _add_work(self, delivery_id: str) -> None:
        WorkRepository(self._connection).add(
            self._scope.project_id, WorkKind.WEBHOOK, delivery_id, pool=_ANY_POOL
        )

    def _write(self, delivery_id: str, **changes: Any) -> None:
        self._connection.execute(
            update(webhook_deliveries).where(self._is(delivery_id)).values(**changes)
        )

    def _is(self, delivery_id: str) -> Any:
        return and_(
            webhook_deliveries.c.id == delivery_id,
            webhook_deliveries.c.project_id == self._scope.project_id,
        )


def _to_domain(row: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        project_id=row.project_id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        body=row.body,
        status=DeliveryStatus(row.status),
        attempts=tuple(DeliveryAttempt(**attempt) for attempt in row.attempts),
        tries=row.tries,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
