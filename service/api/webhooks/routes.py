"""/v1/webhook_endpoints, /v1/webhook_event_types and /v1/webhook_deliveries"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.webhooks.schemas import (
    CreateWebhookEndpoint,
    RotateSecret,
    TestWebhookEndpoint,
    UpdateWebhookEndpoint,
    WebhookDeliveryList,
    WebhookDeliveryObject,
    WebhookEndpointDeleted,
    WebhookEndpointList,
    WebhookEndpointObject,
    WebhookEndpointWithSecret,
    WebhookEventTypeList,
    WebhookTestResult,
)
from service.api.webhooks.service import WebhookService
from service.core.domain.webhooks import DeliveryStatus, WebhookEventType

router = APIRouter(tags=["webhooks"])

After = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=100)]


async def _service(resources: ResourcesDep) -> WebhookService:
    return WebhookService(
        resources.database,
        resources.cipher,
        allow_private=resources.settings.webhook_allow_private,
    )


WebhooksDep = Annotated[WebhookService, Depends(_service)]


@router.get("/v1/webhook_event_types")
def list_webhook_event_types(_caller: PrincipalDep) -> WebhookEventTypeList:
    """List what can be told."""
    return WebhookEventTypeList()


@router.post("/v1/webhook_endpoints")
def create_webhook_endpoint(
    body: CreateWebhookEndpoint, caller: PrincipalDep, webhooks: WebhooksDep
) -> WebhookEndpointWithSecret:
    """Name an address that is told of events; its secret is in this answer only."""
    return WebhookEndpointWithSecret.with_secret(*webhooks.create(caller, body))


@router.get("/v1/webhook_endpoints")
def list_webhook_endpoints(
    caller: PrincipalDep, webhooks: WebhooksDep, after: After = None, limit: Limit = 20
) -> WebhookEndpointList:
    """List the project's endpoints, newest first."""
    page = webhooks.list(caller, after=after, limit=limit)
    return WebhookEndpointList.of(page, WebhookEndpointObject.from_domain)


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}")
def retrieve_webhook_endpoint(
    webhook_endpoint_id: str, caller: PrincipalDep, webhooks: WebhooksDep
) -> WebhookEndpointObject:
    """Describe an endpoint."""
    return WebhookEndpointObject.from_domain(webhooks.get(caller, webhook_endpoint_id))


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}")
def update_webhook_endpoint(
    webhook_endpoint_id: str,
    body: UpdateWebhookEndpoint,
    caller: PrincipalDep,
    webhooks: WebhooksDep,
) -> WebhookEndpointObject:
    """Change an endpoint; what has not been delivered yet goes to the new address."""
    return WebhookEndpointObject.from_domain(webhooks.update(caller, webhook_endpoint_id, body))


@router.delete("/v1/webhook_endpoints/{webhook_endpoint_id}")
def delete_webhook_endpoint(
    webhook_endpoint_id: str, caller: PrincipalDep, webhooks: WebhooksDep
) -> WebhookEndpointDeleted:
    """Delete an endpoint and its log."""
    webhooks.delete(caller, webhook_endpoint_id)
    return WebhookEndpointDeleted(id=webhook_endpoint_id)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret")
def rotate_webhook_secret(
    webhook_endpoint_id: str,
    caller: PrincipalDep,
    webhooks: WebhooksDep,
    body: RotateSecret | None = None,
) -> WebhookEndpointWithSecret:
    """Replace an endpoint's secret; the new one is in this answer only."""
    keep_old = body is not None and body.keep_old_secret_active_for_24_hours
    rotated = webhooks.rotate(caller, webhook_endpoint_id, keep_old=keep_old)
    return WebhookEndpointWithSecret.with_secret(*rotated)


@router.post("/v1/webhook_endpoints/{webhook_endpoint_id}/test")
async def test_webhook_endpoint(
    webhook_endpoint_id: str,
    body: TestWebhookEndpoint,
    caller: PrincipalDep,
    webhooks: WebhooksDep,
) -> WebhookTestResult:
    """Send a sample event and tell how the endpoint answered."""
    event_type = WebhookEventType(body.event_type)
    status_code = await webhooks.test(caller, webhook_endpoint_id, event_type)
    return WebhookTestResult(
        webhook_endpoint_id=webhook_endpoint_id,
        event_type=event_type,
        status_code=status_code,
    )


@router.get("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries")
def list_webhook_deliveries(
    webhook_endpoint_id: str,
    caller: PrincipalDep,
    webhooks: WebhooksDep,
    status: DeliveryStatus | None = None,
    after: After = None,
    limit: Limit = 20,
) -> WebhookDeliveryList:
    """List what was sent to an endpoint, or is still to be, newest first."""
    page = webhooks.list_deliveries(
        caller, webhook_endpoint_id, status=status, after=after, limit=limit
    )
    return WebhookDeliveryList.of(page, WebhookDeliveryObject.from_domain)


@router.get("/v1/webhook_deliveries/{webhook_delivery_id}")
def retrieve_webhook_delivery(
    webhook_delivery_id: str, caller: PrincipalDep, webhooks: WebhooksDep
) -> WebhookDeliveryObject:
    """Describe a delivery."""
    return WebhookDeliveryObject.from_domain(webhooks.get_delivery(caller, webhook_delivery_id))


@router.post("/v1/webhook_deliveries/{webhook_delivery_id}/replay")
def replay_webhook_delivery(
    webhook_delivery_id: str,
    caller: PrincipalDep,
    webhooks: WebhooksDep,
    resources: ResourcesDep,
) -> WebhookDeliveryObject:
    """Deliver an event again, with all its tries."""
    delivery = webhooks.replay(caller, webhook_delivery_id)
    resources.ringer.wish()
    return WebhookDeliveryObject.from_domain(delivery)
