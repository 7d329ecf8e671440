"""What is left of a project's limits stands on every answer; what exceeds them is refused."""

from collections.abc import Callable, Iterator
from functools import partial

import httpx2
import openai
import pytest

from service.api.middleware import rate_limit_headers
from service.core.rate_limits import Share, Standing
from service.core.storage import ObjectStore
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.fakes.serving import served_fake
from tests.running_api import RunningApi, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials

REQUESTS, TOKENS = 4, 8
ASK = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def tight(
    tmp_path_factory: pytest.TempPathFactory,
    s3_credentials: S3Credentials,
    valkey_url: str,
    object_store: ObjectStore,
    text_codec: TextCodec,
) -> Iterator[RunningApi]:
    """An api with small limits."""
    settings = api_settings(
        tmp_path_factory.mktemp("tight"),
        s3_credentials,
        valkey_url,
        requests_per_minute=REQUESTS,
        tokens_per_minute=TOKENS,
    )
    answers = {FAKE_BASE.name: text_codec.encode("I am the base.")}
    fake = FakeEngine(answers=answers, embedders=[FAKE_EMBEDDER])
    with running_api(settings) as api, served_fake(fake), reporting(api, fake):
        yield api


@pytest.fixture
def caller(tight: RunningApi) -> Iterator[openai.OpenAI]:
    with tight.sdk(tight.new_tenant()) as client:
        yield client


def test_every_answer_says_what_is_left(http: httpx2.Client) -> None:
    answers = [http.get("/v1/models"), http.get("/v1/files/none"), http.get("/v1/nowhere")]

    known, missing, nowhere = (answer.headers for answer in answers)
    assert known["x-ratelimit-limit-requests"] == "10000"
    assert known["x-ratelimit-remaining-requests"] == "9999"
    assert known["x-ratelimit-limit-tokens"] == "10000000"
    assert known["x-ratelimit-remaining-tokens"] == "10000000"
    assert known["x-ratelimit-reset-requests"] == "1m0s"
    assert known["x-ratelimit-reset-tokens"] == "0ms"
    assert missing["x-ratelimit-remaining-requests"] == "9998"
    assert nowhere["x-ratelimit-remaining-requests"] == "9997"


def test_a_replayed_answer_counts_too(http: httpx2.Client) -> None:
    body = {"name": "x", "url": "https://hooks.example/", "event_types": ["batch.failed"]}
    for left in ("9999", "9998"):
        answer = http.post("/v1/webhook_endpoints", json=body, headers={"Idempotency-Key": "a"})
        assert answer.headers["x-ratelimit-remaining-requests"] == left


def test_requests_beyond_the_limit_are_refused(caller: openai.OpenAI) -> None:
    for _ in range(REQUESTS):
        caller.models.list()

    with pytest.raises(openai.RateLimitError) as refused:
        caller.models.list()
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(refused.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_chat_is_refused_once_its_tokens_are_spent_and_the_rest_is_not(
    caller: openai.OpenAI, stream: bool
) -> None:
    answer = caller.chat.completions.create(
        model=FAKE_BASE.name,
        messages=ASK,  # type: ignore[arg-type]
        stream=stream,
    )
    if stream:
        list(answer)

    with pytest.raises(openai.RateLimitError, match="tokens"):
        caller.chat.completions.create(model=FAKE_BASE.name, messages=ASK)  # type: ignore[arg-type]
    response = caller.models.with_raw_response.list()
    assert response.headers["x-ratelimit-remaining-tokens"] == "0"


def complete(caller: openai.OpenAI, *, stream: bool = False) -> object:
    answer = caller.completions.create(model=FAKE_BASE.name, prompt="x", stream=stream)
    return list(answer) if stream else answer


def embed(caller: openai.OpenAI) -> object:
    return caller.embeddings.create(model=FAKE_EMBEDDER.name, input="one two three four five six")


@pytest.mark.parametrize("spend", [complete, partial(complete, stream=True), embed])
def test_completions_and_embeddings_spend_tokens_and_are_refused_without_any(
    caller: openai.OpenAI, spend: Callable[[openai.OpenAI], object]
) -> None:
    spend(caller)
    for refused in (complete, embed):
        with pytest.raises(openai.RateLimitError, match="tokens"):
            refused(caller)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.0, "0ms"), (0.12, "120ms"), (1.0, "1s"), (59.4, "59s"), (360, "6m0s")],
)
def test_durations_are_written_as_clients_know_them(seconds: float, written: str) -> None:
    share = Share(10, 5, seconds)

    headers = rate_limit_headers(Standing(share, share), status=200)

    assert headers["x-ratelimit-reset-tokens"] == written
    assert "retry-after" not in headers
