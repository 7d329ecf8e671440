"""The servers that other tests stand on."""

import io
from pathlib import Path

import pytest
import redis

from service.core.errors import StorageUnavailable
from service.core.storage import ObjectStore
from service.supervisor.component import Component
from tests.servers.child import running_child
from tests.servers.seaweedfs import S3Credentials
from tests.servers.valkey import running_valkey


def test_what_is_stored_comes_back_with_its_digest(object_store: ObjectStore) -> None:
    content = b"tunery" * 2_000_000  # 12 MB: two parts of a multipart upload

    stored = object_store.put_stream("servers/large", io.BytesIO(content))

    assert object_store.get_bytes("servers/large") == content
    assert stored.bytes == object_store.size("servers/large") == len(content)


def test_a_wrong_secret_is_refused(s3_credentials: S3Credentials) -> None:
    stranger = S3Credentials(s3_credentials.endpoint_url, "test-access-key", "wrong")

    with pytest.raises(StorageUnavailable):
        stranger.object_store().put_bytes("servers/stranger", b"")


def test_valkey_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("key", "value")
        client.config_set("appendfsync", "always")
        client.set("key", "value")

    with running_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.get("key") == b"value"


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    component = Component("doomed", ["sh", "-c", "echo the reason; exit 3"], lambda _: False)

    with (
        pytest.raises(RuntimeError, match="the reason"),
        running_child(component, log=tmp_path / "log"),
    ):
        pass
