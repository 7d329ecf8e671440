"""What can be done with webhook endpoints and deliveries."""

import time
from typing import Any

from anyio.to_thread import run_sync

from service.api.webhooks.schemas import CreateWebhookEndpoint, UpdateWebhookEndpoint
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.webhooks import (
    DeliveryStatus,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEventType,
)
from service.core.encryption import Cipher
from service.core.errors import LimitReached, WebhookTestFailed
from service.core.ids import new_webhook_delivery_id
from service.core.repositories.audit import record
from service.core.repositories.deliveries import DeliveryRepository, new_event
from service.core.repositories.paging import Page
from service.core.repositories.webhooks import WebhookEndpointRepository
from service.core.webhooks.addresses import check_url
from service.core.webhooks.sender import PinnedTransport, send
from service.core.webhooks.signing import hint_of, new_signing_secret, signed_headers

_MOST_ENDPOINTS = 20
"""Of a project: every event is sent to all that want it."""
_SAMPLE_ID = "sample"


class WebhookService:
    """Endpoints and deliveries of the caller's project."""

    def __init__(self, database: Database, cipher: Cipher, *, allow_private: bool) -> None:
        self._database = database
        self._cipher = cipher
        self._allow_private = allow_private

    def create(
        self, principal: Principal, request: CreateWebhookEndpoint
    ) -> tuple[WebhookEndpoint, str]:
        """The endpoint and its secret. Raises InvalidRequest, LimitReached,
        EncryptionUnavailable."""
        check_url(request.url, allow_private=self._allow_private)
        secret = new_signing_secret()
        sealed = self._cipher.seal(secret)
        with self._database.transaction() as connection:
            endpoints = WebhookEndpointRepository(connection, principal.scope)
            if endpoints.count() >= _MOST_ENDPOINTS:
                raise LimitReached(
                    f"A project has at most {_MOST_ENDPOINTS} webhook endpoints; delete one first."
                )
            endpoint = endpoints.add(
                name=request.name,
                url=request.url,
                event_types=request.event_types,
                sealed_secret=sealed,
                hint=hint_of(secret),
            )
            record(connection, principal, "webhook_endpoint.created", endpoint.id)
        return endpoint, secret

    def list(self, principal: Principal, *, after: str | None, limit: int) -> Page[WebhookEndpoint]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            endpoints = WebhookEndpointRepository(connection, principal.scope)
            return endpoints.list(after=after, limit=limit)

    def get(self, principal: Principal, endpoint_id: str) -> WebhookEndpoint:
        """Raises WebhookNotFound."""
        with self._database.snapshot() as connection:
            return WebhookEndpointRepository(connection, principal.scope).get(endpoint_id)

    def update(
        self, principal: Principal, endpoint_id: str, request: UpdateWebhookEndpoint
    ) -> WebhookEndpoint:
        """Raises WebhookNotFound, InvalidRequest."""
        request.check_together()
        if request.url is not None:
            check_url(request.url, allow_private=self._allow_private)
        changes: dict[str, Any] = request.model_dump(exclude_none=True, exclude={"enabled"})
        with self._database.transaction() as connection:
            endpoints = WebhookEndpointRepository(connection, principal.scope)
            endpoint = endpoints.update(endpoint_id, **changes)
            if request.enabled is not None:
                switch = endpoints.enable if request.enabled else endpoints.disable
                endpoint = switch(endpoint_id)
            record(connection, principal, "webhook_endpoint.updated", endpoint_id)
        return endpoint

    def delete(self, principal: Principal, endpoint_id: str) -> None:
        """Raises WebhookNotFound."""
        with self._database.transaction() as connection:
            WebhookEndpointRepository(connection, principal.scope).delete(endpoint_id)
            record(connection, principal, "webhook_endpoint.deleted", endpoint_id)

    def rotate(
        self, principal: Principal, endpoint_id: str, *, keep_old: bool
    ) -> tuple[WebhookEndpoint, str]:
        """The endpoint and its new secret. Raises WebhookNotFound, EncryptionUnavailable."""
        secret = new_signing_secret()
        with self._database.transaction() as connection:
            endpoints = WebhookEndpointRepository(connection, principal.scope)
            endpoints.get(endpoint_id)
            endpoint = endpoints.rotate(
                endpoint_id,
                sealed_secret=self._cipher.seal(secret),
                hint=hint_of(secret),
                keep_old=keep_old,
            )
            record(connection, principal, "webhook_endpoint.secret_rotated", endpoint_id)
        return endpoint, secret

    async def test(
        self, principal: Principal, endpoint_id: str, event_type: WebhookEventType
    ) -> int:
        """Send a sample, once; the status that the endpoint answers. Raises WebhookNotFound,
        WebhookTestFailed, EncryptionUnavailable."""
        url, body, headers = await run_sync(self._sample, principal, endpoint_id, event_type)
        reply = await send(url, body, headers, PinnedTransport(allow_private=self._allow_private))
        if reply.status_code is None:
            raise WebhookTestFailed(
                f"The endpoint gave no answer: {reply.error}.", param="webhook_endpoint_id"
            )
        return reply.status_code

    def _sample(
        self, principal: Principal, endpoint_id: str, event_type: WebhookEventType
    ) -> tuple[str, str, dict[str, str]]:
        with self._database.snapshot() as connection:
            endpoint = WebhookEndpointRepository(connection, principal.scope).get(endpoint_id)
            _, body = new_event(connection, event_type, _SAMPLE_ID)
        now = time.time()
        signing_secrets = [self._cipher.open(sealed) for sealed in endpoint.signing_at(now)]
        headers = signed_headers(
            new_webhook_delivery_id(), body, signing_secrets=signing_secrets, timestamp=int(now)
        )
        return endpoint.url, body, headers

    def list_deliveries(
        self,
        principal: Principal,
        endpoint_id: str,
        *,
        status: DeliveryStatus | None,
        after: str | None,
        limit: int,
    ) -> Page[WebhookDelivery]:
        """Raises WebhookNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            WebhookEndpointRepository(connection, principal.scope).get(endpoint_id)
            deliveries = DeliveryRepository(connection, principal.scope)
            return deliveries.list(endpoint_id, status=status, after=after, limit=limit)

    def get_delivery(self, principal: Principal, delivery_id: str) -> WebhookDelivery:
        """Raises WebhookNotFound."""
        with self._database.snapshot() as connection:
            return DeliveryRepository(connection, principal.scope).get(delivery_id)

    def replay(self, principal: Principal, delivery_id: str) -> WebhookDelivery:
        """Deliver it again, whatever became of it. Raises WebhookNotFound."""
        with self._database.transaction() as connection:
            delivery = DeliveryRepository(connection, principal.scope).replay(delivery_id)
            record(connection, principal, "webhook_delivery.replayed", delivery_id)
        return delivery
