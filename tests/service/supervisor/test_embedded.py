"""The embedded Valkey and S3 keep what they acknowledged, and obey nobody without a key."""

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from service.core.errors import ServiceError
from service.core.settings import Settings
from service.core.storage import ObjectStore
from tests.polling import poll_until


@contextmanager
def running(data_dir: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Settings]]:
    """The two servers under a supervisor; ended by SIGTERM unless the block has killed it."""
    ready = data_dir / "ready.json"
    ready.unlink(missing_ok=True)
    program = [sys.executable, "-m", "tests.service.supervisor.embedded_program", str(data_dir)]
    with subprocess.Popen(program) as supervisor:
        try:
            poll_until(ready.exists, "both servers are ready", timeout_seconds=60)
            yield supervisor, _settings(json.loads(ready.read_text()))
        finally:
            supervisor.send_signal(signal.SIGTERM)


def _settings(environment: dict[str, str]) -> Settings:
    return Settings.model_validate(
        {name.removeprefix("TUNERY_").lower(): value for name, value in environment.items()}
    )


def _write_until_it_fails(store: ObjectStore, written: list[int]) -> None:
    """Objects whose content follows from their number, one after another."""
    try:
        for number in range(100_000):
            store.put_bytes(f"objects/{number}", _content(number))
            written.append(number)
    except ServiceError:
        pass


def _content(number: int) -> bytes:
    return f"{number}".encode() * (1 + number % 20_000)


def test_what_was_acknowledged_survives_kill_9_of_everything_and_a_change_of_ports(
    tmp_path: Path,
) -> None:
    written: list[int] = []
    with running(tmp_path) as (supervisor, settings):
        store = ObjectStore.from_settings(settings)
        writer = threading.Thread(target=_write_until_it_fails, args=(store, written))
        writer.start()
        with redis.Redis.from_url(settings.redis_url) as client:
            client.set("key", "value")
        poll_until(lambda: len(written) >= 200, "objects are written")
        supervisor.kill()
        writer.join()
    _forget_ports(tmp_path)

    with running(tmp_path) as (_, settings):
        store = ObjectStore.from_settings(settings)
        lost = [n for n in written if store.get_bytes(f"objects/{n}") != _content(n)]
        with redis.Redis.from_url(settings.redis_url) as client:
            assert client.get("key") == b"value"
    assert lost == []


def _forget_ports(data_dir: Path) -> None:
    state = json.loads((data_dir / "state.json").read_text())
    (data_dir / "state.json").write_text(json.dumps(state | {"ports": {}}))


def test_no_port_obeys_a_web_page_or_a_neighbour(tmp_path: Path) -> None:
    with running(tmp_path) as (_, settings):
        store = ObjectStore.from_settings(settings)
        store.put_bytes("kept", b"content" * 1000)
        ports = json.loads((tmp_path / "state.json").read_text())["ports"]
        for name in ("s3_master", "s3_volume", "s3_filer", "s3"):
            for path in ("/col/delete?collection=tunery", "/1,01637037d6", "/tunery/kept"):
                assert _status("GET", ports[name], path) >= 400
                assert _status("DELETE", ports[name], path) >= 400
        assert store.get_bytes("kept") == b"content" * 1000


def _status(method: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()
