"""The object store: whole objects with their digests, or an error of ours."""

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from service.core.errors import PayloadTooLarge, StorageUnavailable
from service.core.settings import Settings
from service.core.storage import ObjectNotFound, ObjectStore, s3_client
from tests.servers.seaweedfs import S3Credentials

LARGE = 20 * 1024**2  # three parts of a multipart upload


class Zeros(io.RawIOBase):
    """A stream of zeros that remembers how much was asked for at once."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.largest_read = 0

    def read(self, size: int = -1) -> bytes:
        given = self._left if size < 0 else min(size, self._left)
        self.largest_read = max(self.largest_read, given)
        self._left -= given
        return bytes(given)


def test_a_stream_is_stored_whole_without_being_held_whole(object_store: ObjectStore) -> None:
    source = Zeros(LARGE)

    stored = object_store.put_stream("storage/zeros", source)

    assert stored.bytes == object_store.size("storage/zeros") == LARGE
    assert stored.sha256 == hashlib.sha256(bytes(LARGE)).hexdigest()
    assert source.largest_read < LARGE
    assert all(len(chunk) <= 1024**2 for chunk in object_store.iterate("storage/zeros"))


def test_a_file_comes_back_as_it_was(object_store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x00\xff content")

    stored = object_store.put_file("storage/file", path)

    assert object_store.get_bytes("storage/file") == path.read_bytes()
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [0, 1, LARGE])
def test_an_upload_that_is_stopped_leaves_no_object(object_store: ObjectStore, size: int) -> None:
    def refuse(_: int) -> None:
        raise PayloadTooLarge("too large")

    with pytest.raises(PayloadTooLarge):
        object_store.put_stream(f"storage/refused-{size}", Zeros(size), check_size=refuse)

    assert list(object_store.list_keys(f"storage/refused-{size}")) == []


def test_a_missing_object_is_not_found(object_store: ObjectStore) -> None:
    for read in (object_store.get_bytes, object_store.size):
        with pytest.raises(ObjectNotFound):
            read("storage/missing")
    object_store.delete("storage/missing")


def test_a_prefix_is_listed_and_deleted_and_nothing_beside_it(object_store: ObjectStore) -> None:
    keys = [f"storage/many/{n}" for n in range(3)]
    for key in [*keys, "storage/many-others"]:
        object_store.put_bytes(key, b"1")

    assert sorted(object_store.list_keys("storage/many/")) == keys
    assert object_store.delete_prefix("storage/many/") == 3
    assert list(object_store.list_keys("storage/many")) == ["storage/many-others"]


def test_a_deletion_leaves_no_version_behind(s3_credentials: S3Credentials) -> None:
    settings = s3_credentials.settings().model_copy(update={"s3_bucket": "versioned"})
    store = ObjectStore.from_settings(settings)
    store.ensure_bucket()
    client = s3_client(settings)
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for content in (b"first", b"second"):
        store.put_bytes("a/file", content)
    store.put_bytes("a/file-beside", b"stays")
    client.delete_object(Bucket="versioned", Key="a/file")  # only hides it

    store.delete("a/file")

    left = client.list_object_versions(Bucket="versioned")
    assert [version["Key"] for version in left["Versions"]] == ["a/file-beside"]
    assert not left.get("DeleteMarkers")


def test_objects_are_listed_page_by_page(object_store: ObjectStore) -> None:
    keys = [f"storage/pages/{n}" for n in range(5)]
    for key in keys:
        object_store.put_bytes(key, b"12")
    first = object_store.list_objects("storage/pages/", limit=3)
    rest = object_store.list_objects("storage/pages/", after=first[-1].key, limit=3)

    assert [found.key for found in first + rest] == keys
    assert {found.bytes for found in first} == {2}
    assert abs(first[0].stored_at - time.time()) < 600


@pytest.fixture
def failing_store() -> Iterator[ObjectStore]:
    """A store that breaks off in the middle of every object."""

    class BreakOff(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), BreakOff) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings = Settings.model_validate(
            {
                "s3_endpoint_url": f"http://127.0.0.1:{server.server_port}",
                "s3_access_key_id": "key",
                "s3_secret_access_key": "secret",
            }
        )
        yield ObjectStore.from_settings(settings)
        server.shutdown()
        thread.join()


def test_an_object_that_breaks_off_is_no_object(failing_store: ObjectStore) -> None:
    with pytest.raises(StorageUnavailable):
        failing_store.get_bytes("storage/half")
