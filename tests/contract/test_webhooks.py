"""Webhook endpoints through the official client."""

from collections.abc import Iterator

import httpx2
import openai
import pytest

from service.core.domain.webhooks import WebhookEventType
from service.core.repositories.deliveries import emit
from tests.fakes.receiver import Receiver, running_receiver
from tests.running_api import RunningApi, Tenant

SUCCEEDED = "fine_tuning.job.succeeded"
URL = "https://hooks.example/in"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def test_an_endpoint_is_made_read_changed_and_deleted(sdk: openai.OpenAI) -> None:
    made = sdk.webhooks.create(name="jobs", url=URL, event_types=[SUCCEEDED])

    assert made.signing_secret.startswith("whsec_")
    found = sdk.webhooks.retrieve(made.id)
    assert (found.object, found.name, found.url) == ("webhook_endpoint", "jobs", URL)
    assert found.event_types == [SUCCEEDED]
    assert found.signing_secret_hint == f"whsec_…{made.signing_secret[-4:]}"
    assert found.updated_at == found.created_at
    assert "signing_secret" not in found.model_dump()

    changed = sdk.webhooks.update(
        made.id, name="all", url=f"{URL}2", event_types=["batch.completed"]
    )
    assert (changed.name, changed.url) == ("all", f"{URL}2")
    assert changed.event_types == ["batch.completed"]

    assert sdk.webhooks.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.webhooks.retrieve(made.id)


def test_endpoints_are_listed_newest_first_in_pages(sdk: openai.OpenAI) -> None:
    made = [sdk.webhooks.create(name=f"{n}", url=URL, event_types=[SUCCEEDED]).id for n in range(3)]

    assert [endpoint.id for endpoint in sdk.webhooks.list(limit=2)] == made[::-1]
    assert [endpoint.id for endpoint in sdk.webhooks.list(after=made[1])] == made[:1]


def test_the_types_that_can_be_told_are_those_that_are_accepted(sdk: openai.OpenAI) -> None:
    types = sdk.webhooks.event_types.list().data

    assert types == [kind.value for kind in WebhookEventType]
    made = sdk.webhooks.create(name="all", url=URL, event_types=types)  # type: ignore[arg-type]
    assert made.event_types == types
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(name="x", url=URL, event_types=["response.completed"])
    assert refused.value.param == "event_types.0"


@pytest.mark.parametrize("url", ["ftp://hooks.example/", "https://user@hooks.example/", "no"])
def test_a_url_that_cannot_be_used_is_refused(sdk: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(name="x", url=url, event_types=[SUCCEEDED])

    assert refused.value.param == "url"


@pytest.mark.parametrize("keep_old", [True, False])
def test_a_rotation_keeps_the_old_secret_only_if_asked(
    sdk: openai.OpenAI, receiver: Receiver, keep_old: bool
) -> None:
    made = sdk.webhooks.create(name="x", url=receiver.url, event_types=[SUCCEEDED])
    rotated = sdk.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=keep_old)
    sdk.webhooks.test(made.id, event_type=SUCCEEDED)

    (request,) = receiver.received
    sdk.webhooks.unwrap(request.body, request.headers, secret=rotated.signing_secret)
    if keep_old:
        sdk.webhooks.unwrap(request.body, request.headers, secret=made.signing_secret)
    else:
        with pytest.raises(openai.InvalidWebhookSignatureError):
            sdk.webhooks.unwrap(request.body, request.headers, secret=made.signing_secret)


def test_a_test_event_tells_what_the_endpoint_answers(
    sdk: openai.OpenAI, receiver: Receiver
) -> None:
    receiver.replies = [(418, {})]
    made = sdk.webhooks.create(name="x", url=receiver.url, event_types=[SUCCEEDED])

    result = sdk.webhooks.test(made.id, event_type="batch.failed")

    assert (result.status_code, result.success, result.event_type) == (418, True, "batch.failed")
    event = sdk.webhooks.unwrap(
        receiver.received[0].body, receiver.received[0].headers, secret=made.signing_secret
    )
    assert event.type == "batch.failed"


def test_an_endpoint_that_does_not_answer_to_a_test_is_an_error(sdk: openai.OpenAI) -> None:
    made = sdk.webhooks.create(name="x", url="http://127.0.0.1:9/", event_types=[SUCCEEDED])

    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.test(made.id, event_type=SUCCEEDED)
    assert refused.value.code == "webhook_test_failed"


def test_a_delivery_is_logged_and_can_be_replayed(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, sdk: openai.OpenAI
) -> None:
    made = sdk.webhooks.create(name="x", url=URL, event_types=[SUCCEEDED])
    with api.database.transaction() as connection:
        emit(connection, tenant.principal.scope, WebhookEventType(SUCCEEDED), "ftjob-1")

    log = f"/v1/webhook_endpoints/{made.id}/deliveries"
    (delivery,) = http.get(log, params={"status": "pending"}).json()["data"]
    assert http.get(log, params={"status": "failed"}).json()["data"] == []
    assert (delivery["event_type"], delivery["attempts"]) == (SUCCEEDED, [])
    path = f"/v1/webhook_deliveries/{delivery['id']}"
    assert http.get(path).json() == delivery
    assert http.post(f"{path}/replay").json()["status"] == "pending"


def test_a_disabled_endpoint_hears_nothing_until_it_is_enabled(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, sdk: openai.OpenAI
) -> None:
    made = sdk.webhooks.create(name="x", url=URL, event_types=[SUCCEEDED])
    heard = []
    for enabled in (False, True):
        changed = sdk.webhooks.update(made.id, extra_body={"enabled": enabled})
        assert changed.model_dump()["enabled"] is enabled
        with api.database.transaction() as connection:
            emit(connection, tenant.principal.scope, WebhookEventType(SUCCEEDED), "ftjob-1")
        log = http.get(f"/v1/webhook_endpoints/{made.id}/deliveries").json()["data"]
        heard.append(len(log))

    assert heard == [0, 1]


def test_a_project_has_a_bounded_number_of_endpoints(sdk: openai.OpenAI) -> None:
    for n in range(20):
        sdk.webhooks.create(name=f"{n}", url=URL, event_types=[SUCCEEDED])

    with pytest.raises(openai.BadRequestError) as refused:
        sdk.webhooks.create(name="one more", url=URL, event_types=[SUCCEEDED])
    assert refused.value.code == "limit_reached"
