"""Streamed answers, chunk by chunk."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Self

import httpx2
from pydantic import ValidationError

from tunery._exceptions import (
    APIConnectionError,
    APIResponseError,
    StreamError,
    connection_error,
    error_members,
)
from tunery._types import ChatCompletionChunk

_END = "[DONE]"


class ChatStream:
    """Chunks of one answer, to be iterated once; closing it early stops the generation."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        with self, _translated(self._response):
            for event in httpx2.EventSource(self._response):
                if event.data == _END:
                    return
                yield _chunk(event.data, self._response)
            raise _cut_off(self._response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()


class AsyncChatStream:
    """Chunks of one answer, to be iterated once; closing it early stops the generation."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        async with self:
            with _translated(self._response):
                async for event in httpx2.EventSource(self._response):
                    if event.data == _END:
                        return
                    yield _chunk(event.data, self._response)
                raise _cut_off(self._response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._response.aclose()


def _chunk(text: str, response: httpx2.Response) -> ChatCompletionChunk:
    request_id = response.headers.get("x-request-id")
    try:
        members = error_members(json.loads(text))
        if not members:
            return ChatCompletionChunk.model_validate_json(text)
    except (ValueError, ValidationError) as error:
        message = "the stream holds what is no chat completion chunk"
        raise APIResponseError(message, request_id=request_id) from error
    raise StreamError(
        members.get("message", "the server broke off the stream"),
        code=members.get("code"),
        param=members.get("param"),
        request_id=request_id,
    )


@contextmanager
def _translated(response: httpx2.Response) -> Iterator[None]:
    try:
        yield
    except httpx2.SSEError as error:
        request_id = response.headers.get("x-request-id")
        raise APIResponseError(f"not a stream of events: {error}", request_id=request_id) from error
    except httpx2.RequestError as error:
        raise connection_error(error) from error


def _cut_off(response: httpx2.Response) -> APIConnectionError:
    return APIConnectionError(
        "the stream ended before the answer was complete",
        request_id=response.headers.get("x-request-id"),
    )
