"""A streamed answer is put together as its chunks say, and noted once it has ended."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import httpx2
import pytest
from pydantic import BaseModel

from service.api.chat.schemas import Usage
from service.api.stored_completions.assembly import Assembly
from service.api.stored_completions.recording import AnswerRecorder
from service.api.token_meter import TokenMeter
from service.core.rate_limits import RateLimits
from tests.running_api import RunningApi, Tenant

USAGE = Usage.of(prompt=2, completion=1)
DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Request:
    """What recording reads of a request."""

    model: str = "m"
    messages: tuple[BaseModel, ...] = ()
    store: bool | None = True
    metadata: dict[str, str] | None = None


def chunk(index: int = 0, finish_reason: str | None = None, **delta: object) -> str:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    envelope = {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(envelope)}\n\n"


def assembled(*events: str) -> dict[str, object]:
    assembly = Assembly()
    for event in events:
        assembly.add(event)
    return assembly.to_answer({"total_tokens": 3})


def test_text_of_several_choices_grows_apart() -> None:
    answer = assembled(
        chunk(0, role="assistant", content=""),
        chunk(1, role="assistant", content=""),
        chunk(0, content="a"),
        chunk(1, content="x"),
        chunk(0, content="b"),
        chunk(1, finish_reason="length"),
        chunk(0, finish_reason="stop"),
    )

    first, second = answer["choices"]
    assert first["message"] == {"role": "assistant", "content": "ab", "refusal": None}
    assert (first["finish_reason"], second["finish_reason"]) == ("stop", "length")
    assert second["message"]["content"] == "x"
    assert (answer["id"], answer["object"]) == ("chatcmpl-1", "chat.completion")
    assert answer["usage"] == {"total_tokens": 3}


def test_tool_calls_grow_by_their_index() -> None:
    answer = assembled(
        chunk(
            tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]
        ),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        chunk(tool_calls=[{"index": 1, "id": "call_2", "function": {"name": "g"}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
    )

    (choice,) = answer["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]


def test_log_probabilities_are_joined() -> None:
    event = {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": [1], "refusal": None}}]}
    answer = assembled(*[f"data: {json.dumps(event)}\n\n"] * 2)

    assert answer["choices"][0]["logprobs"] == {"content": [1, 1], "refusal": []}


@pytest.mark.parametrize(("taken", "stored"), [(1, 0), (3, 1)])
def test_tokens_are_counted_whether_the_caller_stays_or_leaves_and_only_a_whole_answer_is_stored(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, taken: int, stored: int
) -> None:
    limits = RateLimits.from_settings(api.settings)
    recorder = AnswerRecorder(api.database, TokenMeter(limits))
    named = chunk(content="a").replace("chatcmpl-1", f"chatcmpl-{tenant.key[-8:]}")

    async def events() -> AsyncGenerator[str, None]:
        for event in (named, named, DONE):
            yield event

    async def take() -> list[str]:
        watched = recorder.watch(tenant.principal, Request(), events(), lambda: USAGE)
        async with aclosing(watched):
            return [await anext(watched) for _ in range(taken)]

    assert asyncio.run(take()) == [named, named, DONE][:taken]
    tokens = limits.admit(tenant.principal.scope.project_id).tokens
    limits.close()
    assert tokens.limit - tokens.remaining == USAGE.total_tokens
    assert len(http.get("/v1/chat/completions").json()["data"]) == stored
