"""Webhooks: who is told of what, and how the telling went."""

from dataclasses import dataclass
from enum import StrEnum


class WebhookEventType(StrEnum):
    """What can be told. The names are OpenAI's."""

    JOB_SUCCEEDED = "fine_tuning.job.succeeded"
    JOB_FAILED = "fine_tuning.job.failed"
    JOB_CANCELLED = "fine_tuning.job.cancelled"
    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"


class DeliveryStatus(StrEnum):
    """`pending` until an answer of 2xx, or until the attempts are used up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True)
class WebhookEndpoint:
    """An address of the project's own, and what it wants to hear."""

    id: str
    project_id: str
    name: str
    url: str
    event_types: tuple[str, ...]
    sealed_secret: str
    """Encrypted; the signer alone opens it."""
    secret_hint: str
    sealed_old_secret: str | None
    """The secret before the last rotation, if it was to go on signing."""
    old_secret_until: float | None
    disabled_at: float | None
    created_at: float
    updated_at: float

    def signing_at(self, now: float) -> tuple[str, ...]:
        """The encrypted secrets that sign at this time, the newest first."""
        if self.sealed_old_secret is None or now >= (self.old_secret_until or 0):
            return (self.sealed_secret,)
        return (self.sealed_secret, self.sealed_old_secret)


@dataclass(frozen=True)
class DeliveryAttempt:
    """One try; exactly one of `status_code` and `error` is set."""

    at: float
    status_code: int | None
    error: str | None


@dataclass(frozen=True)
class WebhookDelivery:
    """One event on its way to one endpoint."""

    id: str
    """Travels as `webhook-id` and stays over retries, so that receivers know a repetition."""
    project_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    body: str
    """The exact text that is signed and sent."""
    status: DeliveryStatus
    attempts: tuple[DeliveryAttempt, ...]
    """The latest, oldest first."""
    tries: int
    """Since the event, or since the last replay."""
    created_at: float
    finished_at: float | None
