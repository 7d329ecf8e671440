"""Wire shapes of webhook endpoints and deliveries."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.pages import Listed, ListPage
from service.api.wire import Answer, RequestBody
from service.core.domain.webhooks import (
    DeliveryStatus,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEventType,
)
from service.core.errors import MissingParameter

EventTypeName = Literal[
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
]
EventTypes = Annotated[list[EventTypeName], Field(min_length=1, max_length=50)]
EndpointName = Annotated[str, Field(min_length=1, max_length=256)]
Url = Annotated[str, Field(min_length=1)]


class CreateWebhookEndpoint(RequestBody):
    """An address and what it wants to hear."""

    name: EndpointName
    url: Url
    event_types: EventTypes


class UpdateWebhookEndpoint(RequestBody):
    """What is to change."""

    name: EndpointName | None = None
    url: Url | None = None
    event_types: EventTypes | None = None
    enabled: bool | None = None
    """False stops deliveries; true takes them up again, also after an answer of 410."""

    def check_together(self) -> None:
        """Raises MissingParameter when nothing is to change."""
        if not self.model_dump(exclude_none=True):
            raise MissingParameter("Give at least one of name, url, event_types and enabled.")


class RotateSecret(RequestBody):
    """How the old secret ends."""

    keep_old_secret_active_for_24_hours: bool = False


class TestWebhookEndpoint(RequestBody):
    """What to send as a sample."""

    event_type: EventTypeName


class WebhookEndpointObject(Listed):
    """An endpoint."""

    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: int
    updated_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    enabled: bool
    """False after an answer of 410, or by an update."""

    @classmethod
    def from_domain(cls, endpoint: WebhookEndpoint) -> "WebhookEndpointObject":
        return cls(
            id=endpoint.id,
            created_at=int(endpoint.created_at),
            updated_at=int(endpoint.updated_at),
            name=endpoint.name,
            url=endpoint.url,
            event_types=list(endpoint.event_types),
            signing_secret_hint=endpoint.secret_hint,
            enabled=endpoint.disabled_at is None,
        )


class WebhookEndpointWithSecret(WebhookEndpointObject):
    """An endpoint and its secret, which is told this once."""

    signing_secret: str

    @classmethod
    def with_secret(cls, endpoint: WebhookEndpoint, secret: str) -> "WebhookEndpointWithSecret":
        described = WebhookEndpointObject.from_domain(endpoint).model_dump()
        return cls(**described, signing_secret=secret)


class WebhookEndpointList(ListPage[WebhookEndpointObject]):
    """A page of endpoints."""


class WebhookEndpointDeleted(Answer):
    """The endpoint is gone."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class WebhookTestResult(Answer):
    """The endpoint answered to the sample."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True


class WebhookEventTypeList(Answer):
    """Everything that can be told."""

    object: Literal["list"] = "list"
    data: list[str] = Field(default_factory=lambda: [kind.value for kind in WebhookEventType])


class DeliveryAttemptObject(Answer):
    """One try; exactly one of `status_code` and `error` is set."""

    attempted_at: int
    status_code: int | None
    error: str | None


class WebhookDeliveryObject(Listed):
    """One event on its way to one endpoint."""

    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_endpoint_id: str
    event_id: str
    event_type: str
    status: DeliveryStatus
    attempts: list[DeliveryAttemptObject]
    created_at: int
    finished_at: int | None

    @classmethod
    def from_domain(cls, delivery: WebhookDelivery) -> "WebhookDeliveryObject":
        finished_at = delivery.finished_at
        return cls(
            id=delivery.id,
            webhook_endpoint_id=delivery.endpoint_id,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            status=delivery.status,
            attempts=[
                DeliveryAttemptObject(
                    attempted_at=int(attempt.at),
                    status_code=attempt.status_code,
                    error=attempt.error,
                )
                for attempt in delivery.attempts
            ],
            created_at=int(delivery.created_at),
            finished_at=None if finished_at is None else int(finished_at),
        )


class WebhookDeliveryList(ListPage[WebhookDeliveryObject]):
    """A page of deliveries."""
