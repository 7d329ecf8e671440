"""Streams that break: by the engine's death, by the client's leaving, by a shutdown."""

import json
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest

from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.serving import INTERNAL_TOKEN, ServedEngine, served_fake
from tests.polling import poll_until
from tests.running_api import RunningApi, Tenant, api_settings, reporting, running_api
from tests.servers.seaweedfs import S3Credentials

BASE = FAKE_BASE.name
ASK = {"model": BASE, "messages": [{"role": "user", "content": "Go on for ever."}], "stream": True}


@pytest.fixture
def lone_api(
    tmp_path_factory: pytest.TempPathFactory,
    s3_credentials: S3Credentials,
    valkey_url: str,
    text_codec: TextCodec,
) -> Iterator[RunningApi]:
    """An api whose engine may be broken; without a limit streams answer some 8,000 tokens."""
    assert text_codec.stop_token_ids
    folder = tmp_path_factory.mktemp("lone-api")
    with running_api(api_settings(folder, s3_credentials, valkey_url)) as running:
        yield running


@pytest.fixture
def lone_engine(lone_api: RunningApi) -> Iterator[tuple[FakeEngine, ServedEngine]]:
    engine = FakeEngine()
    with served_fake(engine) as served:
        with reporting(lone_api, engine):
            yield engine, served
        engine.release()


@pytest.fixture
def http(lone_api: RunningApi) -> Iterator[httpx2.Client]:
    with lone_api.client(lone_api.new_tenant()) as client:
        yield client


def read_first_chunk(lines: Iterator[str]) -> None:
    assert next(lines).startswith("data: ")


def test_a_stream_whose_engine_dies_ends_with_the_error_and_without_done(
    http: httpx2.Client, lone_engine: tuple[FakeEngine, ServedEngine]
) -> None:
    engine, _ = lone_engine
    with http.stream("POST", "/v1/chat/completions", json=ASK) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        read_first_chunk(lines)
        engine.hold_streams()
        engine.die()
        events = [line for line in lines if line]

    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert (error["code"], error["param"]) == ("engine_unavailable", None)
    assert "[DONE]" not in "".join(events)


def test_the_sdk_raises_the_error_of_a_broken_stream(
    lone_api: RunningApi, lone_engine: tuple[FakeEngine, ServedEngine]
) -> None:
    engine, served = lone_engine
    with lone_api.sdk(lone_api.new_tenant()) as sdk:
        stream = sdk.chat.completions.create(**ASK)  # type: ignore[call-overload]
        next(iter(stream))
        engine.hold_streams()
        served.drop()
        with pytest.raises(openai.APIError) as caught:
            list(stream)

    assert caught.value.code == "engine_unavailable"


def test_without_a_live_engine_a_request_is_a_503_that_may_be_repeated(
    lone_api: RunningApi, http: httpx2.Client
) -> None:
    engine = FakeEngine()
    lone_api.report(engine)
    httpx2.delete(
        f"{lone_api.url}/internal/engines/{engine.state().id}",
        headers={"Authorization": f"Bearer {INTERNAL_TOKEN}"},
    )

    response = http.post("/v1/chat/completions", json=ASK)

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "engine_unavailable"
    assert float(response.headers["retry-after"]) <= 120


def test_an_unreachable_engine_is_a_503_that_tells_no_address(
    lone_api: RunningApi, http: httpx2.Client
) -> None:
    engine = FakeEngine(url="http://127.0.0.1:1")
    with engine, reporting(lone_api, engine):
        response = http.post("/v1/chat/completions", json=ASK)

    assert response.status_code == 503
    assert "127.0.0.1" not in response.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_the_engine(
    http: httpx2.Client, lone_engine: tuple[FakeEngine, ServedEngine], *, stream: bool
) -> None:
    engine, _ = lone_engine
    engine.hold_streams()
    body = {**ASK, "stream": stream, "n": 2}

    with pytest.raises(httpx2.ReadTimeout):
        http.post("/v1/chat/completions", json=body, timeout=0.5)

    poll_until(lambda: engine.state().active_streams == 0, "the streams are aborted")


def test_leaving_in_the_middle_of_a_stream_frees_the_engine(
    http: httpx2.Client, lone_engine: tuple[FakeEngine, ServedEngine]
) -> None:
    engine, _ = lone_engine
    with http.stream("POST", "/v1/chat/completions", json=ASK) as response:
        read_first_chunk(response.iter_lines())
        engine.hold_streams()
        assert engine.state().active_streams == 1

    poll_until(lambda: engine.state().active_streams == 0, "the stream is aborted")


def test_meeting_a_stop_string_frees_the_engine(
    http: httpx2.Client, lone_engine: tuple[FakeEngine, ServedEngine]
) -> None:
    engine, _ = lone_engine

    response = http.post("/v1/chat/completions", json={**ASK, "stop": "ever", "stream": False})

    assert response.json()["choices"][0]["finish_reason"] == "stop"
    poll_until(lambda: engine.state().active_streams == 0, "the stream is aborted")


def test_a_shutdown_lets_open_streams_end_and_takes_no_new_ones(
    tmp_path_factory: pytest.TempPathFactory,
    s3_credentials: S3Credentials,
    valkey_url: str,
    text_codec: TextCodec,
) -> None:
    engine = FakeEngine(answers={BASE: text_codec.encode("To the end.")})
    settings = api_settings(tmp_path_factory.mktemp("drained"), s3_credentials, valkey_url)
    engine.hold_streams()
    lines: list[str] = []

    def read(api: RunningApi, tenant: Tenant) -> None:
        with (
            api.client(tenant) as http,
            http.stream("POST", "/v1/chat/completions", json=ASK) as response,
        ):
            lines.extend(response.iter_lines())

    def is_refusing(api: RunningApi) -> bool:
        try:
            return httpx2.get(f"{api.url}/healthz").status_code != 200
        except httpx2.TransportError:
            return True

    with served_fake(engine), running_api(settings) as api:
        assert api.report(engine).status_code == 204
        reader = threading.Thread(target=read, args=(api, api.new_tenant()))
        reader.start()
        poll_until(lambda: engine.state().active_streams == 1, "the stream is open")
        api.stop()
        poll_until(lambda: is_refusing(api), "the api takes no new work")
        engine.release()
        reader.join(20)

    assert lines[-2:] == ["data: [DONE]", ""]
