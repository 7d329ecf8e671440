import asyncio

import httpx2
import pytest

from tests.clients.python.replies import ScriptedServer, answer, chunk, events_stream, refusal
from tunery import APIConnectionError, APIResponseError, NotFoundError, StreamError

FAILURE = {"error": {"message": "the engine went away", "code": "engine_unavailable"}}


def streamed(*replies: httpx2.Response) -> list[str]:
    server = ScriptedServer(*replies)
    stream = server.sync_client().chat.completions.stream(model="base", messages=[])
    assert server.json()["stream"] is True
    return [piece.text for piece in stream]


def test_chunks_come_in_order_up_to_the_end_mark() -> None:
    reply = events_stream(chunk("Good "), chunk("day."))
    assert streamed(reply) == ["Good ", "day."]
    assert reply.is_closed


def test_a_chunk_without_choices_has_no_text() -> None:
    assert streamed(events_stream({**chunk(""), "choices": []})) == [""]


def test_a_failure_in_the_middle_is_raised_with_its_code() -> None:
    with pytest.raises(StreamError, match="engine went away") as caught:
        streamed(events_stream(chunk("Good "), FAILURE))
    assert (caught.value.code, caught.value.request_id) == ("engine_unavailable", "req-1")


def test_a_stream_without_its_end_mark_is_no_complete_answer() -> None:
    with pytest.raises(APIConnectionError, match="before the answer was complete"):
        streamed(events_stream(chunk("Good "), is_complete=False))


@pytest.mark.parametrize(
    "reply",
    [events_stream("{"), events_stream({"id": 1}), answer({})],
    ids=["no JSON", "no chunk", "no stream"],
)
def test_what_is_no_stream_of_chunks_is_an_error(reply: httpx2.Response) -> None:
    with pytest.raises(APIResponseError):
        streamed(reply)


def test_a_refusal_comes_before_any_chunk_and_is_repeated_where_that_helps() -> None:
    with pytest.raises(NotFoundError, match="that is wrong"):
        streamed(refusal(404))
    assert streamed(refusal(503, retry_after_ms="1"), events_stream(chunk("Hm."))) == ["Hm."]


def test_leaving_the_block_early_hangs_up() -> None:
    reply = events_stream(chunk("Good "), chunk("day."))
    stream = ScriptedServer(reply).sync_client().chat.completions.stream(model="base", messages=[])
    with stream:
        next(iter(stream))
    assert reply.is_closed


def test_the_asynchronous_stream_does_the_same() -> None:
    server = ScriptedServer(
        events_stream(chunk("Good "), chunk("day.")), events_stream(chunk("Good "), FAILURE)
    )

    async def use() -> None:
        completions = server.async_client().chat.completions
        stream = await completions.stream(model="base", messages=[])
        assert [piece.text async for piece in stream] == ["Good ", "day."]
        with pytest.raises(StreamError):
            async for _ in await completions.stream(model="base", messages=[]):
                pass

    asyncio.run(use())
