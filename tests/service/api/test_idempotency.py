"""A repetition under a key gets the first answer, and has no effect of its own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import select, update
from starlette.types import Receive, Send
from starlette.types import Scope as HttpScope

from service.api.idempotency import IdempotencyKeys
from service.api.resources import Resources
from service.core.database import database_now
from service.core.tables import idempotency_keys
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.receiver import running_receiver
from tests.running_api import RunningApi, Tenant

ENDPOINT = {
    "name": "x",
    "url": "https://hooks.example/",
    "event_types": ["fine_tuning.job.succeeded"],
}
PATH = "/v1/webhook_endpoints"


def post(
    http: httpx2.Client, key: str, body: dict[str, object] | None = None, path: str = PATH
) -> httpx2.Response:
    return http.post(path, json=ENDPOINT if body is None else body, headers=_header(key))


def _header(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def number_of_endpoints(http: httpx2.Client) -> int:
    return len(http.get(PATH).json()["data"])


def age(api: RunningApi, tenant: Tenant, **values: object) -> None:
    """Change what is stored of the tenant's keys."""
    with api.database.transaction() as connection:
        connection.execute(
            update(idempotency_keys)
            .where(idempotency_keys.c.project_id == tenant.principal.scope.project_id)
            .values(**values)
        )


def test_a_repetition_gets_the_first_answer_and_makes_nothing(http: httpx2.Client) -> None:
    first, second = post(http, "a"), post(http, "a")

    assert (second.status_code, second.json()) == (200, first.json())
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["openai-organization"] == first.headers["openai-organization"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert number_of_endpoints(http) == 1


def test_other_keys_addresses_and_projects_are_other_requests(
    api: RunningApi, http: httpx2.Client
) -> None:
    first = post(http, "a").json()
    with api.client(api.new_tenant()) as stranger:
        assert post(stranger, "a").json()["id"] != first["id"]
    assert post(http, "b").json()["id"] != first["id"]
    renamed = post(http, "a", {"name": "y"}, f"{PATH}/{first['id']}")
    assert renamed.json()["name"] == "y"


def test_other_parameters_under_the_same_key_are_refused(http: httpx2.Client) -> None:
    post(http, "a")
    other = post(http, "a", {**ENDPOINT, "name": "y"})

    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")


def test_a_refused_request_leaves_the_key_free(http: httpx2.Client) -> None:
    assert post(http, "a", {**ENDPOINT, "url": "no"}).status_code == 400

    assert post(http, "a").status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(http: httpx2.Client, key: str) -> None:
    assert post(http, "x" * 255).status_code == 200
    refused = post(http, key)

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_idempotency_key"


def test_of_concurrent_requests_one_has_an_effect(http: httpx2.Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(http, "a"), range(6)))

    assert number_of_endpoints(http) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    for busy in (answer for answer in answers if answer.status_code == 409):
        assert busy.json()["error"]["code"] == "idempotency_key_in_use"
        assert busy.headers.get("x-should-retry") != "false"


def test_a_key_in_use_waits_for_its_holder_until_that_has_died(
    api: RunningApi, tenant: Tenant, http: httpx2.Client
) -> None:
    post(http, "a")
    age(api, tenant, status=None, holder="req_1", held_until=database_now() + 30)
    assert post(http, "a").status_code == 409

    age(api, tenant, held_until=database_now() - 1)
    assert post(http, "a").status_code == 200
    assert number_of_endpoints(http) == 2


def test_after_a_day_the_key_is_forgotten(
    api: RunningApi, tenant: Tenant, http: httpx2.Client
) -> None:
    first = post(http, "a").json()
    age(api, tenant, created_at=database_now() - 24 * 3600 + 60)
    assert post(http, "a").json() == first

    age(api, tenant, created_at=database_now() - 24 * 3600 - 1)
    assert post(http, "a").json()["id"] != first["id"]


def test_a_secret_in_a_kept_answer_does_not_lie_open(
    api: RunningApi, tenant: Tenant, http: httpx2.Client
) -> None:
    secret = post(http, "a").json()["signing_secret"]
    with api.database.snapshot() as connection:
        kept = connection.scalars(select(idempotency_keys.c.body)).all()

    assert not any(secret in str(body) for body in kept)


def test_the_effect_on_the_outside_comes_once_too(http: httpx2.Client) -> None:
    with running_receiver() as receiver:
        endpoint = post(http, "a", {**ENDPOINT, "url": receiver.url}).json()
        sample: dict[str, object] = {"event_type": "batch.failed"}
        for _ in range(2):
            post(http, "b", sample, f"{PATH}/{endpoint['id']}/test")

    assert len(receiver.received) == 1


def test_a_streamed_answer_is_made_anew(http: httpx2.Client, engine: FakeEngine) -> None:
    ask: dict[str, object] = {
        "model": FAKE_BASE.name,
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
    }
    first, second = (post(http, "a", ask, "/v1/chat/completions") for _ in range(2))

    assert first.text.endswith("data: [DONE]\n\n")
    assert second.text.endswith("data: [DONE]\n\n")
    assert first.text != second.text


def test_an_upload_is_not_held_in_memory_for_its_key(api: RunningApi, http: httpx2.Client) -> None:
    headers = {**_header("x" * 256), "Content-Type": "application/json"}
    answer = http.post("/v1/files", content=b" ", headers=headers)

    assert answer.json()["error"]["code"] != "invalid_idempotency_key"  # nobody looked at it


def test_an_unknown_caller_learns_nothing_of_keys(api: RunningApi, http: httpx2.Client) -> None:
    post(http, "a")
    with httpx2.Client(base_url=api.url) as nobody:
        assert post(nobody, "a").status_code == 401
        assert post(nobody, "").status_code == 401


def test_a_bug_is_answered_the_same_way_again_without_a_second_effect(
    api: RunningApi, tenant: Tenant
) -> None:
    effects: list[str] = []

    async def broken(scope: HttpScope, receive: Receive, send: Send) -> None:
        effects.append(scope["path"])
        raise RuntimeError("a bug")

    async def post_twice() -> list[httpx2.Response]:
        resources = Resources.open(api.settings)
        keys = IdempotencyKeys(broken, uploads=())

        async def app(scope: HttpScope, receive: Receive, send: Send) -> None:
            await keys({**scope, "state": {"resources": resources}}, receive, send)

        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Idempotency-Key": "a", "Authorization": f"Bearer {tenant.key}"}
        try:
            async with httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
                return [await http.post("/broken", headers=headers) for _ in range(2)]
        finally:
            await resources.aclose()

    _, second = asyncio.run(post_twice())

    assert effects == ["/broken"]
    assert (second.status_code, second.json()["error"]["code"]) == (500, "internal_error")
