"""The api learns of an engine at once, whenever the api comes up, and of its end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.core.errors import ServiceError
from service.engine.beacon import Beacon
from tests.fakes.engine import FakeEngine
from tests.fakes.registry_api import running_registry
from tests.polling import poll_until
from tests.servers.ports import free_port


@contextmanager
def _posting(
    engine: FakeEngine, url: str, failures: list[ServiceError] | None = None
) -> Iterator[Beacon]:
    beacon = Beacon(
        engine_id="fake-0",
        api_url=url,
        internal_token="token",
        state=engine.state,
        on_engine_failure=(failures if failures is not None else []).append,
    )
    beacon.start()
    try:
        yield beacon
    finally:
        beacon.stop()
        beacon.withdraw()


def test_the_state_is_posted_with_the_token_and_withdrawn_last() -> None:
    engine = FakeEngine()
    with running_registry() as api:
        with _posting(engine, api.url):
            poll_until(lambda: bool(api.calls), "the first post arrives")

        first, last = api.calls[0], api.calls[-1]
        assert (first.method, first.path) == ("PUT", "/internal/engines/fake-0")
        assert first.authorization == last.authorization == "Bearer token"
        assert first.state == engine.state()
        assert (last.method, last.path) == ("DELETE", "/internal/engines/fake-0")
        assert api.methods.count("DELETE") == 1


def test_an_api_that_comes_up_later_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    port = free_port()
    with _posting(FakeEngine(), f"http://127.0.0.1:{port}"):
        poll_until(lambda: "does not answer" in caplog.text, "the beacon notices")
        with running_registry(port=port) as api:
            poll_until(lambda: bool(api.calls), "the post arrives")

    assert caplog.text.count("does not answer (ConnectError)") == 1
    assert caplog.text.count("knows this engine") == 1


def test_a_refusal_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with running_registry() as api:
        api.status = 401
        with _posting(FakeEngine(), api.url):
            poll_until(lambda: len(api.calls) >= 2, "the post is repeated")

    assert caplog.text.count("refuses this engine with 401") == 1


def test_a_failed_engine_is_reported_and_no_longer_posted() -> None:
    engine, failures = FakeEngine(), list[ServiceError]()
    with running_registry() as api:
        with _posting(engine, api.url, failures):
            poll_until(lambda: bool(api.calls), "the first post arrives")
            engine.die()
            poll_until(lambda: bool(failures), "the failure is reported")

        assert len(failures) == 1
        assert api.methods[-1] == "DELETE"
