"""Delivery of webhook events: one try a task, the next one by the schedule."""

import asyncio
import logging
import time

from jobs.runner.resources import Resources
from service.core.domain.access import Scope
from service.core.domain.webhooks import WebhookDelivery, WebhookEndpoint
from service.core.domain.work import Claim
from service.core.encryption import Cipher
from service.core.errors import EncryptionUnavailable, StaleEpoch, WebhookNotFound
from service.core.repositories.access import AccessRepository
from service.core.repositories.deliveries import DeliveryRepository
from service.core.repositories.webhooks import WebhookEndpointRepository
from service.core.repositories.work import WorkRepository
from service.core.webhooks.schedule import pause_after
from service.core.webhooks.sender import TIMEOUT_SECONDS, PinnedTransport, Reply, send
from service.core.webhooks.signing import signed_headers

logger = logging.getLogger(__name__)

LEASE_SECONDS = 4 * TIMEOUT_SECONDS
"""A delivery sends no beats."""

_DISABLED = Reply(None, "the endpoint is disabled")
_UNREADABLE = Reply(None, "the endpoint's secret cannot be read by this server")


def deliver(resources: Resources, claim: Claim) -> None:
    """One try. A worker that dies before it is written down makes the receiver hear twice, under
    the same `webhook-id`."""
    try:
        with resources.database.snapshot() as connection:
            scope = AccessRepository(connection).scope_of_project(claim.project_id)
            delivery = DeliveryRepository(connection, scope).get(claim.subject_id)
            endpoint = WebhookEndpointRepository(connection, scope).get(delivery.endpoint_id)
    except WebhookNotFound:  # its endpoint has been deleted
        _finish(resources, claim)
        return
    reply = _DISABLED if endpoint.disabled_at is not None else _send(resources, endpoint, delivery)
    try:
        _settle(resources, claim, scope, delivery, reply)
    except (StaleEpoch, WebhookNotFound) as stale:  # replayed or deleted meanwhile
        logger.info("%s: %s", claim.subject_id, stale)


def _send(resources: Resources, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> Reply:
    now = time.time()
    try:
        cipher = Cipher.from_settings(resources.settings)
        signing_secrets = [cipher.open(sealed) for sealed in endpoint.signing_at(now)]
    except EncryptionUnavailable:
        return _UNREADABLE
    headers = signed_headers(
        delivery.id, delivery.body, signing_secrets=signing_secrets, timestamp=int(now)
    )
    transport = PinnedTransport(allow_private=resources.settings.webhook_allow_private)
    return asyncio.run(send(endpoint.url, delivery.body, headers, transport))


def _settle(
    resources: Resources, claim: Claim, scope: Scope, delivery: WebhookDelivery, reply: Reply
) -> None:
    """Raises StaleEpoch, WebhookNotFound."""
    pause = pause_after(delivery.tries + 1, retry_after_seconds=reply.retry_after_seconds)
    ended = reply.accepted or reply.gone or reply is _DISABLED or pause is None
    with resources.database.transaction() as connection:
        work = WorkRepository(connection)
        work.check(claim)
        DeliveryRepository(connection, scope).record(
            delivery, code=reply.status_code, error=reply.error, ended=ended
        )
        if reply.gone:
            WebhookEndpointRepository(connection, scope).disable(delivery.endpoint_id)
        if ended or pause is None:
            work.finish(claim)
        else:
            work.release(claim, failed=False, pause_seconds=pause)


def _finish(resources: Resources, claim: Claim) -> None:
    with resources.database.transaction() as connection:
        WorkRepository(connection).finish(claim)
