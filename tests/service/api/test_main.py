"""The api as a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from service.api.main import run
from service.core.database import upgrade
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from tests.polling import poll_until
from tests.running_api import api_settings
from tests.servers.seaweedfs import S3Credentials

RUN = (
    "from service.api.main import run; from service.core.settings import Settings; run(Settings())"
)


@contextmanager
def process(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(
        [sys.executable, "-c", RUN], env={**os.environ, **settings.as_environment()}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def answers(settings: Settings, child: "subprocess.Popen[bytes]") -> bool:
    assert child.poll() is None, "the api ended"
    try:
        return httpx2.get(f"http://127.0.0.1:{settings.api_port}/healthz").is_success
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_bootstrap_key_opens_it_and_a_signal_ends_it_cleanly(
    tmp_path: Path, s3_credentials: S3Credentials, valkey_url: str, number: signal.Signals
) -> None:
    settings = api_settings(tmp_path, s3_credentials, valkey_url, api_key="sk-bootstrap")
    upgrade(settings.database_url)
    with process(settings) as child:
        poll_until(lambda: answers(settings, child), "the api answers")
        models = httpx2.get(
            f"http://127.0.0.1:{settings.api_port}/v1/models",
            headers={"Authorization": "Bearer sk-bootstrap"},
        )
        child.send_signal(number)
        status = child.wait(20)

    assert models.json() == {"object": "list", "data": []}
    assert models.headers["openai-organization"] == settings.organization
    assert status == 0


def test_it_refuses_an_old_schema(
    tmp_path: Path, s3_credentials: S3Credentials, valkey_url: str
) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"):
        run(api_settings(tmp_path, s3_credentials, valkey_url))


def test_a_taken_port_is_named(
    tmp_path: Path, s3_credentials: S3Credentials, valkey_url: str
) -> None:
    settings = api_settings(tmp_path, s3_credentials, valkey_url)
    upgrade(settings.database_url)
    with (
        socket.create_server(("127.0.0.1", settings.api_port)),
        pytest.raises(ConfigurationError, match=str(settings.api_port)),
    ):
        run(settings)
