"""Large files go in parts; what has arrived is not sent again."""

import asyncio
import hashlib
import threading
from typing import Any

import httpx2
import pytest

from tests.clients.python.replies import FILE, answer, refusal
from tunery import AsyncTunery, NotFoundError, ServerError, Tunery, UploadState
from tunery._parts import PART_BYTES, PARTED_ABOVE

CONTENT = b"".join(bytes([n]) * PART_BYTES for n in range(PARTED_ABOVE // PART_BYTES)) + b"end"
PARTS = 5


class PartServer:
    """Keeps parts, and joins them."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.received: list[int] = []
        """First bytes of the parts, as they came."""
        self.uploads = 0
        self.file: bytes | None = None
        self.refused: int | None = None
        """First byte of a part that does not arrive."""
        self.outdated: str | None = None
        self._lock = threading.Lock()

    def options(self) -> dict[str, Any]:
        return {"base_url": "http://server/v1", "api_key": "sk-1", "max_retries": 0}

    def sync_client(self) -> Tunery:
        http = httpx2.Client(transport=httpx2.MockTransport(self._reply))
        return Tunery(http_client=http, **self.options())

    def async_client(self) -> AsyncTunery:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._areply))
        return AsyncTunery(http_client=http, **self.options())

    async def _areply(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return self._answer(request)

    def _reply(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return self._answer(request)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        with self._lock:
            if request.url.path == "/v1/uploads":
                self.uploads += 1
                return self._upload(f"upload_{self.uploads}", "pending")
            upload_id = request.url.path.split("/")[3]
            if upload_id == self.outdated:
                return refusal(404, code="upload_not_found")
            if request.url.path.endswith("/parts"):
                return self._add(request.content)
            return self._complete(upload_id, httpx2.Response(200, content=request.content).json())

    def _upload(self, id_: str, status: str, **more: Any) -> httpx2.Response:
        return answer({"id": id_, "status": status, "bytes": len(CONTENT), **more})

    def _add(self, body: bytes) -> httpx2.Response:
        head, _, rest = body.partition(b"\r\n\r\n")
        assert b'name="data"' in head
        content = rest[: rest.rindex(b"\r\n--")]
        if content[0] == self.refused:
            return refusal(500)
        id_ = f"part_{len(self.parts)}"
        self.parts[id_] = content
        self.received.append(content[0])
        return answer({"id": id_})

    def _complete(self, upload_id: str, asked: Any) -> httpx2.Response:
        joined = b"".join(self.parts[id_] for id_ in asked["part_ids"])
        if hashlib.md5(joined).hexdigest() != asked["md5"]:
            return refusal(400, code="checksum_mismatch")
        self.file = joined
        return self._upload(upload_id, "completed", file=FILE)


def test_a_large_file_goes_in_parts_and_arrives_whole() -> None:
    server, told = PartServer(), []

    with server.sync_client() as client:
        file = client.files.upload(CONTENT, on_progress=lambda sent, _: told.append(sent))

    assert file.id == "file-1"
    assert server.file == CONTENT
    assert (len(server.parts), told[-1]) == (PARTS, len(CONTENT))
    assert told == sorted(told)


def test_a_broken_upload_goes_on_with_the_parts_that_are_missing() -> None:
    server, state = PartServer(), UploadState()
    server.refused = 3
    with server.sync_client() as client:
        with pytest.raises(ServerError):
            client.files.upload(CONTENT, state=state)
        before = list(server.received)
        assert 3 <= len(before) < PARTS
        kept = UploadState.from_json(state.to_json())
        server.refused = None

        client.files.upload(CONTENT, state=kept)

    assert server.file == CONTENT
    assert server.uploads == 1
    assert sorted(server.received) == sorted({*before, 3, *server.received})


def test_an_upload_that_the_server_has_forgotten_begins_anew() -> None:
    server, state = PartServer(), UploadState()
    state.begin("upload_old", len(CONTENT))
    state.parts[0] = "part_old"
    server.outdated = "upload_old"

    with server.sync_client() as client:
        client.files.upload(CONTENT, state=state)

    assert (server.file, state.upload_id) == (CONTENT, "upload_1")


def test_a_file_that_has_changed_since_begins_anew() -> None:
    server, state = PartServer(), UploadState()
    changed = b"x" + CONTENT[1:]
    with server.sync_client() as client:
        client.files.upload(CONTENT, state=state)
        client.files.upload(changed, state=state)

    assert (server.file, server.uploads) == (changed, 2)


def test_the_asynchronous_client_sends_the_same_parts() -> None:
    server, state = PartServer(), UploadState()

    async def send() -> None:
        async with server.async_client() as client:
            server.refused = 3
            with pytest.raises(ServerError):
                await client.files.upload(CONTENT, state=state)
            server.refused = None
            await client.files.upload(CONTENT, state=state)

    asyncio.run(send())

    assert (server.file, server.uploads) == (CONTENT, 1)
    assert len(server.received) == PARTS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": 3}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"state|JSON|Expecting"):
        UploadState.from_json(text)


def test_a_refusal_of_a_new_upload_is_told() -> None:
    server = PartServer()
    server.outdated = "upload_1"

    with server.sync_client() as client, pytest.raises(NotFoundError) as caught:
        client.files.upload(CONTENT)

    assert caught.value.code == "upload_not_found"
