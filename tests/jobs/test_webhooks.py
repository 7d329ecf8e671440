"""Events reach those who want them, signed, until they answer or the tries are used up."""

import json
from collections.abc import Iterator

import openai
import pytest

from jobs.reconciler.rounds import Reconciler
from jobs.runner.attempt import claim_subject
from jobs.runner.resources import Resources
from jobs.webhooks import deliver
from service.core.domain.jobs import JobStatus
from service.core.domain.webhooks import DeliveryStatus, WebhookDelivery, WebhookEventType
from service.core.domain.work import WorkKind
from service.core.encryption import Cipher
from service.core.repositories.deliveries import DeliveryRepository, emit
from service.core.repositories.jobs import JobRepository
from service.core.repositories.webhooks import WebhookEndpointRepository
from service.core.webhooks.signing import hint_of, new_signing_secret
from tests.fakes.receiver import ENCRYPTION_KEY, Receiver, running_receiver
from tests.jobs.shop import Shop

SECRET = new_signing_secret()
S = JobStatus
SUCCEEDED = WebhookEventType.JOB_SUCCEEDED


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def endpoint_id(shop: Shop, receiver: Receiver) -> str:
    return add_endpoint(shop, receiver.url)


def add_endpoint(shop: Shop, url: str, event_type: WebhookEventType = SUCCEEDED) -> str:
    with shop.database.transaction() as connection:
        endpoint = WebhookEndpointRepository(connection, shop.scope).add(
            name="test",
            url=url,
            event_types=[event_type],
            sealed_secret=Cipher(ENCRYPTION_KEY).seal(SECRET),
            hint=hint_of(SECRET),
        )
    return endpoint.id


def tell(shop: Shop, subject_id: str = "ftjob-1") -> None:
    with shop.database.transaction() as connection:
        emit(connection, shop.scope, SUCCEEDED, subject_id)


def deliver_due(shop: Shop) -> int:
    """What a worker does with the work that is due; how many tries."""
    tries = 0
    for subject_id in shop.open_work():
        claim = claim_subject(shop.resources, WorkKind.WEBHOOK, subject_id)
        if claim is not None:
            deliver(shop.resources, claim)
            tries += 1
    return tries


def deliveries(shop: Shop, endpoint_id: str) -> list[WebhookDelivery]:
    with shop.database.snapshot() as connection:
        repository = DeliveryRepository(connection, shop.scope)
        return list(repository.list(endpoint_id, status=None, after=None, limit=100).items)


def test_an_event_arrives_as_the_sdk_unwraps_it(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    tell(shop)
    deliver_due(shop)

    (request,) = receiver.received
    client = openai.OpenAI(api_key="none", webhook_secret=SECRET)
    event = client.webhooks.unwrap(request.body, request.headers)
    assert event.type == "fine_tuning.job.succeeded"
    assert event.data.id == "ftjob-1"
    (delivery,) = deliveries(shop, endpoint_id)
    assert (event.id, request.headers["webhook-id"]) == (delivery.event_id, delivery.id)
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [attempt.status_code for attempt in delivery.attempts] == [204]
    assert shop.open_work() == []


def test_both_secrets_sign_for_a_day_after_a_rotation_that_keeps_the_old_one(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    newer = new_signing_secret()
    with shop.database.transaction() as connection:
        WebhookEndpointRepository(connection, shop.scope).rotate(
            endpoint_id,
            sealed_secret=Cipher(ENCRYPTION_KEY).seal(newer),
            hint=hint_of(newer),
            keep_old=True,
        )
        endpoint = WebhookEndpointRepository(connection, shop.scope).get(endpoint_id)
    tell(shop)
    deliver_due(shop)

    (request,) = receiver.received
    for secret in (SECRET, newer):
        client = openai.OpenAI(api_key="none", webhook_secret=secret)
        client.webhooks.verify_signature(request.body, request.headers)
    assert endpoint.old_secret_until is not None
    assert len(endpoint.signing_at(endpoint.old_secret_until)) == 1


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ((S.QUEUED, S.RUNNING, S.SUCCEEDED), WebhookEventType.JOB_SUCCEEDED),
        ((S.FAILED,), WebhookEventType.JOB_FAILED),
        ((S.QUEUED, S.CANCELLED), WebhookEventType.JOB_CANCELLED),
    ],
)
def test_every_end_of_a_job_is_told_and_nothing_before(
    shop: Shop, receiver: Receiver, way: tuple[JobStatus, ...], told: WebhookEventType
) -> None:
    endpoint_ids = {kind: add_endpoint(shop, receiver.url, kind) for kind in WebhookEventType}
    job_id = shop.create_job()
    for status in way:
        assert not any(deliveries(shop, endpoint_id) for endpoint_id in endpoint_ids.values())
        with shop.database.transaction() as connection:
            JobRepository(connection, shop.scope).move(job_id, status)

    deliver_due(shop)

    (request,) = receiver.received
    event = json.loads(request.body)
    assert (event["type"], event["data"]) == (told, {"id": job_id})


def test_a_change_that_is_rolled_back_is_not_told(shop: Shop, receiver: Receiver) -> None:
    endpoint_id = add_endpoint(shop, receiver.url, WebhookEventType.JOB_CANCELLED)
    job_id = shop.create_job()

    def cancel_and_break() -> None:
        with shop.database.transaction() as connection:
            JobRepository(connection, shop.scope).move(job_id, JobStatus.CANCELLED)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cancel_and_break()
    assert deliveries(shop, endpoint_id) == []


@pytest.mark.parametrize("status", [500, 301, 404])
def test_any_answer_but_2xx_is_tried_again_later_under_the_same_id(
    shop: Shop, receiver: Receiver, endpoint_id: str, status: int
) -> None:
    receiver.replies = [(status, {})]
    tell(shop)

    assert (deliver_due(shop), deliver_due(shop)) == (1, 0)  # the next try is not due yet
    shop.end_pauses()
    deliver_due(shop)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (delivery,) = deliveries(shop, endpoint_id)
    assert delivery.status is DeliveryStatus.DELIVERED
    assert [attempt.status_code for attempt in delivery.attempts] == [status, 204]


def test_after_ten_tries_a_delivery_has_failed_and_a_replay_begins_anew(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    receiver.replies = [(500, {})] * 10
    tell(shop)
    for _ in range(11):
        deliver_due(shop)
        shop.end_pauses()

    (failed,) = deliveries(shop, endpoint_id)
    assert (failed.status, len(failed.attempts)) == (DeliveryStatus.FAILED, 10)
    assert len(receiver.received) == 10

    with shop.database.transaction() as connection:
        DeliveryRepository(connection, shop.scope).replay(failed.id)
    deliver_due(shop)

    (replayed,) = deliveries(shop, endpoint_id)
    assert replayed.status is DeliveryStatus.DELIVERED
    assert receiver.received[-1].headers["webhook-id"] == failed.id


def test_an_endpoint_that_is_gone_is_disabled(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    receiver.replies = [(410, {})]
    tell(shop, "ftjob-1")
    tell(shop, "ftjob-2")
    deliver_due(shop)
    tell(shop, "ftjob-3")

    assert len(receiver.received) == 1
    assert {d.status for d in deliveries(shop, endpoint_id)} == {DeliveryStatus.FAILED}
    assert len(deliveries(shop, endpoint_id)) == 2
    assert shop.open_work() == []


def test_work_of_a_deleted_endpoint_ends(shop: Shop, receiver: Receiver, endpoint_id: str) -> None:
    tell(shop)
    with shop.database.transaction() as connection:
        WebhookEndpointRepository(connection, shop.scope).delete(endpoint_id)
    deliver_due(shop)

    assert (receiver.received, shop.open_work()) == ([], [])


def test_a_delivery_whose_worker_died_is_taken_up_again(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    tell(shop)
    (delivery_id,) = shop.open_work()
    assert claim_subject(shop.resources, WorkKind.WEBHOOK, delivery_id) is not None
    shop.end_leases()
    Reconciler(shop.database, shop.resources.doorbell).round()
    deliver_due(shop)

    assert len(receiver.received) == 1


def test_a_private_address_gets_nothing_unless_the_operator_allows_it(
    shop: Shop, receiver: Receiver, endpoint_id: str
) -> None:
    strict = shop.resources.settings.model_copy(update={"webhook_allow_private": False})
    careful = Resources(**{**vars(shop.resources), "settings": strict})
    tell(shop)
    (delivery_id,) = shop.open_work()
    claim = claim_subject(careful, WorkKind.WEBHOOK, delivery_id)
    assert claim is not None
    deliver(careful, claim)

    (delivery,) = deliveries(shop, endpoint_id)
    assert receiver.received == []
    assert [attempt.error for attempt in delivery.attempts] == ["the host's address is not public"]
