"""The headers that every answer carries, and refusals that no client repeats."""

from collections.abc import Callable, Iterator

import httpx2
import openai
import pytest

from service.core.domain.jobs import JobStatus
from service.core.errors import IdempotencyKeyInUse, ServiceError
from service.core.repositories.jobs import JobRepository
from tests.fakes.engine import FAKE_BASE
from tests.running_api import RunningApi, Tenant
from tests.service.core.builders import add_job

pytestmark = pytest.mark.usefixtures("engine")

CHAT = "/v1/chat/completions"
ASK = {"model": FAKE_BASE.name, "messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
JSON = {"content-type": "application/json"}

ANSWERS: dict[str, tuple[int, Callable[[httpx2.Client], httpx2.Response]]] = {
    "a success": (200, lambda http: http.get("/v1/models")),
    "a stream": (200, lambda http: http.post(CHAT, json={**ASK, "stream": True})),
    "a download": (404, lambda http: http.get("/v1/files/file-none/content")),
    "a bad parameter": (400, lambda http: http.post(CHAT, json={**ASK, "n": 99})),
    "a bad query": (400, lambda http: http.get("/v1/files?limit=0")),
    "a body that is no JSON": (400, lambda http: http.post(CHAT, content="{", headers=JSON)),
    "a body that is too large": (
        413,
        lambda http: http.post(CHAT, content=b" " * 9_000_000, headers=JSON),
    ),
    "a bad idempotency key": (
        400,
        lambda http: http.post(CHAT, json=ASK, headers={"idempotency-key": "x" * 256}),
    ),
    "a missing object": (404, lambda http: http.get("/v1/fine_tuning/jobs/ftjob-none")),
    "an unknown address": (404, lambda http: http.get("/v1/nowhere")),
    "an unknown method": (405, lambda http: http.put("/v1/files")),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_carries_the_headers(http: httpx2.Client, tenant: Tenant, name: str) -> None:
    status, ask = ANSWERS[name]

    answer = ask(http)

    assert answer.status_code == status
    headers = answer.headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-processing-ms"].isdecimal()
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-organization"] == tenant.principal.scope.organization
    for what in ("requests", "tokens"):
        for which in ("limit", "remaining", "reset"):
            assert headers[f"x-ratelimit-{which}-{what}"]
    assert headers["x-ratelimit-remaining-requests"] == "9999"  # counted, and once


def test_without_a_key_an_answer_names_nobody(api: RunningApi) -> None:
    answer = httpx2.get(f"{api.url}/v1/models")

    assert answer.status_code == 401
    assert answer.headers["x-request-id"].startswith("req_")
    assert "openai-organization" not in answer.headers


def test_a_refused_method_is_told_those_that_are_taken(http: httpx2.Client) -> None:
    answer = http.put("/v1/files/file-1")

    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


REFUSALS: dict[str, Callable[[openai.OpenAI, str], object]] = {
    "cancel": lambda sdk, job: sdk.fine_tuning.jobs.cancel(job),
    "pause": lambda sdk, job: sdk.fine_tuning.jobs.pause(job),
    "resume": lambda sdk, job: sdk.fine_tuning.jobs.resume(job),
    "no such job": lambda sdk, _: sdk.fine_tuning.jobs.retrieve("ftjob-none"),
    "no such model": lambda sdk, _: sdk.models.delete("nothing"),
    "a base": lambda sdk, _: sdk.models.delete(FAKE_BASE.name),
    "a bad value": lambda sdk, _: sdk.files.list(limit=0),
    "too large": lambda sdk, _: sdk.uploads.create(
        bytes=2**40, filename="a", mime_type="text/plain", purpose="batch"
    ),
    "no such batch": lambda sdk, _: sdk.batches.cancel("batch_none"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_that_stands_is_asked_for_once(
    api: RunningApi, tenant: Tenant, refusal: str
) -> None:
    with api.database.transaction() as connection:
        scope = tenant.principal.scope
        job = add_job(connection, scope, base=FAKE_BASE.name)
        JobRepository(connection, scope).move(job.id, JobStatus.FAILED)
    sent: list[httpx2.Request] = []
    hooked = httpx2.Client(event_hooks={"request": [sent.append]})

    with (
        openai.OpenAI(
            base_url=f"{api.url}/v1", api_key=tenant.key, max_retries=2, http_client=hooked
        ) as sdk,
        pytest.raises(openai.APIStatusError),
    ):
        REFUSALS[refusal](sdk, job.id)

    assert len(sent) == 1


def test_a_conflict_says_whether_to_try_again() -> None:
    conflicts = [kind for kind in _kinds(ServiceError) if kind.status == 409]

    assert len(conflicts) > 1
    for kind in conflicts:
        again = kind is IdempotencyKeyInUse
        assert ("retry-after" in kind.headers) == again
        assert (kind.headers.get("x-should-retry") == "false") != again


def _kinds(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
