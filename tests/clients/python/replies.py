"""A server in memory: answers from a script, and keeps what it was asked."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx2

from tunery import AsyncTunery, Tunery

JOB: dict[str, Any] = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "created_at": 1_700_000_000,
    "finished_at": None,
    "model": "base",
    "fine_tuned_model": None,
    "organization_id": "tunery",
    "status": "queued",
    "hyperparameters": {"n_epochs": "auto"},
    "training_file": "file-1",
    "validation_file": None,
    "result_files": [],
    "trained_tokens": None,
    "error": None,
    "seed": 7,
    "metadata": None,
}
FILE: dict[str, Any] = {
    "id": "file-1",
    "object": "file",
    "bytes": 12,
    "created_at": 1_700_000_000,
    "filename": "rows.jsonl",
    "purpose": "fine-tune",
    "status": "processed",
}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "base",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Good day."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
}


def model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tunery"}


def event(number: int, message: str = "", **metrics: float) -> dict[str, Any]:
    return {
        "id": f"ftevent-{number}",
        "object": "fine_tuning.job.event",
        "created_at": 1_700_000_000 + number,
        "level": "info",
        "message": message or f"event {number}",
        "type": "metrics" if metrics else "message",
        "data": metrics or None,
    }


def job(**changes: object) -> dict[str, Any]:
    return {**JOB, **changes}


def answer(body: object, status: int = 200, **headers: str) -> httpx2.Response:
    dashed = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, json=body, headers=dashed)


def listed(*items: object, has_more: bool = False) -> httpx2.Response:
    return answer({"object": "list", "data": items, "has_more": has_more})


def refusal(status: int, *, code: str = "invalid_value", **headers: str) -> httpx2.Response:
    envelope = {
        "message": "that is wrong",
        "type": "invalid_request_error",
        "param": "model",
        "code": code,
    }
    return answer({"error": envelope}, status, x_request_id="req-1", **headers)


def chunk(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "base",
        "choices": [choice],
    }


class _Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that says whether it was closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


def events_stream(*data: object, is_complete: bool = True) -> httpx2.Response:
    lines = [item if isinstance(item, str) else json.dumps(item) for item in data]
    lines += ["[DONE]"] if is_complete else []
    pieces = _Pieces([f"data: {line}\n\n".encode() for line in lines])
    headers = {"content-type": "text/event-stream", "x-request-id": "req-1"}
    return httpx2.Response(200, headers=headers, stream=pieces)


Reply = httpx2.Response | httpx2.RequestError


class ScriptedServer:
    """Gives each request the next reply of the script; `requests` is what came in."""

    def __init__(self, *replies: Reply) -> None:
        self._replies: Iterable[Reply] = iter(replies)
        self.requests: list[httpx2.Request] = []
        self.bodies: list[bytes] = []

    def sync_client(self, **options: Any) -> Tunery:
        http = httpx2.Client(transport=httpx2.MockTransport(self._reply))
        return Tunery(base_url="http://server/v1", api_key="sk-1", http_client=http, **options)

    def async_client(self, **options: Any) -> AsyncTunery:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._areply))
        return AsyncTunery(base_url="http://server/v1", api_key="sk-1", http_client=http, **options)

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode() for request in self.requests]

    def json(self, number: int = 0) -> Any:
        return json.loads(self.bodies[number])

    def _reply(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(request.read())
        return self._next(request)

    async def _areply(self, request: httpx2.Request) -> httpx2.Response:
        self.bodies.append(await request.aread())
        return self._next(request)

    def _next(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        reply = next(iter(self._replies), None)
        assert reply is not None, f"the script has no reply for {request.method} {request.url}"
        if isinstance(reply, httpx2.RequestError):
            raise reply
        return reply
