"""Webhooks."""

from service.core.errors.base import InvalidRequest, NotFound, ServiceError


class WebhookTestFailed(InvalidRequest):
    """The endpoint gave no HTTP answer to a test event."""

    code = "webhook_test_failed"


class WebhookNotFound(NotFound):
    """No such webhook endpoint or delivery in the caller's project."""

    code = "webhook_not_found"


class AddressRefused(ServiceError):
    """A webhook's host resolves to an address that is not public."""

    code = "address_refused"
