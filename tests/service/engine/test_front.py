"""The engine's port is taken early, answers late, and health follows the step loop."""

import socket

import httpx2
import pytest

from service.core.errors import ConfigurationError, ServiceError
from service.core.settings import Settings
from service.engine.front import EngineFront, bind_front
from tests.fakes.engine import FakeEngine
from tests.servers.ports import free_port


def _settings(port: int, token: str = "token") -> Settings:
    return Settings.model_validate({"engine_port": port, "internal_token": token})


def _unexpected(error: ServiceError) -> None:
    raise AssertionError(error.message)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"{port}.*TUNERY_ENGINE_PORT"):
            bind_front(_settings(port))


def test_nothing_answers_before_the_start_nor_after_the_end() -> None:
    settings, failures = _settings(free_port()), list[ServiceError]()
    with bind_front(settings) as listener, FakeEngine() as engine:
        front = EngineFront(engine, listener, settings, on_failure=failures.append)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{front.url}/healthz")

        front.start()
        assert httpx2.get(f"{front.url}/healthz").status_code == 200

        front.stop_accepting()
        front.wait_closed()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{front.url}/healthz")
    assert failures == []


def test_health_is_503_once_the_step_loop_has_failed() -> None:
    settings = _settings(0)
    with bind_front(settings) as listener, FakeEngine() as engine:
        front = EngineFront(engine, listener, settings, on_failure=_unexpected)
        front.start()
        try:
            engine.die()

            answer = httpx2.get(f"{front.url}/healthz")

            assert answer.status_code == 503
            assert answer.json()["code"] == "engine_unavailable"
        finally:
            front.stop_accepting()
            front.wait_closed()


def test_without_a_token_there_is_no_front() -> None:
    settings = _settings(0, token="")
    with (
        bind_front(settings) as listener,
        FakeEngine() as engine,
        pytest.raises(ConfigurationError, match="TUNERY_INTERNAL_TOKEN"),
    ):
        EngineFront(engine, listener, settings, on_failure=_unexpected)
