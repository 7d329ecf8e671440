"""Chat completions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Required, TypedDict

import httpx2

from tunery._calls.parts import merged, reading
from tunery._flow import Call
from tunery._types import ChatCompletion

_PATH = "chat/completions"


class ChatRequest(TypedDict, total=False):
    """What chat takes; a field left out is the server's choice."""

    model: Required[str]
    messages: Required[Iterable[Mapping[str, Any]]]
    max_completion_tokens: int | None
    max_tokens: int | None
    """Older name of `max_completion_tokens`."""
    temperature: float | None
    """0 always takes the likeliest token."""
    top_p: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    n: int | None
    tools: Sequence[Mapping[str, Any]]
    response_format: Mapping[str, Any]
    metadata: Mapping[str, str] | None
    stream_options: Mapping[str, Any]
    extra_body: Mapping[str, Any]
    """Further fields of the request."""


def complete(request: ChatRequest) -> Call[ChatCompletion]:
    return Call("POST", _PATH, reading(ChatCompletion), body=_body(request))


def stream(request: ChatRequest) -> Call[httpx2.Response]:
    body = {**_body(request), "stream": True}
    return Call("POST", _PATH, _unread, body=body, is_streamed=True)


def _body(request: ChatRequest) -> dict[str, object]:
    return {**merged(request), "messages": list(request["messages"])}


def _unread(response: httpx2.Response) -> httpx2.Response:
    return response
